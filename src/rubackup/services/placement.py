"""Which pool a backup goes into, decided when it is handed out: the one it names, a substitution of that, or a member of its group.

A substitution takes the place of a pool that cannot be used: its media server is offline or in its local service mode, it has no
storage, its media server reports a problem (no room above the reserve, for one; of a Client defined pool the client does, or has no
folder for it), or it failed this very task. Tried are the
substitutions in the order in which they were made; their own do not count. Of a dynamic pool group the member with the least load gets
the task, among those that can be used and are below every limit. Design: `docs/design/pools.md`, Which pool.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from rubackup.catalog.database import Connection
from rubackup.domain.lookups import TaskType
from rubackup.domain.pools import CLIENT_DEFINED, WRITTEN
from rubackup.domain.tasks import HELD
from rubackup.queue import claims
from rubackup.services import client_pools, configuration, pools, storage_kinds, task_log

BLOCK_BYTES = 1024
"""Of a block operation, as vmstat counts them."""
WAKE_LIMIT = 32
NO_PLACE = "it or its media server has as many tasks as it takes at a time"
_HELD = [status.label for status in HELD]

_TASK = """
SELECT t.id, coalesce(t.wanted_pool_id, t.pool_id) AS home, t.pool_id, t.pool_group_id, t.pools_failed, t.client_id,
    g.name AS group_name
FROM task_queue t LEFT JOIN dynamic_pool_groups g ON g.id = t.pool_group_id WHERE t.id = $1"""
_CANDIDATES = f"""
SELECT c.position, p.id, p.pool_name, p.pool_type, m.id AS media_id, m.hostname, m.hwid, m.local_service_mode,
    coalesce(mp.online, false) AS online, p.pool_type = ANY ($3::text[]) AS written,
    {storage_kinds.COUNT} > 0 AS has_storage, {pools.PROBLEM} AS problem, {client_pools.PROBLEM_OF} AS client_problem
FROM (
    SELECT $1::bigint AS pool_id, 0::bigint AS position WHERE $2::bigint IS NULL
    UNION ALL SELECT substitution_id, id FROM pool_substitutions WHERE pool_id = $1 AND $2::bigint IS NULL
    UNION ALL SELECT pool_id, id FROM dynamic_pool_groups_records WHERE group_id = $2 AND enabled
) c JOIN pools p ON p.id = c.pool_id JOIN media_servers m ON m.id = p.media_server_id
LEFT JOIN media_presence mp ON mp.media_server_id = m.id LEFT JOIN pool_state s ON s.pool_id = p.id
ORDER BY c.position, p.id"""  # noqa: S608 - expressions of the code
_LOADS = """
SELECT p.id, count(t.id) FILTER (WHERE t.pool_id = p.id) AS pool_tasks, count(t.id) AS media_tasks,
    coalesce(load.cpu, 0) AS cpu, coalesce(load.blocks_in, 0) AS blocks_in, coalesce(load.blocks_out, 0) AS blocks_out
