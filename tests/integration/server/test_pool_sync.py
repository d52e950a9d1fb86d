"""Media servers know the pools of the catalogue before a task needs them."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from rubackup.catalog.database import Database
from rubackup.domain.errors import Unavailable
from rubackup.server import reports as reports_module
from rubackup.server.dispatcher import Dispatcher
from rubackup.server.heartbeats import Heartbeats
from rubackup.server.monitoring import Monitor
from rubackup.server.pools import PoolSync
from rubackup.server.registry import Registry
from rubackup.server.reports import Reports
from rubackup.server.tickets import TicketOffice
from rubackup.server.tools import ClientTools
from rubackup.wire import pki
from rubackup.wire.framing import encode
from rubackup.wire.messages import (
    Ack,
    AskPools,
    CheckFolder,
    ConfigurePools,
    KeepKey,
    Message,
    PoolStates,
    Relay,
    Revoked,
    RunClean,
)
from support.catalogue import MEDIA, SERVER, World

pytestmark = pytest.mark.postgres


class Host:
    """The server's end of a media server's connection; keeps what it is told."""

    def __init__(self, hold: asyncio.Event | None = None) -> None:
        self.identity = SimpleNamespace(role="media", hwid=MEDIA)
        self.told: list[Message] = []
        self.configured, self.ordered = asyncio.Event(), asyncio.Event()
        self._hold = hold

    async def call(self, message: Message, _seconds: float) -> Message:
        """Answer at once, but a configuration when `hold` is set."""
        self.told.append(message)
        if isinstance(message, RunClean):
            self.ordered.set()
        if not isinstance(message, ConfigurePools):
            return Ack()
        self.configured.set()
        if self._hold is not None:
            await self._hold.wait()
        return PoolStates(pools=[])

    def storages(self) -> list[list[str]]:
        """Of each configuration, the paths of all its storages."""
        found = [one for one in self.told if isinstance(one, ConfigurePools)]
        return [[storage.path for pool in one.pools for storage in pool.storages] for one in found]

    def close(self) -> None:
        """Nothing to close."""


async def nobody(_beats: object) -> list[int]:
    """Nobody's heartbeat is lost."""
    return []


def synced(database: Database, host: Any) -> tuple[PoolSync, Registry]:
    """A server that leads, and a media server that is connected to it."""
    registry = Registry()
    registry.add(host)
    return PoolSync(database, registry, lambda: 1), registry


async def add_storage(world: World, path: str) -> None:
    """A further folder of the pool."""
    async with world.database.transaction() as db:
        await db.execute(
            "INSERT INTO storage_local_catalogs (pool_id, media_server_id, path) SELECT id, media_server_id, $2 FROM pools WHERE id = $1",
            world.pool, path,
        )  # fmt: skip


def test_a_change_is_told_before_it_is_needed_and_only_then(run):
    """Once a change; again on a new connection; not for what each contact changes."""

    async def scenario(database: Database):
        world, host = await World.build(database), Host()
        pools, registry = synced(database, host)
        await pools.catch_up(MEDIA)
        await pools.catch_up(MEDIA)
        before = len(host.storages())
        await add_storage(world, "/srv/more")
        await pools.catch_up(MEDIA)
        async with database.transaction() as db:
            await db.execute(
                "INSERT INTO pool_state AS s (pool_id, problem, free_bytes, used_bytes, total_bytes, chunks, contact) VALUES ($1, '', 0, 0, 0, 0, 7) "
                "ON CONFLICT (pool_id) DO UPDATE SET contact = 7", world.pool,
            )  # fmt: skip
        await pools.catch_up(MEDIA)
        again = Host()
        registry.add(again)
        await pools.catch_up(MEDIA)
        await pools.catch_up("0" * 16)

        assert before == 1
        assert len(host.storages()) == 2
        assert "/srv/more" in host.storages()[-1]
        assert again.storages() == host.storages()[-1:]

    run(scenario)


def test_a_change_of_something_else_is_a_question_only(run):
    """Opening pools again because a description was changed would keep tasks waiting; a new leader tells all."""

    async def scenario(database: Database):
        world, host = await World.build(database), Host()
        epoch = [1]
        registry = Registry()
        registry.add(host)
        pools = PoolSync(database, registry, lambda: epoch[0])
        await pools.configure(host)
        await world.row("UPDATE pools SET description = 'another' WHERE id = $1 RETURNING 1", world.pool)
        host.told.clear()
        await pools.configure(host)
        told = [type(one) for one in host.told]
        epoch[0] = 2
        await pools.configure(host)

        assert AskPools in told
        assert ConfigurePools not in told
        assert [one.epoch for one in host.told if isinstance(one, ConfigurePools)] == [2]

    run(scenario)


