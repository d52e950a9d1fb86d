"""Tasks whose client went away in the middle: killed after a while, where `kill_task_of_offline_client` says so.

A task that the client had not begun waits for it, however long. Design section 7.
"""

from __future__ import annotations

from rubackup.catalog.database import Connection
from rubackup.domain.lookups import TaskStatus
from rubackup.domain.tasks import Verb
from rubackup.queue import claims
from rubackup.queue.postgres import PostgresQueue
from rubackup.services import configuration, task_log

GRACE_MINUTES = 5
"""A client that comes back sooner goes on with its task: a restart or a bad line costs nothing."""
WAIT_AT_ONCE = 1000
_WAIT = """
UPDATE task_queue SET blocked_on = $2, message = $3 WHERE id IN (
    SELECT t.id FROM task_queue t JOIN clients c ON c.id = t.client_id JOIN client_groups g ON g.id = c.group_id
    WHERE t.client_id = $1 AND t.executor = 'client' AND t.status = 'New' AND t.blocked_on IS NULL AND NOT g.clustered
        AND (t.not_before IS NULL OR t.not_before <= now())
    ORDER BY t.id LIMIT $4 FOR NO KEY UPDATE OF t SKIP LOCKED)
RETURNING id"""
_ABANDONED = """
SELECT t.id, c.hostname || ' (' || c.hwid || ')' AS client FROM task_queue t JOIN clients c ON c.id = t.client_id
JOIN client_presence p ON p.client_id = c.id
WHERE t.blocked_on = 'client:' || c.hwid AND t.status = $1 AND t.executor = 'client' AND t.attempt > 0 AND NOT p.online
    AND p.last_online < now() - make_interval(mins => $2)
ORDER BY t.id LIMIT $3 FOR NO KEY UPDATE OF t SKIP LOCKED"""


async def wait_too(db: Connection, client_id: int, on: str, message: str) -> int:
    """Let the further tasks that a client could do now wait for it, as one that was claimed does; how many.

    The caller holds the client's presence row. So a client that is away costs the dispatcher one claim, whatever it has queued.
    In a clustered group another member may do a task, so each is claimed by itself.
    """
    tasks = [row["id"] for row in await db.fetch(_WAIT, client_id, on, message, WAIT_AT_ONCE)]
    await claims.pass_on(db, tasks)
    return len(tasks)


async def kill_abandoned(db: Connection, limit: int) -> int:
    """Kill what clients had begun and left for more than five minutes; how many tasks."""
    if not await configuration.enabled(db, "kill_task_of_offline_client"):
        return 0
    rows = await db.fetch(_ABANDONED, TaskStatus.NEW.label, GRACE_MINUTES, limit)
    for row in rows:
        text = f"Client {row['client']} went offline and did not come back (kill_task_of_offline_client)."
        await PostgresQueue(db).operate(row["id"], Verb.KILL, text)
        await task_log.say(db, row["id"], text, "error")
    return len(rows)
