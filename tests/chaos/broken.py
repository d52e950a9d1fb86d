"""Processes that break a rule, to show that the trial notices: patched as they start, by a sitecustomize of the trial."""

from __future__ import annotations

import sys
import uuid
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final


def _lost() -> None:
    """server: a task that goes back to the queue is forgotten."""
    from rubackup.domain.tasks import Verb
    from rubackup.queue.postgres import PostgresQueue

    move = PostgresQueue._move

    async def forget(self: Any, task_id: int, row: Any, verb: Verb, message: str, **more: Any) -> Any:
        status = await move(self, task_id, row, verb, message, **more)
        if verb is Verb.HAND_ON:
            await self._db.execute("DELETE FROM task_queue WHERE id = $1", task_id)
        return status

    PostgresQueue._move = forget  # type: ignore[method-assign]


def _double() -> None:
    """server: a backup that was sealed is listed twice, as by a report that is believed again."""
    from rubackup.services import record_history, records

    insert = records._insert

    async def twice(db: Any, sealed: Any, record: uuid.UUID) -> int:
        second = await insert(db, sealed, uuid.uuid4())
        await record_history.note(db, [second], "created", task_id=sealed.task_id)
        return await insert(db, sealed, record)

    records._insert = twice


def _undead() -> None:
    """media: what was deleted stays in the pool."""
    from rubackup.chunkstore.pool import Pool

    def drop(self: Pool, record: str, *, zeroing: bool = False) -> None:
        pass

    Pool.drop = drop  # type: ignore[method-assign]


def _careless() -> None:
    """client: one file in twenty is left out of every copy."""
    from rubackup.client.modules.filesystem import listing

    list_names = listing.list_names

    def some(fd: int) -> list[bytes]:
        return [name for name in list_names(fd) if not name.startswith(b"file") or zlib.crc32(name) % 20]

    listing.list_names = some


def _blunt() -> None:
    """api: a catalogue that is away is an error of ours."""
    from rubackup.api import envelope

    envelope.STATUS_BY_CODE["unavailable"] = 500


BROKEN: Final[dict[str, tuple[str, Callable[[], None]]]] = {
    "lost": ("server", _lost), "double": ("server", _double), "undead": ("media", _undead),
    "careless": ("client", _careless), "blunt": ("api", _blunt),
}  # fmt: skip
"""By name: the process, and what breaks it."""


def path_that_breaks(name: str, folder: Path) -> str:
    """A PYTHONPATH under which the processes of a system break the rule."""
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(f"from chaos.broken import break_it\nbreak_it({name!r})\n")
    return f"{folder}:{Path(__file__).parents[1]}"


def break_it(name: str) -> None:
    """Break the rule, if this is a process that it is of."""
    role, how = BROKEN[name]
    if f"rubackup.roles.{role}" in sys.orig_argv:
        how()
        print(f"broken: {name}", flush=True)
