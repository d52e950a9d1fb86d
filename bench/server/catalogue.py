"""The catalogue behind the bench: a queue of many tasks, rules that are all due in one minute, what is read of it."""

from __future__ import annotations

import asyncio
import datetime as dt
import sys
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import asyncpg

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))

from rubackup.roles.settings import Settings
from support.system import System

BATCH = 20_000
HOG_PRIORITY, PRIORITY = 200, 100

_PLACED = """
CREATE TABLE bench_placed AS
SELECT c.id AS client_id, p.id AS pool_id, p.media_server_id, row_number() OVER (ORDER BY c.hwid) - 1 AS n
FROM clients c
JOIN unnest($1::text[], $2::text[]) AS w (client, media) ON w.client = c.hwid
JOIN media_servers m ON m.hwid = w.media JOIN pools p ON p.media_server_id = m.id"""
_FILL = """
WITH made AS (
    INSERT INTO task_queue (task_type, executor, priority, client_id, media_server_id, pool_id, resource_type, resource,
        backup_type, storage_duration, created_by)
    SELECT 'Backup', 'client', CASE WHEN i < $3::bigint THEN $5::integer ELSE $6::integer END, b.client_id, b.media_server_id, b.pool_id,
        'File system', '/data/' || i, 'full', interval '30 days', 'bench'
    FROM generate_series($1::bigint, $2::bigint - 1) i
    JOIN bench_placed b ON b.n = CASE WHEN i < $3::bigint THEN 0 ELSE i % $4::bigint END
    RETURNING id, client_id, resource, pool_id
)
INSERT INTO task_reservations (task_id, kind, key, exclusive)
SELECT id, 'resource', client_id || ':File system:' || resource, true FROM made
UNION ALL SELECT id, 'pool', pool_id::text, false FROM made"""
_GROUPS = (
    "inform_when_obsoleted_copy", "notify_normal", "notify_exception", "notify_rule_validity", "notify_verify",
    "notify_end_storage_capacity",
)  # fmt: skip
_RULES = f"""
INSERT INTO global_schedule (name, client_id, resource_type, resource, backup_type, pool_id, status, storage_duration,
    min, hour, dom, mon, dow, priority, {", ".join(f"{one}_group_id" for one in _GROUPS)})
SELECT 'bench ' || i, b.client_id, 'File system', '/ruled/' || i, 'full', b.pool_id, 'run', '30 days',
    $2::text, $3::text, '*', '*', '*', 150, {", ".join("g.id" for _ in _GROUPS)}
FROM generate_series(0, $1::bigint - 1) i JOIN bench_placed b ON b.n = i % $4::bigint
CROSS JOIN (SELECT id FROM user_groups ORDER BY id LIMIT 1) g"""
_SCANS = """
SELECT relname AS "table", seq_scan AS scans, seq_tup_read AS rows_read, n_live_tup AS rows, pg_total_relation_size(relid) / 1048576 AS mib
FROM pg_stat_user_tables WHERE n_live_tup > 1000 AND seq_scan > 0 ORDER BY seq_tup_read DESC LIMIT 8"""
_LAUNCHED = """
SELECT count(*) AS launches, min(at) AS first, max(at) AS last, extract(epoch FROM max(at - due_at))::float8 AS latest,
    extract(epoch FROM avg(at - due_at))::float8 AS mean
FROM schedule_ticks k WHERE k.due_at = $1"""
EXPLAIN = {
    "claim: candidates": """SELECT id FROM task_queue WHERE status = 'New' AND blocked_on IS NULL
        AND (not_before IS NULL OR not_before <= now()) AND id <> ALL ('{}'::bigint[])
        ORDER BY priority DESC, id LIMIT 32 FOR NO KEY UPDATE SKIP LOCKED""",
}


