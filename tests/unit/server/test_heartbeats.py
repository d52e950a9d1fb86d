"""Heartbeats are written together and each caller learns what it has lost."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from rubackup.domain.errors import Unavailable
from rubackup.queue.ports import Beat
from rubackup.server import heartbeats
from rubackup.server.heartbeats import Heartbeats


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches are written each 10 ms."""
    monkeypatch.setattr(heartbeats, "BATCH_SECONDS", 0.01)


def test_beats_of_many_agents_are_one_write() -> None:
    """All beats that wait are written at once, and each agent hears of its own lost tasks only."""

    async def run() -> None:
        writes: list[list[int]] = []

        async def write(beats: Sequence[Beat]) -> list[int]:
            writes.append([beat.task_id for beat in beats])
            return [2]

        collected = Heartbeats(write)
        runner = asyncio.ensure_future(collected.run())
        answers = await asyncio.gather(
            collected.add([Beat(task_id=1, fence=1)]), collected.add([Beat(task_id=2, fence=1)])
        )
        runner.cancel()

        assert writes == [[1, 2]]
        assert answers == [[], [2]]

    asyncio.run(run())


def test_a_failed_write_reaches_every_caller_and_the_next_one_works() -> None:
    """While the catalogue is away agents hear Unavailable; afterwards their beats are written."""

    async def run() -> None:
        failures = [Unavailable()]

        async def write(_beats: Sequence[Beat]) -> list[int]:
            if failures:
                raise failures.pop()
            return []

        collected = Heartbeats(write)
        runner = asyncio.ensure_future(collected.run())
        with pytest.raises(Unavailable):
            await collected.add([Beat(task_id=1, fence=1)])
        answer = await collected.add([Beat(task_id=1, fence=1)])
        runner.cancel()

        assert answer == []

    asyncio.run(run())
