"""What an index knows of sealed records, and the fences of tasks."""

from __future__ import annotations

from collections.abc import Mapping

import lmdb
import msgspec

from rubackup.chunkstore import _walk
from rubackup.chunkstore._marks import Marks
from rubackup.chunkstore._packset import PackSet
from rubackup.chunkstore._tables import TASK, Tables
from rubackup.chunkstore.index_rows import RecordRow, record_row
from rubackup.domain.errors import Corrupt


class Records(Tables):
    """The part of an index that is about records."""

    marks: Marks

    @property
    def record_count(self) -> int:
        """Number of sealed records."""
        return self._env.entries("records")

    def fence(self, task_id: int) -> int:
        """The highest fence a task was begun with; 0 for a new one."""
        value = self._get("fences", TASK.pack(task_id))
        return int(TASK.unpack(value)[0]) if value else 0

    def set_fences(self, fences: Mapping[int, int]) -> None:
        """Keep the fences of these tasks, durably; one that is lower than before changes nothing."""
        if not fences:
            return

        def change(txn: lmdb.Transaction[bytes]) -> None:
            for task_id, fence in fences.items():
                key, value = TASK.pack(task_id), TASK.pack(fence)
                if value > txn.get(key, b"", db=self._db["fences"]):
                    txn.put(key, value, db=self._db["fences"])

        self._env.write(change)

    def records(self) -> list[RecordRow]:
        """Every sealed record."""
        with self._env.read() as txn:
            rows = list(txn.cursor(self._db["records"]).iternext())
        return [self._decoded(*row) for row in rows]

    def records_behind(self, after: str, limit: int) -> list[RecordRow]:
        """At most so many sealed records, in the order of their ids, all greater than `after` ('': from the first)."""
        return [self._decoded(*row) for row in _walk.behind(self._env, self._db["records"], after, limit)]

    def record(self, record: str) -> RecordRow | None:
        """One sealed record."""
        key = bytes.fromhex(record)
        value = self._get("records", key)
        return self._decoded(key, value) if value is not None else None

    def put_record(self, row: RecordRow, packs: PackSet | None, *, whole: bool = True) -> None:
        """Add a record whose manifest is durable, with the packs of its chunks where they are known.

        The marks of these packs go, and the pins of its task. `whole`: all of its chunks are in these packs.
        """
        key = bytes.fromhex(row.sealed.record)
        spared = {number for number in self.marks.condemned if packs is not None and number in packs}

        def change(txn: lmdb.Transaction[bytes]) -> None:
            txn.put(key, msgspec.msgpack.encode(row), db=self._db["records"])
            if packs is None or not whole:
                txn.delete(key, db=self._db["record_packs"])
            else:
                txn.put(key, packs.encode(), db=self._db["record_packs"])
            self.marks.spare_within(txn, spared)
            self.marks.unpin_within(txn, row.sealed.task_id)

        self._env.write(change)
        self.marks.forget(spared)

    def record_packs(self, record: str) -> bytes | None:
        """The packs of a record's chunks (`_packset.PackSet`), where they are known."""
        return self._get("record_packs", bytes.fromhex(record))

    def put_record_packs(self, record: str, packs: PackSet) -> None:
        """Keep the packs of a record's chunks, unless it is gone."""
        key = bytes.fromhex(record)

        def change(txn: lmdb.Transaction[bytes]) -> None:
            if txn.get(key, db=self._db["records"]) is not None:
                txn.put(key, packs.encode(), db=self._db["record_packs"])

        self._env.write(change)

    def forget_record_packs(self, record: str) -> None:
        """That they are not known is no error."""
        key = bytes.fromhex(record)
        self._env.write(lambda txn: txn.delete(key, db=self._db["record_packs"]))

    def delete_record(self, record: str) -> None:
        """Remove a record; that it is gone already is no error."""
        key = bytes.fromhex(record)

        def change(txn: lmdb.Transaction[bytes]) -> None:
            txn.delete(key, db=self._db["records"])
            txn.delete(key, db=self._db["record_packs"])

        self._env.write(change)

    def _decoded(self, key: bytes, value: bytes) -> RecordRow:
        try:
            return record_row(key, value)
        except ValueError as error:
            self._env.condemn()
            raise Corrupt(f"The index in {self._env.folder} holds a record that cannot be read: {error}.") from error
