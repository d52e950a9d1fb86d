"""A session that reads one record: its manifest, and the groups that hold its chunks."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

from rubackup.chunkstore import seals
from rubackup.chunkstore._groups import GroupReader, Spot
from rubackup.chunkstore._handout import Handout
from rubackup.chunkstore.identity import HOLE
from rubackup.chunkstore.index import Index, Place, RecordRow
from rubackup.chunkstore.manifest import ManifestReader
from rubackup.chunkstore.seals import SealedRecord
from rubackup.chunkstore.storage import Storage
from rubackup.domain.errors import Corrupt, Invalid, StorageFault

MAX_MANIFEST_READ: Final = 8 << 20
MAX_ROWS: Final = 1 << 20


class GroupStream(Iterator[bytes]):
    """Groups, one after another, as the reader may have them; `len` says how many are left.

    A damaged one raises Corrupt in its place; iteration can go on behind it. Where each read waits for a network some
    are under way ahead of who asks.
    """

    def __init__(
        self,
        handout: Handout,
        spots: list[Spot],
        asked: set[bytes],
        lost: list[bytes],
        at_once: int = 1,
        away: Callable[[], Sequence[str]] = tuple,
    ) -> None:
        """`at_once`: reads that may be under way at a time. `away`: storages that are not there, which may have what is lost."""
        self._handout = handout
        self._spots = spots
        self._asked = asked
        self._lost = lost
        self._away = away
        self._at = 0
        self._ahead: deque[Future[bytes]] = deque()
        self._at_once = at_once
        self._threads = ThreadPoolExecutor(at_once, "read-ahead") if at_once > 1 and len(spots) > 1 else None

    def __len__(self) -> int:
        return len(self._spots) - self._at

    def __next__(self) -> bytes:
        if self._at < len(self._spots):
            self._at += 1
            if self._threads is None:
                return self._handout.group(self._spots[self._at - 1], self._asked)
            return self._awaited(self._threads)
        if self._lost:
            name, count = self._lost[0].hex(), len(self._lost)
            self._lost = []
            if away := self._away():
                raise StorageFault(f"{count} chunks may lie in a storage that is away: {', '.join(away)}.")
            raise Corrupt(f"{count} chunks are not in the pool any more, the first is {name}.")
        raise StopIteration

    def _awaited(self, threads: ThreadPoolExecutor) -> bytes:
        """The group whose turn it is; behind it as many are read as may be."""
        begun = self._at - 1 + len(self._ahead)
        for spot in self._spots[begun : begun + self._at_once - len(self._ahead)]:
            self._ahead.append(threads.submit(self._handout.group, spot, self._asked))
        if self._at == len(self._spots):
            threads.shutdown(wait=False)
        return self._ahead.popleft().result()


class StoredManifest:
    """A sealed manifest in its file."""

    def __init__(self, storage: Storage, row: RecordRow) -> None:
        self._backend = storage.backend
        self.check_bound = storage.check_bound
        self._record = row.sealed.record
        self._name = seals.manifest_name(self._record)
        self.size_bytes = row.stream_bytes

    def read(self, offset: int, length: int) -> bytes:
        """A range of the client's stream, cut at its end; Invalid when it is too much at once."""
        if offset < 0 or not 0 <= length <= MAX_MANIFEST_READ:
            raise Invalid(f"A manifest is read in parts of at most {MAX_MANIFEST_READ} bytes.")
        return self._backend.read(self._name, offset, max(0, min(length, self.size_bytes - offset)))

    def reader(self, check: Callable[[], None] = lambda: None) -> ManifestReader:
        """A reader of its own; Corrupt when the file holds the manifest of another record.

        `check` is called before each read and may raise.
        """

        def read_at(offset: int, length: int) -> bytes:
            check()
            return self.read(offset, length)

        reader = ManifestReader(read_at, self.size_bytes)
        if reader.header.record != self._record:
            raise Corrupt(f"It is the manifest of record {reader.header.record}.")
        return reader


class ReadSession:
    """Reads one sealed record. Safe for threads."""

    def __init__(
        self,
        manifest: StoredManifest,
        index: Index,
        groups: GroupReader,
        sealed: SealedRecord,
        *,
        stranger: bool = False,
        away: Callable[[], Sequence[str]] = tuple,
    ) -> None:
        """`sealed` is the record's row; a `stranger` is a client that is not its owner; `away` tells storages that are not there."""
        self.crypto, self.key_id = sealed.crypto, sealed.key_id
        self._manifest = manifest
        self._space = index.space(sealed.owner, sealed.key_id)
        self._index = index
        self._groups = groups
        self._handout = Handout(index, groups, sealed, stranger=stranger)
        self._reader = manifest.reader()
        self._away = away
        self._lock = threading.Lock()
        self.manifest_bytes = manifest.size_bytes

    def read_manifest(self, offset: int, length: int) -> bytes:
        """A range of the manifest, cut at its end."""
        return self._manifest.read(offset, length)

    def groups(self, runs: Sequence[tuple[int, int]]) -> GroupStream:
        """Each group that holds a chunk of these rows (first, count), once, in pack order.

        As it is stored where the record's owner uploaded it; else packed anew without the chunks of others.
        """
        if sum(max(0, count) for _, count in runs) > MAX_ROWS:
            raise Invalid(f"At most {MAX_ROWS} rows can be asked for at once.")
        ids: set[bytes] = set()
        with self._lock:
            for first, count in runs:
                if first < 0 or count < 0 or first + count > self._reader.row_count:
                    raise Invalid(f"The record has no rows {first} to {first + count}.")
                ids.update(name for name, _ in self._reader.rows(first, count))
        ids.discard(HOLE)
        found = self._index.places(ids, self._space)
        spots = {Spot(place.pack, place.offset, place.group_bytes) for place in map(Place.decode, found.values())}
        lost = sorted(ids.difference(found))
        return GroupStream(self._handout, sorted(spots), ids, lost, self._groups.at_once, self._away)
