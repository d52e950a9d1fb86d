"""What retention would do over a coming period, and under another policy, without doing any of it.

Asks `domain.retention.decide`, as the leader does, about the copies that there are now. Copies that backups make meanwhile are
not foreseen: what a `keep_` key would let go because of them is not shown.
"""

from __future__ import annotations

import datetime as dt
import heapq
from collections.abc import AsyncIterator, Iterable
from dataclasses import replace
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from rubackup.catalog.database import Connection
from rubackup.domain.errors import Invalid
from rubackup.domain.lookups import BackupType
from rubackup.domain.permissions import Principal
from rubackup.domain.retention import Action, Verdict, decide
from rubackup.services import policy_fields, scopes
from rubackup.services import retention_policies as policies
from rubackup.services.fields import Problems, Ref
from rubackup.services.policy_fields import KEEPS
from rubackup.services.retention_policies import RULE, STRATEGY_RULE, Kind, Leg, Unit
from rubackup.services.scopes import EVERYTHING, Limit

MOST_COPIES = 200_000
MOST_RULES = 2_000
MOST_SHOWN = 10_000
"""Of the first pages: as many rows are held while the rules are gone through."""
_AT_ONCE = 50
_ORDER = tuple(Action)

_GROUP, _MEDIA = "coalesce(c.group_id, r.client_group_id)", "p.media_server_id"
_FROM = "FROM repository r LEFT JOIN clients c ON c.id = r.client_id JOIN pools p ON p.id = r.pool_id"
_SOME = f"""
EXISTS (SELECT 1 {_FROM} WHERE r.{{column}} = u.id AND ($4::bigint IS NULL OR r.client_id = $4) AND {{limit}})
ORDER BY u.id LIMIT $5"""
_UNITS = {
    RULE.word: """
SELECT u.id FROM global_schedule u WHERE u.id > $1 AND ($2::bigint IS NULL OR u.id = $2) AND $3::bigint IS NULL
    AND """,
    STRATEGY_RULE.word: """
SELECT u.id FROM strategy_rules u WHERE u.id > $1 AND $2::bigint IS NULL AND ($3::bigint IS NULL OR u.strategy_id = $3)
    AND """,
}
_VISIBLE = f"""
SELECT r.id {_FROM} WHERE r.id = ANY ($1::bigint[]) AND ($2::bigint IS NULL OR r.client_id = $2) AND """
_ROWS = f"""
SELECT r.id, r.client_hostname || ' (' || r.client_hwid || ')' AS client, r.resource_type, r.resource, r.backup_type,
    r.created_at, r.store_until, r.stored_bytes, p.pool_name AS pool {_FROM} WHERE r.id = ANY ($1::bigint[])"""
_COUNT = "SELECT count(*) FROM repository WHERE {column} = ANY ($1::bigint[])"
_POOLS = "SELECT id, pool_name FROM pools WHERE id = ANY ($1::bigint[])"
_UNTIL = "SELECT now() AS now, now() + $1::text::interval AS until"
_RULES = """
SELECT x.id, x.name FROM (
    SELECT s.id, s.name, coalesce(c.group_id, s.client_group_id) AS group_id
    FROM global_schedule s LEFT JOIN clients c ON c.id = s.client_id
) x WHERE"""
_HAS_COPIES = f"x.id IN (SELECT r.rule_id {_FROM} WHERE {{limit}})"
_PERIOD = Meta(
    description="How far to look ahead, such as '30 days'; what is due already is shown, too.", max_length=100
)


