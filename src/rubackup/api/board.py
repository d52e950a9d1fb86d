"""What the workers of one API count, in memory that all of them share: whichever is asked tells of all.

One board is made before the workers are, which are forks. Each writes its own part, so nothing is locked, and what a
worker has counted outlives it: the one that follows in its place counts on. A number is 8 bytes on its own boundary,
which no reader sees half written. Alone, a process has a board of one part.
"""

from __future__ import annotations

import mmap
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence

from rubackup.api.seats import MAX_DOWNLOADS, MAX_STREAMS, Seats

LATENCY_BOUNDS_SECONDS = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0)
"""Each is a series for each route and class of status."""
METHODS = ("GET", "HEAD", "POST", "PATCH", "DELETE")
LOGIN_REASONS = ("credentials", "blocked", "invalid", "busy")
NO_ROUTE = "none"

_PID, _READY, _STARTS, _BEATS = range(4)
_HEAD = 4
_CLASSES = 6
"""0xx, which there is none of, to 5xx."""
_BUCKETS = len(LATENCY_BOUNDS_SECONDS) + 1
_CELL = _BUCKETS + 1
"""Calls in each bucket, and their seconds together."""
_METHODS = (*METHODS, NO_ROUTE)


class Board:
    """The numbers of some workers, each known by its place: 0, 1, 2."""

    def __init__(self, routes: Iterable[str], workers: int = 1) -> None:
        """`routes` are the declared paths, all of them."""
        self.workers = workers
        self._routes = {route: place for place, route in enumerate(dict.fromkeys([*routes, NO_ROUTE]))}
        counts = _HEAD + len(LOGIN_REASONS) + len(self._routes) * len(_METHODS) * _CLASSES * _CELL
        self._part = counts + MAX_STREAMS + MAX_DOWNLOADS
        self._memory = mmap.mmap(-1, self._part * workers * 8)
        self._numbers = memoryview(self._memory).cast("d")
        self._streams = self._rows(counts, MAX_STREAMS)
        self._downloads = self._rows(counts + MAX_STREAMS, MAX_DOWNLOADS)

    def slot(self, place: int = 0) -> Slot:
        """Where the worker of this place writes."""
        return Slot(self, place)

    def begun(self, place: int, pid: int) -> None:
        """A worker was started in this place."""
        self._put(place, _PID, pid)
        self._numbers[place * self._part + _STARTS] += 1

    def ended(self, place: int) -> None:
        """The worker of this place is gone, and what it had open with it; what it counted stays."""
        for number in (_PID, _READY):
            self._put(place, number, 0)
        for row in (self._streams[place], self._downloads[place]):
            row[:] = memoryview(bytes(row.nbytes)).cast("d")

    def is_ready(self, place: int) -> bool:
        """Whether the worker of this place serves."""
        return bool(self._numbers[place * self._part + _READY])

    def beats(self, place: int) -> float:
        """How often the loops of this place have come round."""
        return self._numbers[place * self._part + _BEATS]

    def pids(self) -> list[int]:
        """The process of each place, 0 where there is none."""
        return [int(self._numbers[place * self._part + _PID]) for place in range(self.workers)]

    def starts(self) -> int:
        """How many workers were started."""
        return int(self._over(_STARTS))

    def streams(self) -> int:
        """How many event streams are open."""
        return sum(len(row) - row.tolist().count(0) for row in self._streams)

    def logins(self) -> Iterator[tuple[str, float]]:
        """Refused logins by reason."""
        for number, reason in enumerate(LOGIN_REASONS):
            yield reason, self._over(_HEAD + number)

    def calls(self) -> Iterator[tuple[tuple[str, str, str], Sequence[float], float]]:
        """By route, method and class of status: calls in each bucket, and their seconds; only what was called."""
        parts = [self._numbers[n * self._part : (n + 1) * self._part].tolist() for n in range(self.workers)]
        at = _HEAD + len(LOGIN_REASONS)
        for route in self._routes:
            for method in _METHODS:
                for status in range(_CLASSES):
                    if any(any(part[at : at + _BUCKETS]) for part in parts):
                        cell = [sum(part[at + n] for part in parts) for n in range(_CELL)]
                        yield (route, method, f"{status}xx"), cell[:_BUCKETS], cell[_BUCKETS]
                    at += _CELL

    def note(self, place: int, route: str, method: str, status: int, seconds: float) -> None:
        """Count a call of a worker; what callers made up counts as `none`."""
        known = route if route in self._routes else NO_ROUTE
        verb = _METHODS.index(method) if known != NO_ROUTE and method in METHODS else len(METHODS)
        cell = (self._routes[known] * len(_METHODS) + verb) * _CLASSES + min(status // 100, _CLASSES - 1)
        at = place * self._part + _HEAD + len(LOGIN_REASONS) + cell * _CELL
        self._numbers[at + bisect_left(LATENCY_BOUNDS_SECONDS, seconds)] += 1
        self._numbers[at + _BUCKETS] += seconds

    def seats(self, place: int) -> tuple[Seats, Seats]:
        """Of event streams and downloads, for the worker of this place."""
        return Seats("event streams", self._streams, place), Seats("downloads", self._downloads, place)

    def _rows(self, at: int, length: int) -> list[memoryview[float]]:
        """A stretch of each worker's part."""
        return [self._numbers[n * self._part + at :][:length] for n in range(self.workers)]

    def _put(self, place: int, number: int, value: float) -> None:
        self._numbers[place * self._part + number] = value

    def _over(self, number: int) -> float:
        return sum(self._numbers[place * self._part + number] for place in range(self.workers))


class Slot:
    """What one worker writes on a board."""

    def __init__(self, board: Board, place: int) -> None:
        self.board = board
        self.place = place
        self.streams, self.downloads = board.seats(place)

    def ready(self) -> None:
        """This worker serves."""
        self.board._put(self.place, _READY, 1)  # noqa: SLF001 - its board's own part

    def beat(self) -> None:
        """This worker's loop has come round."""
        self.board._numbers[self.place * self.board._part + _BEATS] += 1  # noqa: SLF001

    def called(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count a call."""
        self.board.note(self.place, route, method, status, seconds)

    def login_failed(self, reason: str) -> None:
        """Count a refused login."""
        self.board._numbers[self.place * self.board._part + _HEAD + LOGIN_REASONS.index(reason)] += 1  # noqa: SLF001
