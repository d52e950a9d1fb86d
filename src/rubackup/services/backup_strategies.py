"""Strategies: when copies of many clients are made, where they go, how long they live, who is told.

What is backed up are the strategy's rules (`services.strategy_rules`); the scheduler makes the tasks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta

from rubackup.catalog.database import Connection
from rubackup.domain.errors import Conflict
from rubackup.domain.lookups import Crypto, RuleStatus
from rubackup.domain.tasks import FINAL
from rubackup.services import cron, policy_fields, rule_status, scopes, user_roles
from rubackup.services.change import Change
from rubackup.services.fields import Problems, update_columns
from rubackup.services.scopes import Limit
from rubackup.services.strategy_fields import KEYS, LEGS, SCHEDULE, Form, Key

_FAMILY = "backup_strategies"
_ROW = "SELECT * FROM backup_strategies WHERE id = $1"
_BEGIN = "UPDATE backup_strategies SET schedule_since = now() WHERE id = ANY ($1::bigint[])"
_TIMES = """
SELECT $1::text::interval > (SELECT retention_period FROM pools WHERE id = $3) AS too_long,
    $2::text::interval >= $1::text::interval AS too_late"""
_USED = """
SELECT s.name, (SELECT count(*) FROM strategy_rules r WHERE r.strategy_id = s.id) AS rules,
    (SELECT count(*) FROM task_queue t WHERE t.strategy_id = s.id AND t.status <> ALL ($2::text[])) AS tasks
