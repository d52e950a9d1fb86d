"""Where segments are cut: by names alone, so that what did not change keeps its segments.

The numbers were chosen for about 1,000 entries, 64 to 128 KiB raw, in a segment. Changing them changes no format: a
reader takes segments as they come. They only decide how much of an earlier manifest can be taken over.

Smaller ones do not pay. With 1.4 % of the entries changed anywhere, one expects 24 % of segments of 100 entries to be
as before, and 50 % of 50; what each costs on its own outweighs that: on 60,000 files (three runs each, on a busy machine) a second backup took 1.20 CPU s with 1,000
entries, 1.48 with 400, 1.48 with 200, 1.45 with 100 and 1.61 with 50, and the manifest grew by 2, 4, 9 and 17 %.
"""

from __future__ import annotations

from typing import Final
from zlib import crc32

from rubackup.chunkstore.manifest import runs

MIN_WEIGHT: Final = 48 << 10
FOLDER_WEIGHT: Final = 192 << 10
"""From here on every folder begins a segment."""
MAX_WEIGHT: Final = 256 << 10
"""From here on every entry begins a segment."""
MAX_RAW: Final = 1 << 20
"""With extras, which have no weight."""
_FOLDER_SHARE: Final = 2**32 // 8
_ENTRY_SHARE: Final = 2**32 // 256
HUGE: Final = 256
"""Entries of a folder before it may be cut by the names of its entries."""
ENTRY_WEIGHT: Final = runs.STAT.size + runs.COUNT_BYTES + 1


def folder_weight(path: bytes) -> int:
    """What the beginning of a run weighs."""
    return runs.HEAD.size + len(path)


def before_folder(weight: int, path: bytes) -> bool:
    """Whether a segment of this weight ends before this folder."""
    return weight >= MIN_WEIGHT and (weight >= FOLDER_WEIGHT or _hash(path) < _FOLDER_SHARE)


def before_entry(weight: int, ordinal: int, name: bytes) -> bool:
    """Whether a segment of this weight ends before this entry, number `ordinal` of its folder."""
    return weight >= MAX_WEIGHT or (weight >= MIN_WEIGHT and ordinal >= HUGE and _hash(name) < _ENTRY_SHARE)


def _hash(name: bytes) -> int:
    # Numbered names differ in few bits, and so do their CRCs; the factor (2**32 over the golden ratio) spreads them.
    return crc32(name) * 2654435761 & 0xFFFFFFFF
