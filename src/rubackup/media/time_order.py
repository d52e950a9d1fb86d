"""The records of a pool in the order in which they were sealed, page by page: ordered once for all pages, 24 bytes a record."""

from __future__ import annotations

import struct
import threading
import time
from bisect import bisect_right
from collections.abc import Sequence
from typing import Final
from weakref import WeakKeyDictionary

from rubackup.chunkstore.pool import Pool, SealedRecord
from rubackup.domain.errors import NotFound

_KEY = struct.Struct(">Q16s")
_FRESH_SECONDS: Final = 60.0
"""A walk that begins finds the order of one that has begun so shortly before: its first question may have come too late."""
_IDLE_SECONDS: Final = 600.0


class _Order(Sequence[bytes]):
    """Keys in order in one piece of memory."""

    def __init__(self, pool: Pool) -> None:
        keys = [_KEY.pack(max(0, one.sealed_at_ns), bytes.fromhex(one.record)) for one in pool.each_record()]
        keys.sort()
        self._keys = b"".join(keys)
        self.made = self.used = time.monotonic()

    def __len__(self) -> int:
        return len(self._keys) // _KEY.size

    def __getitem__(self, at: int) -> bytes:  # type: ignore[override]  # slices are not needed
        return self._keys[at * _KEY.size : (at + 1) * _KEY.size]


class TimeOrders:
    """Of the pools that are walked over now. Safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._orders: WeakKeyDictionary[Pool, _Order] = WeakKeyDictionary()

    def behind(self, pool: Pool, after_ns: int, after: str, limit: int) -> tuple[list[SealedRecord], bool]:
        """At most so many records behind this one ('': from the first), and whether there are others behind them.

        What is sealed while a walk goes on may be left out. Who asks while the order is made waits for it.
        """
        with self._lock:
            order = self._order(pool, begins=not after)
            order.used = time.monotonic()
            first = bisect_right(order, _KEY.pack(after_ns, bytes.fromhex(after))) if after else 0
            last = min(first + limit, len(order))
            names = [_KEY.unpack(order[at])[1].hex() for at in range(first, last)]
            more = last < len(order)
            if not more:
                self._orders.pop(pool, None)
        found = []
        for name in names:
            try:
                found.append(pool.sealed(name))
            except NotFound:  # dropped since
                continue
        return found, more

    def _order(self, pool: Pool, *, begins: bool) -> _Order:
        now = time.monotonic()
        for other in [one for one, order in self._orders.items() if now - order.used > _IDLE_SECONDS]:
            del self._orders[other]
        order = self._orders.get(pool)
        if order is None or (begins and now - order.made > _FRESH_SECONDS):
            order = self._orders[pool] = _Order(pool)
        return order
