"""A host whose certificate does not count any more leaves a line when it comes."""

from __future__ import annotations

from typing import Any

import pytest

from rubackup.catalog.database import Database
from rubackup.domain.errors import Refused
from rubackup.server.control import ControlPlane
from rubackup.server.registry import Registry
from rubackup.services import enrolment, host_log
from rubackup.services.host_log import Happened
from rubackup.wire import control, pki
from rubackup.wire.messages import PROTOCOL_VERSION, Hello, Welcome
from support.catalogue import CLIENT, MEDIA, NumberingSigner, World, change

pytestmark = pytest.mark.postgres


async def come(
    database: Database, role: str, hwid: str, serial: str, hostname: str = "host", version: int = PROTOCOL_VERSION
) -> Welcome:
    """The host dials in."""

    async def nobody(_peer: Any) -> None:
        raise AssertionError

    plane = ControlPlane(database, NumberingSigner(), Registry(), ("s" * 64, "primary"), lambda: 1, nobody, nobody)
    hello = Hello(version=version, hostname=hostname, package_version="1.4.0")
    return await plane.admit(pki.Identity(role, hwid, serial, "f0"), hello, "10.0.0.7")


def test_a_host_that_is_turned_away_is_told_to_its_group(run):
    """Deleted or revoked, with the address and the reason; one that is admitted leaves no such line."""

    async def scenario(database: Database):
        world = await World.build(database)
        await come(database, "client", CLIENT, "7")
        assert await world.value("SELECT count(*) FROM clients_log WHERE action = 'refused'") == 0
        async with database.transaction() as db:
            await enrolment.withdraw_clients(change(db), [world.client])
        for _ in range(2):
            with pytest.raises(Refused):
                await come(database, "client", CLIENT, "7", hostname="line\nfeed")

        row = await world.row("SELECT * FROM clients_log WHERE action = 'refused'")
        assert (row["client_id"], row["client_group_id"], row["hostname"]) == (world.client, world.group, "")
        assert row["text"] == f"From 10.0.0.7: The hardware id {CLIENT} is not authorised."

    run(scenario)


def test_a_host_that_stayed_old(run, monkeypatch: pytest.MonkeyPatch):
    """It is spoken with in its version of the protocol while that is known; later its line names both versions."""

    async def scenario(database: Database):
        world = await World.build(database)
        monkeypatch.setattr(control, "PROTOCOL_VERSION", PROTOCOL_VERSION + 1)
        assert (await come(database, "client", CLIENT, "7")).version == PROTOCOL_VERSION
        monkeypatch.setattr(control, "OLDEST_PROTOCOL_VERSION", PROTOCOL_VERSION + 1)
        with pytest.raises(Refused, match=r"upgrade the host\."):
            await come(database, "client", CLIENT, "7")

        row = await world.row("SELECT * FROM clients_log WHERE action = 'refused'")
        assert row["hostname"] == "host"
        assert row["text"].startswith(
            "From 10.0.0.7: The host's version 1.4.0 speaks version 1 of the protocol, the server"
        )

    run(scenario)


def test_a_stranger_with_a_certificate_belongs_to_nobody(run):
    """A media server that the catalogue never had leaves a line for those who see everything."""

    async def scenario(database: Database):
        world = await World.build(database)
        with pytest.raises(Refused):
            await come(database, "media", "ee" * 32, "7")

        row = await world.row("SELECT * FROM media_servers_log WHERE action = 'refused'")
        assert (row["media_server_id"], row["hwid"], row["hostname"]) == (None, "ee" * 32, "host")

    run(scenario)


def test_long_texts_are_cut(run):
    """A line is a line."""

    async def scenario(database: Database):
        world = await World.build(database)
        async with database.transaction() as db:
            await host_log.note(db, "media", [world.media], Happened.EDITED, "x" * 5000, user="root")

        text = await world.value("SELECT text FROM media_servers_log WHERE hwid = $1 AND action = 'edited'", MEDIA)
        assert len(text) == host_log.TEXT_CHARACTERS + 1

    run(scenario)