def connected(system: System, work: Callable[[Any], Coroutine[Any, Any, Any]], *, administrator: bool = False) -> Any:
    """What `work` gives with a connection to the catalogue."""

    async def run() -> Any:
        settings = Settings.load(system.state / "etc/api.env", {})
        user, password = settings.text("DB_USER"), settings.secret("DB_PASSWORD_FILE")
        if administrator:
            user, password = "postgres", (system.state / "secrets/postgres-password").read_text().strip()
        connection = await asyncpg.connect(
            host=settings.text("DB_HOST"), port=settings.port("DB_PORT"), user=user, password=password,
            database=settings.text("DB_NAME"), server_settings={"statement_timeout": "0"},
        )  # fmt: skip
        try:
            return await work(connection)
        finally:
            await connection.close()

    return asyncio.run(run())


def note_slow(system: System, milliseconds: int) -> None:
    """PostgreSQL writes slower statements into its log."""

    async def work(db: Any) -> None:
        await db.execute(f"ALTER SYSTEM SET log_min_duration_statement = {milliseconds}")
        await db.execute("SELECT pg_reload_conf()")

    connected(system, work, administrator=True)


def place(system: System, pairs: list[tuple[str, str]]) -> None:
    """Which client backs up to which media server."""

    async def work(db: Any) -> None:
        await db.execute("DROP TABLE IF EXISTS bench_placed")
        await db.execute(_PLACED.replace("$1", _array(c for c, _ in pairs)).replace("$2", _array(m for _, m in pairs)))
        await db.execute("CREATE INDEX ON bench_placed (n)")
        await db.execute("ANALYZE")

    connected(system, work)


def _array(texts: Any) -> str:
    return "'{" + ",".join(texts) + "}'"


def fill(system: System, tasks: int, clients: int, hog: int) -> float:
    """Queue so many tasks, the first `hog` of them of one client and of higher priority; seconds that it took."""

    async def work(db: Any) -> None:
        await db.execute("SET synchronous_commit = off")
        for first in range(0, tasks, BATCH):
            last = min(first + BATCH, tasks)
            await db.execute(_FILL, first, last, hog, clients, HOG_PRIORITY, PRIORITY)
        await db.execute("VACUUM ANALYZE task_queue")
        await db.execute("VACUUM ANALYZE task_reservations")

    began = time.monotonic()
    connected(system, work)
    return time.monotonic() - began


def rule(system: System, rules: int, clients: int, at: dt.datetime) -> None:
    """So many rules that launch each day at this minute."""

    async def work(db: Any) -> None:
        await db.execute(_RULES, rules, str(at.minute), str(at.hour), clients)

    connected(system, work)


def launched(system: System, at: dt.datetime) -> dict[str, Any]:
    """What became of the launches of this minute."""
    return dict(connected(system, lambda db: db.fetchrow(_LAUNCHED, at)))


def number(system: System, statement: str) -> int:
    """The number that a statement gives."""
    return int(connected(system, lambda db: db.fetchval(statement)))


def statuses(system: System) -> dict[str, int]:
    """How many tasks there are of each state; of New ones how many wait for something."""
    statement = """SELECT CASE WHEN blocked_on IS NULL THEN status ELSE status || ' for ' || split_part(blocked_on, ':', 1)
        || CASE WHEN blocked_on LIKE 'places%' THEN ':' || split_part(blocked_on, ':', 2) ELSE '' END END AS state,
        count(*) AS n FROM task_queue GROUP BY 1 ORDER BY 2 DESC"""
    return {row["state"]: row["n"] for row in connected(system, lambda db: db.fetch(statement))}


def scans(system: System) -> list[dict[str, Any]]:
    """Tables that were read from end to end, those first of which most was read."""
    return [dict(row) for row in connected(system, lambda db: db.fetch(_SCANS))]


def plans(system: System) -> dict[str, str]:
    """How PostgreSQL finds what the dispatcher asks for, with times."""

    async def work(db: Any) -> dict[str, str]:
        found = {}
        for name, statement in EXPLAIN.items():
            async with db.transaction():
                rows = await db.fetch(f"EXPLAIN (ANALYZE, BUFFERS, COSTS OFF) {statement}")
            found[name] = "\n".join(row[0] for row in rows)
        return found

    return dict(connected(system, work))