FROM backup_strategies s WHERE s.id = ANY ($1::bigint[]) ORDER BY s.id"""
_CLIENT_GROUPS = """
SELECT DISTINCT c.group_id FROM strategy_rules r JOIN clients c ON c.id = r.client_id WHERE r.strategy_id = $1
ORDER BY c.group_id"""
_APPOINTED = "SELECT id FROM strategy_administrators WHERE strategy_id = ANY ($1::bigint[]) ORDER BY id FOR UPDATE"
_POOLS = " OR ".join(f"s.{key.column} = x.id" for key in KEYS.values() if key.form is Form.POOL)
_OF_POOLS = f"""
SELECT x.pool_name AS used, string_agg(DISTINCT s.name, ', ' ORDER BY s.name) AS names
FROM pools x JOIN backup_strategies s ON {_POOLS} WHERE x.id = ANY ($1::bigint[]) GROUP BY x.pool_name LIMIT 1"""  # noqa: S608 - columns of the code
_GROUPS = " OR ".join(f"s.{key.column} = x.id" for key in KEYS.values() if key.form is Form.GROUP)
_OF_GROUPS = f"""
SELECT x.name AS used, string_agg(DISTINCT s.name, ', ' ORDER BY s.name) AS names
FROM user_groups x JOIN backup_strategies s ON {_GROUPS} WHERE x.id = ANY ($1::bigint[]) GROUP BY x.name LIMIT 1"""  # noqa: S608 - columns of the code


class StrategyStatus(msgspec.Struct):
    """The status that a strategy shall have."""

    strategy_id: Annotated[int, Meta(description="Id of the strategy.", ge=1)]
    status: Annotated[str, policy_fields.STATUS]


async def create(change: Change, new: Any) -> int:
    """A new strategy; the id. Conflict when the name is taken."""
    problems = Problems()
    columns = await _columns(change, problems, new, ())
    _check_starts(problems, columns, {}, frozenset())
    await _check_whole(change.db, problems, columns)
    problems.raise_any()
    strategy_id: int | None = await _insert(change.db, columns)
    if strategy_id is None:
        raise Conflict(f"A strategy with the name {new.name} exists already.")
    await _told(change, "created", strategy_id)
    return strategy_id


async def update(change: Change, strategy_id: int, wanted: Any) -> None:
    """Change what is given; another schedule, or the status run, begins the schedule anew."""
    problems = Problems()
    before = await change.db.fetchrow(_ROW, strategy_id)
    named = {before[key.column] for key in KEYS.values() if key.form is Form.POOL} - {None}
    columns = await _columns(change, problems, wanted, sorted(named))
    merged = dict(before) | columns
    _check_starts(problems, merged, before, frozenset(columns))
    await _check_whole(change.db, problems, merged)
    problems.raise_any()
    await update_columns(change.db, _FAMILY, strategy_id, columns)
    begun = merged["status"] != before["status"] and merged["status"] == RuleStatus.RUN.label
    if begun or any(columns[name] != before[name] for name in SCHEDULE & columns.keys()):
        await change.db.execute(_BEGIN, [strategy_id])
    await _told(change, "changed", strategy_id)


async def set_status(change: Change, wanted: Sequence[StrategyStatus]) -> str:
    """Set the status of several strategies, all or none; a sentence."""
    visible = scopes.strategies_seen(change.principal, "x.id")
    writable = scopes.strategies(change.principal, "x.id", write=True)
    asked = [(one.strategy_id, one.status) for one in wanted]
    changed = await rule_status.set_all(change, _FAMILY, "strategy_id", asked, visible, writable)
    for strategy_id in changed:
        await _told(change, "changed", strategy_id)
    return f"The status of {len(asked)} strategies is set."


async def delete(change: Change, ids: Sequence[int]) -> None:
    """Delete strategies without rules and unfinished tasks; Conflict names the others. Appointments end with them."""
    for row in await change.db.fetch(_USED, list(ids), [status.label for status in FINAL]):
        found = [
            f"{row[what]} {words}" for what, words in (("rules", "rules"), ("tasks", "unfinished tasks")) if row[what]
        ]
        if found:
            raise Conflict(f"Strategy {row['name']} has {' and '.join(found)}; it can be deleted when they are gone.")
    appointed = [row["id"] for row in await change.db.fetch(_APPOINTED, list(ids))]
    await user_roles.remove(change, "strategy_administrators", appointed)
    await change.db.execute("DELETE FROM backup_strategies WHERE id = ANY ($1::bigint[])", list(ids))
    for strategy_id in ids:
        await _told(change, "deleted", strategy_id)


async def refuse_pools(db: Connection, ids: Sequence[int]) -> None:
    """Conflict names a pool of these that strategies use, and the strategies."""
    await _refuse(db, _OF_POOLS, ids, "Pool")


async def refuse_user_groups(db: Connection, ids: Sequence[int]) -> None:
    """Conflict names a user group of these that strategies tell of something, and the strategies."""
    await _refuse(db, _OF_GROUPS, ids, "User group")


async def _refuse(db: Connection, statement: str, ids: Sequence[int], what: str) -> None:
    row = await db.fetchrow(statement, list(ids))
    if row is not None:
        raise Conflict(f"{what} {row['used']} is used by strategies: {row['names']}.")


async def _told(change: Change, kind: str, strategy_id: int) -> None:
    """Events for the strategy's administrators, and for those whose clients it backs up: all who see it."""
    await change.event(kind, _FAMILY, strategy_id, strategy_id=strategy_id)
    for row in await change.db.fetch(_CLIENT_GROUPS, strategy_id):
        await change.event(kind, _FAMILY, strategy_id, client_group_id=row["group_id"])


async def _insert(db: Connection, columns: Mapping[str, Any]) -> Any:
    names, marks = ", ".join(columns), ", ".join(f"${number}" for number in range(1, len(columns) + 1))
    return await db.fetchval(
        f"INSERT INTO backup_strategies ({names}) VALUES ({marks}) ON CONFLICT (name) DO NOTHING RETURNING id",  # noqa: S608 - names of the code
        *columns.values(),
    )


# --- what a body says ---


async def _columns(change: Change, problems: Problems, body: Any, named: Sequence[int]) -> dict[str, Any]:
    """The columns that a body sets, checked one by one; `named` are pools that the strategy has already."""
    given = {key: getattr(body, key.name) for key in KEYS.values()}
    return {
        key.column: await _value(change, problems, key, value, named)
        for key, value in given.items()
        if value is not UNSET
    }


