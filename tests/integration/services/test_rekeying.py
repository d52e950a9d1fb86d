"""A known host gets another key when an administrator says so, and by nothing else."""

from __future__ import annotations

import asyncio

import pytest

from rubackup.catalog.database import Database
from rubackup.domain.errors import Conflict, Forbidden, Invalid, NotFound, Refused, RubackupError
from rubackup.domain.permissions import Principal, Role
from rubackup.services import admission, enrolment
from rubackup.services.change import changing
from rubackup.services.enrolment import Granted, Pending
from rubackup.services.no_hosts import NoHosts
from rubackup.services.rekeying import Expected
from rubackup.services.storage_clouds import KEY_PROBLEM
from rubackup.wire.certificates import Identity
from support.catalogue import CLIENT, MEDIA, SUPERUSER, NumberingSigner, World, insert

pytestmark = pytest.mark.postgres

TABLES = {"client": "clients", "media": "media_servers"}
HWIDS = {"client": CLIENT, "media": MEDIA}
MINE = Expected(replace_key=True, fingerprint="mine")


async def ask(
    database: Database, signer: NumberingSigner, role: str, fingerprint: str, address: str = "10.0.0.7"
) -> Pending | Granted:
    return await enrolment.ask(
        database, signer, role=role, hwid=HWIDS[role], hostname="vault", address=address, os_type="Linux",
        csr_pem=fingerprint.encode(), fingerprint=fingerprint, package_version="1", os_version="12",
        data_endpoint="10.0.0.7:9993" if role == "media" else "",
    )  # fmt: skip


async def authorise(
    database: Database, role: str, fingerprint: str, expected: Expected, principal: Principal = SUPERUSER
) -> int:
    """Of the client that waits with this key; of media servers that wait as `vault`."""
    async with changing(
        database, principal, NoHosts(), method="POST", path="/authorize", resource=TABLES[role]
    ) as change:
        if role == "media":
            return await enrolment.authorise_media_server(change, "vault", expected)
        (row_id,) = [
            r["id"]
            for r in await change.db.fetch("SELECT id FROM unauthorised_clients WHERE fingerprint = $1", fingerprint)
        ]
        (client,) = await enrolment.authorise_clients(change, [row_id], expected)
        return client


@pytest.mark.parametrize("role", ["client", "media"])
def test_a_named_key_takes_the_place_of_the_known_one(run, role):
    """The host keeps its row and all that hangs on it; old certificates count no more, and the old key waits."""

    async def scenario(database: Database):
        signer = NumberingSigner()
        world = await World.build(database)
        host = world.client if role == "client" else world.media
        for _ in range(2):
            assert isinstance(await ask(database, signer, role, "f0"), Granted)
        task = await world.backup()
        assert await ask(database, signer, role, "mine") == Pending("mine")
        old = Identity(role, HWIDS[role], "2", "f0")
        await admission.admit(database, old)

        assert await authorise(database, role, "mine", MINE) == host
        for serial in ("1", "2"):
            with pytest.raises(Refused, match="another key took the place"):
                await admission.admit(database, Identity(role, HWIDS[role], serial, "f0"))
        assert await admission.turned_away(database, [old]) == [old]
        with pytest.raises(Refused, match="authorised with another key"):  # one that the catalogue has forgotten
            await admission.admit(database, Identity(role, HWIDS[role], "0", "f0"))
        assert set(await admission.revoked_hosts(database)) == {"1", "2"}
        assert await ask(database, signer, role, "f0") == Pending("f0")
        assert await ask(database, signer, role, "mine") == Granted(b"chain 3")
        await admission.admit(database, Identity(role, HWIDS[role], "3", "mine"))
        assert await world.column(f"SELECT fingerprint FROM unauthorised_{TABLES[role]}") == ["f0"]
        assert tuple(await world.row("SELECT client_id, media_server_id FROM task_queue WHERE id = $1", task)) == (
            world.client, world.media,
        )  # fmt: skip
        assert await world.value("SELECT media_server_id FROM pools WHERE id = $1", world.pool) == world.media

        audit = await world.row("SELECT before, after, row_ids FROM audit")
        assert [row["fingerprint"] for row in audit["before"]] == ["f0"]
        after = audit["after"] if role == "media" else audit["after"][0]
        assert (after["fingerprint"], audit["row_ids"]) == ("mine", [host])
        event = await world.row(
            "SELECT data FROM events WHERE kind = 'changed' AND family = $1 AND row_id = $2", TABLES[role], host
        )
        assert event["data"] == {"fingerprint": "mine", "replaced": "f0"}
        line = await world.value(f"SELECT text FROM {TABLES[role]}_log WHERE action = 'authorised'")
        assert "mine" in line
        assert "f0" in line

    run(scenario)


