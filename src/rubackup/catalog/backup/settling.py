"""What must not go on as it stood in a backup: leadership, tasks, who was logged in, what pools believe.

Runs on the catalogue of this version's schema, before it takes the place of the other one.
"""

from __future__ import annotations

from typing import Final

from rubackup.catalog import numbers
from rubackup.catalog.backup.file import Header
from rubackup.catalog.database import Connection
from rubackup.domain.lookups import TaskStatus
from rubackup.domain.tasks import FINAL, HELD

_FINAL: Final = [status.label for status in TaskStatus if status in FINAL]
_HELD: Final = [status.label for status in TaskStatus if status in HELD]
_TEXT: Final = "The catalogue was restored from the backup of {}; what became of this task since then is not known."

# Raised by the clock: whoever has heard of a later one than the backup's refuses what was before, and a second restore of
# the same backup is later than the first.
_EPOCH = """
UPDATE leadership SET epoch = greatest(epoch + 1, extract(epoch FROM clock_timestamp())::bigint), server_hwid = '', taken_at = NULL"""
_LOG = """
INSERT INTO task_log (task_id, source, level, text)
SELECT id, 'server', 'error', $2 FROM task_queue WHERE status <> ALL ($1::text[])"""
_FREE = "DELETE FROM task_reservations WHERE task_id IN (SELECT id FROM task_queue WHERE status <> ALL ($1::text[]))"
_SILENT = "DELETE FROM task_progress WHERE task_id IN (SELECT id FROM task_queue WHERE status <> ALL ($1::text[]))"
_END = """
UPDATE task_queue SET status = CASE WHEN status = ANY ($2::text[]) THEN $3 ELSE $4 END, message = $5, finished_at = now(),
    blocked_on = NULL, worker = '', not_before = NULL
WHERE status <> ALL ($1::text[])"""
_END_TAPE = "UPDATE tl_task_queue SET status = $2, message = $3, finished_at = now() WHERE status <> ALL ($1::text[])"
_OFFLINE = ("UPDATE client_presence SET online = false", "UPDATE media_presence SET online = false")
# No term is known to any pool now, so each says that it does not know this catalogue; a pool that has lost its notes does so
# as the number of the contact is not the first one.
_POOLS = (
    "DELETE FROM leadership_terms",
    "INSERT INTO pool_state (pool_id) SELECT id FROM pools ON CONFLICT DO NOTHING",
    "UPDATE pool_state SET reconciled = false, reconcile_wanted = false, contact = greatest(contact, 2)",
)
RETENTION_DAYS: Final = 7
"""How long nothing is deleted by time: what was kept for longer since the backup is due too early in it."""
_RETENTION = """
UPDATE retention_state SET suspended_at = now(), resumes_at = now() + make_interval(days => $1), reason = $2"""
_RETENTION_TEXT: Final = "The catalogue was restored from the backup of {}: copies that were prolonged since then may be deleted too early. Retention waits."
_EVENTS = "UPDATE event_log SET trimmed_xid = pg_current_xact_id(), trimmed_id = 0"
_AUDIT = """
INSERT INTO audit (user_name, address, method, path, resource, outcome, after)
VALUES ('', '', 'RESTORE', 'restore-catalogue', 'catalogue', 'done', $1)"""


async def settle(db: Connection, header: Header) -> None:
    """Make a catalogue that was just filled fit to be used. In the caller's transaction, with its schema in front."""
    text = _TEXT.format(f"{header.taken_at:%Y-%m-%d %H:%M:%S} UTC")
    await db.execute(_EPOCH)
    await numbers.leap(db)
    await db.execute(_LOG, _FINAL, text)
    await db.execute(_FREE, _FINAL)
    await db.execute(_SILENT, _FINAL)
    await db.execute(_END, _FINAL, _HELD, TaskStatus.BROKEN.label, TaskStatus.KILLED.label, text)
    await db.execute(_END_TAPE, _FINAL, TaskStatus.KILLED.label, text)
    for statement in (*_OFFLINE, *_POOLS, _EVENTS):
        await db.execute(statement)
    await db.execute(_RETENTION, RETENTION_DAYS, _RETENTION_TEXT.format(f"{header.taken_at:%Y-%m-%d %H:%M:%S} UTC"))
    told = {"server": header.server, "taken_at": header.taken_at.isoformat(), "product": header.product}
    await db.execute(_AUDIT, told)
