"""A server's host that was set up anew takes the place of the lost one, and the lost one's keys count no more."""

from __future__ import annotations

import asyncio
import datetime as dt
from pathlib import Path

import pytest

from rubackup.catalog.database import Database, DatabaseAddress
from rubackup.domain.errors import Refused
from rubackup.roles.init.hosts import OwnHosts
from rubackup.roles.installed.layout import Layout
from rubackup.services import admission
from rubackup.wire import pki
from rubackup.wire.certificates import Identity
from support.catalogue import CLIENT, MEDIA, World

pytestmark = pytest.mark.postgres


def test_certificates_of_the_lost_host_are_revoked(database: DatabaseAddress, tmp_path: Path) -> None:
    """Of its media server and its client, once: what the new host gets with its own keys stays good when it is done again."""
    layout = Layout(tmp_path)
    for role in ("media", "client"):
        layout.key(role).parent.mkdir(parents=True, exist_ok=True)
    lost = [Identity("client", CLIENT, "1", "f0"), Identity("media", MEDIA, "2", "f0")]
    later = dt.datetime.now(dt.UTC) + dt.timedelta(days=9)

    async def scenario() -> None:
        catalogue = Database(database, size=4)
        await catalogue.open()
        try:
            await World.build(catalogue, online=False)
            async with catalogue.transaction() as db:
                await db.execute("UPDATE clients SET hostname = 'vault'")
                for one in lost:
                    await admission.note(db, one.role, one.hwid, one.serial, later)
            now = dt.datetime.now(dt.UTC)
            hosts = OwnHosts(layout, database, pki.make_issuing(pki.make_root(now), now), "vault")
            await hosts.take_place()
            for one in lost:
                with pytest.raises(Refused, match="another key took the place"):
                    await admission.admit(catalogue, one)
            key = pki.csr_fingerprint(pki.make_csr(layout.key("client").read_bytes(), "vault"))
            new = Identity("client", CLIENT, "3", key)
            async with catalogue.transaction() as db:
                await admission.note(db, "client", CLIENT, "3", later)
            await hosts.take_place()
            await admission.admit(catalogue, new)
        finally:
            await catalogue.close()

    asyncio.run(scenario())
