"""Notifications of the catalogue: who is only woken does not wait for hosts that answer late."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from rubackup.domain.errors import Busy, Unavailable
from rubackup.server import watch as watching
from rubackup.server.registry import Registry
from rubackup.server.watch import CatalogueWatch
from rubackup.wire.certificates import Identity


class Notified:
    """A catalogue that notifies what it is told to."""

    def __init__(self) -> None:
        self.heard: Callable[[str, str], Awaitable[None]] | None = None
        self.listening = asyncio.Event()

    async def listen(self, _channels: tuple[str, ...], heard: Callable[[str, str], Awaitable[None]]) -> None:
        """Until cancelled."""
        self.heard = heard
        self.listening.set()
        await asyncio.Event().wait()


class Woken:
    """Dispatcher, scheduler and limits: notes that it was woken."""

    def __init__(self) -> None:
        self.times = 0

    def wake(self) -> None:
        """Look now."""
        self.times += 1

    changed = wake


class SlowPools:
    """Media servers that take their time."""

    def __init__(self) -> None:
        self.begun, self.failing = 0, False
        self.answer = asyncio.Event()

    async def configure_all(self) -> None:
        """Waits until it is let go."""
        self.begun += 1
        await self.answer.wait()
        if self.failing:
            raise Unavailable("nobody answers")

    async def until(self, begun: int) -> None:
        """They were told so many times."""
        while self.begun < begun:  # noqa: ASYNC110 - a number has no event
            await asyncio.sleep(0)

    drop_all = revoke_all = configure_all


def test_a_slow_media_server_holds_up_nobody_who_is_only_woken() -> None:
    """While pools are told, tasks wake the dispatcher; what is heard meanwhile is followed once; a failure ends nothing."""

    async def run() -> None:
        database: Any = Notified()
        dispatcher, scheduler, limits = Woken(), Woken(), Woken()
        pools: Any = SlowPools()
        watch = CatalogueWatch(database, Registry(), dispatcher, scheduler, pools, limits)  # type: ignore[arg-type]
        running = asyncio.ensure_future(watch.run())
        await database.listening.wait()
        for channel in ("pools", "tasks", "schedule", "bandwidth"):
            await database.heard(channel, "")
        assert [dispatcher.times, scheduler.times, limits.times] == [1, 1, 1]
        await pools.until(1)

        for _ in range(3):
            await database.heard("pools", "")
        pools.failing = True
        pools.answer.set()
        await pools.until(2)
        for _ in range(20):
            await asyncio.sleep(0)

        assert pools.begun == 2
        assert not running.done()
        running.cancel()

    asyncio.run(asyncio.wait_for(run(), 60))


class Known:
    """A host's connection."""

    def __init__(self) -> None:
        self.identity = Identity("client", "0" * 16, "1", "k")
        self.closed = asyncio.Event()

    def close(self) -> None:
        """It is over."""
        self.closed.set()


def test_connections_end_also_when_the_catalogue_was_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is asked again; and nobody waits for media servers, which are told after that."""
    answers: list[Exception | None] = [Busy("busy"), Unavailable("away"), None]

    async def turned_away(_database: object, callers: list[Identity]) -> list[Identity]:
        if error := answers.pop(0):
            raise error
        return callers

    async def run() -> None:
        monkeypatch.setattr(watching.admission, "turned_away", turned_away)
        monkeypatch.setattr(watching, "RETRY_SECONDS", 0)
        database: Any = Notified()
        host, others, pools, registry = Known(), Woken(), SlowPools(), Registry()
        registry.add(host)  # type: ignore[arg-type]
        watch = CatalogueWatch(database, registry, others, others, pools, others)  # type: ignore[arg-type]
        running = asyncio.ensure_future(watch.run())
        await database.listening.wait()

        await database.heard("certificates", "")
        await host.closed.wait()
        await pools.until(1)

        assert answers == []
        running.cancel()

    asyncio.run(asyncio.wait_for(run(), 60))
