"""Retention at work: the leader carries out what `domain.retention` decides about the copies of each rule.

A rule is one transaction with the leader's epoch checked, so whatever ends in the middle, each copy is deleted, told
about, or queued to move once. Deleting is what an administrator's deleting is (`services.deletion`): the row goes, the pool is told. What
must wait (a copy that a task needs) is met again in a later round. Design: `docs/design/retention.md`.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from rubackup.catalog.database import Connection, Database, notify
from rubackup.domain.errors import RubackupError
from rubackup.domain.lookups import NotificationStatus, TaskType
from rubackup.domain.retention import Action, Verdict, decide, due
from rubackup.domain.tasks import FINAL
from rubackup.services import configuration, copies, deletion, record_history, retention_clock, verifications
from rubackup.services import retention_policies as policies
from rubackup.services.leadership import check_epoch
from rubackup.services.retention_policies import KINDS, Kind, Unit

log = logging.getLogger(__name__)

RULES_AT_ONCE = 100
"""Rules of a kind that one round looks at; the next goes on after them."""
VERIFICATIONS = 20
"""Of the copies of a rule that may be queued at a time."""
COPIES_AT_ONCE = 200
"""Copies of a rule that one transaction deals with."""
_LOCK_COPIES = """
SELECT id FROM repository WHERE id = ANY ($1::bigint[]) ORDER BY id FOR UPDATE SKIP LOCKED"""
_TOLD = "UPDATE repository SET informed_at = $2 WHERE id = ANY ($1::bigint[])"
_NOTIFY = """
INSERT INTO notifications (kind, status, user_group_id, subject, text, client, client_id, client_group_id, media_server_id,
    rule_id, strategy_id)
SELECT 'obsolete', $2, $3, 'Copy ' || r.id || ' ends: ' || r.resource || ' of ' || r.client_hostname || ' (' || r.client_hwid || ')',
    'Copy: ' || r.id || ' (' || r.backup_type || '), made ' || r.created_at || ', kept until ' || r.store_until || E'\\nClient: '
    || r.client_hostname || ' (' || r.client_hwid || E')\\nResource: ' || r.resource_type || ': ' || r.resource || E'\\nPool: '
    || p.pool_name,
    r.client_hostname || ' (' || r.client_hwid || ')', r.client_id, r.client_group_id, p.media_server_id, r.rule_id, r.strategy_id
FROM repository r JOIN pools p ON p.id = r.pool_id WHERE r.id = ANY ($1::bigint[]) ORDER BY r.id"""
_SOURCES = """
SELECT r.id, r.pool_id, r.client_id, r.resource_type, r.resource, r.backup_type, r.crypto, r.rule_id, r.strategy_id,
    r.strategy_rule_id
FROM repository r WHERE r.id = ANY ($1::bigint[]) ORDER BY r.id"""
_VERIFYING = """
SELECT count(*) FROM task_queue WHERE task_type = 'Verify' AND status <> ALL ($2::text[]) AND {column} = $1"""
_VERIFY_QUEUED = "UPDATE repository SET verify_queued_at = $2 WHERE id = $1"
_QUEUED = "UPDATE repository SET retention_task = $2, retention_tried_at = $3 WHERE id = $1"


@dataclass(frozen=True)
class Round:
    """What one round did, and where the next begins."""

    deleted: int = 0
    informed: int = 0
    moved: int = 0
    copied: int = 0
    """Tasks that were queued to copy or move, not what became of them."""
    verified: int = 0
    """Likewise."""
    after: dict[str, int] = field(default_factory=dict)
    """By kind of rule, the id after which the next round goes on; {} when all were looked at."""

    def plus(self, other: Round) -> Round:
        """Both together; `after` stays this one's."""
        return replace(
            self, deleted=self.deleted + other.deleted, informed=self.informed + other.informed,
            moved=self.moved + other.moved, copied=self.copied + other.copied, verified=self.verified + other.verified,
        )  # fmt: skip


async def run(
    database: Database,
    epoch: int | None = None,
    *,
    now: dt.datetime | None = None,
    zone: dt.tzinfo | None = None,
    after: dict[str, int] | None = None,
    at_once: int = RULES_AT_ONCE,
) -> Round:
    """Look at the next rules whose copies want something, and do it. `now` None: the catalogue's clock.

    Days of the `keep_` keys begin in `zone`; None: the host's. Nothing in service mode, nor while retention is suspended.
    Fenced when `epoch` is given and another server leads.
    """
    found, after = Round(), after or dict.fromkeys(KINDS, 0)
    for word, last in after.items():
        kind = KINDS[word]
        async with database.transaction() as db:
            at = now or await db.fetchval("SELECT now()")
            if not await _acts(db, epoch, at):
                return found
            ids = await _due(db, kind, last, at, at_once)
        for unit_id in ids:
            try:
                done = await carry_out(database, kind, unit_id, at, epoch=epoch, zone=zone)
            except RubackupError:
                raise
            except Exception:  # one rule must not keep all that follow from their turn
                log.exception("the copies of %s %d could not be looked at", word, unit_id)
            else:
                found = found.plus(done)
        if len(ids) == at_once:
            found = replace(found, after=found.after | {word: ids[-1]})
    return found


async def _acts(db: Connection, epoch: int | None, now: dt.datetime) -> bool:
    if epoch is not None:
        await check_epoch(db, epoch)
    return not await configuration.enabled(db, "service_mode") and not await retention_clock.suspended(db, now)