FROM pools p JOIN media_servers m ON m.id = p.media_server_id
LEFT JOIN task_queue t ON t.media_server_id = p.media_server_id AND t.status = ANY ($2::text[]) AND t.id <> ALL ($3::bigint[])
LEFT JOIN LATERAL (
    SELECT avg(y.general_cpu_usage) AS cpu, avg(y.general_io_usage_r) / $5 AS blocks_in,
        avg(y.general_io_usage_w) / $5 AS blocks_out
    FROM system_monitoring y WHERE y.hwid = m.hwid AND y.timestamp_after > now() - make_interval(secs => $4)
) load ON true
WHERE p.id = ANY ($1::bigint[]) GROUP BY p.id, load.cpu, load.blocks_in, load.blocks_out"""
_FULL = """
SELECT p.id
FROM pools p JOIN media_servers m ON m.id = p.media_server_id LEFT JOIN media_presence mp ON mp.media_server_id = m.id
LEFT JOIN task_queue t ON t.media_server_id = m.id AND t.status = ANY ($2::text[]) AND t.id <> ALL ($3::bigint[])
WHERE p.id = ANY ($1::bigint[]) GROUP BY p.id, m.id, mp.sessions_taken
HAVING p.max_tasks > 0 AND count(t.id) FILTER (WHERE t.pool_id = p.id) >= p.max_tasks
    OR m.max_tasks > 0 AND count(t.id) >= m.max_tasks
    OR count(t.id) FILTER (WHERE t.executor = 'client') >= mp.sessions_taken"""
_GROUP = """
SELECT id, name, max_pool_tasks, max_media_server_tasks, max_cpu_usage, max_in_block_operations, max_out_block_operations,
    calculation_period FROM dynamic_pool_groups WHERE id = $1"""
_PUT = """
UPDATE task_queue t SET pool_id = $2, media_server_id = p.media_server_id,
    wanted_pool_id = CASE WHEN t.pool_group_id IS NULL AND $2 <> $3 THEN $3 END
