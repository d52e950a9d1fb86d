"""What retention decides by: the rules that say how long copies stay, and their copies, as `domain.retention` takes them.

Copies without a rule of their own (urgent backups, copies of rules that are gone) have nobody who says that they go by
themselves: they stay until somebody deletes them.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from rubackup.catalog.database import Connection
from rubackup.domain.lookups import BackupType, VerificationStatus
from rubackup.domain.pools import NOT_RECONCILED, PoolFacts, fits
from rubackup.domain.retention import Copy, Keep, Policy
from rubackup.services import _retention_sql as statements
from rubackup.services import configuration, pool_fit
from rubackup.services.policy_fields import KEEPS
from rubackup.services.strategy_fields import LEGS

TRIED_AGAIN = dt.timedelta(hours=1)
"""How long after a move or a second copy was queued, or kept from being queued, it is tried again."""


@dataclass(frozen=True)
class Kind:
    """Rules of a kind: `column` of the repository names them, `protects` is the key for their last copy; the rest is SQL."""

    word: str
    column: str
    protects: str
    reads: str
    locks: str
    due: str


RULE = Kind(
    "rule", "rule_id", "dont_delete_last_gs_rule_archive", statements.READ_RULES, statements.LOCK_RULE, statements.DUE_RULES
)  # fmt: skip
STRATEGY_RULE = Kind(
    "strategy rule", "strategy_rule_id", "dont_delete_last_strategy_rule_archive", statements.READ_STRATEGY_RULES,
    statements.LOCK_STRATEGY_RULE, statements.DUE_STRATEGY_RULES,
)  # fmt: skip
KINDS = {kind.word: kind for kind in (RULE, STRATEGY_RULE)}


@dataclass(frozen=True)
class Leg:
    """Where copies of a type go; pools are ids, None for none, and intervals texts that PostgreSQL reads, '' for none."""

    move_pool: int | None = None
    move_while: str = ""
    second_pool: int | None = None
    second_while: str = ""
    second_duration: str = ""


@dataclass(frozen=True)
class Unit:
    """A rule with its policy."""

    kind: Kind
    id: int
    name: str
    strategy_id: int | None
    inform_group_id: int | None
    """Who is told that a copy's time is over; None for nobody."""
    policy: Policy
    legs: Mapping[str, Leg] = field(default_factory=dict)
    """By the type of the backup."""
    verify_interval: str = ""
    """How long after one verification of a copy the next follows; '' for none."""
    duration: str = ""
    """Of a hypothetical policy: copies are judged as if they had been made with it; '' for their own store_until."""

    @property
    def called(self) -> str:
        """How people are told which rule it is."""
        return f"{self.kind.word} {self.id}"


async def read(db: Connection, kind: Kind, ids: Sequence[int], zone: dt.tzinfo | None) -> list[Unit]:
    """These rules as far as they are there, with what they and the global configuration say now."""
    rows = await db.fetch(kind.reads, list(ids))
    if not rows:
        return []
    days = await configuration.number(db, "mandatory_storage_time")
    protects = kind.protects if await configuration.enabled(db, kind.protects) else ""
    minutes = await configuration.number(db, "obsolete_backup_notification_period")
    return [
        Unit(
            kind, row["id"], row["name"], row["strategy_id"], row["inform_group_id"],
            Policy(
                delete=row["auto_delete_obsoleted_copy_flag"],
                keep=Keep(*(row[one] for one in KEEPS)),
                inform_before=None if row["inform_group_id"] is None else dt.timedelta(minutes=minutes),
                mandatory=dt.timedelta(days=days),
                protect_last=protects,
                zone=zone,
            ),
            _legs(kind, row),
            row["verify_interval"] or "",
        )
        for row in rows
    ]  # fmt: skip


def _legs(kind: Kind, row: Any) -> dict[str, Leg]:
    if kind is RULE:
        return dict.fromkeys(BackupType.labels(), _leg(row, "any"))
    return {backup_type: _leg(row, leg) for leg, backup_type in LEGS.items()}


def _leg(row: Any, prefix: str) -> Leg:
    moves, seconds = row[f"{prefix}_move_flag"], row[f"{prefix}_second_flag"]
    return Leg(
        row[f"{prefix}_move_pool"] if moves else None,
        row[f"{prefix}_move_while"] or "" if moves else "",
        row[f"{prefix}_second_pool"] if seconds else None,
        row[f"{prefix}_second_while"] or "" if seconds else "",
        row[f"{prefix}_second_duration"] or "" if seconds else "",
    )


async def lock(db: Connection, kind: Kind, unit_id: int) -> bool:
    """Keep the rule as it is, and others from deleting its last copies, until the transaction ends; False: it is gone."""
    return await db.fetchval(kind.locks, unit_id) is not None


async def copies(db: Connection, unit: Unit, now: dt.datetime) -> list[Copy]:
    """Every copy of the rule, as it is now."""
    types, legs = list(unit.legs), list(unit.legs.values())
    statement = statements.COPIES.format(column=unit.kind.column, damaged=VerificationStatus.NOT_TRUSTED.label)
    rows = await db.fetch(
        statement, unit.id, types, [leg.move_pool for leg in legs], [leg.move_while for leg in legs],
        [leg.second_pool for leg in legs], [leg.second_while for leg in legs], [leg.second_duration for leg in legs],
        unit.duration, unit.verify_interval,
    )  # fmt: skip
    targets = {pool for leg in legs for pool in (leg.move_pool, leg.second_pool) if pool is not None}
    pools = await pool_fit.facts(db, [*{row["pool_id"] for row in rows} | targets]) if targets else {}
    return [_copy(row, pools, now) for row in rows]


def _copy(row: Any, pools: Mapping[int, PoolFacts], now: dt.datetime) -> Copy:
    one = Copy(
        id=row["id"],
        series=(row["client_hwid"], row["resource_type"], row["resource"]),
        created_at=row["created_at"],
        store_until=row["store_until"],
        locked_until=row["locked_until"],
        good=row["good"],
        available=row["available"],
        archiving=row["archiving"],
        secondary=row["secondary"],
        informed=row["informed"],
        second_made=row["second_made"],
        verify_at=row["verify_at"],
        rests_until=row["retention_tried_at"] and row["retention_tried_at"] + TRIED_AGAIN,
        frozen="" if row["reconciled"] else NOT_RECONCILED,
    )
    if row["move_at"] is not None and row["move_pool"] not in {None, row["pool_id"]}:
        old = row["move_until"] is not None and row["move_until"] <= max(row["move_at"], now)
        obstacle = fits(pools[row["pool_id"]], pools[row["move_pool"]])
        if old and not obstacle:
            obstacle = f"Pool {row['move_name']} does not keep copies as old as this one (retention_period)."
        one = replace(one, move_at=row["move_at"], move_obstacle=obstacle)
    if row["second_until"] is not None and row["second_pool"] not in {None, row["pool_id"]}:
        obstacle = fits(pools[row["pool_id"]], pools[row["second_pool"]])
        one = replace(
            one, second_at=row["second_at"], second_until=row["second_until"], second_obstacle=obstacle
        )  # fmt: skip
    return one


def target(unit: Unit, backup_type: str, *, second: bool) -> tuple[int | None, str]:
    """Where copies of a type go, and for how long a second copy is kept."""
    leg = unit.legs[backup_type]
    return (leg.second_pool, leg.second_duration) if second else (leg.move_pool, "")
