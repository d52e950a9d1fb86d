"""What garbage collection keeps in the index: condemned packs, pins of tasks, and groups that moved.

Part of the index (`index.py` owns the environment). Design: `docs/design/chunkstore.md`, Garbage collection.
"""

from __future__ import annotations

import struct
from collections import OrderedDict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final, NamedTuple

import lmdb
from blake3 import blake3

from rubackup.chunkstore._lmdb import Environment
from rubackup.chunkstore.identity import ID_BYTES
from rubackup.domain.errors import Corrupt

DATABASES: Final = ("condemned", "pins")
GOING: Final = 1
ZEROING: Final = 2
_NUMBER = struct.Struct(">I")
_MARK = struct.Struct("<QB")
_SUM_BYTES: Final = 8
_PIN = struct.Struct(">QI")
_SPOT = struct.Struct("<II")
_OWNER_BYTES: Final = 4
_CHUNK_LENGTHS: Final = {(ID_BYTES, 24), (ID_BYTES + _OWNER_BYTES, 24)}
"""Of the key, in clear or of an owner's space, and of the place."""
_FORWARDS: Final = 65_536
"""Groups whose new place is remembered for readers that looked the old one up."""


class Mark(NamedTuple):
    """A condemned pack."""

    at_ns: int
    """Unix time of the mark."""
    state: int
    """GOING and ZEROING, or neither."""
    turn: int
    """The pool's turn at the mark: sessions with a lower one were begun before. 0 when an earlier process set it."""
    steady_ns: int
    """The mark's instant by this process's steady clock."""

    @property
    def going(self) -> bool:
        """Whether its removal has begun; there is no way back."""
        return bool(self.state & GOING)

    @property
    def zeroing(self) -> bool:
        """Whether it is to be overwritten."""
        return bool(self.state & ZEROING)


@dataclass(frozen=True)
class Moved:
    """A group that was copied: where it was, where it is, and the ids in its header."""

    old_pack: int
    old_offset: int
    new_pack: int
    new_offset: int
    length: int
    ids: list[bytes]