class PolicyChange(msgspec.Struct, kw_only=True):
    """Keys of a rule or strategy with other values; those that are left out are as they are."""

    backup_type: Annotated[
        str | None,
        Meta(description="For strategies: the type whose move_copy_ and second_copy_ keys change; null: all types."),
    ] = None
    storage_duration: Annotated[
        str | UnsetType,
        Meta(
            description="Copies are judged as if they had been made with it, such as '10 days'; a change of a rule leaves theirs."
        ),
    ] = UNSET
    auto_delete_obsoleted_copy_flag: Annotated[
        bool | UnsetType, Meta(description="Whether copies are deleted by themselves when their time is over.")
    ] = UNSET
    keep_last: Annotated[int, policy_fields.keep("keep_last")] | UnsetType = UNSET
    keep_daily: Annotated[int, policy_fields.keep("keep_daily")] | UnsetType = UNSET
    keep_weekly: Annotated[int, policy_fields.keep("keep_weekly")] | UnsetType = UNSET
    keep_monthly: Annotated[int, policy_fields.keep("keep_monthly")] | UnsetType = UNSET
    keep_yearly: Annotated[int, policy_fields.keep("keep_yearly")] | UnsetType = UNSET
    move_copy_flag: Annotated[bool | UnsetType, Meta(description="Whether copies are moved into move_copy_pool.")] = (
        UNSET
    )
    move_copy_pool: Annotated[Ref, Meta(description="Pool that copies are moved into: name or id.")] | UnsetType = UNSET
    move_copy_while: Annotated[str | UnsetType, Meta(description="Age at which a copy is moved, such as '1 day'.")] = (
        UNSET
    )
    second_copy_flag: Annotated[
        bool | UnsetType, Meta(description="Whether a second copy is kept in second_copy_pool.")
    ] = UNSET
    second_copy_pool: Annotated[Ref, Meta(description="Pool of second copies: name or id.")] | UnsetType = UNSET
    second_copy_while: Annotated[
        str | UnsetType, Meta(description="Age at which the second copy is made; empty: at once.")
    ] = UNSET
    second_copy_duration: Annotated[
        str | UnsetType, Meta(description="How long a second copy is kept, counted from the backup.")
    ] = UNSET


class Simulation(msgspec.Struct, kw_only=True):
    """What to show: of which rules, how far ahead, and under which policy."""

    period: Annotated[str, _PERIOD] = "30 days"
    rule_id: Annotated[int, Meta(description="Only copies of this rule of the global schedule.", ge=1)] | None = None
    strategy_id: Annotated[Ref, Meta(description="Only copies of this strategy: id or name.")] | None = None
    client_id: Annotated[Ref, Meta(description="Only copies of this client: `hostname (hwid)` or id.")] | None = None
    actions: Annotated[
        list[str], Meta(description="Only these of delete, move, copy, verify, inform, keep; empty: all.", max_length=6)
    ] = []
    policy: Annotated[
        PolicyChange | None,
        Meta(description="Another policy of the rule or strategy that is named; null: its own."),
    ] = None


class SimulationQuery(msgspec.Struct, kw_only=True):
    """Which page."""

    page: Annotated[int, Meta(description="Page, from 1.", ge=1, le=MOST_SHOWN)] = 1
    limit: Annotated[int, Meta(description="Rows a page; page times limit is at most 10,000.", ge=1, le=1000)] = 50


class Foreseen(msgspec.Struct, frozen=True, kw_only=True):
    """What would become of a copy."""

    record: Annotated[int, Meta(description="Id of the copy.")]
    action: Annotated[
        str,
        Meta(
            description="delete, move, copy (a second copy), verify, inform, or keep: its time is over and it stays, or it cannot go where it should."
        ),
    ]
    at: Annotated[dt.datetime, Meta(description="From when on; what lies in the past is due now.")]
    why: Annotated[str, Meta(description="Why, as a sentence.")]
    rule: Annotated[int | None, Meta(description="Id of its rule of the global schedule.")]
    strategy: Annotated[int | None, Meta(description="Id of its strategy.")]
    strategy_rule: Annotated[int | None, Meta(description="Id of its rule of a strategy.")]
    client: Annotated[str, Meta(description="The client as `hostname (hwid)`.")]
    resource_type: Annotated[str, Meta(description="A name of resource_types.")]
    resource: Annotated[str, Meta(description="What was backed up.")]
    backup_type: Annotated[str, Meta(description="A name of backup_types.")]
    pool: Annotated[str, Meta(description="The pool that stores it.")]
    target_pool: Annotated[str | None, Meta(description="The pool that it would move or be copied into.")]
    created_at: Annotated[dt.datetime, Meta(description="When it was made.")]
    store_until: Annotated[dt.datetime | None, Meta(description="When it may be deleted by itself.")]
    stored_bytes: Annotated[int, Meta(description="What it added to its pool, in bytes.")]


