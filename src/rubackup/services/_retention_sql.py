"""The statements of retention about both kinds of rules: which may want something, what they say, which copies they have."""

from __future__ import annotations

from rubackup.services.policy_fields import KEEPS
from rubackup.services.strategy_fields import LEGS

_LEG_COLUMNS = {
    "move_flag": "move_copy_flag", "move_pool": "move_copy_pool_id", "move_while": "move_copy_while",
    "second_flag": "second_copy_flag", "second_pool": "second_copy_pool_id", "second_while": "second_copy_while",
    "second_duration": "second_copy_duration",
}  # fmt: skip
_KEEPS = ", ".join(f"s.{one}" for one in KEEPS)
_RULE_LEG = ", ".join(f"s.{column} AS any_{name}" for name, column in _LEG_COLUMNS.items())
_STRATEGY_LEGS = ", ".join(f"s.{leg}_{column} AS {leg}_{name}" for leg in LEGS for name, column in _LEG_COLUMNS.items())

READ_RULES = f"""
SELECT s.id, s.name, CASE WHEN s.verify_flag THEN s.verify_interval END AS verify_interval, NULL::bigint AS strategy_id, s.auto_delete_obsoleted_copy_flag,
    s.inform_when_obsoleted_copy_group_id AS inform_group_id, {_KEEPS}, {_RULE_LEG}
FROM global_schedule s WHERE s.id = ANY ($1::bigint[]) ORDER BY s.id"""  # noqa: S608 - names of the code
READ_STRATEGY_RULES = f"""
SELECT u.id, s.name, CASE WHEN s.verify_flag THEN s.verify_interval END AS verify_interval, s.id AS strategy_id, s.auto_delete_obsoleted_copy_flag,
    nullif(s.inform_when_obsoleted_copy_group_id, (SELECT id FROM user_groups WHERE name = 'Nobody')) AS inform_group_id,
    {_KEEPS}, {_STRATEGY_LEGS}
FROM strategy_rules u JOIN backup_strategies s ON s.id = u.strategy_id
WHERE u.id = ANY ($1::bigint[]) ORDER BY u.id"""  # noqa: S608 - names of the code
LOCK_RULE = "SELECT 1 FROM global_schedule WHERE id = $1 FOR NO KEY UPDATE"
LOCK_STRATEGY_RULE = """
SELECT 1 FROM strategy_rules u JOIN backup_strategies s ON s.id = u.strategy_id WHERE u.id = $1
FOR NO KEY UPDATE OF u FOR SHARE OF s"""

_OVER = """
(s.auto_delete_obsoleted_copy_flag AND r.store_until <= $2)
        OR (r.informed_at IS NULL AND r.store_until <= $3 AND {inform})
        OR (s.verify_flag AND r.verification_status <> 'Not Trusted' AND r.unavailable = ''
            AND greatest(r.created_at, r.verified_at, r.verify_queued_at) + s.verify_interval::interval <= $2)"""
_ELSEWHERE = """
NOT r.secondary AND (r.retention_tried_at IS NULL OR r.retention_tried_at <= $5) AND (
            (s.{leg}move_copy_flag AND r.pool_id <> s.{leg}move_copy_pool_id
                AND r.created_at + nullif(s.{leg}move_copy_while, '')::interval <= $2)
            OR (s.{leg}second_copy_flag AND r.second_copied_at IS NULL AND r.pool_id <> s.{leg}second_copy_pool_id
                AND r.created_at + coalesce(nullif(s.{leg}second_copy_while, ''), '0')::interval <= $2))"""
_OF_LEGS = " OR ".join(
    f"(r.backup_type = '{word}' AND ({_ELSEWHERE.format(leg=leg + '_')}))" for leg, word in LEGS.items()
)
_RULE_OVER = _OVER.format(inform="s.inform_when_obsoleted_copy_group_id IS NOT NULL")
_STRATEGY_OVER = _OVER.format(
    inform="s.inform_when_obsoleted_copy_group_id <> (SELECT id FROM user_groups WHERE name = 'Nobody')"
)
DUE_RULES = f"""
SELECT s.id FROM global_schedule s WHERE s.id > $1 AND EXISTS (
    SELECT 1 FROM repository r WHERE r.rule_id = s.id AND ({_RULE_OVER} OR ({_ELSEWHERE.format(leg="")})))
ORDER BY s.id LIMIT $4"""  # noqa: S608 - names of the code
DUE_STRATEGY_RULES = f"""
SELECT u.id FROM strategy_rules u JOIN backup_strategies s ON s.id = u.strategy_id WHERE u.id > $1 AND EXISTS (
    SELECT 1 FROM repository r WHERE r.strategy_rule_id = u.id AND ({_STRATEGY_OVER} OR {_OF_LEGS}))
ORDER BY u.id LIMIT $4"""  # noqa: S608 - names of the code

COPIES = """
SELECT r.id, r.pool_id, r.client_hwid, r.resource_type, r.resource, r.created_at, r.locked_until, r.archiving,
    r.secondary, r.retention_tried_at, r.informed_at IS NOT NULL AS informed,
    r.second_copied_at IS NOT NULL AS second_made, r.verification_status <> '{damaged}' AS good,
    r.unavailable = '' AS available, coalesce(state.reconciled, true) AS reconciled,
    CASE WHEN $8 <> '' AND NOT r.secondary
        THEN least(r.created_at + nullif($8, '')::interval, r.created_at + p.retention_period)
        ELSE r.store_until END AS store_until,
    greatest(r.created_at, r.verified_at, r.verify_queued_at) + nullif($9, '')::interval AS verify_at,
    l.move_pool, r.created_at + nullif(l.move_while, '')::interval AS move_at,
    r.created_at + mp.retention_period AS move_until, mp.pool_name AS move_name,
    l.second_pool, r.created_at + coalesce(nullif(l.second_while, ''), '0')::interval AS second_at,
    least(r.created_at + nullif(l.second_duration, '')::interval, r.created_at + sp.retention_period) AS second_until
FROM repository r JOIN pools p ON p.id = r.pool_id LEFT JOIN pool_state state ON state.pool_id = r.pool_id
LEFT JOIN unnest($2::text[], $3::bigint[], $4::text[], $5::bigint[], $6::text[], $7::text[])
    AS l (backup_type, move_pool, move_while, second_pool, second_while, second_duration)
    ON l.backup_type = r.backup_type
LEFT JOIN pools mp ON mp.id = l.move_pool LEFT JOIN pools sp ON sp.id = l.second_pool
WHERE r.{column} = $1 ORDER BY r.id"""
