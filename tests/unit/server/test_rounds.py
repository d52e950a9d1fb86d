"""What the server says of its rounds."""

from __future__ import annotations

import asyncio
import logging

import pytest

from rubackup.server import rounds
from rubackup.server.rounds import Rounds


class Clock:
    """Stands still until it is moved."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_rounds_of_a_kind_are_told_once() -> None:
    """Number, mean and longest of each kind since the last time; a round that fails counts."""
    clock = Clock()
    told = Rounds(clock)
    for seconds in (0.010, 0.030):
        with told.measured("claim"):
            clock.now += seconds

    def fail() -> None:
        with told.measured("reaping"):
            clock.now += 0.5
            raise KeyError

    with pytest.raises(KeyError):
        fail()

    assert told.told() == "claim 2x 20.0/30 ms, reaping 1x 500.0/500 ms"
    assert told.told() == ""


def test_a_slow_round_is_told_by_itself(caplog: pytest.LogCaptureFixture) -> None:
    """A round of more than two seconds is a warning, one of two seconds is none."""
    clock = Clock()
    told = Rounds(clock)
    for seconds in (2.0, 2.5):
        with told.measured("claim"):
            clock.now += seconds

    assert [record.getMessage() for record in caplog.records] == ["a round of claim took 2.5 s"]


def test_lateness_of_the_loop_is_among_them(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """The line comes every so many seconds and tells how late sleepers were woken."""
    monkeypatch.setattr(rounds, "LOOK_SECONDS", 0.01)
    caplog.set_level(logging.INFO)

    async def run() -> None:
        running = asyncio.ensure_future(Rounds().run(0.05))
        while not caplog.records:  # noqa: ASYNC110 - the log has no event
            await asyncio.sleep(0.01)
        running.cancel()

    asyncio.run(asyncio.wait_for(run(), 60))
    assert "rounds of 0 s: loop " in caplog.records[0].getMessage()
