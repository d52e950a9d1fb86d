"""From the queue to the worker and back: claiming jobs, and what workers report about them.

Claims and reaping belong to the leader and check its epoch; what workers report is held
by the task's fence. Design section 7.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Collection, Sequence
from typing import Any

from rubackup.catalog.database import Connection, Database, notify
from rubackup.domain.errors import Fenced, Refused
from rubackup.domain.lookups import TaskStatus, TaskType
from rubackup.domain.tasks import FINAL, HELD, MOVES, Verb
from rubackup.queue.ports import Beat, Held, Reaped
from rubackup.queue.postgres import PostgresQueue
from rubackup.services import (
    cleanings,
    clusters,
    configuration,
    jobs,
    offline,
    placement,
    service_window,
    task_log,
    verifications,
)
from rubackup.services.jobs import Job
from rubackup.services.leadership import check_epoch

__all__ = [
    "Job", "accepted", "add_log", "attempts_over", "claim", "fail", "finished", "heartbeat", "job_of", "phase", "reap",
    "wait_for",
]  # fmt: skip

RESUMED_AT_ONCE = 100
ATTEMPTS = 5
"""Hand-offs after which a task is Broken."""
CLAIM_ROUNDS = 10
CLAIM_SECONDS = 0.5
LEVELS = {"done": "info", "error": "error"}
"""Levels of the log lines that outcomes leave."""
QUICK_ATTEMPTS = 2
"""After so many the task is Suspended between attempts, for the minutes of `suspended_task_restart_period`."""
RETRY_SECONDS = 2.0
"""Pause before a task goes to a host that the catalogue calls online and the server could not reach."""
POOL_OUTCOMES = frozenset({"full", "storage"})
"""Of backups: the pool had no room, its storage failed."""
SERVICE_MODE_SECONDS = 30.0
"""How long a task waits until it is looked whether its media server is in local service mode still."""
CONFIRMATION_SECONDS = 60.0
"""How long a finished backup waits for its media server to report the sealed record."""

_ONLINE_CLIENTS = """
SELECT p.client_id AS id FROM client_presence p WHERE p.client_id = ANY ($1::bigint[]) AND p.online"""
_ONLINE_MEDIA = """
SELECT p.media_server_id AS id FROM media_presence p WHERE p.media_server_id = ANY ($1::bigint[]) AND p.online"""
_LOCK_CLIENTS = "SELECT 1 FROM client_presence WHERE client_id = ANY ($1::bigint[]) ORDER BY client_id FOR SHARE"
_LOCK_MEDIA = (
    "SELECT 1 FROM media_presence WHERE media_server_id = ANY ($1::bigint[]) ORDER BY media_server_id FOR SHARE"
)
_ONLINE_NAMED = {
    "client": """SELECT p.online FROM client_presence p JOIN clients c ON c.id = p.client_id
                 WHERE c.hwid = $1 FOR SHARE OF p""",
    "media": """SELECT p.online FROM media_presence p JOIN media_servers m ON m.id = p.media_server_id
                WHERE m.hwid = $1 FOR SHARE OF p""",
}
_SHORTLY = """
UPDATE task_queue SET blocked_on = NULL, not_before = now() + make_interval(secs => $2) WHERE id = $1"""
_LATER = "UPDATE task_queue SET not_before = now() + make_interval(secs => $2) WHERE id = $1"
_TASK = f"""
SELECT t.id, t.status, t.fence, t.attempt, t.task_type, t.executor, t.record_uuid, c.hwid AS client_hwid,
    m.hwid AS media_hwid
