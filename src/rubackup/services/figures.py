"""Figures of the whole system for its metrics: each query reads little, however many tasks and copies there are.

Tasks are counted by an index alone and to COUNTED at most for each state and type; beyond, the planner's estimate
stands. Progress is summed over tasks that are worked on, sizes over an index that holds them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from time import monotonic
from typing import Any

import msgspec

from rubackup.catalog.database import Connection, Database
from rubackup.domain.tasks import HELD

FRESH_SECONDS = 5.0
SIZES_FRESH_SECONDS = 60.0
COUNTED = 10_000

_PAIRS = """
WITH RECURSIVE pairs AS (
    (SELECT status, task_type FROM task_queue ORDER BY status, task_type LIMIT 1)
    UNION ALL
    SELECT next.status, next.task_type FROM pairs, LATERAL (
        SELECT q.status, q.task_type FROM task_queue q WHERE (q.status, q.task_type) > (pairs.status, pairs.task_type)
        ORDER BY q.status, q.task_type LIMIT 1) next
)
SELECT p.status, p.task_type, (
    SELECT count(*) FROM (
        SELECT q.status, q.task_type FROM task_queue q WHERE (q.status, q.task_type) >= (p.status, p.task_type)
        ORDER BY q.status, q.task_type LIMIT $1) c
    WHERE c.status = p.status AND c.task_type = p.task_type) AS tasks
FROM pairs p ORDER BY p.status, p.task_type"""
"""Each pair is found, and counted, from where it begins in the index; an equality would let the planner read the table."""
_ESTIMATE = "EXPLAIN (FORMAT JSON) SELECT 1 FROM task_queue WHERE status = $1 AND task_type = $2"
_PROGRESS = """
SELECT t.task_type, count(*) AS tasks, coalesce(sum(g.bytes_done), 0)::bigint AS bytes_done,
    coalesce(sum(g.bytes_sent), 0)::bigint AS bytes_sent,
    coalesce(sum(g.speed_bytes_per_second), 0)::bigint AS speed
FROM task_queue t LEFT JOIN task_progress g ON g.task_id = t.id
WHERE t.status IN ('Assigned', 'At_Client', 'Execution', 'Transmission') GROUP BY t.task_type ORDER BY t.task_type"""
_POOLS = """
SELECT p.id, p.pool_name, p.pool_type, coalesce(s.problem, '') = '' AS usable, coalesce(s.used_bytes, 0) AS used_bytes,
    coalesce(s.free_bytes, 0) AS free_bytes, coalesce(s.total_bytes, 0) AS total_bytes
FROM pools p LEFT JOIN pool_state s ON s.pool_id = p.id ORDER BY p.id"""
_SIZES = """
SELECT pool_id, count(*) AS copies, sum(size_bytes)::bigint AS size_bytes, sum(stored_bytes)::bigint AS stored_bytes
FROM repository GROUP BY pool_id"""
_HOSTS = """
SELECT 'client' AS role, count(*) AS known, count(*) FILTER (WHERE p.online) AS online
FROM clients c LEFT JOIN client_presence p ON p.client_id = c.id
UNION ALL
SELECT 'media server', count(*), count(*) FILTER (WHERE p.online)
FROM media_servers m LEFT JOIN media_presence p ON p.media_server_id = m.id"""
_WAITS = "SELECT bucket, tasks, seconds FROM queue_waits ORDER BY bucket"

Row = Any


@dataclass(frozen=True)
class Figures:
    """What was read; `sizes` by pool id: copies, their bytes before and after deduplication and compression."""

    tasks: dict[tuple[str, str], int] = field(default_factory=dict)
    progress: list[Row] = field(default_factory=list)
    pools: list[Row] = field(default_factory=list)
    sizes: dict[int, tuple[int, int, int]] = field(default_factory=dict)
    hosts: list[Row] = field(default_factory=list)
    waits: list[Row] = field(default_factory=list)


assert {one.label for one in HELD} == {"Assigned", "At_Client", "Execution", "Transmission"}


async def count_tasks(db: Connection) -> dict[tuple[str, str], int]:
    """How many tasks there are by state and type: exact to COUNTED, beyond it an estimate."""
    found: dict[tuple[str, str], int] = {}
    for row in await db.fetch(_PAIRS, COUNTED + 1):
        number = row["tasks"]
        if number > COUNTED:
            plan = msgspec.json.decode(await db.fetchval(_ESTIMATE, row["status"], row["task_type"]))
            number = max(int(plan[0]["Plan"]["Plan Rows"]), number)
        found[row["status"], row["task_type"]] = number
    return found


class FigureBook:
    """The figures, read anew when they are older than a few seconds; the sizes of copies once a minute."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._figures = Figures()
        self._read_at = self._sized_at = float("-inf")

    async def now(self) -> Figures:
        """Figures of a few seconds ago at most. Not for several at a time: `api.single` sees to that."""
        if monotonic() - self._read_at >= FRESH_SECONDS:
            async with self._database.connection() as db:
                self._figures = await self._read(db)
            self._read_at = monotonic()
        return self._figures

    async def _read(self, db: Connection) -> Figures:
        sizes = self._figures.sizes
        if monotonic() - self._sized_at >= SIZES_FRESH_SECONDS:
            sizes = {row["pool_id"]: tuple(row)[1:] for row in await db.fetch(_SIZES)}
            self._sized_at = monotonic()
        return Figures(
            tasks=await count_tasks(db),
            progress=await db.fetch(_PROGRESS),
            pools=await db.fetch(_POOLS),
            sizes=sizes,
            hosts=await db.fetch(_HOSTS),
            waits=await db.fetch(_WAITS),
        )
