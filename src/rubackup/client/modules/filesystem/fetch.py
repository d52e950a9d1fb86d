"""Fetches chunks of a record in batches: few requests, each group decoded once for all batches near it.

Chunks are handed out as views of decoded groups. Nobody has hashed them yet: who writes one does.
Several threads may use one `Fetcher` and the channel behind it, a request at a time.
"""

from __future__ import annotations

import functools
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Final

from rubackup.chunkstore.group import Group, open_group
from rubackup.chunkstore.identity import HOLE, chunk_id
from rubackup.chunkstore.keys import Keys
from rubackup.client.lots import in_lots
from rubackup.client.modules.filesystem.batch import Chunks, Identify, NumberedRows
from rubackup.client.ports import RestoreChannel
from rubackup.domain.errors import Corrupt

CACHE_BYTES: Final = 16 << 20
"""Decoded groups that are kept for later batches."""
DECODING: Final = 2
"""Lots that wait for a thread to decode them."""

Decoded = list[Group | Corrupt]
Submit = Callable[[Callable[[list[bytes]], Decoded], list[bytes]], "Future[Decoded]"]
"""Has the first argument called with the second, in some thread."""


def at_once(work: Callable[[list[bytes]], Decoded], lot: list[bytes]) -> Future[Decoded]:
    """A `Submit` without threads."""
    future: Future[Decoded] = Future()
    future.set_result(work(lot))
    return future


class Turns:
    """One request of a channel at a time; who waits gets the next turn, however busy the other is."""

    def __init__(self) -> None:
        self._next = threading.Lock()
        self._now = threading.Lock()

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for it."""
        with self._next:
            self._now.acquire()
        try:
            yield
        finally:
            self._now.release()


class GroupCache:
    """The most recent groups, by the chunks that they hold."""

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.size_bytes = 0
        self._groups: OrderedDict[int, Group] = OrderedDict()
        self._places: dict[bytes, tuple[int, int]] = {}
        self._numbers = 0

    def get(self, name: bytes) -> memoryview | None:
        """The chunk, if a group that holds it is here."""
        place = self._places.get(name)
        if place is None:
            return None
        number, position = place
        self._groups.move_to_end(number)
        return self._groups[number].chunk(position)

    def put(self, group: Group) -> None:
        """Keep a group in the place of the one that was not used for longest."""
        size = len(group.raw)
        self.shrink(self.limit_bytes - size)
        if size > self.limit_bytes:
            return
        self._numbers += 1
        self._groups[self._numbers] = group
        self.size_bytes += size
        for position, name in enumerate(group.ids):
            self._places[name] = self._numbers, position

    def shrink(self, limit_bytes: int) -> None:
        """Forget what exceeds so much."""
        while self._groups and self.size_bytes > limit_bytes:
            number, group = self._groups.popitem(last=False)
            self.size_bytes -= len(group.raw)
            for name in group.ids:
                if self._places.get(name, (0, 0))[0] == number:
                    del self._places[name]


class Fetcher:
    """Reads through the channel; what is damaged is missing from the answer, which then says why."""

    def __init__(self, channel: RestoreChannel, keys: Keys | None = None, cache_bytes: int = CACHE_BYTES) -> None:
        """`keys` are what encrypted groups are opened with."""
        self._open = functools.partial(open_group, keys=keys)
        self._identify: Identify = chunk_id
        self._channel = channel
        self._turns = Turns()
        self.cache = GroupCache(cache_bytes)
        self.received_bytes = 0

    def read_manifest(self, offset: int, length: int) -> bytes:
        """A range of the manifest, between two fetches."""
        with self._turns.turn():
            return self._channel.read_manifest(offset, length)

    def fetch(
        self,
        parts: Iterable[NumberedRows],
        submit: Submit = at_once,
        check: Callable[[], None] = lambda: None,
    ) -> tuple[Chunks, str]:
        """The chunks that these rows name, by id, and what was wrong with those that are not there ('': nothing).

        Groups are decoded where `submit` has it done; `check` is called between them and may raise.
        """
        with self._turns.turn():
            found = Chunks()
            runs, wanted = self._missing(parts, found)
            found.identify = self._identify
            if not runs:
                return found, ""
            problem = ""

            def cut(error: Corrupt) -> None:
                nonlocal problem
                problem = str(error)

            for opened in in_lots(self._received(runs, check), submit, self._open_lot, DECODING, cut):
                problem = self._take(opened, wanted, found) or problem
            return found, problem

    def _received(self, runs: Sequence[tuple[int, int]], check: Callable[[], None]) -> Iterator[bytes]:
        for data in self._channel.groups(runs):
            self.received_bytes += len(data)
            yield data
            check()

    def _missing(self, parts: Iterable[NumberedRows], found: Chunks) -> tuple[list[tuple[int, int]], dict[bytes, int]]:
        """Runs of rows whose chunks are not in the cache, and the lengths of these; the others are put into `found`."""
        runs: list[tuple[int, int]] = []
        wanted: dict[bytes, int] = {}
        begin = end = -1
        for first, rows in parts:
            for number, (name, length) in enumerate(rows, first):
                if name in wanted or name in found or name == HOLE:
                    continue
                chunk = self.cache.get(name)
                if chunk is not None:
                    found[name] = chunk
                    continue
                wanted[name] = length
                if number == end:
                    end += 1
                    continue
                if begin >= 0:
                    runs.append((begin, end - begin))
                begin, end = number, number + 1
        if begin >= 0:
            runs.append((begin, end - begin))
        return runs, wanted

    def _open_lot(self, lot: list[bytes]) -> Decoded:
        opened: Decoded = []
        for data in lot:
            try:
                opened.append(self._open(data))
            except Corrupt as error:
                opened.append(error)
        return opened

    def _take(self, opened: Decoded, wanted: dict[bytes, int], found: Chunks) -> str:
        """Take what is wanted out of some groups; what is wrong with the last that is damaged."""
        problem = ""
        for one in opened:
            if isinstance(one, Corrupt):
                problem = str(one)
            else:
                self._take_group(one, wanted, found)
        return problem

    def _take_group(self, group: Group, wanted: dict[bytes, int], found: Chunks) -> None:
        # A record is encrypted with one key throughout: where that is not so, chunks do not fit their ids.
        self._identify = found.identify = group.identify
        positions = [at for at, name in enumerate(group.ids) if name in wanted and name not in found]
        positions = [at for at in positions if group.lengths[at] == wanted[group.ids[at]]]
        if positions:
            # A view holds the whole group in memory: where little of it is needed, that is copied.
            is_most = 2 * sum(group.lengths[at] for at in positions) >= len(group.raw)
            for at in positions:
                chunk = group.chunk(at)
                found[group.ids[at]] = chunk if is_most else memoryview(bytes(chunk))
            self.cache.put(group)