FROM task_queue t LEFT JOIN clients c ON c.id = t.client_id LEFT JOIN repository r ON r.id = t.record_id
LEFT JOIN pools p ON p.id = {jobs.POOL_OF} LEFT JOIN media_servers m ON m.id = p.media_server_id
WHERE t.id = $1 FOR NO KEY UPDATE OF t"""  # noqa: S608 - a constant of ours
_WORKED_ON = f"""
SELECT t.id FROM task_queue t LEFT JOIN clients c ON c.id = t.client_id LEFT JOIN repository r ON r.id = t.record_id
LEFT JOIN pools p ON p.id = {jobs.POOL_OF} LEFT JOIN media_servers m ON m.id = p.media_server_id
WHERE t.id = ANY ($1::bigint[]) AND t.executor = $2 AND $3 = CASE t.executor WHEN 'client' THEN c.hwid ELSE m.hwid END"""  # noqa: S608 - as above
_REST_OVER = """
SELECT id FROM task_queue WHERE status = 'Suspended' AND not_before <= now()
ORDER BY id LIMIT $1 FOR NO KEY UPDATE SKIP LOCKED"""
_AWAIT_SEAL = """
UPDATE task_progress SET lease_until = greatest(lease_until, now() + make_interval(secs => $3))
WHERE task_id = $1 AND fence = $2"""
_FIGURES = "UPDATE task_progress SET files_done = $2, bytes_done = $3 WHERE task_id = $1"
_SENT = "UPDATE task_progress SET bytes_sent = greatest(bytes_sent, $3) WHERE task_id = $1 AND fence IN (0, $2)"
"""Fence 0: the attempt is over already, by its record or by who paused or killed it."""
_HELD_FENCES = """
SELECT fence FROM task_queue WHERE id = ANY ($1::bigint[]) AND fence = ANY ($2::bigint[]) AND status = ANY ($3::text[])"""
_SEALED = "SELECT EXISTS (SELECT 1 FROM repository WHERE uuid = $1)"


async def claim(
    database: Database,
    epoch: int,
    server_hwid: str,
    lease_seconds: float,
    limit: int,
    zone: dt.tzinfo | None = None,
) -> list[Job]:
    """Jobs whose hosts are online, leased to this server; Fenced when another server leads.

    Tasks whose host is offline are blocked on it, tasks that can never run end in Error, what may begin only
    within the service window (a time of day in `zone`) waits for it. In service mode there are no new jobs.
    """
    async with database.transaction() as db:
        await check_epoch(db, epoch)
        if await configuration.enabled(db, "service_mode"):
            return []
        found: list[Job] = []
        until = time.monotonic() + CLAIM_SECONDS
        for _round in range(CLAIM_ROUNDS):
            held = await PostgresQueue(db).claim(server_hwid, lease_seconds, limit - len(found))
            found += await _prepare(db, held, zone)
            if not held or len(found) >= limit:
                break
            # Rows of hosts are locked until the claim ends; what is left comes with the next.
            if time.monotonic() > until:
                await notify(db, "tasks")
                break
        return found


async def _prepare(db: Connection, held: Sequence[Held], zone: dt.tzinfo | None) -> list[Job]:
    queue = PostgresQueue(db)
    closed, closed_text = await service_window.wait_seconds(db, zone) if held else (0.0, "")
    waits = await _place(db, held)
    rows = await jobs.load(db, [h.task_id for h in held])
    clients = await _online(db, _LOCK_CLIENTS, _ONLINE_CLIENTS, {r["client_id"] for r in rows.values()})
    servers = {r["media_id"] for r in rows.values()} | {r["source_media_id"] for r in rows.values() if jobs.is_copy(r)}
    media = await _online(db, _LOCK_MEDIA, _ONLINE_MEDIA, servers)
    found = []
    away: dict[int, tuple[str, str]] = {}
    for one in held:
        row = rows[one.task_id]
        if problem := jobs.lacking(row) or await jobs.refused(db, row, zone):
            await queue.step(one.task_id, one.fence, Verb.FAIL, problem)
            await task_log.say(db, one.task_id, problem, "error")
        elif closed and row["task_type"] in service_window.KEPT_OUT:
            await queue.block(one.task_id, one.fence, "window:service", closed_text)
            await db.execute(_SHORTLY, one.task_id, closed)
        elif one.task_id in waits:
            await _wait(db, one, *waits[one.task_id])
        elif row["local_service_mode"]:
            text = f"Media server {row['media_hostname']} is in its local service mode; the task waits for its end."
            await _wait(db, one, f"service:{row['media_hwid']}", text)
            await db.execute(_SHORTLY, one.task_id, SERVICE_MODE_SECONDS)
        elif row["executor"] == "client" and row["client_id"] not in clients:
            on = f"client:{row['client_hwid']}"
            text = f"Client {row['client_hostname']} ({row['client_hwid']}) is offline; the task waits for it."
            await _wait(db, one, on, text)
            await clusters.launch_failed(db, one.task_id)
            away[row["client_id"]] = on, text
        elif row["media_id"] not in media:
            name = row["media_hostname"]
            await _wait(
                db, one, f"media:{row['media_hwid']}", f"Media server {name} is offline; the task waits for it."
            )
        elif jobs.is_copy(row) and row["source_media_id"] not in media:
            name, hwid = row["source_media_hostname"], row["source_media_hwid"]
            await _wait(db, one, f"media:{hwid}", f"Media server {name} is offline; the task waits for it.")
        else:
            found.append(await jobs.begin(db, one, row))
    for client_id, (on, text) in away.items():
        await offline.wait_too(db, client_id, on, text)
    return found


async def _place(db: Connection, held: Sequence[Held]) -> dict[int, tuple[str, str]]:
    """Give backups the pool that takes them; what for those wait that none can take now, and that in words."""
    waits: dict[int, tuple[str, str]] = {}
    left = await placement.concerned(db, [h.task_id for h in held])
    while left:
        task_id = left.pop(0)
        choice = await placement.choose(db, task_id, left)
        if choice.wait:
            waits[task_id] = (choice.wait, choice.message)
    return waits


async def _online(db: Connection, lock: str, read: str, ids: set[int | None]) -> set[int]:
    """Which of the hosts are online; none of them changes that before the transaction ends."""
    wanted = [i for i in ids if i is not None]
    await db.execute(lock, wanted)
    return {row["id"] for row in await db.fetch(read, wanted)}


async def _wait(db: Connection, held: Held, on: str, message: str) -> None:
    await PostgresQueue(db).block(held.task_id, held.fence, on, message)
    await task_log.say(db, held.task_id, message, once=True)


async def wait_for(database: Database, task_id: int, fence: int, on: str, message: str) -> None:
    """The host `on` (`client:<hwid>`, `media:<hwid>`) could not be reached: the task waits for it.

    When the catalogue has it online the task is tried again shortly instead, as nothing would
    wake it. Neither counts as an attempt. Fenced when the task is not held under this fence.
    """
    role, _, hwid = on.partition(":")
    async with database.transaction() as db:
        online = await db.fetchval(_ONLINE_NAMED[role], hwid)
        await PostgresQueue(db).block(task_id, fence, on, message)
        if online:
            await db.execute(_SHORTLY, task_id, RETRY_SECONDS)
        await task_log.say(db, task_id, message, "warning", once=True)
        if role == "client":
            await clusters.launch_failed(db, task_id, RETRY_SECONDS)


async def job_of(database: Database, task_id: int, fence: int) -> Job:
    """The job again, to renew its ticket; Fenced unless the task is held under this fence."""
    async with database.transaction() as db:
        return await jobs.job_of(db, task_id, fence)


async def attempts_over(database: Database, attempts: Collection[tuple[int, int]]) -> list[int]:
    """The fences among attempts (task, fence) that no worker holds any more."""
    tasks, fences = [task for task, _ in attempts], [fence for _, fence in attempts]
    async with database.connection() as db:
        held = {row["fence"] for row in await db.fetch(_HELD_FENCES, tasks, fences, [s.label for s in HELD])}
    return sorted(set(fences) - held)


async def accepted(database: Database, task_id: int, fence: int) -> None:
    """The worker has taken the task; a repeat changes nothing. Fenced when it is not its task any more."""
    async with database.transaction() as db:
        status = await _status(db, task_id, fence)
        if status is TaskStatus.ASSIGNED:
            await PostgresQueue(db).step(task_id, fence, Verb.ACCEPT)
            await clusters.launched(db, task_id)


async def phase(database: Database, task_id: int, fence: int, verb: Verb) -> bool:
    """The worker went over to EXECUTE or TRANSMIT; False, and no change, when it is not its task any more."""
    async with database.transaction() as db:
        try:
            status = await _status(db, task_id, fence)
        except Fenced:
            return False
        if status not in HELD:
            return False
        if status is not MOVES[verb][1]:
            await PostgresQueue(db).step(task_id, fence, verb)
        return True


async def _status(db: Connection, task_id: int, fence: int) -> TaskStatus:
    row = await db.fetchrow(_TASK, task_id)
    if row is None or row["fence"] != fence:
        raise Fenced(task_id=task_id)
    found = TaskStatus.by_label(row["status"])
    assert isinstance(found, TaskStatus)
    return found


async def finished(
    database: Database,
    task_id: int,
    fence: int,
    *,
    source: str,
    outcome: str,
    message: str = "",
    damaged: Sequence[str] = (),
    hwid: str | None = None,
    figures: tuple[int, int] | None = None,
    bytes_sent: int = 0,
) -> bool:
    """The worker is through: `outcome` done, error, stopped (handed on), retry (tried again after a pause), or of a
    backup full or storage (its pool could not take it: it goes elsewhere if it can). Whether that ended the task in Error.

    A repeat changes nothing. A backup is done when its record is in the catalogue, whatever its
    client says. `source` is the reporter's role or `server`, and `hwid`, when given, the host's id:
    Refused unless it is the task's worker. Fenced for a task that went to somebody else; for
    `stopped` that is what was asked for. `figures`: files and bytes that were done; `bytes_sent`: by this attempt.
    """
    async with database.transaction() as db:
        row = await db.fetchrow(_TASK, task_id)
        own = row is not None and (
            source == "server" or (source == row["executor"] and hwid in {None, row[f"{source}_hwid"]})
        )
        if row is None or row["fence"] != fence:
            if outcome == "stopped":
                if own:
                    await db.execute(_SENT, task_id, fence, bytes_sent)
                return False
            raise Fenced(task_id=task_id)
        if not own:
            raise Refused("The task belongs to another host.")
        await db.execute(_SENT, task_id, fence, bytes_sent)
        if TaskStatus.by_label(row["status"]) in FINAL:
            return bool(row["status"] == TaskStatus.ERROR.label)
        await _end(db, row, outcome, message, damaged)
        if figures is not None:
            await db.execute(_FIGURES, task_id, *figures)
        if message:
            await task_log.say(db, task_id, message, LEVELS.get(outcome, "warning"))
        status: str = await db.fetchval("SELECT status FROM task_queue WHERE id = $1", task_id)
        return status == TaskStatus.ERROR.label


async def _end(db: Connection, row: Any, outcome: str, message: str, damaged: Sequence[str]) -> None:
    queue, task_id, fence, text = PostgresQueue(db), row["id"], row["fence"], task_log.printable(message)
    if outcome in POOL_OUTCOMES:
        await _pool_failed(db, row, outcome, text)
    elif outcome == "retry" and row["attempt"] >= ATTEMPTS:
        await queue.step(task_id, fence, Verb.BREAK, text)
    elif outcome == "retry":
        await _pause(db, row, text)
    elif outcome == "stopped":
        await queue.step(task_id, fence, Verb.HAND_ON, text)
    elif outcome == "error" and not damaged:
        await queue.step(task_id, fence, Verb.FAIL, text)
    elif row["task_type"] == TaskType.VERIFY.label:
        await verifications.store(db, task_id, fence, damaged, text)
    elif jobs.is_cleaning(row) and outcome == "done":
        await cleanings.done(db, task_id, damaged)
        await queue.step(task_id, fence, Verb.FINISH, text)
    elif (jobs.is_backup(row) or jobs.is_copy(row)) and not await db.fetchval(_SEALED, row["record_uuid"]):
        await db.execute(_AWAIT_SEAL, task_id, fence, CONFIRMATION_SECONDS)
    else:
        await queue.step(task_id, fence, Verb.FINISH if outcome == "done" else Verb.FAIL, text)


async def _pool_failed(db: Connection, row: Any, outcome: str, text: str) -> None:
    """A storage that failed is tried once more, as the pool may have others; then the backup goes into another pool, if it can."""
    queue = PostgresQueue(db)
    await notify(db, "pools")  # how they are is asked for at once
    if not jobs.is_backup(row):
        await queue.step(row["id"], row["fence"], Verb.FAIL, text)
    elif outcome == "storage" and row["attempt"] < QUICK_ATTEMPTS:
        await _pause(db, row, text)
    elif row["attempt"] < ATTEMPTS and (other := await placement.failed(db, row["id"])):
        await queue.step(row["id"], row["fence"], Verb.HAND_ON, text)
        await task_log.say(db, row["id"], f"The pool could not take the copy; pool {other} can be tried.", "warning")
    else:
        await queue.step(row["id"], row["fence"], Verb.FAIL, text)


async def _pause(db: Connection, row: Any, text: str) -> None:
    """What the task needs is out of reach: it is tried again shortly, then at the pace that is configured."""
    quick = row["attempt"] <= QUICK_ATTEMPTS
    seconds = RETRY_SECONDS * row["attempt"]
    if not quick:
        seconds = 60.0 * await configuration.number(db, "suspended_task_restart_period")
    await PostgresQueue(db).step(row["id"], row["fence"], Verb.HAND_ON if quick else Verb.SUSPEND, text)
    await db.execute(_LATER, row["id"], seconds)


async def resume_suspended(db: Connection) -> int:
    """Put tasks whose rest is over back into the queue; how many."""
    rows = await db.fetch(_REST_OVER, RESUMED_AT_ONCE)
    for row in rows:
        await PostgresQueue(db).operate(row["id"], Verb.RESUME)
    return len(rows)


async def of_worker(database: Database, role: str, hwid: str, tasks: Collection[int]) -> set[int]:
    """Which of these tasks are this host's to work on."""
    async with database.connection() as db:
        return {row["id"] for row in await db.fetch(_WORKED_ON, list(tasks), role, hwid)}