@pytest.mark.parametrize("role", ["client", "media"])
def test_a_key_that_was_not_meant_replaces_nothing(run, role):
    """Without the words, or with another fingerprint, the known key stays, and its certificates count."""

    async def scenario(database: Database):
        signer = NumberingSigner()
        await World.build(database)
        await ask(database, signer, role, "f0")
        await ask(database, signer, role, "thief")
        expected: list[tuple[Expected, type[RubackupError]]] = [
            (Expected(), Conflict), (Expected(fingerprint="thief"), Conflict), (Expected(replace_key=True), Invalid),
            (MINE, Conflict),
        ]  # fmt: skip
        for said, error in expected:
            with pytest.raises(error):
                await authorise(database, role, "thief", said)

        assert await admission.revoked_hosts(database) == []
        assert isinstance(await ask(database, signer, role, "f0"), Granted)
        assert await ask(database, signer, role, "thief") == Pending("thief")

    run(scenario)


def test_of_two_keys_that_wait_the_named_one_is_taken(run):
    """Whoever else asks under the host name of a lost media server neither gets its place nor keeps it from its heir."""

    async def scenario(database: Database):
        signer = NumberingSigner()
        world = await World.build(database)
        for fingerprint in ("thief", "mine"):
            await ask(database, signer, "media", fingerprint)

        assert await authorise(database, "media", "mine", MINE) == world.media
        assert await world.column("SELECT fingerprint FROM unauthorised_media_servers") == ["thief"]
        assert await ask(database, signer, "media", "thief") == Pending("thief")

    run(scenario)


def test_a_flood_of_keys_costs_the_known_host_nothing(run):
    """Ten keys wait under one hardware id; the known one is served all the while."""

    async def scenario(database: Database):
        signer = NumberingSigner()
        world = await World.build(database)
        await ask(database, signer, "client", "mine")
        for wave in range(0, 30, 5):  # more at once than there are connections would wait for one, and not for ever
            keys = [f"thief {n}" for n in range(wave, wave + 5)]
            answers = await asyncio.gather(*(ask(database, signer, "client", key) for key in keys))
            assert answers == [Pending(key) for key in keys]
        assert await world.value("SELECT count(*) FROM unauthorised_clients") == 10
        assert isinstance(await ask(database, signer, "client", "f0"), Granted)

    run(scenario)


@pytest.mark.parametrize("role", ["client", "media"])
def test_hostile_keys_do_not_keep_the_honest_one_out(run, role):
    """Before it or after it, as often as they like: it waits, and is put in its place by its fingerprint and nothing else.

    Whoever gave way is told once in the log and by an event; its row's id is never another key's.
    """

    async def scenario(database: Database):
        signer, table = NumberingSigner(), f"unauthorised_{TABLES[role]}"
        world = await World.build(database)
        for n in range(30):
            assert await ask(database, signer, role, f"thief {n}", "10.6.6.6") == Pending(f"thief {n}")
        async with database.connection() as db:
            ids = {row["fingerprint"]: row["id"] for row in await db.fetch(f"SELECT id, fingerprint FROM {table}")}
        assert await ask(database, signer, role, "mine", "10.0.0.9") == Pending("mine")
        for n in range(30, 60):
            await ask(database, signer, role, f"thief {n}", f"10.6.6.{n % 3}")

        async with database.connection() as db:
            waiting = await db.fetch(f"SELECT id, fingerprint, address FROM {table} ORDER BY id")
        assert len(waiting) == 10
        assert {row["address"] for row in waiting} >= {"10.0.0.9", "10.6.6.0", "10.6.6.1", "10.6.6.2"}
        assert not {row["id"] for row in waiting if row["fingerprint"] not in ids} & set(ids.values())
        gone = await world.value(f"SELECT count(*) FROM events WHERE family = '{table}' AND kind = 'deleted'")
        assert gone == 61 - 10
        lines = f"SELECT count(*) FROM {TABLES[role]}_log WHERE action = 'waiting' AND text LIKE 'So many keys wait%'"
        assert await world.value(lines) == 1
        assert await world.value(f"SELECT count(*) FROM {TABLES[role]}_log WHERE action = 'waiting'") == 11

        await authorise(database, role, "mine", MINE)
        assert isinstance(await ask(database, signer, role, "mine", "10.0.0.9"), Granted)
        assert await ask(database, signer, role, "thief 59", "10.0.0.9") == Pending("thief 59")

    run(scenario)


