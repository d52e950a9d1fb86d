"""Writes what belongs at some offsets of a file, by as few calls as can be, through the page cache."""

from __future__ import annotations

import os
from typing import Final

BUFFERS: Final = 512
"""Chunks of one write; the kernel takes at most 1,024 (writev(2), IOV_MAX)."""

Segment = tuple[int, list[memoryview]]
"""An offset, and what is written there."""


def write_segments(fd: int, segments: list[Segment]) -> None:
    """Write all of it."""
    for offset, views in segments:
        written = os.pwritev(fd, views, offset)
        if written != sum(map(len, views)):
            write_rest(fd, offset, views, written)


def write_rest(fd: int, offset: int, views: list[memoryview], written: int) -> None:
    """The kernel took less than it was given: a disk that is nearly full, or a signal."""
    at = offset + written
    for view in views:
        skipped = min(written, len(view))
        written -= skipped
        rest = view[skipped:]
        while rest:
            count = os.pwrite(fd, rest, at)
            at += count
            rest = rest[count:]
