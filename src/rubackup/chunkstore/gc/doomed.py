"""Packs that are to go are asked themselves: the headers of their groups are held against the ids that manifests name.

That nobody needs them was the index's word, and its pages have no sums. So a live chunk in such a pack must have a place
in another one that stays, and the group there must say so itself. Reasons: `docs/design/chunkstore.md`, Garbage collection.
"""

from __future__ import annotations

import logging
import struct
from array import array
from collections.abc import Collection, Iterator, Sequence
from itertools import islice
from typing import Final

from rubackup.chunkstore import group, pack
from rubackup.chunkstore._presence import closed_or_open
from rubackup.chunkstore.backends.base import Backend
from rubackup.chunkstore.backends.oserrors import is_bad_sector
from rubackup.chunkstore.gc.ground import Ground
from rubackup.chunkstore.gc.live import PREFIX_BYTES, LiveIds
from rubackup.chunkstore.gc.spill import Buckets
from rubackup.chunkstore.group import Head
from rubackup.chunkstore.identity import ID_BYTES
from rubackup.chunkstore.index import NOBODY, PackRow, Place
from rubackup.domain.errors import Corrupt, NotFound, StorageFault

log = logging.getLogger(__name__)

_WHERE: Final = struct.Struct(">II")
"""Behind an id: the owner in whose space it is (NOBODY: in clear), and the pack that holds it."""
_BUCKETS: Final = 256
_AT_ONCE: Final = 10_000
_HEAD_BYTES: Final = group.HEAD_BYTES + group.EXTENSION_BYTES + group.ROW_BYTES * group.MAX_CHUNKS


