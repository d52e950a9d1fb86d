"""Whether a process still works. Its event loop beats; whoever keeps the process counts how long it did not.

A loop that is stuck answers nothing and ends by nothing: not by a signal, which it would have to handle. So what it was
doing is written by `faulthandler`, whose handler needs neither the loop nor the interpreter's lock.
"""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import fcntl
import os
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from time import monotonic, sleep

BEAT_SECONDS = 1.0
STACK_SECONDS = 2.0
"""How long a stack is waited for; one that was asked for is there within milliseconds, unless the process is stopped."""
_LOOK_SECONDS = 0.05
_MOST_BYTES = 32 << 10
_SIGN = signal.SIGUSR2
_STATES = {
    "R": "it is running", "S": "it sleeps", "D": "it waits in the kernel for a disk", "T": "it was stopped by a signal",
    "t": "a debugger has stopped it",
}  # fmt: skip
_STOPPED = {_STATES["T"], _STATES["t"]}
"""In these it handles no signal."""


@contextlib.asynccontextmanager
async def beating(tell: Callable[[], None], seconds: float = BEAT_SECONDS) -> AsyncIterator[None]:
    """Meanwhile tell again and again, as often as this loop comes round."""

    async def beat() -> None:
        while True:
            tell()
            await asyncio.sleep(seconds)

    task = asyncio.create_task(beat())
    try:
        yield
    finally:
        task.cancel()


class Silence:
    """For how long a process has not beaten.

    Only time in which the one who looks was awake himself counts: between two looks never more than `most` seconds. When
    all were stopped together, or the clock leapt as a machine woke, nobody was silent.
    """

    def __init__(self, most: float, now: float | None = None) -> None:
        self._most = most
        self._looked = monotonic() if now is None else now
        self._beats = -1.0
        self.seconds = 0.0

    def look(self, beats: float, now: float | None = None) -> float:
        """Seconds of silence, given how often the process has beaten until now."""
        at = monotonic() if now is None else now
        self.seconds = self.seconds + min(at - self._looked, self._most) if beats == self._beats else 0.0
        self._looked, self._beats = at, beats
        return self.seconds


class Witness:
    """Learns what a process does that cannot say so itself. Made before the fork; both sides have the same memory.

    Only files, lines and names of functions are told, no values.
    """

    def __init__(self) -> None:
        self._memory = os.memfd_create("stack", os.MFD_CLOEXEC)
        fcntl.fcntl(self._memory, fcntl.F_SETFL, os.O_APPEND)  # the place in a file is shared by forks, its end is sure

    def enter(self) -> None:
        """In the process that may be asked."""
        faulthandler.register(_SIGN, self._memory, all_threads=True)

    def ask(self, pid: int) -> None:
        """Let the process write down where it is."""
        os.ftruncate(self._memory, 0)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, _SIGN)

    def answer(self, pid: int, until: float) -> str:
        """What it wrote, and in which state the kernel has it; waits until that time (monotonic) at most."""
        size = -1
        while monotonic() < until and not (size <= 0 and state(pid) in _STOPPED):
            now = os.fstat(self._memory).st_size
            if now and now == size:
                break
            size = now
            sleep(_LOOK_SECONDS)
        stack = os.pread(self._memory, _MOST_BYTES, 0).decode(errors="replace").strip()
        return f"{state(pid)}\n{stack or 'It wrote no stack.'}"


def state(pid: int) -> str:
    """In which state the kernel has a process, in words."""
    try:
        letter = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[0]
    except OSError:
        return "it is gone"
    return _STATES.get(letter, f"its state is {letter}")
