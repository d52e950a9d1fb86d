"""Bounds on what strangers may cost a listener: connections not yet identified, and enrolments.

Knows no sockets. Design: `docs/design/wire.md`.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """What a listener bears."""

    connections: int = 20_000
    """Connections in all, arriving ones included."""
    arriving: int = 512
    """Connections that have not said who they are."""
    arriving_per_address: int = 128
    arriving_seconds: float = 20.0
    """From accept to Welcome, or to the answer of an enrolment."""
    enrol_burst: int = 100
    """Enrolment requests that one address may make at once."""
    enrol_per_second: float = 10.0
    """How fast an address gets them back; many hosts may share one, and each asks once a second."""


class Arrivals:
    """Counts the connections that are not identified yet, in all and by address."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._by_address: Counter[str] = Counter()

    def enter(self, address: str) -> bool:
        """Whether one more may come; if so it is counted until `leave`."""
        full = self._by_address.total() >= self._limits.arriving
        if full or self._by_address[address] >= self._limits.arriving_per_address:
            return False
        self._by_address[address] += 1
        return True

    def leave(self, address: str) -> None:
        """One connection of the address is identified or gone."""
        self._by_address[address] -= 1
        if self._by_address[address] <= 0:
            del self._by_address[address]


class Allowance:
    """A token bucket for each address; of many addresses the longest silent ones are forgotten."""

    MOST_ADDRESSES = 10_000

    def __init__(self, burst: int, per_second: float, clock: Callable[[], float]) -> None:
        self._burst = burst
        self._per_second = per_second
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, address: str) -> bool:
        """Whether the address may ask once more now."""
        now = self._clock()
        left, then = self._buckets.pop(address, (float(self._burst), now))
        left = min(float(self._burst), left + (now - then) * self._per_second)
        allowed = left >= 1
        self._buckets[address] = (left - 1 if allowed else left, now)
        if len(self._buckets) > self.MOST_ADDRESSES:
            self._buckets.popitem(last=False)
        return allowed
