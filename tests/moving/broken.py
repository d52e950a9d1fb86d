"""Stores that break a rule, to show that the trial notices."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from moving.catalogue import Task
from moving.life import Life
from rubackup.agent.seals import SealBook
from rubackup.chunkstore.copying import RecordCopy
from rubackup.chunkstore.gc.safety import GcResult
from rubackup.chunkstore.manifest import Summary
from rubackup.chunkstore.pool import Pool
from rubackup.chunkstore.write import WriteSession


def _hasty() -> None:
    """The source of a move goes when it was read back, and not when the catalogue lists what arrived."""
    copy, run = Life._copy, RecordCopy.run
    sources: list[tuple[Pool, str]] = []

    def hasty(self: Life, task: Task) -> None:
        pool = self.places.pools[self.catalogue.listed[task.source].pool]
        sources[:] = [(pool, task.source)] if task.kind == "move" else []
        copy(self, task)

    def read_back(self: RecordCopy) -> Summary:
        summary = run(self)
        for pool, record in sources:
            pool.drop(record)
        return summary

    Life._copy, RecordCopy.run = hasty, read_back  # type: ignore[method-assign]


def _forgetful() -> None:
    """No note is made of what is sealed."""

    @contextmanager
    def sealing(self: SealBook, pool_id: int, record: str) -> Iterator[None]:
        yield

    SealBook.sealing = sealing  # type: ignore[method-assign, assignment]


def _greedy() -> None:
    """Copies ask for everything, whether the target has it or not."""
    take_over = WriteSession.take_over

    def greedy(self: WriteSession, names: set[bytes]) -> set[bytes]:
        take_over(self, names)
        return set(names)

    WriteSession.take_over = greedy  # type: ignore[method-assign, assignment]


def _hoarding() -> None:
    """Collections do nothing."""

    def collect(*_: Any, **__: Any) -> GcResult:
        return GcResult()

    Pool.collect = collect  # type: ignore[method-assign, assignment]


BROKEN: Final[dict[str, Callable[[], None]]] = {
    "hasty": _hasty, "forgetful": _forgetful, "greedy": _greedy, "hoarding": _hoarding,
}  # fmt: skip
