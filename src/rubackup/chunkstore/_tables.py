"""Rows of the index's databases by key: a value that cannot be one is damage."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Final

import lmdb

from rubackup.chunkstore._lmdb import Environment
from rubackup.chunkstore.index_rows import PLACE
from rubackup.domain.errors import Corrupt

PACK: Final = struct.Struct("<16s16sBQ")
NUMBER: Final = struct.Struct(">I")
TASK: Final = struct.Struct(">Q")
VALUE_SIZES: Final = {
    "chunks": PLACE.size,
    "packs": PACK.size,
    "pack_ids": NUMBER.size,
    "owner_names": NUMBER.size,
    "fences": TASK.size,
}
"""Lengths of values."""


class Tables:
    """The databases of an index."""

    _env: Environment
    _db: dict[str, lmdb._Database]

    def _put(self, name: str, key: bytes, value: bytes) -> None:
        self._env.write(lambda txn: txn.put(key, value, db=self._db[name]))

    def _get(self, name: str, key: bytes) -> bytes | None:
        with self._env.read() as txn:
            value = txn.get(key, db=self._db[name])
        if value is not None:
            self._check(name, (value,))
        return value

    def _check(self, name: str, values: Iterable[bytes]) -> None:
        """Corrupt when a value has a length that none has: LMDB's pages have no sums."""
        size = VALUE_SIZES.get(name)
        if size is not None and any(len(value) != size for value in values):
            self._env.condemn()
            raise Corrupt(f"The index in {self._env.folder} holds a row of `{name}` that cannot be read.")
