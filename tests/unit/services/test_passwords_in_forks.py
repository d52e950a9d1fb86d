"""Passwords in a process that was forked from one that has hashed some already."""

from __future__ import annotations

import asyncio
import os
import signal

from rubackup.services.passwords import hash_password, verify_password


def test_a_fork_hashes_with_threads_of_its_own() -> None:
    """Those of its parent are not there; it would wait for them for ever."""
    kept = asyncio.run(hash_password("a password"))
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        os._exit(0 if asyncio.run(verify_password(kept, "a password")) else 1)

    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
