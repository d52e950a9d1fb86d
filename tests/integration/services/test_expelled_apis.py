"""APIs that are shut out: those on hosts of their own by name, those with the servers' role by hardware id."""

from __future__ import annotations

import datetime as dt

import pytest

from rubackup.catalog.database import Database
from rubackup.domain.errors import NotFound, Refused
from rubackup.services import admission, api_hosts
from rubackup.services.api_hosts import ApiHost
from rubackup.wire.certificates import Identity
from support.catalogue import change

pytestmark = pytest.mark.postgres

LOST, OURS, OFFICE = (letter * 64 for letter in "abc")
LATER = dt.datetime.now(dt.UTC) + dt.timedelta(days=40)


def test_one_from_before_roles_is_shut_out_by_its_hardware_id(run):
    """Its certificate counts no more, and nobody else's is touched; which there are is told to whoever mistypes."""

    async def scenario(database: Database):
        for hwid, serial in ((LOST, "1"), (OURS, "2")):
            assert await api_hosts.note_own(database, hwid, serial, LATER)
        async with database.transaction() as db:
            await api_hosts.keep(change(db), ApiHost(name="api.example", hwid=OFFICE, database_role="r"), "3", LATER)
        lost, *others = (Identity("api", hwid, str(n), "k") for n, hwid in enumerate((LOST, OURS, OFFICE), 1))

        async with database.transaction() as db:
            with pytest.raises(NotFound) as caught:
                await api_hosts.expel(change(db), "typo.example")
            gone = await api_hosts.expel(change(db), LOST)

        assert caught.value.message == (
            "No API was enrolled as typo.example; there are: api.example. With the role of the servers, by hardware id:"
            f" {LOST}, {OURS}."
        )
        assert (gone.hwid, gone.database_role) == (LOST, "")
        with pytest.raises(Refused, match="certificate was revoked"):
            await admission.admit(database, lost)
        assert await admission.turned_away(database, [lost, *others]) == [lost]
        assert await api_hosts.note_own(database, LOST, "1", LATER)  # as it does when it dials again
        assert await admission.turned_away(database, [lost]) == [lost]

    run(scenario)
