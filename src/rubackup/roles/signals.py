"""Waiting for a signal, or for a time.

Python's own `signal.sigtimedwait` is not used: when it is interrupted past its time, as a process is that was stopped
and goes on (SIGCONT, a thawed cgroup, a machine that slept), it answers with a signal that nobody has sent (CPython 3.11).
"""

from __future__ import annotations

import ctypes
import errno
import math
import os
import signal
from collections.abc import Iterable

_libc = ctypes.CDLL(None, use_errno=True)
_SET_BYTES = 128
"""Of a sigset_t in glibc and musl."""


class _Time(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


def next_signal(wanted: Iterable[signal.Signals], seconds: float) -> signal.Signals | None:
    """The next of these signals, which the caller has blocked; None after the time, and when nothing came but a pause."""
    chosen = ctypes.create_string_buffer(_SET_BYTES)
    _libc.sigemptyset(chosen)
    for one in wanted:
        _libc.sigaddset(chosen, int(one))
    part, whole = math.modf(max(seconds, 0.0))
    found = _libc.sigtimedwait(chosen, None, ctypes.byref(_Time(int(whole), int(part * 1e9))))
    if found >= 0:
        return signal.Signals(found)
    code = ctypes.get_errno()
    if code not in {errno.EAGAIN, errno.EINTR}:
        raise OSError(code, os.strerror(code))
    return None
