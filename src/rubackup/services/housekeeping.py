"""What the leading server tidies up each minute: rows whose time is over.

Works in bounded batches, so that one run never holds many locks; what is left comes next minute.
"""

from __future__ import annotations

import msgspec

from rubackup.catalog.database import Connection, Database
from rubackup.domain.lookups import TaskStatus
from rubackup.services import cleanings, configuration, deletion, host_log, offline, schedule_notes, ticks
from rubackup.services.leadership import check_epoch

BATCH = 1000
HOST_LOG_BATCH = 10_000
"""A server that starts writes a line for each of thousands of hosts: more may go than of other rows."""
EVENT_BATCH = 10_000
LAUNCH_BATCH = 10_000
EVENTS_KEPT_DAYS = 7
FAILURES_KEPT_DAYS = 1
REMOVE_PERIODS = {
    TaskStatus.DONE: "done_tasks_remove_period",
    TaskStatus.ERROR: "error_tasks_remove_period",
    TaskStatus.BROKEN: "broken_tasks_remove_period",
    TaskStatus.KILLED: "killed_tasks_remove_period",
}
"""For each final state the configuration key that says how many minutes its tasks stay in the queue."""

_FAMILIES = """
DELETE FROM token_families WHERE family IN (SELECT family FROM token_families WHERE ends_at < now() LIMIT $1)"""
_TASKS = """
WITH gone AS (
    SELECT t.id FROM task_queue t
    WHERE t.status = $1 AND t.finished_at < now() - make_interval(mins => $2)
    ORDER BY t.finished_at LIMIT $3 FOR UPDATE SKIP LOCKED
), told AS (
    INSERT INTO events (kind, family, row_id, client_group_id, media_server_id, data)
    SELECT 'task', 'task_queue', t.id, c.group_id, t.media_server_id, '{"status": "Removed"}'
    FROM gone JOIN task_queue t ON t.id = gone.id LEFT JOIN clients c ON c.id = t.client_id
)
DELETE FROM task_queue WHERE id IN (SELECT id FROM gone)"""
_FAILURES = """
DELETE FROM login_failures WHERE last_failed_at < now() - make_interval(days => $1)
    AND (blocked_until IS NULL OR blocked_until < now())"""
_EVENTS = """
WITH oldest AS (
    SELECT xid, id, at FROM events ORDER BY xid, id LIMIT $2
), gone AS (
    DELETE FROM events e USING oldest o WHERE e.id = o.id AND o.at < now() - make_interval(days => $1)
    RETURNING e.xid, e.id
), last AS (
    SELECT xid, id FROM gone ORDER BY xid DESC, id DESC LIMIT 1
), noted AS (
    UPDATE event_log l SET trimmed_xid = t.xid, trimmed_id = t.id FROM last t
    WHERE (l.trimmed_xid, l.trimmed_id) < (t.xid, t.id)
)
SELECT count(*) FROM gone"""
_FOREIGN_EVENTS = """
WITH gone AS (
    DELETE FROM events WHERE id IN (
        SELECT id FROM events
        WHERE xid >= pg_snapshot_xmax(pg_current_snapshot()) AND xid <> pg_current_xact_id()
        ORDER BY xid DESC, id DESC LIMIT $1)
    RETURNING 1
), noted AS (
    UPDATE event_log SET trimmed_xid = pg_snapshot_xmin(pg_current_snapshot()), trimmed_id = 0
    WHERE trimmed_xid >= pg_snapshot_xmax(pg_current_snapshot())
)
SELECT count(*) FROM gone"""
"""Of transactions that this cluster has not had yet: the catalogue was restored from another one's dump."""
_CERTIFICATES = """
WITH gone AS (DELETE FROM issued_certificates WHERE not_after < now() RETURNING serial)
DELETE FROM revoked_certificates WHERE serial IN (SELECT serial FROM gone)"""


class Tidied(msgspec.Struct, frozen=True):
    """How many rows one run removed."""

    families: int
    tasks: int
    events: int
    copies: int = 0
    """Copies of broken chains."""
    killed: int = 0
    """Tasks whose client went away."""
    cleanings: int = 0
    """Cleanings of pools that were due and are queued now."""


async def run(database: Database, epoch: int | None = None) -> Tidied:
    """Remove what is over: login sessions, finished tasks, old events, failed logins, certificates, lines of hosts and launches.

    Unless the service mode is on, also copies of broken chains, and tasks that their clients have left; cleanings that
    are due are queued.
    Fenced when `epoch` is given and another server leads.
    """
    async with database.transaction() as db:
        if epoch is not None:
            await check_epoch(db, epoch)
        families = _count(await db.execute(_FAMILIES, BATCH))
        await db.execute(_FAILURES, FAILURES_KEPT_DAYS)
        await db.execute(_CERTIFICATES)
        await host_log.remove_old(db, HOST_LOG_BATCH)
        await ticks.forget_old(db, LAUNCH_BATCH)
        await schedule_notes.remove_old(db, LAUNCH_BATCH)
        tasks = await _remove_tasks(db)
        events = await db.fetchval(_FOREIGN_EVENTS, EVENT_BATCH)
        events += await db.fetchval(_EVENTS, EVENTS_KEPT_DAYS, EVENT_BATCH)
        if await configuration.enabled(db, "service_mode"):
            return Tidied(families, tasks, events)
        return Tidied(
            families, tasks, events, await deletion.remove_broken(db), await offline.kill_abandoned(db, BATCH),
            await cleanings.queue_due(db),
        )  # fmt: skip


async def _remove_tasks(db: Connection) -> int:
    removed = 0
    for status, key in REMOVE_PERIODS.items():
        minutes = await configuration.number(db, key)
        removed += _count(await db.execute(_TASKS, status.label, minutes, BATCH))
    return removed


def _count(tag: str) -> int:
    """The number of rows in a command tag such as `DELETE 3`."""
    return int(tag.rpartition(" ")[2])
