"""Rows of the index that are anything: written behind the index's back, then asked for through it."""

from __future__ import annotations

import atexit
import os
import tempfile
from contextlib import suppress
from pathlib import Path

from rubackup.chunkstore.index import Batch, Index, PackRow, Place
from rubackup.domain.errors import Corrupt

CHUNK, PACK, STORAGE, RECORD = b"c" * 32, b"p" * 16, b"s" * 16, "ab" * 16
_KEYS = {
    "chunks": CHUNK,
    "packs": (1).to_bytes(4, "big"),
    "pack_ids": PACK,
    "records": bytes.fromhex(RECORD),
    "owner_names": b"owner",
    "fences": (1).to_bytes(8, "big"),
    "owners": CHUNK + bytes(4),
    "bad": bytes(8),
}


def make_index() -> Index:
    """An index with a pack and a chunk, in a folder in memory that goes with the process."""
    folder = tempfile.TemporaryDirectory(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None)
    atexit.register(folder.cleanup)
    index = Index(Path(folder.name) / "index", b"q" * 16, 1 << 20)
    index.set_present([STORAGE], set())
    index.commit(Batch(1, [PackRow(1, PACK, STORAGE, True, 1000)], {CHUNK: Place(1, 144, 100, 0, 10, 1)}))
    return index


def try_rows(index: Index, data: bytes) -> None:
    """Write `data` as the value of one row and ask everything; Corrupt is the one error that is allowed."""
    if not data:
        return
    table = sorted(_KEYS)[data[0] % len(_KEYS)]
    value = data[1:1000] or b"\0"
    kept = index._get(table, _KEYS[table])
    index._put(table, _KEYS[table], value)
    try:
        for ask in (
            index.records,
            lambda: index.record(RECORD),
            lambda: list(index.packs()),
            lambda: index.pack_by_id(PACK),
            lambda: index.not_owned(index.lookup([CHUNK]), 2),
            lambda: [Place.decode(value) for value in index.places([CHUNK]).values()],
            lambda: index.fence(1),
            lambda: index.owner("owner"),
            lambda: index.commit(Batch(1, [], {CHUNK: Place(1, 144, 100, 0, 10, 1)})),
        ):
            with suppress(Corrupt):
                ask()
    finally:
        if kept is None:
            index._env.write(lambda txn: txn.delete(_KEYS[table], db=index._db[table]))
        else:
            index._put(table, _KEYS[table], kept)
        index._usable.clear()