async def simulate(
    db: Connection, principal: Principal, wanted: Simulation, query: SimulationQuery, zone: dt.tzinfo | None
) -> tuple[list[Foreseen], int]:
    """A page of what would become of copies that the caller may see, soonest first, and how many rows there are.

    Invalid names every key that is wrong.
    """
    problems = Problems()
    duration = problems.interval(wanted.period, "data.period")
    shown = _actions(problems, wanted.actions)
    scope = await _scope(db, principal, problems, wanted)
    change = await _policy(db, principal, problems, wanted) if wanted.policy is not None else None
    if query.page * query.limit > MOST_SHOWN:
        problems.add("page", f"times limit must be at most {MOST_SHOWN}.")
    problems.raise_any()
    times = await db.fetchrow(_UNTIL, duration)
    limit = scopes.work(principal, _GROUP, _MEDIA)
    total, first = 0, query.page * query.limit
    best: list[tuple[dt.datetime, int, int, Verdict, Unit]] = []
    async for unit in _units(db, limit, scope, change, zone):
        verdicts = decide(await policies.copies(db, unit, times["now"]), unit.policy, times["now"])
        due = [one for one in verdicts if one.at <= times["until"] and one.action in shown]
        seen = await _visible(db, limit, due, scope[2])
        found = [(one.at, one.copy_id, _ORDER.index(one.action), one, unit) for one in due if one.copy_id in seen]
        total += len(found)
        best = heapq.nsmallest(first, [*best, *found], key=lambda row: row[:3])
    page = best[first - query.limit :]
    return await _rows(db, [(verdict, unit) for *_, verdict, unit in page]), total


def _actions(problems: Problems, names: Iterable[str]) -> frozenset[Action]:
    known = {action.value: action for action in Action}
    found = frozenset(known[name] for name in names if name in known)
    for number, name in enumerate(names):
        if name not in known:
            problems.add(f"data.actions.{number}", f"must be one of: {', '.join(known)}.")
    return found or frozenset(Action)


async def _scope(
    db: Connection, principal: Principal, problems: Problems, wanted: Simulation
) -> tuple[int | None, int | None, int | None]:
    """Rule, strategy and client that are named; a name that the caller may not know is unknown."""
    rule = strategy = client = None
    if wanted.rule_id is not None and wanted.strategy_id is not None:
        problems.add("data.strategy_id", "cannot be given together with rule_id.")
    if wanted.rule_id is not None:
        copies = scopes.work(principal, _GROUP, _MEDIA)
        has_copies = Limit(_HAS_COPIES.format(limit=copies.sql), copies.values)
        limit = scopes.either(scopes.clients(principal), has_copies)
        rule = await problems.find(db, _RULES, "rule", wanted.rule_id, "data.rule_id", limit)
    if wanted.strategy_id is not None:
        limit = scopes.strategies_seen(principal)
        strategy = await problems.strategy(db, wanted.strategy_id, "data.strategy_id", limit)
    if wanted.client_id is not None:
        client = await problems.client(db, wanted.client_id, "data.client_id", scopes.clients(principal))
    return rule and rule["id"], strategy and strategy["id"], client and client["id"]


async def _units(
    db: Connection,
    limit: Limit,
    scope: tuple[int | None, int | None, int | None],
    change: _Change | None,
    zone: dt.tzinfo | None,
) -> AsyncIterator[Unit]:
    """The rules whose copies the caller may see some of. Invalid when there are too many to go through."""
    rules = copies = 0
    for kind in (RULE, STRATEGY_RULE):
        last = 0
        while ids := await _next(db, kind, last, scope, limit):
            rules, last = rules + len(ids), ids[-1]
            copies += await db.fetchval(_COUNT.format(column=kind.column), ids)
            if rules > MOST_RULES or copies > MOST_COPIES:
                text = f"or rule_id is needed: there are more than {MOST_RULES} rules or {MOST_COPIES} copies."
                raise Invalid(fields={"data.client_id": text})
            for unit in await policies.read(db, kind, ids, zone):
                yield change.of(unit) if change is not None else unit


async def _next(
    db: Connection, kind: Kind, last: int, scope: tuple[int | None, int | None, int | None], limit: Limit
) -> list[int]:
    statement = _UNITS[kind.word] + _SOME.format(column=kind.column, limit=limit.numbered(6))
    return [row["id"] for row in await db.fetch(statement, last, *scope, _AT_ONCE, *limit.values)]


async def _visible(db: Connection, limit: Limit, verdicts: Iterable[Verdict], client_id: int | None) -> set[int]:
    ids = {one.copy_id for one in verdicts}
    if not ids or (limit == EVERYTHING and client_id is None):
        return ids
    rows = await db.fetch(_VISIBLE + limit.numbered(3), list(ids), client_id, *limit.values)
    return {row["id"] for row in rows}


