"""What the data of this client's tasks may take of the line, as the server says; it may change while they run.

A bucket of tokens a limit: every session under a limit takes from it before it sends or receives the next piece,
so tasks share what one of them alone could take. Where no limit holds a session looks at one attribute a piece
and takes no lock. Design: `docs/design/dispatch.md`, Bandwidth.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import Literal

from rubackup.wire.messages import SetBandwidth

Way = Literal["backup", "restore"]

PIECE_SECONDS = 0.05
"""A piece is what may pass in so long: pieces of a low limit are small, so it is held over short times, too."""
LEAST_PIECE_BYTES = 1024
SAVED_SECONDS = 0.1
"""What was not used is saved for so long: a task that was late makes up for it, one that rested does not."""
LOOK_SECONDS = 0.1
"""How long a session that waits is blind for a new limit, and for the end of its task."""


class Bucket:
    """Hands out a number of bytes a second, in the order in which they were asked for. For any thread."""

    def __init__(
        self, rate: int, clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._clock, self._sleep = clock, sleep
        self._lock = threading.Lock()
        self._rate = rate
        self._at = clock()
        self._granted = 0.0
        self._asked = 0

    def change(self, rate: int) -> None:
        """From now on so many bytes a second; 0: whoever waits may go on."""
        with self._lock:
            self._settle()
            self._rate = rate

    def take(self, wanted: int, over: Callable[[], bool]) -> int:
        """Wait until the next piece of `wanted` bytes may pass; its length. At once when `over`, or without a limit."""
        with self._lock:
            if not self._rate:
                return wanted
            self._settle()
            piece = min(wanted, max(LEAST_PIECE_BYTES, int(self._rate * PIECE_SECONDS)))
            self._asked += piece
            mine, seconds = self._asked, self._until(self._asked)
        while seconds > 0 and not over():
            self._sleep(min(seconds, LOOK_SECONDS))
            with self._lock:
                self._settle()
                seconds = self._until(mine)
        return piece

    def _until(self, mine: int) -> float:
        """Seconds until so many bytes in all were granted. Less than one is none: a sleep so short moves no clock."""
        missing = mine - self._granted
        return missing / self._rate if self._rate and missing >= 1 else 0.0

    def _settle(self) -> None:
        now = self._clock()
        granted = self._granted + self._rate * (now - self._at)
        self._granted, self._at = min(granted, self._asked + self._rate * SAVED_SECONDS), now


class Line:
    """One direction of one session (wire.connection.Pace)."""

    def __init__(self, way: Way, rule: int, over: Callable[[], bool]) -> None:
        self.way: Way = way
        self.rule = rule
        self.bucket: Bucket | None = None
        self._over = over

    def allow(self, wanted: int) -> int:
        """Wait until some of these bytes may pass; how many.

        A task that is over is let through: what it is sending ends with the frame that it is in.
        """
        bucket = self.bucket
        if bucket is None or self._over():
            return wanted
        return bucket.take(wanted, self._over)


class Bandwidth:
    """The buckets of this client and the sessions that take from them. For any thread."""

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._clock, self._sleep = clock, sleep
        self._lock = threading.Lock()
        self._lines: set[Line] = set()
        self._buckets: dict[tuple[Way, int], Bucket] = {}
        """By direction and rule; rule 0 is the client's own limit."""
        self._rule_first = False

    def set(self, told: SetBandwidth) -> None:
        """What the server says holds from now on, for tasks at work, too."""
        rates: dict[tuple[Way, int], int] = {("backup", 0): told.backup, ("restore", 0): told.restore}
        for one in told.rules:
            rates["backup", one.rule], rates["restore", one.rule] = one.backup, one.restore
        with self._lock:
            self._rule_first = told.rule_first
            for key in [key for key in self._buckets if not rates.get(key)]:
                self._buckets.pop(key).change(0)
            for key, rate in rates.items():
                if rate and key in self._buckets:
                    self._buckets[key].change(rate)
                elif rate:
                    self._buckets[key] = Bucket(rate, self._clock, self._sleep)
            for line in self._lines:
                line.bucket = self._of(line)

    @contextlib.contextmanager
    def line(self, way: Way, rule: int, over: Callable[[], bool]) -> Iterator[Line]:
        """A line for the length of a session of a task of `rule` (0: of none); `over` tells whether the task is over."""
        line = Line(way, rule, over)
        with self._lock:
            self._lines.add(line)
            line.bucket = self._of(line)
        try:
            yield line
        finally:
            with self._lock:
                self._lines.discard(line)

    def _of(self, line: Line) -> Bucket | None:
        """The one bucket that a session takes from: its rule's or the client's."""
        client = self._buckets.get((line.way, 0))
        rule = self._buckets.get((line.way, line.rule)) if line.rule else None
        return (rule or client) if self._rule_first else (client or rule)
