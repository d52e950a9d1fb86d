"""Who is connected."""

from __future__ import annotations

import pytest

from rubackup.catalog.database import Database
from rubackup.services import presence
from support.catalogue import CLIENT, MEDIA, OTHER_MEDIA, SERVER, World, insert

pytestmark = pytest.mark.postgres
OTHER_SERVER = "dd" * 32
ONLINE = "SELECT (SELECT online FROM client_presence), (SELECT online FROM media_presence)"


async def online(world: World) -> tuple[bool, bool]:
    return tuple(await world.row(ONLINE))


def test_a_host_says_what_it_is_when_it_comes(run):
    """Coming online stores the facts of the host's greeting and leaves an event."""

    async def scenario(database: Database):
        world = await World.build(database, online=False)
        await presence.client_online(
            database, CLIENT, SERVER, hostname="renamed", package_version="9", os_version="13", resource_types=["X"]
        )
        await presence.media_online(
            database, MEDIA, SERVER, hostname="vault2", package_version="9", data_endpoint="h:1"
        )

        row = await world.row("SELECT hostname, package_version, os_version, resource_types FROM clients")
        assert tuple(row) == ("renamed", "9", "13", ["X"])
        assert tuple(await world.row("SELECT hostname, data_endpoint FROM media_servers")) == ("vault2", "h:1")
        assert await online(world) == (True, True)
        assert await world.column("SELECT family FROM events WHERE kind = 'presence'") == ["clients", "media_servers"]

    run(scenario)


def test_a_media_server_keeps_its_name_when_the_new_one_is_taken(run):
    """Two media servers never have one host name."""

    async def scenario(database: Database):
        world = await World.build(database, online=False)
        async with database.connection() as db:
            await insert(db, "media_servers", hwid=OTHER_MEDIA, hostname="taken", csr_pem=b"", fingerprint="f1")
        await presence.media_online(database, MEDIA, SERVER, hostname="taken", package_version="1")

        assert await world.value("SELECT hostname FROM media_servers WHERE hwid = $1", MEDIA) == "vault"

    run(scenario)


def test_a_late_farewell_does_not_hide_a_new_connection(run):
    """A host that has come back on another server stays online when the old connection ends."""

    async def scenario(database: Database):
        world = await World.build(database)
        for goes, hwid in ((presence.client_offline, CLIENT), (presence.media_offline, MEDIA)):
            await goes(database, hwid, OTHER_SERVER)
        assert await online(world) == (True, True)
        for goes, hwid in ((presence.client_offline, CLIENT), (presence.media_offline, MEDIA)):
            await goes(database, hwid, SERVER)

        assert await online(world) == (False, False)

    run(scenario)


def test_a_starting_server_has_nobody(run):
    """A start lists the server and forgets its own connections, nobody else's."""

    async def scenario(database: Database):
        world = await World.build(database)
        await presence.reset(database, OTHER_SERVER, hostname="b", package_version="1")
        assert await online(world) == (True, True)
        await presence.reset(database, SERVER, hostname="a", package_version="2")

        assert await online(world) == (False, False)
        assert await world.column("SELECT hostname FROM servers ORDER BY hostname") == ["a", "b"]
        last = await world.column("SELECT family FROM events ORDER BY id DESC LIMIT 2")
        assert sorted(last) == ["clients", "media_servers"]

    run(scenario)


def test_unknown_hosts_leave_no_trace(run):
    """A host that was deleted while it connected is ignored."""

    async def scenario(database: Database):
        await presence.client_online(database, CLIENT, SERVER, hostname="h", package_version="1")
        await presence.media_online(database, MEDIA, SERVER, hostname="h", package_version="1")
        async with database.connection() as db:
            assert await db.fetchval("SELECT count(*) FROM events") == 0

    run(scenario)


def test_every_task_that_waited_wakes(run):
    """Coming online makes all tasks of the host claimable, however many."""

    async def scenario(database: Database):
        world = await World.build(database, online=False)
        await world.row(
            """INSERT INTO task_queue (task_type, executor, client_id, blocked_on)
               SELECT 'Backup', 'client', $1, 'client:' || $2 FROM generate_series(1, 2500) RETURNING id""",
            world.client, CLIENT,
        )  # fmt: skip
        await world.client_online()

        assert await world.value("SELECT count(*) FROM task_queue WHERE blocked_on IS NOT NULL") == 0

    run(scenario)


def test_a_client_tells_ciphers_and_keys(run):
    """Only names and ids that are some, of keys at most a thousand; a change while it is connected replaces them."""

    async def scenario(database: Database):
        world = await World.build(database, online=False)
        key, many = "0a" * 16, [f"{number:032x}" for number in range(presence.KEYS + 5)]
        await presence.client_online(
            database, CLIENT, SERVER, hostname="h", package_version="1", ciphers=["rot13", "aes-256-gcm"],
            key_ids=["no id", key],
        )  # fmt: skip
        told = tuple(await world.row("SELECT ciphers, key_ids FROM clients"))
        await presence.client_keys(database, CLIENT, many)

        assert told == (["aes-256-gcm"], [key])
        assert await world.value("SELECT key_ids FROM clients") == many[: presence.KEYS]

    run(scenario)
