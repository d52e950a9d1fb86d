"""SQL of the PostgreSQL queue. The tables are those of catalog/migrations; design section 7."""

from __future__ import annotations

ADD = """
INSERT INTO task_queue (task_type, executor, priority, client_id, media_server_id, pool_id, record_id, record_uuid,
    resource_type, resource, backup_type, crypto, storage_duration, archiving, parameters, created_by, restarted_from,
    rule_id, strategy_id, strategy_rule_id, pool_group_id)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8::text::uuid, $9, $10, $11, $12, $13::text::interval, $14, $15, $16, $17,
    $18, $19, $20, $21)
RETURNING id"""

RESERVE = """
INSERT INTO task_reservations (task_id, kind, key, exclusive)
SELECT $1, kind, key, bool_or(exclusive)
FROM unnest($2::text[], $3::text[], $4::boolean[]) AS wanted (kind, key, exclusive) GROUP BY kind, key"""

NUMBERS = "SELECT nextval(pg_get_serial_sequence('task_queue', 'id')) FROM generate_series(1, $1)"

ADD_MANY = """
INSERT INTO task_queue (id, task_type, executor, priority, client_id, media_server_id, pool_id, record_id, record_uuid,
    resource_type, resource, backup_type, crypto, storage_duration, archiving, parameters, created_by, restarted_from,
    rule_id, strategy_id, strategy_rule_id, pool_group_id)
OVERRIDING SYSTEM VALUE
SELECT id, task_type, executor, priority, client_id, media_server_id, pool_id, record_id, record_uuid::uuid, resource_type,
    resource, backup_type, crypto, storage_duration::interval, archiving, parameters::jsonb, created_by, restarted_from,
    rule_id, strategy_id, strategy_rule_id, pool_group_id
FROM unnest($1::bigint[], $2::text[], $3::text[], $4::integer[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[],
    $9::text[], $10::text[], $11::text[], $12::text[], $13::text[], $14::text[], $15::boolean[], $16::text[], $17::text[],
    $18::bigint[], $19::bigint[], $20::bigint[], $21::bigint[], $22::bigint[])
    AS n (id, task_type, executor, priority, client_id, media_server_id, pool_id, record_id, record_uuid, resource_type,
        resource, backup_type, crypto, storage_duration, archiving, parameters, created_by, restarted_from, rule_id,
        strategy_id, strategy_rule_id, pool_group_id)"""

RESERVE_MANY = """
INSERT INTO task_reservations (task_id, kind, key, exclusive)
SELECT task_id, kind, key, bool_or(exclusive)
FROM unnest($1::bigint[], $2::text[], $3::text[], $4::boolean[]) AS wanted (task_id, kind, key, exclusive)
GROUP BY task_id, kind, key"""

CANDIDATES = """
SELECT id FROM task_queue
WHERE status = 'New' AND blocked_on IS NULL AND (not_before IS NULL OR not_before <= now()) AND id <> ALL ($2::bigint[])
ORDER BY priority DESC, id
LIMIT $1
FOR NO KEY UPDATE SKIP LOCKED"""
"""NO KEY, here and below: log lines, which refer to the task, may be written meanwhile."""

CLASHES = """
SELECT mine.task_id, mine.kind, mine.key, mine.exclusive, other.task_id AS holder
FROM task_reservations mine
LEFT JOIN LATERAL (
    SELECT task_id FROM task_reservations
    WHERE held AND kind = mine.kind AND key = mine.key AND (exclusive OR mine.exclusive)
    LIMIT 1
) other ON true
WHERE mine.task_id = ANY ($1::bigint[])
ORDER BY mine.task_id, mine.kind, mine.key"""

_PLACES = """
    ('client', c.id, least(nullif(c.max_tasks, 0), cp.tasks_taken), {executor} = 'client'),
    ('media', m.id, mp.tasks_taken, {executor} <> 'client'),
    ('sessions', m.id, mp.sessions_taken, {executor} = 'client'),
    ('server', m.id, nullif(m.max_tasks, 0), true),
    ('pool', p.id, nullif(p.max_tasks, 0), true)"""

