"""Takes the groups of a backup session: hashed by threads beside the one that receives, admitted in their order.

A group is the chunk store's as soon as `put` returned, but is admitted only after every chunk of it was
decompressed and hashed. What is wrong with one is raised by a later call, at the latest by `drain`, which
comes before each answer to the client.
"""

from __future__ import annotations

import os
from collections import deque
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Final

from rubackup.chunkstore.group import Group, Head
from rubackup.chunkstore.pool import WriteSession
from rubackup.wire.data import DataConnection, Frame

WAITING_BYTES: Final = 4 << 20
"""Groups of one session that were received and not admitted: so much beside the newest, which has 4 MiB at most."""
MOST_THREADS: Final = 8


def examiners() -> ThreadPoolExecutor:
    """Threads that hash for all sessions of a media server; they start when there is something to do."""
    return ThreadPoolExecutor(min(MOST_THREADS, os.cpu_count() or 1), "examine")


class Ingest:
    """The groups of one session; used by the session's thread."""

    def __init__(self, session: WriteSession, connection: DataConnection, threads: Executor) -> None:
        self._session = session
        self._connection = connection
        self._threads = threads
        self._waiting: deque[tuple[Frame, Future[Group | Head]]] = deque()
        self._bytes = 0

    def put(self, frame: Frame) -> None:
        """Take the group that was just received. Raises what was wrong with an earlier one."""
        self._connection.keep(frame)
        self._waiting.append((frame, self._threads.submit(self._session.examine, frame.data)))
        self._bytes += len(frame.data)
        while self._waiting and (self._bytes > WAITING_BYTES or self._waiting[0][1].done()):
            self._admit()

    def drain(self) -> None:
        """Return when all groups are admitted."""
        while self._waiting:
            self._admit()

    def end(self) -> None:
        """Forget what is not admitted; no thread looks at it any more when this returns."""
        for _, examined in self._waiting:
            if not examined.cancel():
                examined.exception()
        self._waiting.clear()

    def _admit(self) -> None:
        frame, examined = self._waiting.popleft()
        self._bytes -= len(frame.data)
        self._session.admit(frame.data, examined.result())
        self._connection.reuse(frame)