FROM pools p WHERE t.id = $1 AND p.id = $2"""
_RESERVED = """
UPDATE task_reservations SET key = $3 WHERE task_id = $1 AND kind = 'pool' AND key = $2"""
_EVENT = """
INSERT INTO events (kind, family, row_id, client_group_id, media_server_id, data)
SELECT 'changed', 'task_queue', t.id, c.group_id, t.media_server_id, $2
FROM task_queue t LEFT JOIN clients c ON c.id = t.client_id WHERE t.id = $1"""
_FAILED = """
UPDATE task_queue SET pools_failed = array_append(pools_failed, pool_id)
WHERE id = $1 AND pool_id IS NOT NULL AND pool_id <> ALL (pools_failed)"""
_CONCERNED = """
SELECT t.id FROM task_queue t
WHERE t.id = ANY ($1::bigint[]) AND t.task_type = $2 AND (t.pool_group_id IS NOT NULL OR t.wanted_pool_id IS NOT NULL
    OR EXISTS (SELECT 1 FROM pool_substitutions s WHERE s.pool_id = t.pool_id))"""
_WAIT_FOR_GROUPS = """
SELECT pool_group_id, array_agg(id) AS ids FROM (
    SELECT pool_group_id, id, row_number() OVER (PARTITION BY pool_group_id ORDER BY priority DESC, id) AS place
    FROM task_queue WHERE pool_group_id IS NOT NULL AND blocked_on = 'group:' || pool_group_id
) t WHERE place <= $1 GROUP BY pool_group_id ORDER BY pool_group_id"""
_WAIT_FOR_POOLS = """
SELECT home, array_agg(id) AS ids FROM (
    SELECT coalesce(t.wanted_pool_id, t.pool_id) AS home, t.id,
        row_number() OVER (PARTITION BY coalesce(t.wanted_pool_id, t.pool_id) ORDER BY t.priority DESC, t.id) AS place
    FROM task_queue t WHERE t.task_type = $2 AND t.pool_group_id IS NULL AND t.blocked_on LIKE 'media:%'
        AND EXISTS (SELECT 1 FROM pool_substitutions s WHERE s.pool_id = coalesce(t.wanted_pool_id, t.pool_id))
) t WHERE place <= $1 GROUP BY home ORDER BY home"""


@dataclass(frozen=True)
class Choice:
    """The pool of a task, or why it has to wait: `wait` names what for (`blocked_on`)."""

    pool_id: int = 0
    wait: str = ""
    message: str = ""


async def choose(db: Connection, task_id: int, unplaced: Collection[int] = ()) -> Choice:
    """Put a backup into the pool that takes it, and say so where that is not the one it was in.

    `unplaced` tasks of the same claim burden no pool yet. A pool is kept when no other can be used: then the task waits
    for its media server, or fails with what is wrong with it.
    """
    task = await db.fetchrow(_TASK, task_id)
    found = await db.fetch(_CANDIDATES, task["home"], task["pool_group_id"], list(WRITTEN), task["client_id"])
    if task["pool_group_id"] is not None:
        choice = await _of_group(db, task, found, {task_id, *unplaced})
    else:
        full = await _full(db, [one for one in found if one["id"] != task["home"]], {task_id, *unplaced})
        choice = _of_pool(task, [one for one in found if one["id"] not in full])
    if choice.pool_id and choice.pool_id != task["pool_id"]:
        await _put(db, task, choice)
    return choice


def unusable(pool: Any, failed: Sequence[int] = ()) -> str:
    """Why a pool (a row of the candidates) cannot take a backup now, as the end of a sentence; '' when it can."""
    if pool["id"] in failed:
        return "it could not take this backup"
    if not pool["written"]:
        return "this version does not write to pools of its type"
    if not pool["has_storage"]:
        return "it has no storage"
    if pool["local_service_mode"]:
        return f"media server {pool['hostname']} is in its local service mode"
    if not pool["online"]:
        return f"media server {pool['hostname']} is offline"
    if pool["client_problem"]:
        return str(pool["client_problem"]).rstrip(".")
    if pool["pool_type"] == CLIENT_DEFINED:
        return ""  # what other clients say of it says nothing of this one's part
    return "" if pool["problem"] in {"", pools.UNREPORTED} else str(pool["problem"]).rstrip(".")


def _of_pool(task: Any, found: Sequence[Any]) -> Choice:
    home = next((one for one in found if one["id"] == task["home"]), None)
    if home is None:
        return Choice()
    reason = unusable(home, task["pools_failed"])
    if not reason:
        back = (
            f"Pool {home['pool_name']} can be used again: the copy goes there." if task["pool_id"] != home["id"] else ""
        )
        return Choice(home["id"], message=back)
    other = next((one for one in found if one["id"] != home["id"] and not unusable(one, task["pools_failed"])), None)
    if other is not None:
        return Choice(
            other["id"],
            message=f"Pool {home['pool_name']} cannot be used: {reason}. "
            f"The copy goes into pool {other['pool_name']}, its substitution.",
        )
    return Choice(home["id"])


async def _of_group(db: Connection, task: Any, found: Sequence[Any], excluded: set[int]) -> Choice:
    group = await db.fetchrow(_GROUP, task["pool_group_id"])
    usable = [one for one in found if not unusable(one, task["pools_failed"])]
    loads = await _loads(db, group, usable, excluded)
    full = await _full(db, usable, excluded)
    free = [one for one in usable if not _over(group, loads[one["id"]]) and one["id"] not in full]
    if not free:
        reasons = [f"{one['pool_name']}: {unusable(one, task['pools_failed'])}" for one in found if one not in usable]
        reasons += [f"{one['pool_name']}: {_over(group, loads[one['id']]) or NO_PLACE}" for one in usable]
        told = "; ".join(sorted(reasons)) or "it has none that is enabled"
        text = f"No pool of the dynamic pool group {group['name']} can take the task now: {told}."
        return Choice(wait=f"group:{group['id']}", message=text)
    best = min(free, key=lambda one: (_share(group, loads[one["id"]]), one["position"]))
    text = f"The dynamic pool group {group['name']} gives the copy to pool {best['pool_name']}."
    return Choice(best["id"], message=text)


async def _loads(db: Connection, group: Any, found: Sequence[Any], excluded: Collection[int]) -> dict[int, Any]:
    # A host that measures less often than the group looks has one sample at least in twice its own period.
    seconds = max(group["calculation_period"], 2 * await configuration.number(db, "monitoring_period"))
    ids = [one["id"] for one in found]
    rows = await db.fetch(_LOADS, ids, _HELD, list(excluded), float(seconds), float(BLOCK_BYTES))
    return {row["id"]: row for row in rows}


async def _full(db: Connection, found: Sequence[Any], excluded: Collection[int]) -> set[int]:
    """The pools among these that have no place for one more task."""
    if not found:
        return set()
    rows = await db.fetch(_FULL, [one["id"] for one in found], _HELD, list(excluded))
    return {row["id"] for row in rows}


_LIMITS = (
    ("max_pool_tasks", "pool_tasks", "{:.0f} of {} tasks at work"),
    ("max_media_server_tasks", "media_tasks", "{:.0f} of {} tasks at work on its media server"),
    ("max_cpu_usage", "cpu", "processors used by {:.0f} of {} percent"),
    ("max_in_block_operations", "blocks_in", "{:.0f} of {} blocks read a second"),
    ("max_out_block_operations", "blocks_out", "{:.0f} of {} blocks written a second"),
)
"""Limit of the group, what it is held against, and that in words. Tasks are counted, the rest is an average."""


def _over(group: Any, load: Any) -> str:
    """Which limit keeps a pool from getting a task; '' when none does."""
    for limit, name, text in _LIMITS:
        if group[limit] and load[name] >= group[limit]:
            return text.format(load[name], group[limit])
    return ""


def _share(group: Any, load: Any) -> tuple[float, ...]:
    """How busy a pool is: the largest share of a limit that is used, then tasks and processors."""
    shares = [load[name] / group[limit] for limit, name, _ in _LIMITS if group[limit]]
    return (max(shares, default=0.0), float(load["pool_tasks"]), float(load["media_tasks"]), float(load["cpu"]))


async def _put(db: Connection, task: Any, choice: Choice) -> None:
    await db.execute(_PUT, task["id"], choice.pool_id, task["home"])
    await db.execute(_RESERVED, task["id"], str(task["pool_id"]), str(choice.pool_id))
    await db.execute(_EVENT, task["id"], {"pool_id": choice.pool_id})
    if choice.message:
        await task_log.say(db, task["id"], choice.message, "warning" if task["pool_group_id"] is None else "info")


async def failed(db: Connection, task_id: int) -> str:
    """The pool could not take the backup: it is not tried again by this task. The pool that could, by name; '' for none."""
    await db.execute(_FAILED, task_id)
    task = await db.fetchrow(_TASK, task_id)
    found = await db.fetch(_CANDIDATES, task["home"], task["pool_group_id"], list(WRITTEN), task["client_id"])
    return next((str(one["pool_name"]) for one in found if not unusable(one, task["pools_failed"])), "")


async def wake(db: Connection) -> int:
    """Let tasks go on that wait for a group, or for a media server, and that another pool could take now; how many."""
    ready: list[int] = []
    for row in await db.fetch(_WAIT_FOR_GROUPS, WAKE_LIMIT):
        group = await db.fetchrow(_GROUP, row["pool_group_id"])
        found = await db.fetch(_CANDIDATES, None, row["pool_group_id"], list(WRITTEN), None)
        usable = [one for one in found if not unusable(one)]
        loads, full = await _loads(db, group, usable, ()), await _full(db, usable, ())
        if any(not _over(group, loads[one["id"]]) and one["id"] not in full for one in usable):
            ready += row["ids"]
    for row in await db.fetch(_WAIT_FOR_POOLS, WAKE_LIMIT, TaskType.BACKUP.label):
        found = await db.fetch(_CANDIDATES, row["home"], None, list(WRITTEN), None)
        if any(not unusable(one) for one in found):
            ready += row["ids"]
    await claims.free(db, ready)
    return len(ready)


async def concerned(db: Connection, tasks: Sequence[int]) -> list[int]:
    """The backups among these for which another pool than their own may be chosen."""
    rows = await db.fetch(_CONCERNED, list(tasks), TaskType.BACKUP.label)
    found = {row["id"] for row in rows}
    return [task for task in tasks if task in found]