PLACES = f"""
SELECT t.id, 'places:' || k.kind || ':' || k.id AS name, k.most
FROM task_queue t
LEFT JOIN clients c ON c.id = t.client_id LEFT JOIN client_presence cp ON cp.client_id = c.id
LEFT JOIN media_servers m ON m.id = t.media_server_id LEFT JOIN media_presence mp ON mp.media_server_id = m.id
LEFT JOIN pools p ON p.id = t.pool_id
CROSS JOIN LATERAL (VALUES {_PLACES.format(executor="t.executor")}) AS k (kind, id, most, wanted)
WHERE t.id = ANY ($1::bigint[]) AND k.wanted AND k.most IS NOT NULL AND (k.kind = 'client' OR t.pool_group_id IS NULL)
ORDER BY t.id, k.kind"""  # noqa: S608 - a constant of ours
"""A dynamic pool group chooses pool and media server after the claim, and looks at their places itself."""

PLACES_OF = f"""
SELECT w.name, k.most
FROM (SELECT n AS name, split_part(n, ':', 2) AS kind, split_part(n, ':', 3)::bigint AS id
      FROM unnest($1::text[]) n) w
LEFT JOIN clients c ON w.kind = 'client' AND c.id = w.id LEFT JOIN client_presence cp ON cp.client_id = c.id
LEFT JOIN media_servers m ON w.kind IN ('media', 'sessions', 'server') AND m.id = w.id
LEFT JOIN media_presence mp ON mp.media_server_id = m.id
LEFT JOIN pools p ON w.kind = 'pool' AND p.id = w.id
CROSS JOIN LATERAL (VALUES {_PLACES.format(executor="''")}) AS k (kind, id, most, wanted)
WHERE k.kind = w.kind AND k.most IS NOT NULL"""  # noqa: S608 - a constant of ours

_HELD = "status IN ('Assigned', 'At_Client', 'Execution', 'Transmission')"

PLACES_TAKEN = f"""
SELECT 'places:client:' || client_id AS name, count(*)::int AS tasks FROM task_queue
WHERE {_HELD} AND executor = 'client' AND client_id = ANY ($1::bigint[]) GROUP BY client_id
UNION ALL SELECT 'places:media:' || media_server_id, count(*)::int FROM task_queue
WHERE {_HELD} AND executor <> 'client' AND media_server_id = ANY ($2::bigint[]) GROUP BY media_server_id
UNION ALL SELECT 'places:sessions:' || media_server_id, count(*)::int FROM task_queue
WHERE {_HELD} AND executor = 'client' AND media_server_id = ANY ($3::bigint[]) GROUP BY media_server_id
UNION ALL SELECT 'places:server:' || media_server_id, count(*)::int FROM task_queue
WHERE {_HELD} AND media_server_id = ANY ($4::bigint[]) GROUP BY media_server_id
UNION ALL SELECT 'places:pool:' || pool_id, count(*)::int FROM task_queue
WHERE {_HELD} AND pool_id = ANY ($5::bigint[]) GROUP BY pool_id"""  # noqa: S608 - a constant of ours

WAITED_FOR = """
SELECT n AS name FROM unnest($1::text[]) n
WHERE EXISTS (SELECT 1 FROM task_queue WHERE blocked_on = n) ORDER BY n"""

PLACES_WAITED_FOR = """
WITH RECURSIVE names AS (
    (SELECT blocked_on FROM task_queue WHERE blocked_on >= $1 AND blocked_on < $2 ORDER BY blocked_on LIMIT 1)
    UNION ALL
    SELECT (SELECT q.blocked_on FROM task_queue q WHERE q.blocked_on > names.blocked_on AND q.blocked_on < $2
            ORDER BY q.blocked_on LIMIT 1)
    FROM names WHERE names.blocked_on IS NOT NULL
)
SELECT blocked_on AS name FROM names WHERE blocked_on IS NOT NULL LIMIT $3"""

STILL_HELD = """
SELECT id FROM task_queue
WHERE id = ANY ($1::bigint[]) AND status IN ('Assigned', 'At_Client', 'Execution', 'Transmission')
FOR SHARE SKIP LOCKED"""

