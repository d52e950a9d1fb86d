"""Keeps a task below its `memory_threshold`: says how much may be read ahead, and ends the task that may not exceed it.

What counts is the memory of the whole process, as the kernel tells it: the interpreter, and other
tasks of the client, too. Knows nothing of what the memory is used for.
Design: `docs/design/filesystem.md`, Memory.
"""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from rubackup.domain.errors import SystemFault

MIB: Final = 1 << 20
TRIM_SECONDS: Final = 1.0
"""The shortest time between two requests to the allocator to give back what is free: each costs milliseconds."""

_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")


def resident_bytes() -> int:
    """Memory of this process that is in RAM now (proc(5), statm)."""
    with open("/proc/self/statm", "rb", buffering=0) as file:  # noqa: PTH123 - on the way of every batch
        return int(file.read(128).split()[1]) * _PAGE_BYTES


def give_back() -> None:
    """Let the allocator return free memory to the kernel (malloc_trim(3)), where it can."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


class MemoryGuard:
    """The memory of one task. Safe for threads."""

    def __init__(
        self,
        threshold_bytes: int,
        deny: bool,
        *,
        used: Callable[[], int] = resident_bytes,
        trim: Callable[[], None] = give_back,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`threshold_bytes` 0: no threshold. `deny`: `check` ends the task that exceeds it."""
        self.threshold_bytes = threshold_bytes
        self._deny = deny
        self._used = used
        self._trim = trim
        self._clock = clock
        self._trimmed_at = -TRIM_SECONDS

    @classmethod
    def of(cls, common_parameters: Mapping[str, Any]) -> MemoryGuard:
        """The guard that a task's `memory_threshold` (MiB) and `deny_memory_exceed` ask for."""
        mebibytes = common_parameters.get("memory_threshold")
        if not isinstance(mebibytes, int) or isinstance(mebibytes, bool):
            mebibytes = 0
        return cls(max(0, mebibytes) * MIB, common_parameters.get("deny_memory_exceed") is True)

    def room(self, wanted_bytes: int, least_bytes: int = 0) -> int:
        """How many of the wanted bytes may be held beside what is used now; never less than `least_bytes`.

        Without a threshold all of them. A task that cannot work in `least_bytes` cannot go on:
        whether it may exceed the threshold then is said by `check`.
        """
        if not self.threshold_bytes:
            return wanted_bytes
        return max(least_bytes, min(wanted_bytes, self.threshold_bytes - self._used_at_least(wanted_bytes)))

    def check(self) -> None:
        """SystemFault when the threshold is exceeded and must not be; cheap enough for each batch."""
        if not self._deny or not self.threshold_bytes:
            return
        used = self._used_at_least(0)
        if used > self.threshold_bytes:
            raise SystemFault(
                f"The task may not exceed memory_threshold, {self.threshold_bytes // MIB} MiB, and the client's "
                f"process holds {-(-used // MIB)} MiB: give it more, or allow it to by deny_memory_exceed false."
            )

    def _used_at_least(self, wanted_bytes: int) -> int:
        """Memory in use; when that and what is wanted exceed the threshold, what is only kept is given back first."""
        used = self._used()
        if used + wanted_bytes > self.threshold_bytes and self._clock() - self._trimmed_at >= TRIM_SECONDS:
            self._trimmed_at = self._clock()
            self._trim()
            used = self._used()
        return used