async def heartbeat(database: Database, beats: Sequence[Beat], lease_seconds: float) -> list[int]:
    """Prolong leases and store progress; the ids that their worker no longer holds."""
    async with database.transaction() as db:
        return await PostgresQueue(db).heartbeat(beats, lease_seconds)


async def add_log(
    database: Database, task_id: int, source: str, fence: int, first: int, lines: Sequence[task_log.Line]
) -> None:
    """Store lines (unix time in ns, level, text) of a worker, numbered from `first`; a repeat changes nothing."""
    async with database.transaction() as db:
        await task_log.add(db, task_id, source, fence, first, lines)


async def reap(database: Database, epoch: int | None = None) -> list[Reaped]:
    """Take tasks from workers that fell silent, the log of each says what became of it; wake those that rested.

    Fenced when `epoch` is given and another server leads.
    """
    async with database.transaction() as db:
        if epoch is not None:
            await check_epoch(db, epoch)
        reaped = await PostgresQueue(db).reap(ATTEMPTS)
        for one in reaped:
            broken = one.status is TaskStatus.BROKEN
            text = "it was the last of its attempts." if broken else "another attempt follows."
            await task_log.say(db, one.task_id, f"The worker fell silent; {text}", "error" if broken else "warning")
        await resume_suspended(db)
        await placement.wake(db)
        await clusters.wake(db)
        return reaped


async def fail(database: Database, task_id: int, fence: int, message: str) -> None:
    """End a task that cannot be ordered in Error; Fenced when it is not held under this fence, NotFound."""
    async with database.transaction() as db:
        await PostgresQueue(db).step(task_id, fence, Verb.FAIL, message)
        await task_log.say(db, task_id, message, "error")
