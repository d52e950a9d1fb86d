"""The guard of a task's memory threshold."""

from __future__ import annotations

import mmap

import pytest

from rubackup.client.memory import MIB, TRIM_SECONDS, MemoryGuard, resident_bytes
from rubackup.domain.errors import SystemFault


class Process:
    """A process whose memory is set by the test; `trim` frees what it may."""

    def __init__(self, used: int, freed: int = 0) -> None:
        self.used = used
        self.freed = freed
        self.trims = 0
        self.now = 100.0

    def trim(self) -> None:
        self.trims += 1
        self.used -= self.freed
        self.freed = 0


def guard(process: Process, threshold: int, *, deny: bool = False) -> MemoryGuard:
    return MemoryGuard(threshold, deny, used=lambda: process.used, trim=process.trim, clock=lambda: process.now)


def test_without_a_threshold_there_is_room_for_all() -> None:
    """A threshold of 0 asks for nothing, also with deny."""
    free = guard(Process(10**12), 0, deny=True)
    free.check()

    assert free.room(64 * MIB) == 64 * MIB


def test_room_is_what_the_threshold_leaves() -> None:
    """Read-ahead shrinks to what is left below the threshold, but not below the least that the task needs."""
    process = Process(100 * MIB)
    tight = guard(process, 120 * MIB)
    assert tight.room(64 * MIB, 4 * MIB) == 20 * MIB

    process.used = 119 * MIB

    assert tight.room(64 * MIB, 4 * MIB) == 4 * MIB


def test_exceeding_is_an_error_only_where_it_is_denied() -> None:
    """A task over its threshold goes on in the least memory, or ends with both figures."""
    process = Process(130 * MIB)
    guard(process, 120 * MIB).check()

    with pytest.raises(SystemFault, match="memory_threshold, 120 MiB, and the client's process holds 130 MiB"):
        guard(process, 120 * MIB, deny=True).check()


def test_free_memory_is_given_back_before_a_task_ends() -> None:
    """What the allocator only keeps is no reason to end a task; it is asked at most once in a while."""
    process = Process(130 * MIB, freed=20 * MIB)
    denied = guard(process, 120 * MIB, deny=True)
    denied.check()
    process.used = 125 * MIB
    with pytest.raises(SystemFault):
        denied.check()
    assert process.trims == 1

    process.now += TRIM_SECONDS
    process.freed = 10 * MIB
    denied.check()

    assert process.trims == 2


@pytest.mark.parametrize(
    ("parameters", "threshold"),
    [({}, 0), ({"memory_threshold": 0}, 0), ({"memory_threshold": 150}, 150 * MIB), ({"memory_threshold": True}, 0)],
)
def test_the_threshold_of_a_task_is_in_mebibytes(parameters: dict[str, object], threshold: int) -> None:
    """The parameters of a task make its guard."""
    assert MemoryGuard.of(parameters).threshold_bytes == threshold


def test_the_memory_of_this_process_is_measured() -> None:
    """The kernel's figure grows by what is held."""
    grown = []
    for _ in range(3):  # what other threads give back meanwhile counts, too
        before = resident_bytes()
        with mmap.mmap(
            -1, 64 * MIB
        ) as held:  # pages of its own: a heap may still hold some that earlier tests gave back
            for page in range(0, 64 * MIB, 1 << 12):
                held[page] = 1
            grown.append(resident_bytes() - before)

    assert max(grown) > 48 * MIB, grown
