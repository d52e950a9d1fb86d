"""Remembers for a few seconds how many rows a list has, where that is an estimate anyway.

Counting to 10,001 costs more than finding the page. A total that was beyond 10,000 is told again for five seconds to
whoever asks the same with the same scope; exact totals are counted each time.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable

KEPT_SECONDS = 5.0
MOST = 1000
"""Questions remembered; the oldest goes first."""


class Estimates:
    """Totals beyond the exact ones, by question."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._found: OrderedDict[Hashable, tuple[float, int]] = OrderedDict()

    def get(self, question: Hashable) -> int | None:
        """The total that was found at most five seconds ago."""
        until, total = self._found.get(question, (0.0, 0))
        return total if self._clock() < until else None

    def put(self, question: Hashable, total: int) -> None:
        """Remember a total."""
        self._found[question] = self._clock() + KEPT_SECONDS, total
        self._found.move_to_end(question)
        if len(self._found) > MOST:
            self._found.popitem(last=False)
