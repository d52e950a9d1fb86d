"""Which devices of this host are storages of pools, by what they carry. Only reads."""

from __future__ import annotations

import logging
import os
import re
import threading
from collections.abc import Iterator
from typing import Final, NamedTuple

from rubackup.chunkstore.backends.block import layout
from rubackup.chunkstore.backends.block.prepare import identity, peek
from rubackup.chunkstore.storage import MARKER, parse_marker
from rubackup.media.devices import HOST, Kernel

log = logging.getLogger(__name__)
SCAN_SECONDS: Final = 4.0
"""A disk that fails may take a minute to say so; servers wait 10 s for the answer."""
_NONE: Final = re.compile(r"(?:ram|zram|sr|fd|nbd)\d+")
"""Memory, and drives that move something, or wait for somebody, when they are looked at."""


class Marked(NamedTuple):
    """A device that belongs to a pool."""

    path: str
    pool: str
    """Uuid in hex."""
    device: str
    """Its own."""


def scan(kernel: Kernel = HOST) -> list[Marked]:
    """Those of the host's block devices that can be read here, by path; all that was found when the time is over."""
    found: dict[str, Marked] = {}
    ended = threading.Event()

    def look() -> None:
        try:
            for path in _paths(kernel):
                if (one := marked(path)) is not None:
                    found[one.device] = one
        finally:
            ended.set()

    threading.Thread(target=look, name="devices are looked at", daemon=True).start()
    if not ended.wait(SCAN_SECONDS):
        log.warning("a device does not answer: which pools devices belong to is told only in part")
    return sorted(found.copy().values())


def _paths(kernel: Kernel) -> Iterator[str]:
    """Every node with something on it that no other one lies on."""
    folder = kernel.sys / "class" / "block"
    for name in sorted(path.name for path in folder.iterdir()) if folder.is_dir() else ():
        one = folder / name
        if _NONE.fullmatch(name) or any((one / "holders").glob("*")):
            continue
        try:
            if int((one / "size").read_text()) > 0:
                mapped = one / "dm" / "name"
                called = f"mapper/{mapped.read_text().strip()}" if mapped.exists() else name.replace("!", "/")
                yield str(kernel.dev / called)
        except (OSError, ValueError):  # it went just now
            continue


def marked(path: str) -> Marked | None:
    """The pool to which the device at this path belongs; None when it is none's, is not there, or cannot be read."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        size = os.lseek(handle, 0, os.SEEK_END)

        def read(offset: int, length: int) -> bytes:
            return os.pread(handle, length, offset)

        if read(0, len(layout.MAGIC)) != layout.MAGIC:
            return None
        pool = parse_marker(peek(read, size, MARKER)[1])
        device = identity(read, size)
    except OSError:
        return None
    finally:
        os.close(handle)
    return Marked(path, pool[0].hex(), device.hex()) if pool and device else None
