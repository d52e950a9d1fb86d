"""A thread for what takes as long as an object storage does: pools that wait for one keep no other pool waiting."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future, wait
from typing import Generic, TypeVar

_T = TypeVar("_T")
WAIT_SECONDS = 5.0
"""Servers wait 10 s for an answer about all pools."""


class Lanes(Generic[_T]):
    """One piece of work at a time for each pool. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: dict[int, Future[_T]] = {}

    def __contains__(self, pool_id: int) -> bool:
        return pool_id in self._running

    def begin(self, pool_id: int, work: Callable[[], _T]) -> Future[_T]:
        """Start the work, unless some for this pool is under way: then that is what is given."""
        with self._lock:
            found = self._running.get(pool_id)
            if found is not None and not found.done():
                return found
            begun = self._running[pool_id] = Future()
        threading.Thread(target=_run, args=(begun, work), name=f"pool {pool_id}", daemon=True).start()
        return begun

    def at_work(self, pool_id: int) -> list[Future[_T]]:
        """The work for this pool that is under way; none is possible."""
        found = self._running.get(pool_id)
        return [found] if found is not None and not found.done() else []

    @staticmethod
    def wait(works: Iterable[Future[_T]], seconds: float | None = None) -> None:
        """Return when all are done, or the time is over; None: WAIT_SECONDS."""
        wait(list(works), timeout=WAIT_SECONDS if seconds is None else seconds)


def _run(begun: Future[_T], work: Callable[[], _T]) -> None:
    try:
        begun.set_result(work())
    except BaseException as error:  # whoever asks for the result gets it
        begun.set_exception(error)