async def _due(db: Connection, kind: Kind, last: int, now: dt.datetime, at_once: int) -> list[int]:
    """Rules that may want something of a copy; which, and whether, is for `decide`."""
    before = dt.timedelta(minutes=await configuration.number(db, "obsolete_backup_notification_period"))
    rows = await db.fetch(kind.due, last, now, now + before, at_once, now - policies.TRIED_AGAIN)
    return [row["id"] for row in rows]


async def carry_out(
    database: Database,
    kind: Kind,
    unit_id: int,
    now: dt.datetime,
    *,
    epoch: int | None = None,
    zone: dt.tzinfo | None = None,
) -> Round:
    """Do what is due for the copies of one rule, in lots of 200; each copy is met once."""
    found, seen, more = Round(), set[int](), True
    while more:
        async with database.transaction() as db:
            if not await _acts(db, epoch, now) or not await policies.lock(db, kind, unit_id):
                return found
            (unit,) = await policies.read(db, kind, [unit_id], zone)
            wanted = [one for one in due(await _decided(db, unit, now), now) if one not in seen]
            lot, more = wanted[:COPIES_AT_ONCE], len(wanted) > COPIES_AT_ONCE
            seen.update(lot)
            found = found.plus(await _lot(db, unit, lot, now)) if lot else found
    return found


async def _lot(db: Connection, unit: Unit, wanted: Sequence[int], now: dt.datetime) -> Round:
    """What is due for these copies, save for those that are busy or that somebody else has in hand."""
    held = {row["id"] for row in await db.fetch(_LOCK_COPIES, list(wanted))}
    found = due(await _decided(db, unit, now), now)  # anew: what was locked stays as it is from here on
    used = await deletion.in_use(db, list(held))
    lots: dict[Action, list[Verdict]] = defaultdict(list)
    for copy_id, verdicts in found.items():
        for verdict in verdicts if copy_id in held else ():
            if verdict.action is Action.INFORM or copy_id not in used:
                lots[verdict.action].append(verdict)
    informed = await _inform(db, unit, lots[Action.INFORM], now)
    copied = await _send(db, unit, lots[Action.COPY], now)
    moved = await _send(db, unit, lots[Action.MOVE], now)
    deleted = await _delete(db, unit, lots[Action.DELETE])
    verified = await _verify(db, unit, lots[Action.VERIFY], now)
    return Round(deleted, informed, moved, copied, verified)


async def _decided(db: Connection, unit: Unit, now: dt.datetime) -> list[Verdict]:
    return decide(await policies.copies(db, unit, now), unit.policy, now)


async def _inform(db: Connection, unit: Unit, verdicts: Sequence[Verdict], now: dt.datetime) -> int:
    """An event, a line in the log, and a notification for each of these copies, once."""
    ids = [one.copy_id for one in verdicts]
    if ids:
        await db.execute(_TOLD, ids, now)
        await db.execute(_NOTIFY, ids, NotificationStatus.NEW.label, unit.inform_group_id)
        await record_history.note(db, ids, "obsolete", f"The user group of {unit.called} is told that the copy ends.")
        await record_history.tell(db, ids, "obsolete", {"by": unit.called})
    return len(ids)


async def _delete(db: Connection, unit: Unit, verdicts: Sequence[Verdict]) -> int:
    reasons: dict[str, list[int]] = defaultdict(list)
    for one in verdicts:
        reasons[one.why].append(one.copy_id)
    for why, ids in reasons.items():
        await record_history.bury(db, ids, "deleted", f"By {unit.called}: {why}")
    return len(verdicts)


async def _verify(db: Connection, unit: Unit, verdicts: Sequence[Verdict], now: dt.datetime) -> int:
    """Queue verifications, as long as not too many of the rule wait already; how many."""
    if not verdicts:
        return 0
    final = [status.label for status in FINAL]
    room = VERIFICATIONS - await db.fetchval(_VERIFYING.format(column=unit.kind.column), unit.id, final)
    rows = await db.fetch(_SOURCES, [one.copy_id for one in sorted(verdicts, key=lambda one: one.at)[: max(room, 0)]])
    for row in rows:
        from_rule = {name: row[name] for name in ("rule_id", "strategy_id", "strategy_rule_id")}
        await verifications.queue(db, row["id"], "", **from_rule)
        await db.execute(_VERIFY_QUEUED, row["id"], now)
    if rows:
        await notify(db, "tasks")
    return len(rows)


async def _send(db: Connection, unit: Unit, verdicts: Sequence[Verdict], now: dt.datetime) -> int:
    """Queue the tasks that copy or move; how many."""
    reasons = {one.copy_id: one for one in verdicts}
    sent = 0
    for source in await db.fetch(_SOURCES, list(reasons)) if reasons else ():
        sent += await _send_one(db, unit, source, reasons[source["id"]], now)
    if sent:
        await notify(db, "tasks")
    return sent


async def _send_one(db: Connection, unit: Unit, source: Any, verdict: Verdict, now: dt.datetime) -> bool:
    second = verdict.action is Action.COPY
    pool_id, duration = policies.target(unit, source["backup_type"], second=second)
    assert pool_id is not None
    task_id, problem = await copies.by_rule(db, source, pool_id, TaskType.COPY if second else TaskType.MOVE, duration)
    await db.execute(_QUEUED, source["id"], task_id, now)
    text = f"By {unit.called}: {verdict.why}"
    if task_id is None:
        await record_history.note(db, [source["id"]], "waiting", f"{text} It waits: {problem}")
        return False
    await record_history.note(db, [source["id"]], "copying" if second else "moving", text, task_id=task_id)
    return True