CLAIM = """
UPDATE task_queue SET status = 'Assigned', fence = nextval('task_fence'), attempt = attempt + 1, worker = $2,
    message = '', not_before = NULL, started_at = coalesce(started_at, now())
WHERE id = ANY ($1::bigint[])
RETURNING id, fence, attempt"""

WAITS = """
INSERT INTO queue_waits AS w (bucket, tasks, seconds)
SELECT width_bucket(t.waited, $2::float8[]), count(*), sum(t.waited)
FROM (SELECT extract(epoch FROM started_at - created_at)::float8 AS waited
      FROM task_queue WHERE id = ANY ($1::bigint[]) AND started_at = now()) t
GROUP BY 1 ORDER BY 1
ON CONFLICT (bucket) DO UPDATE SET tasks = w.tasks + excluded.tasks, seconds = w.seconds + excluded.seconds"""
"""Only tasks that this transaction handed out for the first time."""

HOLD = "UPDATE task_reservations SET held = true WHERE task_id = ANY ($1::bigint[])"

LEASE = """
INSERT INTO task_progress AS p (task_id, fence, lease_until)
SELECT q.id, q.fence, now() + make_interval(secs => $2) FROM task_queue q WHERE q.id = ANY ($1::bigint[])
ON CONFLICT (task_id) DO UPDATE SET fence = excluded.fence, lease_until = excluded.lease_until, updated_at = now(),
    files_done = 0, files_total = 0, bytes_done = 0, bytes_total = 0, bytes_sent = 0, speed_bytes_per_second = 0"""

MARK_BLOCKED = """
UPDATE task_queue q SET blocked_on = b.blocked_on, message = b.message
FROM unnest($1::bigint[], $2::text[], $3::text[]) AS b (id, blocked_on, message)
WHERE q.id = b.id"""

BLOCK_ALIKE = """
WITH head AS (
    SELECT id, client_id FROM task_queue
    WHERE status = 'New' AND blocked_on IS NULL AND (not_before IS NULL OR not_before <= now())
    ORDER BY priority DESC, id
    LIMIT $4
), alike AS (
    SELECT t.id FROM head h JOIN task_queue t ON t.id = h.id
    WHERE h.client_id = $1 AND t.status = 'New' AND t.blocked_on IS NULL AND t.executor = 'client'
    LIMIT $5
    FOR NO KEY UPDATE OF t SKIP LOCKED
)
UPDATE task_queue q SET blocked_on = $2, message = $3 FROM alike a WHERE q.id = a.id RETURNING q.id"""
"""Tasks of a client near the head of the queue; only there are they in the way, and it is never read as a whole."""

EVENTS = """
INSERT INTO events (kind, family, row_id, client_group_id, media_server_id, data)
SELECT 'task', 'task_queue', q.id, c.group_id, q.media_server_id, jsonb_build_object('status', $2::text)
FROM task_queue q LEFT JOIN clients c ON c.id = q.client_id
WHERE q.id = ANY ($1::bigint[])
ORDER BY q.id"""

READ = """
SELECT status, fence, attempt, blocked_on, executor, client_id, media_server_id, pool_id, coalesce(rule_id, strategy_id) IS NOT NULL AS has_origin
FROM task_queue WHERE id = $1 FOR NO KEY UPDATE"""

MOVE = """
UPDATE task_queue SET status = $2, message = CASE WHEN $3 = '' THEN message ELSE $3 END, blocked_on = $4,
    fence = CASE WHEN $5 THEN nextval('task_fence') ELSE fence END, attempt = attempt - $6,
    finished_at = CASE WHEN $7 THEN now() ELSE finished_at END
WHERE id = $1"""

END_LEASE = """
UPDATE task_progress SET fence = 0, lease_until = 'infinity', speed_bytes_per_second = 0, updated_at = now()
WHERE task_id = $1"""
"""The figures stay for lists; fence 0 is nobody's, so no heartbeat revives the lease."""

LET_GO = "UPDATE task_reservations SET held = false WHERE task_id = $1 RETURNING kind || ':' || key AS name"

RESERVED = "SELECT kind || ':' || key FROM task_reservations WHERE task_id = ANY ($1::bigint[]) ORDER BY 1"

FORGET = "DELETE FROM task_reservations WHERE task_id = $1"

