"""Clustered client groups: what one member cannot be given after several launches, another member does.

Members of a clustered group hold the same data. A launch of a backup fails when its client is offline, or does not take
the order. After `launch_attempts_limit` launches that failed in a row the task becomes one of another member that is
online, can back up the resource type and run the cipher; of several the one with the fewest tasks at work.
Until then it is launched again every few seconds. Design: `docs/design/dispatch.md`, Clustered groups.
"""

from __future__ import annotations

from typing import Any

from rubackup.catalog.database import Connection
from rubackup.domain.lookups import Crypto, TaskType
from rubackup.domain.tasks import HELD
from rubackup.services import task_log

LAUNCH_SECONDS = 10.0
"""Between two launches on the same client."""
WAKE_LIMIT = 100

_TASK = """
UPDATE task_queue t SET launches_failed = t.launches_failed + 1
FROM clients c JOIN client_groups g ON g.id = c.group_id
WHERE t.id = $1 AND c.id = t.client_id AND g.clustered AND t.task_type = $2 AND t.executor = 'client'
RETURNING t.id, t.client_id, t.resource_type, t.resource, t.crypto, t.launches_failed, g.id AS group_id, g.name,
    g.launch_attempts_limit, c.hostname || ' (' || c.hwid || ')' AS client"""
_FITS = """
    m.group_id = c.group_id AND m.id <> c.id AND p.online
    AND (m.resource_types = '{}' OR t.resource_type = ANY (m.resource_types))
    AND (t.crypto = $2 OR t.crypto = ANY (m.ciphers))"""
_MEMBER = f"""
SELECT m.id, m.hostname || ' (' || m.hwid || ')' AS client
FROM task_queue t JOIN clients c ON c.id = t.client_id
JOIN clients m ON m.group_id = c.group_id JOIN client_presence p ON p.client_id = m.id
WHERE t.id = $1 AND {_FITS}
ORDER BY (SELECT count(*) FROM task_queue h WHERE h.client_id = m.id AND h.status = ANY ($3::text[])), m.id
LIMIT 1 FOR SHARE OF p"""  # noqa: S608 - a constant of ours
_GIVE = """
UPDATE task_queue SET client_id = $2, launches_failed = 0, blocked_on = NULL, message = $3,
    not_before = now() + make_interval(secs => $4)
WHERE id = $1"""
_KEY = "UPDATE task_reservations SET key = $3 WHERE task_id = $1 AND kind = 'resource' AND key = $2"
_EVENT = """
INSERT INTO events (kind, family, row_id, client_group_id, media_server_id, data)
SELECT 'changed', 'task_queue', t.id, c.group_id, t.media_server_id, jsonb_build_object('client_id', t.client_id)
FROM task_queue t JOIN clients c ON c.id = t.client_id WHERE t.id = $1"""
_AGAIN = """
UPDATE task_queue SET blocked_on = NULL, not_before = now() + make_interval(secs => $2) WHERE id = $1"""
_LAUNCHED = "UPDATE task_queue SET launches_failed = 0 WHERE id = $1 AND launches_failed > 0"
_WAKE = f"""
UPDATE task_queue SET blocked_on = NULL WHERE id IN (
    SELECT t.id FROM task_queue t JOIN clients c ON t.blocked_on = 'client:' || c.hwid AND c.id = t.client_id
    JOIN client_groups g ON g.id = c.group_id AND g.clustered
    WHERE t.task_type = $1 AND t.blocked_on LIKE 'client:%' AND EXISTS (
        SELECT 1 FROM clients m JOIN client_presence p ON p.client_id = m.id WHERE {_FITS})
    ORDER BY t.priority DESC, t.id LIMIT $3 FOR NO KEY UPDATE OF t SKIP LOCKED)"""  # noqa: S608 - a constant of ours


async def launch_failed(db: Connection, task_id: int, seconds: float = 0.0) -> None:
    """A task that was just blocked on its client: launch it again, or on another member, if its group is clustered.

    A member that takes it over begins after so many seconds. Without one the task waits for its client, as any other.
    """
    task = await db.fetchrow(_TASK, task_id, TaskType.BACKUP.label)
    if task is None:
        return
    if task["launches_failed"] < task["launch_attempts_limit"]:
        await db.execute(_AGAIN, task_id, LAUNCH_SECONDS)
        return
    member = await db.fetchrow(_MEMBER, task_id, Crypto.NOCRYPT.label, [status.label for status in HELD])
    if member is not None:
        await _give(db, task, member, seconds)


async def _give(db: Connection, task: Any, member: Any, seconds: float) -> None:
    text = (
        f"Client {task['client']} could not be given the task {task['launches_failed']} times; "
        f"{member['client']} of the clustered group {task['name']} takes it over."
    )
    await db.execute(_GIVE, task["id"], member["id"], text, seconds)
    tail = f"{task['resource_type']}:{task['resource']}"
    await db.execute(_KEY, task["id"], f"{task['client_id']}:{tail}", f"{member['id']}:{tail}")
    await db.execute(_EVENT, task["id"])
    await task_log.say(db, task["id"], text, "warning")


async def launched(db: Connection, task_id: int) -> None:
    """The client has taken the task."""
    await db.execute(_LAUNCHED, task_id)


async def wake(db: Connection) -> None:
    """Launch tasks again that wait for a member of a clustered group while another member is online."""
    await db.execute(_WAKE, TaskType.BACKUP.label, Crypto.NOCRYPT.label, WAKE_LIMIT)
