"""Numbers that hosts and pools remember longer than a catalogue that is set back, or begun anew, does."""

from __future__ import annotations

from typing import Final

from rubackup.catalog.database import Connection

TASKS_AHEAD: Final = 1_000_000
"""So many tasks may have been made that the catalogue does not know; their numbers are not given again."""

_FENCE = """
SELECT setval('task_fence', greatest((SELECT last_value FROM task_fence), extract(epoch FROM clock_timestamp())::bigint << 20))"""
_LAST = """
SELECT greatest((SELECT coalesce(max(id), 0) FROM task_queue), (SELECT coalesce(last_value, 0) FROM pg_sequences
    WHERE schemaname = current_schema() AND sequencename = 'task_queue_id_seq'))"""
_GO_ON = "SELECT setval(pg_get_serial_sequence('task_queue', 'id'), $1)"


async def leap(db: Connection) -> None:
    """Go on with fences and numbers of tasks above all that were ever given: fences by the clock, tasks by a wide step.

    A pool refuses a task whose fence is lower than one that it has seen.
    """
    await db.fetchval(_FENCE)
    last = await db.fetchval(_LAST)
    await db.fetchval(_GO_ON, (last // TASKS_AHEAD + 1) * TASKS_AHEAD)


async def leap_beyond(db: Connection, task: int) -> None:
    """The same, unless the number of that task was given by this catalogue."""
    if task > await db.fetchval(_LAST):
        await db.fetchval(_GO_ON, task)
        await leap(db)