async def _rows(db: Connection, page: list[tuple[Verdict, Unit]]) -> list[Foreseen]:
    rows = {row["id"]: row for row in await db.fetch(_ROWS, [verdict.copy_id for verdict, _unit in page])}
    targets = [
        _target(unit, verdict, rows[verdict.copy_id]["backup_type"]) if verdict.copy_id in rows else None
        for verdict, unit in page
    ]
    wanted = [one for one in targets if one is not None]
    names = {row["id"]: row["pool_name"] for row in await db.fetch(_POOLS, wanted)} if wanted else {}
    found = []
    for (verdict, unit), target in zip(page, targets, strict=True):
        row = rows.get(verdict.copy_id)
        if row is None:
            continue  # deleted meanwhile
        found.append(
            Foreseen(
                record=row["id"], action=verdict.action.value, at=verdict.at, why=verdict.why,
                rule=unit.id if unit.kind is RULE else None, strategy=unit.strategy_id,
                strategy_rule=unit.id if unit.kind is STRATEGY_RULE else None, client=row["client"],
                resource_type=row["resource_type"], resource=row["resource"], backup_type=row["backup_type"],
                pool=row["pool"], target_pool=names.get(target), created_at=row["created_at"],
                store_until=row["store_until"], stored_bytes=row["stored_bytes"],
            )
        )  # fmt: skip
    return found


def _target(unit: Unit, verdict: Verdict, backup_type: str) -> int | None:
    leg = unit.legs.get(backup_type, Leg())
    return {Action.MOVE: leg.move_pool, Action.COPY: leg.second_pool}.get(verdict.action)


# --- another policy ---


class _Change:
    """What a hypothetical policy changes of a rule's own; pools are ids, intervals what the catalogue reads."""

    def __init__(self, keys: dict[str, Any], backup_type: str) -> None:
        self._keys = keys
        self._backup_type = backup_type

    def of(self, unit: Unit) -> Unit:
        """The rule with the other policy."""
        keys = self._keys
        keep = replace(unit.policy.keep, **{name.removeprefix("keep_"): keys[name] for name in KEEPS if name in keys})
        delete = keys.get("auto_delete_obsoleted_copy_flag", unit.policy.delete)
        legs = {name: self._leg(leg) if self._backup_type in {"", name} else leg for name, leg in unit.legs.items()}
        return replace(
            unit, policy=replace(unit.policy, keep=keep, delete=delete), legs=legs,
            duration=keys.get("storage_duration", ""),
        )  # fmt: skip

    def _leg(self, leg: Leg) -> Leg:
        keys = self._keys
        given = {
            name: keys[key]
            for key, name in (
                ("move_copy_pool", "move_pool"), ("move_copy_while", "move_while"), ("second_copy_pool", "second_pool"),
                ("second_copy_while", "second_while"), ("second_copy_duration", "second_duration"),
            )
            if key in keys
        }  # fmt: skip
        changed = replace(leg, **given)
        if keys.get("move_copy_flag") is False:
            changed = replace(changed, move_pool=None, move_while="")
        if keys.get("second_copy_flag") is False:
            changed = replace(changed, second_pool=None, second_while="", second_duration="")
        return changed


async def _policy(db: Connection, principal: Principal, problems: Problems, wanted: Simulation) -> _Change:
    policy = wanted.policy
    assert policy is not None
    if wanted.rule_id is None and wanted.strategy_id is None:
        problems.add("data.rule_id", "or strategy_id is required with policy.")
    backup_type = (
        problems.label(BackupType, policy.backup_type, "data.policy.backup_type") if policy.backup_type else ""
    )
    keys = {
        name: value
        for name in policy.__struct_fields__
        if name != "backup_type" and (value := getattr(policy, name)) is not UNSET
    }
    for name in ("storage_duration", "move_copy_while", "second_copy_while", "second_copy_duration"):
        if name in keys:
            optional = name == "second_copy_while" and not keys[name].strip()
            keys[name] = "" if optional else problems.interval(keys[name], f"data.policy.{name}") or ""
    for name in ("move_copy_pool", "second_copy_pool"):
        if name in keys:
            pool = await problems.pool(db, keys[name], f"data.policy.{name}", scopes.storage(principal))
            keys[name] = pool and pool["id"]
    for what, needed in (("move_copy", "move_copy_while"), ("second_copy", "second_copy_duration")):
        if keys.get(f"{what}_flag") and not {f"{what}_pool", needed} <= keys.keys():
            missing = needed if f"{what}_pool" in keys else f"{what}_pool"
            problems.add(f"data.policy.{missing}", f"is required with {what}_flag.")
    return _Change(keys, backup_type)
