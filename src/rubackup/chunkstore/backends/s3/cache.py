"""Blocks of manifests in a local folder, the most recently used up to a limit; each is checked by its sum when it is read.

It may be deleted at any time. What cannot be kept is not kept, and nothing fails for it.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from contextlib import suppress
from pathlib import Path
from typing import Final

from blake3 import blake3

BLOCK_BYTES: Final = 512 << 10
_SUM_BYTES: Final = 32
log = logging.getLogger(__name__)


class Cache:
    """Of one bucket; safe for threads."""

    def __init__(self, folder: Path, limit_bytes: int) -> None:
        self._folder = folder
        self._limit = limit_bytes
        self._lock = threading.Lock()
        self._sizes: OrderedDict[str, int] | None = None
        """Files, the one that was used longest ago first."""
        self._total = 0

    def get(self, name: str, tag: str, block: int) -> bytes | None:
        """A block of the file as it was with this tag; None when it is not kept, or damaged."""
        file = _file(name, block)
        with self._lock:
            sizes = self._known()
            if file not in sizes:
                return None
            sizes.move_to_end(file)
        try:
            content = (self._folder / file).read_bytes()
        except OSError:
            content = b""
        data = content[_SUM_BYTES:]
        if content[:_SUM_BYTES] == _sum(tag, data):
            return data
        self._drop([file])
        return None

    def put(self, name: str, tag: str, block: int, data: bytes) -> None:
        """Keep a block; others go for it."""
        file, size = _file(name, block), len(data) + _SUM_BYTES
        if size > self._limit:
            return
        with self._lock:
            self._known()
        try:
            temporary = self._folder / f"{file}.{threading.get_ident()}.tmp"
            temporary.write_bytes(_sum(tag, data) + data)
            temporary.rename(self._folder / file)
        except OSError as error:
            log.warning("%s keeps nothing: %s", self._folder, error.strerror)
            return
        with self._lock:
            sizes = self._known()
            self._total += size - sizes.pop(file, 0)
            sizes[file] = size
            gone = []
            while self._total > self._limit:
                oldest, freed = sizes.popitem(last=False)
                self._total -= freed
                gone.append(oldest)
        self._unlink(gone)

    def forget(self, name: str) -> None:
        """Keep nothing of a file."""
        start = _start(name)
        with self._lock:
            gone = [file for file in self._known() if file.startswith(start)]
        self._drop(gone)

    def _drop(self, files: list[str]) -> None:
        with self._lock:
            for file in files:
                self._total -= self._known().pop(file, 0)
        self._unlink(files)

    def _unlink(self, files: list[str]) -> None:
        for file in files:
            with suppress(OSError):
                (self._folder / file).unlink()

    def _known(self) -> OrderedDict[str, int]:
        if self._sizes is None:
            self._sizes = OrderedDict()
            with suppress(OSError):
                self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                found = [(path.stat(), path) for path in self._folder.iterdir()]
                for state, path in sorted(found, key=lambda one: one[0].st_mtime_ns):
                    if path.suffix == ".tmp":
                        path.unlink()
                    else:
                        self._sizes[path.name] = state.st_size
            self._total = sum(self._sizes.values())
        return self._sizes


def _start(name: str) -> str:
    return blake3(name.encode()).hexdigest()[:32] + "-"


def _file(name: str, block: int) -> str:
    return f"{_start(name)}{block}"


def _sum(tag: str, data: bytes) -> bytes:
    return blake3(tag.encode() + b"\0" + data).digest()
