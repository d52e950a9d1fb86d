"""Which sealed records the server has not heard of yet.

A note is durable before a record is sealed and goes when the server has decided its
fate, so a record can neither be forgotten between the media server's disk and the
catalogue nor be listed twice. Design section 8, write order.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Note:
    """A record that is, or was about to be, sealed."""

    pool_id: int
    record: str


class SealBook:
    """Notes as empty files `<pool id>-<record>` in one folder. Thread-safe."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._wake: Callable[[], None] = lambda: None
        self._sealing: set[Note] = set()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def on_sealed(self, wake: Callable[[], None]) -> None:
        """Call `wake` (from any thread) when a record was sealed."""
        self._wake = wake

    @contextlib.contextmanager
    def sealing(self, pool_id: int, record: str) -> Iterator[None]:
        """Seal a record inside: the note is durable before; afterwards the server should hear of it."""
        note = Note(pool_id, record)
        with self._lock:
            self._sealing.add(note)
            (self._folder / f"{pool_id}-{record}").touch(mode=0o600)
            self._sync()
        try:
            yield
        finally:
            with self._lock:
                self._sealing.discard(note)
            self._wake()

    def is_sealing(self, note: Note) -> bool:
        """Whether a session is sealing the record just now."""
        with self._lock:
            return note in self._sealing

    def settle(self, note: Note) -> None:
        """The server has decided."""
        with self._lock:
            (self._folder / f"{note.pool_id}-{note.record}").unlink(missing_ok=True)
            self._sync()

    def notes(self) -> list[Note]:
        """Every note, oldest first."""
        with self._lock:
            files = sorted(self._folder.iterdir(), key=lambda file: file.stat().st_mtime_ns)
        found = []
        for file in files:
            pool_id, _, record = file.name.partition("-")
            found.append(Note(int(pool_id), record))
        return found

    def _sync(self) -> None:
        handle = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
