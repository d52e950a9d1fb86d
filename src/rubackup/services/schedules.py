"""What launches: the schedules of rules and of strategies' legs, and the backups that a launch of theirs means.

The scheduler and the calendar both read here, so that what is shown is what would run. Design: `docs/design/scheduler.md`.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable, Sequence
from typing import Any, NamedTuple

from rubackup.catalog.database import Connection
from rubackup.domain.lookups import BackupType
from rubackup.domain.schedule import Period, Schedule
from rubackup.domain.units import months_and_seconds
from rubackup.services import cron
from rubackup.services.fields import Row
from rubackup.services.scopes import EVERYTHING, Limit
from rubackup.services.strategy_fields import LEGS

RULE, STRATEGY = "rule", "strategy"
FULL = BackupType.FULL.label
PREFIXES = {backup_type: prefix for prefix, backup_type in LEGS.items()}
"""For each leg, which is named by its backup type, the prefix of the strategy's columns."""
_TIMES = "validity_start_period, validity_end_period, created_at, schedule_since"
_RULES = f"""
SELECT id, backup_type AS leg, periodic_launch, {", ".join(cron.FIELDS)}, {_TIMES} FROM global_schedule
WHERE id = ANY ($1::bigint[])"""  # noqa: S608 - names of the code
_STRATEGIES = " UNION ALL ".join(
    f"SELECT id, '{leg}' AS leg, {prefix}_periodic_launch AS periodic_launch, "  # noqa: S608 - names of the code
    + ", ".join(f"{prefix}_{name} AS {name}" for name in cron.FIELDS)
    + f", {_TIMES} FROM backup_strategies WHERE id = ANY ($1::bigint[])"
    for leg, prefix in PREFIXES.items()
)
MEMBERS = """(
    SELECT m.id, m.hostname, m.hwid, m.group_id FROM clients m WHERE m.id = s.client_id
    UNION ALL SELECT m.id, m.hostname, m.hwid, m.group_id FROM clients m
    WHERE s.client_group_id IS NOT NULL AND m.group_id = s.client_group_id)"""
"""The clients of a rule `s`: its own, or those that are in its group now."""
_CLIENT = "c.id AS client_id, c.hostname || ' (' || c.hwid || ')' AS client, c.group_id"
_ONLINE = """(coalesce((SELECT cp.online FROM client_presence cp WHERE cp.client_id = c.id), false) OR (g.clustered AND EXISTS (
    SELECT 1 FROM clients o JOIN client_presence op ON op.client_id = o.id WHERE o.group_id = c.group_id AND op.online)))"""
"""Of a clustered group any node will do: another takes the task over. No join: one that the planner made of it read the presence of
all clients for each rule."""
_JOINS = """
JOIN client_groups g ON g.id = c.group_id"""
_OF_RULES = f"""
SELECT 'rule' AS origin, s.id AS origin_id, s.backup_type AS leg, s.name, NULL::bigint AS strategy_rule_id, {_CLIENT},
    {_ONLINE} AS online, s.resource_type, s.resource, s.priority, s.pool_id, s.pool_group_id, p.media_server_id, s.crypto,
    s.storage_duration, s.module_parameters, s.common_parameters, s.notify_normal_script AS normal_script,
    s.notify_exception_script AS exception_script, ({{visible}}) AS visible
FROM global_schedule s CROSS JOIN LATERAL {MEMBERS} c {_JOINS} JOIN pools p ON p.id = s.pool_id
WHERE s.id = ANY ($1::bigint[]) ORDER BY s.id, c.id"""  # noqa: S608 - names of the code
_DURATION = " ".join(f"WHEN '{leg}' THEN b.{prefix}_storage_duration" for leg, prefix in PREFIXES.items())
_OF_STRATEGIES = f"""
SELECT 'strategy' AS origin, b.id AS origin_id, w.leg, b.name, r.id AS strategy_rule_id, {_CLIENT}, {_ONLINE} AS online,
    r.resource_type, r.resource, r.priority, b.pool_id, NULL::bigint AS pool_group_id, p.media_server_id, b.crypto,
    nullif(CASE w.leg {_DURATION} END, '') AS storage_duration, r.module_parameters, r.common_parameters,
    r.normal_execution_script AS normal_script, r.exception_execution_script AS exception_script, ({{visible}}) AS visible
FROM unnest($1::bigint[], $2::text[]) AS w (strategy_id, leg) JOIN backup_strategies b ON b.id = w.strategy_id
JOIN strategy_rules r ON r.strategy_id = b.id JOIN clients c ON c.id = r.client_id {_JOINS}
JOIN pools p ON p.id = b.pool_id ORDER BY b.id, w.leg, r.id"""  # noqa: S608 - names of the code