def test_a_strangers_key_waits_for_no_lock_of_the_known_host(run):
    """Asking with another key neither takes nor needs the row of the host whose hardware id it claims."""

    async def scenario(database: Database):
        await World.build(database)
        async with database.transaction() as db:
            await db.execute("SELECT 1 FROM clients FOR UPDATE")
            async with asyncio.timeout(60):
                assert await ask(database, NumberingSigner(), "client", "thief") == Pending("thief")

    run(scenario)


@pytest.mark.parametrize(("own", "refused"), [(True, False), (False, True)])
def test_an_administrator_replaces_keys_of_his_own_clients(run, own, refused):
    """A client of another group is not his: neither by its hardware id nor by anything else."""

    async def scenario(database: Database):
        world = await World.build(database)
        async with database.connection() as db:
            other = await insert(db, "client_groups", name="other")
        mine = (other, world.group) if own else (other,)
        anna = Principal(7, "anna", frozenset({Role.ADMINISTRATOR}), client_group_ids=mine)
        await ask(database, NumberingSigner(), "client", "mine")
        if refused:
            with pytest.raises(Forbidden):
                await authorise(database, "client", "mine", MINE, anna)
        else:
            assert await authorise(database, "client", "mine", MINE, anna) == world.client

        group, key = tuple(await world.row("SELECT group_id, fingerprint FROM clients"))
        assert (group, key) == (world.group, "f0" if refused else "mine")

    run(scenario)


def test_a_key_replaces_none_where_none_is_known(run):
    """Who believes that a host is known, and it is not, hears of it; so does one who names two at once."""

    async def scenario(database: Database):
        signer = NumberingSigner()
        await ask(database, signer, "client", "mine")
        with pytest.raises(Conflict, match="without replace_key"):
            await authorise(database, "client", "mine", MINE)
        async with changing(database, SUPERUSER, NoHosts(), method="POST", path="/", resource="clients") as change:
            with pytest.raises(NotFound, match="4711"):
                await enrolment.authorise_clients(change, [4711], MINE)
            with pytest.raises(Invalid, match="fingerprint"):
                await enrolment.authorise_clients(change, [4711, 4712], MINE)
        assert await authorise(database, "client", "mine", Expected(fingerprint="MINE")) > 0

    run(scenario)


def test_secrets_sealed_for_the_old_key_are_told(run):
    """A bucket's secret key has to be given again, and the storage says so as soon as the key is another."""

    async def scenario(database: Database):
        world = await World.build(database)
        async with database.connection() as db:
            await insert(
                db, "storage_clouds", name="bucket", pool_id=world.pool, endpoint="https://s3", region="", bucket="b",
                prefix="", access_key="a", secret_sealed=b"s", secret_fingerprint="f0", ca_file="",
                description="",
            )  # fmt: skip
        told = f"""SELECT {KEY_PROBLEM} FROM storage_clouds s JOIN pools p ON p.id = s.pool_id
                   JOIN media_servers m ON m.id = p.media_server_id"""
        assert await world.value(told) == ""
        await ask(database, NumberingSigner(), "media", "mine")
        await authorise(database, "media", "mine", MINE)
        assert "give secret_key again" in await world.value(told)

    run(scenario)
