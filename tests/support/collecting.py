"""Helpers of the suites of garbage collection."""

from __future__ import annotations

from rubackup.chunkstore.pool import GcResult, GcSafety, Pool
from support.chunkstore import Place

AT_ONCE = GcSafety(grace_seconds=0)
"""No grace: what is condemned goes in the same run."""
SECOND_NS = 1_000_000_000


def collect(pool: Pool, **more) -> GcResult:
    """A collection without grace, unless told otherwise."""
    return pool.collect(lambda *_: None, lambda: None, **{"safety": AT_ONCE, **more})


def sweep(pool: Pool, **more) -> GcResult:
    """Only what was condemned."""
    return pool.sweep(lambda: None, **more)


def packs(place: Place, storage: str = "one") -> list[str]:
    """Names of the packs that lie in a storage."""
    return sorted(name for name in place.memory(storage).files if name.startswith("packs/"))


def damaged(pool: Pool, record: str) -> list[str]:
    """Files of a record that cannot be restored."""
    return pool.verify(record, lambda *_: None, lambda: None).damaged