class Origin(NamedTuple):
    """What has a schedule: a rule, or one leg of a strategy; the leg is the backup type."""

    kind: str
    id: int
    leg: str


class Backup(NamedTuple):
    """One backup that a launch means: `row` has what its task needs."""

    origin: Origin
    at: dt.datetime
    row: Row

    @property
    def subject(self) -> tuple[dt.datetime, int, str, str]:
        """When what of whom: a full backup covers the partial ones with the same."""
        return self.at, self.row["client_id"], self.row["resource_type"], self.row["resource"]


async def load(db: Connection, origins: Collection[Origin]) -> dict[Origin, Schedule]:
    """When each of these launches; those that are not there any more are left out."""
    found: dict[Origin, Schedule] = {}
    for kind, statement in ((RULE, _RULES), (STRATEGY, _STRATEGIES)):
        ids = sorted({one.id for one in origins if one.kind == kind})
        for row in await db.fetch(statement, ids) if ids else ():
            found[Origin(kind, row["id"], row["leg"])] = schedule_of(row)
    return {origin: found[origin] for origin in origins if origin in found}


def schedule_of(row: Row) -> Schedule:
    """The schedule that the columns of a rule say, or those of a leg without their prefix."""
    months, seconds = months_and_seconds(row["periodic_launch"] or "")
    return Schedule(
        cron=cron.expression(row),
        period=Period(months, seconds) if months or seconds else None,
        created=row["created_at"],
        since=row["schedule_since"],
        start=row["validity_start_period"],
        end=row["validity_end_period"],
    )


async def targets(
    db: Connection, origins: Iterable[Origin], rules: Limit = EVERYTHING, strategies: Limit = EVERYTHING
) -> dict[Origin, list[Row]]:
    """What a launch of each of these backs up now; `visible` says whether it is within the limits.

    The limits are about `c.group_id` of rules, of strategies about `b.id` too.
    """
    wanted = sorted(set(origins))
    found: dict[Origin, list[Row]] = {origin: [] for origin in wanted}
    rows: list[Row] = []
    if ids := [one.id for one in wanted if one.kind == RULE]:
        rows += await db.fetch(_OF_RULES.format(visible=rules.numbered(2)), ids, *rules.values)
    if legs := [one for one in wanted if one.kind == STRATEGY]:
        rows += await db.fetch(
            _OF_STRATEGIES.format(visible=strategies.numbered(3)), [one.id for one in legs], [one.leg for one in legs],
            *strategies.values,
        )  # fmt: skip
    for row in rows:
        found[Origin(row["origin"], row["origin_id"], row["leg"])].append(row)
    return found


def covered(backup: Backup, fulls: Collection[Any]) -> bool:
    """Whether a backup is left out because a full one of the same is due at the same instant; `fulls` are subjects."""
    return backup.origin.leg != FULL and backup.subject in fulls


def in_order(backups: Iterable[Backup]) -> list[Backup]:
    """By instant, full ones first: a partial one may build on them."""
    return sorted(backups, key=_place)


def _place(backup: Backup) -> tuple[Any, ...]:
    return (
        backup.at,
        backup.origin.leg != FULL,
        backup.origin,
        backup.row["strategy_rule_id"] or 0,
        backup.row["client_id"],
    )


def parameters_of(row: Row) -> dict[str, Any]:
    """Extension parameters of a target, and the scripts that the client runs when the backup has ended."""
    wanted: Sequence[tuple[str, str]] = (("normal", row["normal_script"]), ("exception", row["exception_script"]))
    scripts = {when: path for when, path in wanted if path}
    parameters = {"module": row["module_parameters"], "common": row["common_parameters"]}
    return parameters | ({"scripts": scripts} if scripts else {})