HOLDERS = """
SELECT r.exclusive FROM task_reservations r JOIN task_queue q ON q.id = r.task_id
WHERE r.held AND r.kind = $1 AND r.key = $2 AND q.status IN ('Assigned', 'At_Client', 'Execution', 'Transmission')
LIMIT 1
FOR SHARE OF q SKIP LOCKED"""
"""A holder that is just changing is not counted: whoever is woken too early is blocked again by the next claim."""

WAITERS = """
SELECT q.id, coalesce(r.exclusive, false) AS exclusive
FROM task_queue q LEFT JOIN task_reservations r ON r.task_id = q.id AND r.kind || ':' || r.key = q.blocked_on
WHERE q.blocked_on = $1
ORDER BY q.priority DESC, q.id
LIMIT $2
FOR NO KEY UPDATE OF q SKIP LOCKED"""
"""Waking waits for nobody. Who takes a waiter out of the queue meanwhile passes the turn on itself."""

BLOCKED = """
SELECT id FROM task_queue WHERE blocked_on = $1 ORDER BY priority DESC, id LIMIT $2 FOR NO KEY UPDATE"""

FREE = "UPDATE task_queue SET blocked_on = NULL, message = '' WHERE id = ANY ($1::bigint[])"

ORPHANS = """
WITH RECURSIVE names AS (
    (SELECT blocked_on FROM task_queue WHERE blocked_on IS NOT NULL ORDER BY blocked_on LIMIT 1)
    UNION ALL
    SELECT (SELECT q.blocked_on FROM task_queue q WHERE q.blocked_on > names.blocked_on ORDER BY q.blocked_on LIMIT 1)
    FROM names WHERE names.blocked_on IS NOT NULL
)
SELECT blocked_on FROM names
WHERE split_part(blocked_on, ':', 1) = ANY ($1::text[]) AND NOT EXISTS (
    SELECT 1 FROM task_reservations r
    WHERE r.held AND r.kind = split_part(names.blocked_on, ':', 1)
        AND r.key = substr(names.blocked_on, strpos(names.blocked_on, ':') + 1))
LIMIT $2"""

HEARTBEAT = """
UPDATE task_progress p SET
    lease_until = now() + make_interval(secs => $8),
    speed_bytes_per_second = CASE
        WHEN now() - p.updated_at < interval '50 ms' THEN p.speed_bytes_per_second
        ELSE (SELECT CASE WHEN p.speed_bytes_per_second = 0 THEN rate
                  ELSE p.speed_bytes_per_second + (1 - exp(-seconds / $9)) * (rate - p.speed_bytes_per_second) END
              FROM (SELECT extract(epoch FROM now() - p.updated_at)::float8 AS seconds) s,
                  LATERAL (SELECT greatest(b.bytes_done - p.bytes_done, 0) / s.seconds AS rate) r)
        END,
    updated_at = CASE WHEN now() - p.updated_at < interval '50 ms' THEN p.updated_at ELSE now() END,
    files_done = b.files_done, files_total = b.files_total,
    bytes_done = CASE WHEN now() - p.updated_at < interval '50 ms' THEN p.bytes_done ELSE b.bytes_done END,
    bytes_total = b.bytes_total, bytes_sent = b.bytes_sent
FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[])
    AS b (task_id, fence, files_done, files_total, bytes_done, bytes_total, bytes_sent)
WHERE p.task_id = b.task_id AND p.fence = b.fence
RETURNING p.task_id"""

SILENT = """
SELECT q.id, q.attempt FROM task_progress p JOIN task_queue q ON q.id = p.task_id
WHERE p.lease_until < now() ORDER BY p.lease_until LIMIT $1
FOR NO KEY UPDATE OF q, p SKIP LOCKED"""

STATUS = "SELECT status FROM task_queue WHERE id = $1"

LOCK_ALL = "SELECT id, status FROM task_queue WHERE id = ANY ($1::bigint[]) ORDER BY id FOR UPDATE"

REMOVE = "DELETE FROM task_queue WHERE id = ANY ($1::bigint[])"

NOTIFY = "SELECT pg_notify('tasks', $1)"

NOTIFY_EVENTS = "SELECT pg_notify('events', '')"

CLAIMERS = "SELECT pg_advisory_xact_lock($1)"
