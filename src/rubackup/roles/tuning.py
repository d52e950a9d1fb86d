"""How a process that moves much data uses memory and threads.

Buffers of about 1 MiB come and go by the thousand. glibc would map and unmap each, and the kernel
clear its pages anew every time: a third of the client's processor time in the system while it backs
incompressible data up (measured 2026-11-27, 2 GiB: 1.7 s, then 0.3 s). So the allocator keeps what was freed,
in few arenas, for a bounded peak. Other allocators are left alone.
"""

from __future__ import annotations

import ctypes
import gc
import sys

# Numbers of malloc.h of glibc.
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8

KEPT_BYTES = 64 << 20
"""Free memory at the top of an arena beyond this goes back to the system."""
MAPPED_BYTES = 32 << 20
"""Allocations from this size on are mapped on their own; the most that glibc takes."""
ARENAS = 2

SWITCH_SECONDS = 0.0005
"""How long a thread may keep others from running Python; the default of 5 ms starves a sender beside a reader."""

COLLECT_AFTER = (20_000, 50, 50)
"""Objects made before Python looks for cycles, then rounds of that: at its defaults a tenth of the processor time of a backup
after small changes (measured 2026-11-27: 3.5 s, then 3.1 s), as rows and names are held by the ten thousand and make none."""


def tune_for_bulk() -> bool:
    """Called once, before the first thread starts. False where the C library has no such settings."""
    sys.setswitchinterval(SWITCH_SECONDS)
    gc.set_threshold(*COLLECT_AFTER)
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return False
    wanted = ((_ARENA_MAX, ARENAS), (_MMAP_THRESHOLD, MAPPED_BYTES), (_TRIM_THRESHOLD, KEPT_BYTES))
    return all(mallopt(name, value) == 1 for name, value in wanted)
