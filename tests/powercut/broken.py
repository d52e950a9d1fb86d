"""The job with a store that breaks its own rules in one way, to show that the matrix notices.

PYTHONPATH=tests python -m powercut.broken WAY FOLDER SIZE SEED
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from powercut import job
from rubackup.chunkstore import _packing, seals
from rubackup.chunkstore import pack as packs
from rubackup.chunkstore.backends import local
from rubackup.chunkstore.pool import Pool


def _contents_unsynced() -> None:
    """A file gets its final name before its content is durable."""

    def sync(self: local.LocalAppender) -> None:
        if not self._named:
            local.sync_folder(self._path.parent)
            self._named = True

    local.LocalAppender.sync = sync  # type: ignore[method-assign]


def _names_unsynced() -> None:
    """No folder is ever synced."""
    local.sync_folder = lambda path: None


def _index_first() -> None:
    """The index, and with it the parent of the next record, names chunks whose pack is not durable yet."""

    def sync(self: packs.PackWriter) -> None:
        pass

    packs.PackWriter.sync = sync  # type: ignore[method-assign]
    whole = _packing.Packing.close

    def close(self: _packing.Packing) -> None:
        self.checkpoint()
        whole(self)

    _packing.Packing.close = close  # type: ignore[method-assign]


def _sealed_before_it_is_durable() -> None:
    """The catalogue is told of a record before its manifest is published."""
    told = job.mark

    def mark(text: str) -> None:
        if not text.startswith("done"):
            told(text)

    begin: Any = job.begin

    def early(pool: Pool, number: int, **more: Any) -> Any:
        session = begin(pool, number, **more)
        whole = session.seal

        def seal(*numbers: int) -> Any:
            told(f"done {number}")
            return whole(*numbers)

        session.seal = seal
        return session

    job.mark, job.begin = mark, early


def _no_tombstone() -> None:
    """A record is dropped by unlinking its manifest alone, and the name is not synced."""

    def drop(self: Pool, record: str) -> None:
        row = self._row(record)
        storage = self._storages.get(row.storage)
        assert storage is not None
        (Path(storage.backend.label) / seals.manifest_name(record)).unlink()
        self._index.delete_record(record)

    Pool.drop = drop  # type: ignore[method-assign]


WAYS: Final[dict[str, Callable[[], None]]] = {
    "contents-unsynced": _contents_unsynced,
    "names-unsynced": _names_unsynced,
    "index-first": _index_first,
    "sealed-early": _sealed_before_it_is_durable,
    "no-tombstone": _no_tombstone,
}

if __name__ == "__main__":
    WAYS[sys.argv[1]]()
    job.main(Path(sys.argv[2]), sys.argv[3], int(sys.argv[4]))
