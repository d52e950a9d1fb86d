"""Checks a manifest while it arrives, so that little is left to do when it is sealed.

Only for a session with a parent: there nearly every row is the parent's. The others are looked up by whoever seals, when
their chunks are durable; until then a bounded number of them waits here, and the check with them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from functools import partial
from queue import Full, Queue
from typing import Final

from rubackup.chunkstore._beside import Beside, is_taken
from rubackup.chunkstore._taken import Taken
from rubackup.chunkstore.manifest.check import check_manifest
from rubackup.chunkstore.manifest.format import Header, Trailer
from rubackup.chunkstore.read import StoredManifest

WORTH_BYTES: Final = 512 << 10
"""Shorter manifests are checked as fast when they are whole."""
_WAITING: Final = 32
"""Sets of rows, of at most 1,820 each, that wait to be looked up."""
_LOOK_SECONDS: Final = 0.2
"""How often whoever waits for room looks whether the session has ended."""


class _Over(Exception):
    """The session has ended."""


class EarlyCheck:
    """One pass over a manifest that still grows, in a thread of its own; `end` must be called."""

    def __init__(
        self, read_at: Callable[[int, int], bytes], parent: StoredManifest, taken: Taken, *, opaque: bool
    ) -> None:
        self._read_at, self._parent, self._taken, self._opaque = read_at, parent, taken, opaque
        self._grown = threading.Condition()
        self._there = 0
        self._whole = self._over = False
        self._unknown: Queue[set[bytes] | None] = Queue(_WAITING)
        self._beside: Beside | None = None
        self._found: tuple[Header, Trailer] | None = None
        self._failed: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="early-check", daemon=True)
        self._thread.start()

    # --- of the session ---

    def grew(self, size: int) -> None:
        """So many bytes can be read now."""
        with self._grown:
            self._there = size
            self._grown.notify()

    def unknown(self) -> Iterator[set[bytes]]:
        """The manifest is whole: the rows that the parent does not have, as they are found."""
        with self._grown:
            self._whole = True
            self._grown.notify()
        while (rows := self._unknown.get()) is not None:
            yield rows

    def result(self) -> tuple[Header, Trailer, bool]:
        """After `unknown`: header, trailer, and whether anything was in common; raises what is wrong with the manifest."""
        self._thread.join()
        if self._failed is not None:
            raise self._failed
        assert self._found is not None
        return *self._found, self._beside is not None and self._beside.common

    def end(self) -> None:
        """Nothing is read when this returns; twice is fine."""
        with self._grown:
            self._over = True
            self._grown.notify()
        self._thread.join()

    # --- of the thread ---

    def _run(self) -> None:
        try:
            self._beside = beside = Beside(self._parent.reader(), opaque=self._opaque)
            known = partial(is_taken, self._taken, beside)
            self._found = check_manifest(self._read, None, self._on_rows, known=known, known_run=beside.has_run)
        except _Over:
            return
        except BaseException as error:
            self._failed = error
        try:
            self._hand_over(None)
        except _Over:
            return

    def _read(self, offset: int, length: int) -> bytes:
        """A range, as soon as it is there; cut at the end."""
        with self._grown:
            self._grown.wait_for(lambda: self._over or self._whole or self._there >= offset + length)
            if self._over:
                raise _Over
            end = min(self._there, offset + length)
        return self._read_at(offset, max(0, end - offset))

    def _on_rows(self, raw: memoryview, known: bool) -> None:
        assert self._beside is not None
        if not known and (rows := self._beside.unknown(raw)):
            self._hand_over(rows)

    def _hand_over(self, rows: set[bytes] | None) -> None:
        while not self._over:
            try:
                self._unknown.put(rows, timeout=_LOOK_SECONDS)
            except Full:
                continue
            return
        raise _Over