class Doomed:
    """The packs that one collection is about to condemn or to empty."""

    def __init__(
        self, ground: Ground, live: LiveIds, dead: Collection[int], emptied: Sequence[tuple[int, array[int]]]
    ) -> None:
        """`emptied`: packs with the offsets of the groups that are moved first."""
        self._ground, self._index, self._live = ground, ground.index, live
        self._going: dict[int, frozenset[int]] = dict.fromkeys(dead, frozenset())
        self._going.update((number, frozenset(offsets)) for number, offsets in emptied)
        self._ids = Buckets(ground.folder / "doomed", _BUCKETS, ID_BYTES + _WHERE.size)
        self._kept: set[int] = set()
        self._wrong: dict[int, str] = {}
        """By pack: what shows that the index is wrong."""

    def kept(self) -> set[int]:
        """Those that must stay, which the result names. Corrupt, and the index suspected, when it is wrong about one."""
        every = self._live.partition(0) if self._live.partitions == 1 else None
        for number in sorted(self._going):
            self._ground.check()
            self._read(number, every)
        for bucket in range(_BUCKETS):
            self._ground.check()
            if items := self._ids.take(bucket):
                live = every if every is not None else self._live.partition(bucket * self._live.partitions // _BUCKETS)
                hits = iter(sorted(item for item in items if item[:PREFIX_BYTES] in live))
                while some := list(islice(hits, _AT_ONCE)):
                    self._look_up(some)
        self._judge()
        return self._kept

    # --- what lies in them ---

    def _read(self, number: int, every: set[bytes] | None) -> None:
        row = self._index.pack(number)
        storage = self._ground.storages().get(row.storage) if row else None
        if row is None or storage is None:
            self._kept.add(number)
            return
        name = pack.closed_name(row.id)
        spaces: dict[bool, int] = {False: NOBODY}
        try:
            for encrypted, names in self._names(storage.backend, name, row):
                if encrypted not in spaces:
                    spaces[encrypted] = self._owner(storage.backend, name)
                where = _WHERE.pack(spaces[encrypted], number)
                wanted = names if every is None else [one for one in names if one[:PREFIX_BYTES] in every]
                self._ids.add([one + where for one in wanted])
        except NotFound:
            storage.check_bound()  # the file is gone already: there is nothing to lose
        except (Corrupt, StorageFault) as error:
            if isinstance(error, StorageFault) and not is_bad_sector(error):
                raise
            self._keep(number, f"Pack {storage.backend.label}/{name} stays as it is: {error.message}")

    def _names(self, backend: Backend, name: str, row: PackRow) -> Iterator[tuple[bool, list[bytes]]]:
        """The ids in each group that does not move; Corrupt when the file is another pack."""
        pack.check_is(backend, name, self._ground.pool, row.id)
        moved = self._going[row.number]
        try:
            extents = [one for one in pack.read_extents(backend, name) if one.offset not in moved]
            heads = pack.read_heads(backend, name, extents)
        except Corrupt:  # its header or trailer is damaged: whatever is whole in it counts
            heads = (one for one in pack.scan(backend, name) if one[0].offset not in moved)
        for _, head in heads:
            yield bool(head.cipher), head.ids

    def _owner(self, backend: Backend, name: str) -> int:
        return self._index.owner(pack.parse_header(backend.read(name, 0, pack.HEADER_BYTES)).owner)

    def _keep(self, number: int, text: str) -> None:
        if number in self._index.marks.condemned:  # it was looked at when it was condemned
            return
        self._kept.add(number)
        self._ground.problem(text)

    # --- where else it is ---

    def _look_up(self, items: list[bytes]) -> None:
        """Ids that begin like live ones, in order: each has a place in a pack that stays, or its pack stays."""
        heads: dict[bytes, Head | None] = {}
        for owner, some in _by_owner(items):
            space = self._index.space_of(owner) if owner != NOBODY else b""
            places = self._index.places({name for name, _ in some}, space)
            for name, number in some:
                value = places.get(name)
                if value is None:
                    self._wrong[number] = f"the index does not know the chunk {name.hex()}"
                elif not self._index.intact(value):  # damage that is known: this is the copy that is whole
                    self._kept.add(number)
                elif not self._is_there(name, number, value, heads, encrypted=bool(space)):
                    self._wrong[number] = f"the chunk {name.hex()} is not where the index says"

    def _is_there(
        self, name: bytes, number: int, value: bytes, heads: dict[bytes, Head | None], *, encrypted: bool
    ) -> bool:
        place = Place.decode(value)
        if place.pack in self._going and place.offset not in self._going[place.pack]:
            return False
        mark = self._index.marks.condemned.get(place.pack)
        row, own = self._index.pack(place.pack), self._index.pack(number)
        if row is None or own is None or (mark is not None and mark.going):
            return False
        if place.pack != number and row.id == own.id:
            return False
        spot = value[:12]
        if spot not in heads:
            heads[spot] = self._head(row, place)
        head = heads[spot]
        return head is not None and bool(head.cipher) == encrypted and name in head.ids

    def _head(self, row: PackRow, place: Place) -> Head | None:
        """The header of the group at a place, unless the file there says that it is another pack; None when it is not there."""
        storage = self._ground.storages().get(row.storage)
        if storage is None or place.group_bytes > group.MAX_GROUP_BYTES:
            return None
        backend = storage.backend
        try:
            name = closed_or_open(backend, row)
            pack.check_is(backend, name, self._ground.pool, row.id)
            head = group.read_head(backend.read(name, place.offset, min(place.group_bytes, _HEAD_BYTES)))
            whole = backend.size(name) >= place.offset + place.group_bytes
        except NotFound:
            storage.check_bound()
            return None
        except Corrupt:
            return None
        except StorageFault as error:
            if not is_bad_sector(error):
                raise
            return None
        return head if whole and head.total_bytes == place.group_bytes else None

    def _judge(self) -> None:
        if not self._wrong:
            return
        number, reason = next(iter(self._wrong.items()))
        text = f"{len(self._wrong)} packs hold chunks that records need, though by the index nobody does: of pack {number} {reason}."
        if self._index.suspect(text):
            raise Corrupt(f"Nothing is collected: {text} The index is rebuilt.")
        marks = self._index.marks.condemned
        if any(number in marks and marks[number].going for number in self._wrong):
            raise Corrupt(f"Nothing is collected: {text}")
        self._kept.update(self._wrong)
        self._ground.result.problems.append(f"{text} They stay.")


def _by_owner(items: list[bytes]) -> Iterator[tuple[int, list[tuple[bytes, int]]]]:
    """Ids with their packs, by the owner in whose space they are."""
    found: dict[int, list[tuple[bytes, int]]] = {}
    for item in items:
        owner, number = _WHERE.unpack_from(item, ID_BYTES)
        found.setdefault(owner, []).append((item[:ID_BYTES], number))
    yield from found.items()