class Marks:
    """Condemned packs and pins of one index. `condemned` may be asked by any thread."""

    def __init__(self, env: Environment, now_ns: int, steady_ns: int) -> None:
        self._env = env
        self._db = env.databases
        self.condemned: dict[int, Mark] = {}
        """By pack number; the chunks of these packs count as unknown."""
        self._forwards: OrderedDict[tuple[int, int], tuple[int, int]] = OrderedDict()
        with env.read() as txn:
            for key, value in txn.cursor(self._db["condemned"]):
                if value[_MARK.size :] != _mark_sum(key, value):
                    env.condemn()
                    raise Corrupt(f"The index in {env.folder} holds a mark that cannot be read.")
                at_ns, state = _MARK.unpack_from(value)
                # What passed before this process is known by a clock that may have been set: never less than nothing.
                passed = max(0, now_ns - at_ns)
                self.condemned[_NUMBER.unpack(key)[0]] = Mark(at_ns, state, turn=0, steady_ns=steady_ns - passed)

    # --- condemned packs ---

    def condemn(self, packs: Collection[int], mark: Mark) -> None:
        """Hide these packs' chunks, durably; the pool's lock is held."""
        self._env.write(lambda txn: self.condemn_within(txn, packs, mark))
        self.note(packs, mark)

    def going(self, packs: Collection[int]) -> None:
        """Say that the removal of these condemned packs has begun; the pool's lock is held."""
        found = {number: self.condemned[number] for number in packs}
        marks = {number: mark._replace(state=mark.state | GOING) for number, mark in found.items()}

        def change(txn: lmdb.Transaction[bytes]) -> None:
            for number, mark in marks.items():
                self.condemn_within(txn, [number], mark)

        self._env.write(change)
        self.condemned.update(marks)

    def spare(self, packs: Collection[int]) -> None:
        """Take the marks of these packs back, durably."""
        marked = self.condemned.keys() & packs
        if marked:
            self._env.write(lambda txn: self.spare_within(txn, marked))
            self.forget(marked)

    def spare_within(self, txn: lmdb.Transaction[bytes], packs: Iterable[int]) -> None:
        """As `spare`, within a transaction; `forget` follows when it is committed."""
        for number in packs:
            txn.delete(_NUMBER.pack(number), db=self._db["condemned"])

    def forget(self, packs: Iterable[int]) -> None:
        """The marks of these packs are gone from the index."""
        for number in packs:
            self.condemned.pop(number, None)

    def condemn_within(self, txn: lmdb.Transaction[bytes], packs: Iterable[int], mark: Mark) -> None:
        """As `condemn`, within a transaction; `note` follows when it is committed."""
        for number in packs:
            key, value = _NUMBER.pack(number), _MARK.pack(mark.at_ns, mark.state)
            txn.put(key, value + _mark_sum(key, value), db=self._db["condemned"])

    def note(self, packs: Iterable[int], mark: Mark) -> None:
        """The marks of these packs are in the index."""
        self.condemned.update((number, mark) for number in packs)

    # --- pins ---

    def pin_within(self, txn: lmdb.Transaction[bytes], task_id: int, pack: int) -> None:
        """A task wrote to this pack."""
        txn.put(_PIN.pack(task_id, pack), b"", db=self._db["pins"])

    def unpin_within(self, txn: lmdb.Transaction[bytes], task_id: int) -> None:
        """A task needs its pins no more."""
        cursor = txn.cursor(self._db["pins"])
        found = cursor.set_range(_PIN.pack(task_id, 0))
        while found and cursor.key()[:8] == _PIN.pack(task_id, 0)[:8]:
            found = cursor.delete()

    def pins(self) -> list[tuple[int, int]]:
        """Task and pack of every pin."""
        with self._env.read() as txn:
            return [_PIN.unpack(key) for key in txn.cursor(self._db["pins"]).iternext(values=False)]

    def unpin(self, tasks: Iterable[int]) -> None:
        """Remove the pins of these tasks."""

        def change(txn: lmdb.Transaction[bytes]) -> None:
            for task_id in tasks:
                self.unpin_within(txn, task_id)

        self._env.write(change)

    # --- chunks ---

    def chunks(self, batch: int = 20_000) -> Iterator[list[tuple[bytes, bytes]]]:
        """Every chunk (key, encoded place), in order, in batches, so that no transaction is long.

        Corrupt when they are not in order, or a row has an impossible length.
        """
        start = b""
        while True:
            with self._env.read() as txn:
                cursor = txn.cursor(self._db["chunks"])
                rows = list(islice(cursor.iternext(), batch)) if cursor.set_range(start) else []
            keys = [key for key, _ in rows]
            lengths = {(len(key), len(value)) for key, value in rows}
            if keys != sorted(keys) or (keys and keys[0] < start) or not lengths <= _CHUNK_LENGTHS:
                self._env.condemn()
                raise Corrupt(f"The index in {self._env.folder} has rows of `chunks` that cannot be read.")
            if rows:
                yield rows
            if len(rows) < batch:
                return
            start = rows[-1][0] + b"\0"

    def forget_chunks(self, rows: Iterable[tuple[bytes, bytes]]) -> None:
        """Remove these chunks and their owners, as far as each still has this place."""

        def change(txn: lmdb.Transaction[bytes]) -> None:
            owners = txn.cursor(self._db["owners"])
            for key, value in rows:
                if txn.get(key, db=self._db["chunks"]) != value:
                    continue
                txn.delete(key, db=self._db["chunks"])
                found = owners.set_range(key)
                while found and len(owner := owners.key()) == len(key) + _OWNER_BYTES and owner.startswith(key):
                    found = owners.delete()

        self._env.write(change)

    def holder(self, pack: int, offset: int, ids: Iterable[bytes]) -> int | None:
        """The owner of the chunks with these ids that are placed in this group; None when none of them is."""
        spot, owner = _SPOT.pack(pack, offset), None
        with self._env.read() as txn:
            cursor = txn.cursor(self._db["chunks"])
            for name in ids:
                found = cursor.set_range(name)
                while found and cursor.key()[:ID_BYTES] == name:
                    value = cursor.value()
                    if value[: len(spot)] == spot:
                        owner = owner or int.from_bytes(value[-_OWNER_BYTES:], "little")
                    found = cursor.next()
        return owner

    def move_within(self, txn: lmdb.Transaction[bytes], groups: Iterable[Moved]) -> None:
        """Give the chunks that are placed in these groups their new places."""
        cursor = txn.cursor(self._db["chunks"])
        for group in groups:
            old = _SPOT.pack(group.old_pack, group.old_offset)
            new = _SPOT.pack(group.new_pack, group.new_offset)
            for name in group.ids:
                found = cursor.set_range(name)
                while found and (key := cursor.key())[:ID_BYTES] == name:
                    value = cursor.value()
                    if value[: len(old)] == old:
                        cursor.put(key, new + value[len(new) :])
                    found = cursor.next()

    # --- groups that moved ---

    def remember(self, groups: Iterable[Moved]) -> None:
        """Tell readers that hold old places where these groups are."""
        for group in groups:
            self._forwards[group.old_pack, group.old_offset] = (group.new_pack, group.new_offset)
        while len(self._forwards) > _FORWARDS:
            self._forwards.popitem(last=False)

    def moved(self, pack: int, offset: int) -> tuple[int, int] | None:
        """Pack and offset where a group is now, if it moved lately."""
        return self._forwards.get((pack, offset))


def _mark_sum(key: bytes, value: bytes) -> bytes:
    """Of a mark and its pack: a mark that moved to another pack would delete it."""
    return blake3(key + value[: _MARK.size]).digest(_SUM_BYTES)
