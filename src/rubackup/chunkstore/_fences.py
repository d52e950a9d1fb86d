"""Fences of tasks, kept beside the index, so that a task that has not ended stays fenced when the index is lost.

Rows are only added; the file is written anew, without tasks that have sealed their record, when it has grown.
Byte table: `docs/design/chunkstore.md`, Fences.
"""

from __future__ import annotations

import logging
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from blake3 import blake3

from rubackup.chunkstore.backends.base import add_durably
from rubackup.chunkstore.backends.local import LocalBackend
from rubackup.domain.errors import NotFound

log = logging.getLogger(__name__)
FILE: Final = "fences"
_NEW: Final = "fences.new"
_ROW: Final = struct.Struct("<QQ32s")
_MAX_ROWS: Final = 16_384
"""A larger file is written anew, with so many rows at most."""


class Fences:
    """Of one pool; the pool's lock is held by the caller."""

    def __init__(self, metadata: Path, pool: bytes) -> None:
        self._backend = LocalBackend(metadata)
        self._pool = pool

    def read(self) -> dict[int, int]:
        """Highest fence by task, in the order in which the tasks were begun first; a damaged row tells nothing."""
        found: dict[int, int] = {}
        data = self._content()
        for task, fence, total in _ROW.iter_unpack(data[: len(data) // _ROW.size * _ROW.size]):
            if total != self._sum(task, fence):
                log.error("%s/%s has a damaged row.", self._backend.label, FILE)
                continue
            found[task] = max(fence, found.get(task, 0))
        return found

    def add(self, task: int, fence: int) -> None:
        """Keep a fence, durably."""
        try:
            at: int | None = self._backend.size(FILE) // _ROW.size * _ROW.size
        except NotFound:
            at = None
        add_durably(self._backend, FILE, at, self._row(task, fence))

    def trim(self, ended: Iterable[int]) -> None:
        """Leave out tasks that have ended when the file is long, and the oldest beyond the bound.

        `ended`, which may be very many, is gone over only then.
        """
        if self._size() <= _MAX_ROWS * _ROW.size:
            return
        known = self.read()
        for task in ended:
            known.pop(task, None)
        rows = [self._row(task, fence) for task, fence in known.items()]
        self._backend.delete(_NEW)
        add_durably(self._backend, _NEW, None, b"".join(rows[-_MAX_ROWS // 2 :]))
        self._backend.replace(_NEW, FILE)

    def _size(self) -> int:
        try:
            return self._backend.size(FILE)
        except NotFound:
            return 0

    def _content(self) -> bytes:
        return self._backend.read(FILE, 0, size) if (size := self._size()) else b""

    def _row(self, task: int, fence: int) -> bytes:
        return _ROW.pack(task, fence, self._sum(task, fence))

    def _sum(self, task: int, fence: int) -> bytes:
        return blake3(self._pool + struct.pack("<QQ", task, fence)).digest()
