"""The numbers that the safety of garbage collection rests on, and what a collection reports."""

from __future__ import annotations

import msgspec


class GcSafety(msgspec.Struct, frozen=True, kw_only=True):
    """All of them in one record; reasons are in `docs/design/chunkstore.md`, Garbage collection."""

    grace_seconds: int = 900
    """From the mark of a pack to its removal, at least."""
    compact_share: float = 0.2
    """A pack with more than this share of unused bytes is emptied."""
    compact_bytes: int = 8 << 30
    """Bytes of live groups that one collection copies at most."""
    tombstone_days: int = 400
    """After so many days a tombstone goes."""


class GcResult(msgspec.Struct, kw_only=True):
    """What one collection, or one sweep, did."""

    packs: int = 0
    """Closed packs that were looked at."""
    live_bytes: int = 0
    """Bytes of groups that records need, in these packs."""
    unused_bytes: int = 0
    """What the packs held beside them before anything was done."""
    condemned_packs: int = 0
    condemned_bytes: int = 0
    """Condemned by this run; they go when the grace is over."""
    moved_bytes: int = 0
    """Copied out of packs that were mostly unused."""
    removed_packs: int = 0
    freed_bytes: int = 0
    """Of packs that were removed."""
    waiting_packs: int = 0
    waiting_bytes: int = 0
    """Of packs that are condemned and still there."""
    protected_packs: int = 0
    """Which nobody needs, wholly or mostly, and which their storage keeps until a date."""
    removed_tombstones: int = 0
    damaged: list[str] = msgspec.field(default_factory=list)
    """Records with chunks that are in no pack of the pool."""
    problems: list[str] = msgspec.field(default_factory=list)
    """Sentences: damaged groups that were met, room that lacked, folders that cannot overwrite."""
