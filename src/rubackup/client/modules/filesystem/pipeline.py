"""The threads of a restore: one fetches the next batches while others decode groups and write slices.

Batches are fetched in the order in which they were started. What a thread raises is raised
by `finish`, in the thread that waits for the batch. Nothing here knows files.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any

from rubackup.client.modules.filesystem.batch import Batch, Chunks, Slice
from rubackup.client.modules.filesystem.fetch import Fetcher
from rubackup.domain.errors import Stopped

WAIT_SECONDS = 0.1
"""How often who waits looks whether the task must end."""

WriteSlice = Callable[[Slice, Chunks], None]


class Pipeline:
    """Fetches and writes batches beside the thread that plans them."""

    def __init__(self, fetcher: Fetcher, workers: int, write: WriteSlice, *, waiting: int = 0) -> None:
        """`write` is called by `workers` threads at once, for parts of large files by `waiting` others where that is not 0."""
        self._fetcher = fetcher
        self._write = write
        self._ending = threading.Event()
        self._network = ThreadPoolExecutor(1, thread_name_prefix="fetch")
        self._workers = ThreadPoolExecutor(workers, thread_name_prefix="write")
        self._waiting = ThreadPoolExecutor(waiting, thread_name_prefix="large") if waiting else self._workers

    @property
    def is_ending(self) -> bool:
        """Whether what is queued is not to be written any more."""
        return self._ending.is_set()

    def start(self, batch: Batch) -> None:
        """Fetch the batch after those started before, then write it."""
        batch.writing = self._network.submit(self._carry, batch)

    def finish(self, batch: Batch, tick: Callable[[], None]) -> None:
        """Wait until the batch is written; `tick` is called meanwhile and may raise."""
        assert batch.writing is not None
        _await(batch.writing, tick)
        for future in batch.writing.result():
            _await(future, tick)
            future.result()

    def close(self) -> None:
        """End the threads; what they have begun is finished, what waits is not begun."""
        self._ending.set()
        self._network.shutdown(cancel_futures=True)
        self._workers.shutdown(cancel_futures=True)
        self._waiting.shutdown(cancel_futures=True)

    def _carry(self, batch: Batch) -> list[Future[None]]:
        # What was wrong with chunks that did not come is asked again for the files that need them.
        chunks, _ = self._fetcher.fetch(batch.rows, self._workers.submit, self._check)
        batch.rows = []
        return [
            (self._waiting if work.parts else self._workers).submit(self._write, work, chunks) for work in batch.slices
        ]

    def _check(self) -> None:
        if self._ending.is_set():
            raise Stopped


def _await(future: Future[Any], tick: Callable[[], None]) -> None:
    while not future.done() and not wait([future], WAIT_SECONDS).done:
        tick()
