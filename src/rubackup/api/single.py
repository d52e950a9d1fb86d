"""Work that one run at a time does for all who ask, each of whom waits only so long."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

from rubackup.domain.errors import Unavailable

T = TypeVar("T")


class Single(Generic[T]):
    """One piece of work. A run that hangs is not joined by others: they wait for it, or give up."""

    def __init__(self, work: Callable[[], Coroutine[Any, Any, T]]) -> None:
        self._work = work
        self._run: asyncio.Task[T] | None = None

    async def within(self, seconds: float) -> T:
        """What the run that is under way, or a new one, gives; Unavailable when that takes too long."""
        if self._run is None or self._run.done():
            self._run = asyncio.create_task(self._work())
            self._run.add_done_callback(_look_at)
        run = self._run
        await asyncio.wait({run}, timeout=seconds)
        if not run.done():
            raise Unavailable(f"The service database did not answer in {seconds:g} s.")
        return run.result()

    def close(self) -> None:
        """Stop a run that is under way."""
        if self._run is not None:
            self._run.cancel()


def _look_at(run: asyncio.Task[Any]) -> None:
    """An error that nobody waited for any more is no one's surprise."""
    if not run.cancelled():
        run.exception()