async def _value(change: Change, problems: Problems, key: Key, value: Any, named: Sequence[int]) -> Any:
    field = f"data.{key.name}"
    match key.form:
        case Form.STATUS:
            return problems.label(RuleStatus, value, field)
        case Form.CRYPTO:
            return problems.label(Crypto, value, field)
        case Form.INTERVAL:
            return policy_fields.interval(problems, value, field)
        case Form.CRON:
            return cron.check(problems, key.name.partition("_")[2], value, field)
        case Form.CC:
            return policy_fields.addresses(problems, value, field)
        case Form.GROUP:
            group = await problems.user_group(change.db, value, field)
            return group and group["id"]
        case Form.POOL if value is not None:
            pool = await problems.pool(change.db, value, field, _pools(change, named))
            return pool and pool["id"]
    return value


def _pools(change: Change, named: Sequence[int]) -> Limit:
    """The pools in scope, and those that the strategy has: its administrator may not see others."""
    seen = scopes.storage(change.principal)
    return scopes.either(seen, Limit("x.id = ANY({}::bigint[])", (list(named),))) if named else seen


# --- what its keys say together ---


def _check_starts(problems: Problems, row: Mapping[str, Any], before: Mapping[str, Any], given: frozenset[str]) -> None:
    """Note a leg that is switched on without a word on when: it would run each minute."""
    for leg in LEGS:
        names = {f"{leg}_{part}" for part in ("periodic_launch", *cron.FIELDS)}
        switched_on = row[f"{leg}_archive_enabled"] and not (before and before[f"{leg}_archive_enabled"])
        if switched_on and not any(row[name] for name in names) and not names & given:
            text = f"or one of {leg}_min to {leg}_dow is required while {leg}_archive_enabled is true."
            problems.add(f"data.{leg}_periodic_launch", text)


async def _check_whole(db: Connection, problems: Problems, row: Mapping[str, Any]) -> None:
    """Note what does not fit together; `row` are the columns as they will be."""
    start, end = row["validity_start_period"], row["validity_end_period"]
    policy_fields.validity(problems, start, end, "data.validity_end_period")
    if row["verify_flag"] and not row["verify_interval"]:
        problems.add("data.verify_interval", "is required while verify_flag is true.")
    for leg in LEGS:
        fields = {name: row[f"{leg}_{name}"] for name in cron.FIELDS}
        cron.check_whole(problems, fields, f"data.{leg}_dom")
        _check_leg(problems, leg, row)
        await _check_times(db, problems, leg, row)


def _check_leg(problems: Problems, leg: str, row: Mapping[str, Any]) -> None:
    if row[f"{leg}_archive_enabled"] and not row[f"{leg}_storage_duration"]:
        problems.add(f"data.{leg}_storage_duration", f"is required while {leg}_archive_enabled is true.")
    for what, interval in (("move_copy", "while"), ("second_copy", "duration")):
        flag, pool = f"{leg}_{what}_flag", f"{leg}_{what}_pool"
        if not row[flag]:
            continue
        for key, value in ((f"{leg}_{what}_{interval}", row[f"{leg}_{what}_{interval}"]), (pool, row[f"{pool}_id"])):
            if not value:
                problems.add(f"data.{key}", f"is required while {flag} is true.")
        if row[f"{pool}_id"] is not None and row[f"{pool}_id"] == row["pool_id"]:
            problems.add(f"data.{pool}", "must be another pool than pool_id.")


async def _check_times(db: Connection, problems: Problems, leg: str, row: Mapping[str, Any]) -> None:
    """Note a storage duration that the pool does not allow, and a move that would come after it."""
    kept = row[f"{leg}_storage_duration"] or None
    if kept is None:
        return
    moved = (row[f"{leg}_move_copy_while"] or None) if row[f"{leg}_move_copy_flag"] else None
    times = await db.fetchrow(_TIMES, kept, moved, row["pool_id"])
    if times["too_long"]:
        problems.add(f"data.{leg}_storage_duration", "is longer than the retention_period of the pool.")
    if times["too_late"]:
        problems.add(f"data.{leg}_move_copy_while", f"must be shorter than {leg}_storage_duration.")
