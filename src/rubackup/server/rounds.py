"""How long the server's rounds take: told in its log once a minute, and at once when one was slow.

An administrator sees by it whether the server keeps up; `bench/server` reads the same lines.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

log = logging.getLogger(__name__)

TELL_SECONDS = 60
SLOW_SECONDS = 2.0
"""A round that takes longer is told by itself."""
LOOK_SECONDS = 0.25
"""How often it is looked how late the event loop wakes who sleeps."""


@dataclass
class _Sum:
    rounds: int = 0
    seconds: float = 0.0
    longest: float = 0.0

    def add(self, seconds: float) -> None:
        self.rounds += 1
        self.seconds += seconds
        self.longest = max(self.longest, seconds)


class Rounds:
    """Sums of the rounds of each kind since they were told last."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._sums: dict[str, _Sum] = {}

    @contextlib.contextmanager
    def measured(self, name: str) -> Iterator[None]:
        """One round, waiting included; one that fails or is cancelled counts, too."""
        began = self._clock()
        try:
            yield
        finally:
            took = self._clock() - began
            self._sums.setdefault(name, _Sum()).add(took)
            if took > SLOW_SECONDS:
                log.warning("a round of %s took %.1f s", name, took)

    def late(self, seconds: float) -> None:
        """The event loop woke somebody so late."""
        self._sums.setdefault("loop", _Sum()).add(max(seconds, 0.0))

    def told(self) -> str:
        """`NAME ROUNDSx MEAN/LONGEST ms` of each kind since the last time, '' when there was none."""
        sums, self._sums = self._sums, {}
        return ", ".join(
            f"{name} {one.rounds}x {one.seconds / one.rounds * 1000:.1f}/{one.longest * 1000:.0f} ms"
            for name, one in sorted(sums.items())
        )

    async def run(self, seconds: float = TELL_SECONDS) -> None:
        """Tell every so many seconds, until cancelled."""
        while True:
            until = self._clock() + seconds
            while (began := self._clock()) < until:
                await asyncio.sleep(LOOK_SECONDS)
                self.late(self._clock() - began - LOOK_SECONDS)
            log.info("rounds of %d s: %s", seconds, self.told())


ROUNDS = Rounds()
"""Those of this process, which is one server."""
