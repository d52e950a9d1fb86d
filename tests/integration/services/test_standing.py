"""Presence with several servers: who is online stays true when one of them dies or loses its connection to a host."""

from __future__ import annotations

import pytest

from rubackup.catalog.database import Database
from rubackup.services import presence
from support.catalogue import CLIENT, MEDIA, SERVER, World

pytestmark = pytest.mark.postgres
SECOND = "dd" * 32


async def build(database: Database) -> World:
    """Two servers; both hosts are known by the first."""
    world = await World.build(database)
    for hwid in (SERVER, SECOND):
        await presence.reset(database, hwid, hostname=hwid[:2], package_version="1")
    await world.client_online()
    await world.media_online()
    return world


async def known(world: World) -> list[tuple[bool, str]]:
    """Online, and by which server: client, media server."""
    rows = [await world.row(f"SELECT online, server_hwid FROM {one}_presence") for one in ("client", "media")]
    return [tuple(row) for row in rows]


async def silent(world: World, hwid: str) -> None:
    """The server was not heard of for 16 s."""
    await world.row("UPDATE servers SET seen_at = now() - interval '16 s' WHERE hwid = $1 RETURNING 1", hwid)


def test_a_host_that_left_one_server_is_online_by_the_other(run):
    """A broken connection to one server does not make a host offline that is connected to another."""

    async def scenario(database: Database):
        world = await build(database)
        await presence.client_offline(database, CLIENT, SERVER)
        task = await world.backup()
        await world.row("UPDATE task_queue SET blocked_on = 'client:' || $1 RETURNING 1", CLIENT)

        assert await presence.repeat(database, SECOND, [CLIENT], [MEDIA]) == [("client", CLIENT)]
        assert await known(world) == [(True, SECOND), (True, SERVER)]
        assert await world.value("SELECT blocked_on FROM task_queue WHERE id = $1", task) is None
        assert await presence.repeat(database, SECOND, [CLIENT], [MEDIA]) == []

    run(scenario)


def test_what_a_dead_server_said_is_taken_back(run):
    """Hosts that another server has are its own from then on, without having been offline; the others are offline."""

    async def scenario(database: Database):
        world = await build(database)
        await presence.repeat(database, SECOND, [CLIENT], [])
        assert await known(world) == [(True, SERVER), (True, SERVER)]
        await silent(world, SERVER)
        before = await world.value("SELECT count(*) FROM events WHERE kind = 'presence'")
        await presence.repeat(database, SECOND, [CLIENT], [])

        assert await known(world) == [(True, SECOND), (False, SERVER)]
        told = await world.column("SELECT family FROM events WHERE kind = 'presence' ORDER BY id OFFSET $1", before)
        assert told == ["media_servers"]

    run(scenario)


def test_a_living_server_is_believed(run):
    """Each round says that it lives."""

    async def scenario(database: Database):
        world = await build(database)
        await silent(world, SERVER)
        await presence.repeat(database, SERVER, [], [])
        await presence.repeat(database, SECOND, [], [])

        assert await known(world) == [(True, SERVER), (True, SERVER)]

    run(scenario)


def test_a_going_that_could_not_be_written_is_made_good(run):
    """What a server said more than 15 s ago of a host that is not connected to it any more does not last; what is new does."""

    async def scenario(database: Database):
        world = await build(database)
        await world.row("UPDATE client_presence SET last_online = now() - interval '16 s' RETURNING 1")
        await presence.repeat(database, SECOND, [], [])
        assert await known(world) == [(True, SERVER), (True, SERVER)]

        await presence.repeat(database, SERVER, [], [])

        assert await known(world) == [(False, SERVER), (True, SERVER)]
        told = await world.row("SELECT family, data FROM events WHERE kind = 'presence' ORDER BY id DESC LIMIT 1")
        assert tuple(told) == ("clients", {"online": False})

    run(scenario)


def test_a_host_that_is_connected_stays_online_however_long(run):
    """Rounds about a host that is connected change nothing."""

    async def scenario(database: Database):
        world = await build(database)
        await world.row("UPDATE client_presence SET last_online = now() - interval '1 day' RETURNING 1")
        before = await world.value("SELECT count(*) FROM events")

        assert await presence.repeat(database, SERVER, [CLIENT], [MEDIA]) == []
        assert await known(world) == [(True, SERVER), (True, SERVER)]
        assert await world.value("SELECT count(*) FROM events") == before

    run(scenario)


def test_a_host_that_is_just_coming_is_left_to_its_coming(run):
    """It is neither noted as here, which its own coming does, nor as gone."""

    async def scenario(database: Database):
        world = await build(database)
        await world.row("UPDATE client_presence SET online = false RETURNING 1")
        await world.row("UPDATE media_presence SET last_online = now() - interval '16 s' RETURNING 1")

        assert await presence.repeat(database, SERVER, [], [], [CLIENT, MEDIA]) == []
        assert await known(world) == [(False, SERVER), (True, SERVER)]

    run(scenario)
