"""What a process that moves much data asks of the C library."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import resource, sys, threading
from rubackup.roles.tuning import tune_for_bulk
if sys.argv[1] == "tuned":
    assert tune_for_bulk()

def work():
    for _ in range(50):
        kept = [b"x" * (3 << 20) for _ in range(4)]

before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
thread = threading.Thread(target=work)
thread.start()
thread.join()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def _faults(mode: str) -> int:
    command = [sys.executable, "-c", PROGRAM, mode]
    return int(subprocess.run(command, capture_output=True, check=True, text=True, timeout=60).stdout)


def test_memory_that_was_freed_is_used_again() -> None:
    """A thread of a tuned process has fresh pages given for its first buffers only, another one again and again."""
    assert 3 * _faults("tuned") < _faults("plain")
