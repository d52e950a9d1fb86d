"""Ranges of a manifest over a channel that gives less at once than it is asked for."""

from __future__ import annotations

from collections.abc import Callable


def whole(read: Callable[[int, int], bytes]) -> Callable[[int, int], bytes]:
    """The same reading function for a channel that gives less at once than it is asked for."""

    def read_whole(offset: int, length: int) -> bytes:
        data = read(offset, length)
        while 0 < len(data) < length:
            more = read(offset + len(data), length - len(data))
            if not more:
                break
            data += more
        return data

    return read_whole
