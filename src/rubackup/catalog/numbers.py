"""Numbers that hosts, pools and people remember longer than a catalogue that is set back, or begun anew, does."""

from __future__ import annotations

from typing import Final

from rubackup.catalog.database import Connection

AHEAD: Final = 1_000_000
"""So many tasks and copies may have been made that the catalogue does not know; their numbers are not given again."""
A_SECOND: Final = 10
"""Where a catalogue is set back to the same state twice, the clock tells the numbers that were given in between: so many a second."""

_FENCE = """
SELECT setval('task_fence', greatest((SELECT last_value FROM task_fence), extract(epoch FROM clock_timestamp())::bigint << 20))"""
TASKS, COPIES = "task_queue", "repository"
_LAST = """
SELECT greatest((SELECT coalesce(max(id), 0) FROM {0}), (SELECT coalesce(last_value, 0) FROM pg_sequences
    WHERE schemaname = current_schema() AND sequencename = '{0}_id_seq'))"""
_BY_CLOCK = """
SELECT (extract(epoch FROM clock_timestamp() - timestamptz '2026-01-01 00:00+00') * $1)::bigint"""
_GO_ON = "SELECT setval(pg_get_serial_sequence($1, 'id'), $2)"


async def leap(db: Connection) -> None:
    """Go on with fences, numbers of tasks and of copies above all that were ever given.

    Fences by the clock; tasks and copies by a wide step, and at least to where the clock says. A pool refuses a task whose
    fence is lower than one that it has seen.
    """
    await db.fetchval(_FENCE)
    clock = await db.fetchval(_BY_CLOCK, A_SECOND)
    for table in (TASKS, COPIES):
        wide = (await db.fetchval(_LAST.format(table)) // AHEAD + 1) * AHEAD
        await db.fetchval(_GO_ON, table, max(wide, clock))


async def leap_beyond(db: Connection, task: int) -> None:
    """The same, unless the number of that task was given by this catalogue."""
    if task > await db.fetchval(_LAST.format(TASKS)):
        await db.fetchval(_GO_ON, TASKS, task)
        await leap(db)