def test_configurations_reach_a_media_server_in_the_order_in_which_they_were_read(run):
    """One that takes its time is not overtaken."""

    async def scenario(database: Database):
        world, hold = await World.build(database), asyncio.Event()
        host = Host(hold)
        pools, _ = synced(database, host)
        first = asyncio.create_task(pools.configure(host))
        await host.configured.wait()
        await add_storage(world, "/srv/more")
        second = asyncio.create_task(pools.configure(host))
        await asyncio.sleep(0.1)
        under_way = len(host.storages())
        hold.set()
        await asyncio.gather(first, second)

        assert under_way == 1
        assert ["/srv/more" in one for one in host.storages()] == [False, True]

    run(scenario)


def test_a_task_is_sent_after_the_pools(run):
    """And waits for a media server that is still opening them, which is no attempt."""

    async def scenario(database: Database):
        world, hold = await World.build(database), asyncio.Event()
        await add_storage(world, "/srv/more")
        host = Host(hold)
        pools, registry = synced(database, host)
        async with database.transaction() as db:
            task = await db.fetchval(
                "INSERT INTO task_queue (task_type, executor, pool_id, media_server_id) SELECT 'Clean', 'media', id, media_server_id "
                "FROM pools WHERE id = $1 RETURNING id", world.pool,
            )  # fmt: skip
        office = TicketOffice(SERVER, pki.new_key_pem())
        dispatcher = Dispatcher(database, registry, office, SERVER, pools.catch_up)
        running = asyncio.create_task(dispatcher.run(0))
        await host.configured.wait()
        early = [one for one in host.told if isinstance(one, RunClean)]
        hold.set()
        await host.ordered.wait()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

        assert early == []
        order = [type(one) for one in host.told]
        assert order.index(ConfigurePools) < order.index(RunClean)
        assert "/srv/more" in host.storages()[0]
        async with database.connection() as db:
            assert await db.fetchval("SELECT attempt FROM task_queue WHERE id = $1", task) == 1

    run(scenario)


def test_a_question_about_pools_is_asked_after_the_pools_were_told(run, monkeypatch):
    """Else the folder that was just added is one that the media server has never heard of. It need not wait for ever."""

    async def scenario(database: Database):
        world, hold = await World.build(database), asyncio.Event()
        host = Host(hold)
        pools, registry = synced(database, host)
        office, monitor = TicketOffice(SERVER, pki.new_key_pem()), Monitor(database, (SERVER, "server.example"))
        reports = Reports(
            database, registry, Heartbeats(nobody), office, monitor, ClientTools(database), pools.catch_up
        )
        await add_storage(world, "/srv/more")
        hold.set()
        question = Relay(role="media", hwid=MEDIA, body=encode(CheckFolder(path="/srv/more", pool="0" * 32)))
        api: Any = SimpleNamespace(identity=SimpleNamespace(role="api", hwid="a"))
        await reports.handle(api, question)
        told = [type(one) for one in host.told]
        hold.clear()
        await add_storage(world, "/srv/most")
        monkeypatch.setattr(reports_module, "TELL_SECONDS", 0.1)
        await reports.handle(api, question)

        assert told.index(ConfigurePools) < told.index(CheckFolder)
        assert "/srv/more" in host.storages()[0]
        assert [type(one) for one in host.told].count(CheckFolder) == 2

    run(scenario)


def test_who_was_revoked_is_told_again_to_who_did_not_answer(run):
    """With the next sign of the server; whoever has heard it gets the sign alone."""

    async def scenario(database: Database):
        await World.build(database)
        deaf, registry = Host(), Registry()
        registry.add(deaf)
        sync, call = PoolSync(database, registry, lambda: 0), deaf.call

        async def silent(_message: Message, _seconds: float) -> Message:
            raise Unavailable("no answer")

        deaf.call = silent
        async with database.connection() as db:
            await db.execute(
                "INSERT INTO revoked_certificates (serial, role, hwid, reason) VALUES ('7', 'client', 'h', 'deleted')"
            )
        await sync.revoke_all()
        await sync.keep_key()
        deaf.call = call
        for _ in range(2):
            await sync.keep_key()

        heard, sign = deaf.told
        assert isinstance(heard, Revoked)
        assert heard.serials == ["7"]
        assert isinstance(sign, KeepKey)

    run(scenario)
