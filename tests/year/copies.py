"""Retention lives in the same year: each backup becomes a copy, and day by day what is deleted, moved and copied is compared.

The model below reads no code of the product. It is told what was made and which rules there are, and says what is left.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

from rubackup.catalog.database import Connection, DatabaseAddress
from rubackup.services import records, retention
from support.catalogue import insert
from support.crashing import Crash, Crashing
from year.trial import Difference

DAY = dt.timedelta(days=1)
DURATIONS = ((0, 3), (0, 14), (1, 0))
"""Months and days."""
KEEPS = ("last", "daily", "weekly", "monthly", "yearly")
PERIODS = ("%Y-%m-%d", "%G-%V", "%Y-%m", "%Y")
_HELD = """
UPDATE task_queue SET status = 'Assigned', fence = nextval('task_fence'), record_uuid = gen_random_uuid()
WHERE task_type IN ('Copy', 'Move') AND status = 'New' RETURNING id, fence, record_uuid, record_id, pool_id, task_type"""
_HOSTS = "SELECT p.id, m.hwid FROM pools p JOIN media_servers m ON m.id = p.media_server_id"
_RULES = {"rule": "SELECT id FROM global_schedule", "strategy": "SELECT id FROM strategy_rules"}
_TABLES = {"rule": ("global_schedule", ""), "strategy": ("backup_strategies", "full_")}
_LEFT = """
SELECT rule_id, strategy_rule_id, client_id, resource, created_at, store_until, secondary, pool_id = $1 AS elsewhere
FROM repository"""
_DELETED = """
SELECT count(*) AS lines, count(DISTINCT record_id) AS copies FROM repository_log WHERE action = 'deleted'"""


def later(at: dt.datetime, months: int, days: int = 0) -> dt.datetime:
    """So many months and days later; the last day of a month that is too short."""
    year, month = divmod(at.year * 12 + at.month - 1 + months, 12)
    for day in range(at.day, 0, -1):
        try:
            return at.replace(year=year, month=month + 1, day=day) + days * DAY
        except ValueError:
            continue
    raise AssertionError


@dataclass
class Policy:
    """What a rule says, in numbers."""

    delete: bool
    keeps: list[int]
    """As KEEPS."""
    duration: tuple[int, int]
    move_days: int = 0
    second: tuple[int, int] | None = None
    """At which age in days a second copy is made, and for how many months it is kept."""


@dataclass
class Kept:
    """A copy of the model."""

    rule: tuple[str, int]
    policy: int
    series: tuple[int, str]
    leg: str
    made: dt.datetime
    until: dt.datetime
    good: bool
    order: int
    elsewhere: bool = False
    secondary: bool = False
    second_made: bool = False


@dataclass
class Copies:
    """A part of the trial. `every`: days from one look at the copies to the next."""

    address: DatabaseAddress
    zone: ZoneInfo
    seed: int
    every: int = 1
    counts: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.toss = Random(self.seed)
        self.copies: list[Kept] = []
        self.policies: dict[tuple[str, int], Policy] = {}
        self.database = Crashing(self.address, size=4)
        self.days = self.order = self.other = 0

    async def _open(self) -> None:
        if self.other:
            return
        await self.database.open()
        async with self.database.transaction() as db:
            pool = await db.fetchrow("SELECT id, media_server_id FROM pools ORDER BY id LIMIT 1")
            media = pool["media_server_id"]
            self.other = await insert(db, "pools", pool_name="Second", pool_type="File system", media_server_id=media)
            for one, path in ((pool["id"], "/one"), (self.other, "/two")):
                await insert(db, "storage_local_catalogs", path=path, pool_id=one, media_server_id=media)

    # --- backups ---

    async def made(self, now: dt.datetime, tasks: Sequence[Any]) -> None:
        """Each task has made its copy at once; a few are found damaged."""
        await self._open()
        async with self.database.transaction() as db:
            for task in tasks:
                kind, number = ("strategy", task["strategy_id"]) if task["strategy_id"] else ("rule", task["rule_id"])
                if (kind, number) not in self.policies:
                    self.policies[kind, number] = await self._policy(db, kind, number)
                await self._copy(db, now, task, kind, number)

    async def _copy(self, db: Connection, now: dt.datetime, task: Any, kind: str, number: int) -> None:
        self.order += 1
        until, good = later(now, *self.policies[kind, number].duration), self.toss.random() > 0.04
        client = await db.fetchrow("SELECT hostname, hwid, group_id FROM clients WHERE id = $1", task["client_id"])
        await insert(
            db, "repository", uuid=uuid.uuid4(), task_id=task["id"], client_id=task["client_id"],
            client_hostname=client["hostname"], client_hwid=client["hwid"], client_group_id=client["group_id"],
            pool_id=task["pool_id"], resource_type=task["resource_type"], resource=task["resource"],
            backup_type=task["backup_type"], crypto="nocrypt", size_bytes=1, stored_bytes=1, files=1, files_failed=0,
            created_at=now, store_until=until, rule_id=task["rule_id"], strategy_id=task["strategy_id"],
            strategy_rule_id=task["strategy_rule_id"], verification_status="Not Verified" if good else "Not Trusted",
        )  # fmt: skip
        rule, series = (kind, task["strategy_rule_id"] or number), (task["client_id"], task["resource"])
        self.copies.append(Kept(rule, number, series, task["backup_type"], now, until, good, self.order))
        self.counts["copies made"] += 1

    async def _policy(self, db: Connection, kind: str, number: int) -> Policy:
        """What a rule says about its copies from now on. A strategy says it of its full copies."""
        toss, (table, leg) = self.toss, _TABLES[kind]
        keeps = [toss.choice([0, 0, toss.randrange(1, 6)]) for _ in KEEPS]
        found = Policy(toss.random() < 0.85, keeps, toss.choice(DURATIONS))
        columns: dict[str, Any] = {f"keep_{one}": keep for one, keep in zip(KEEPS, keeps, strict=True)}
        columns["auto_delete_obsoleted_copy_flag"] = found.delete
        if (tossed := toss.random()) < 0.25:
            found.move_days = toss.choice([2, 10])
            more = {
                "move_copy_flag": True,
                "move_copy_pool_id": self.other,
                "move_copy_while": f"{found.move_days} days",
            }
            columns |= {f"{leg}{name}": value for name, value in more.items()}
        elif tossed < 0.5:
            found.second = (toss.choice([0, 1]), toss.choice([1, 2]))
            age = f"{found.second[0]} day" if found.second[0] else "" if leg else None
            more = {
                "second_copy_flag": True, "second_copy_pool_id": self.other, "second_copy_while": age,
                "second_copy_duration": f"{found.second[1]} mons",
            }  # fmt: skip
            columns |= {f"{leg}{name}": value for name, value in more.items()}
        names = ", ".join(f"{name} = ${place}" for place, name in enumerate(columns, 2))
        await db.execute(f"UPDATE {table} SET {names} WHERE id = $1", number, *columns.values())
        return found

    # --- days ---

    async def day_over(self, now: dt.datetime) -> None:
        """The leader looks at the copies, whatever happens to it meanwhile; then model and catalogue hold the same."""
        await self._open()
        self.days += 1
        if self.days % self.every:
            return
        async with self.database.connection() as db:
            service = await db.fetchval("SELECT value FROM global_configuration WHERE key = 'service_mode'")
            epoch = await db.fetchval("SELECT epoch FROM leadership")
            rules = {(kind, row["id"]) for kind, statement in _RULES.items() for row in await db.fetch(statement)}
        await self._retain(now, epoch)
        if not service:
            self._model(now, rules)
        await self._compare(now)

    async def _retain(self, now: dt.datetime, epoch: int) -> None:
        """Rounds until nothing is left to do: some crash, some are made by two servers at once."""
        while True:
            if self.toss.random() < 0.3:
                self.database.left = self.toss.randrange(60)
                try:
                    await self._round(now, epoch)
                except Crash:
                    self.counts["crashes in the middle of a round"] += 1
                self.database.left = None
            rounds = [await self._round(now, epoch)]
            while rounds[-1].after:
                rounds.append(await self._round(now, epoch, rounds[-1].after))
            if self.toss.random() < 0.2:
                rounds += await asyncio.gather(self._round(now, epoch), self._round(now, epoch))
                self.counts["rounds of two servers at once"] += 1
            if not await self._work() and not any(one.deleted for one in rounds):
                return

    async def _round(self, now: dt.datetime, epoch: int, after: dict[str, int] | None = None) -> retention.Round:
        return await retention.run(self.database, epoch, now=now, zone=self.zone, after=after)

    async def _work(self) -> int:
        """The media servers do what was queued; how many tasks."""
        async with self.database.transaction() as db:
            held = await db.fetch(_HELD)
            hosts = {row["id"]: row["hwid"] for row in await db.fetch(_HOSTS)}
        for task in held:
            async with self.database.connection() as db:
                source = await db.fetchrow("SELECT * FROM repository WHERE id = $1", task["record_id"])
            sealed = records.Sealed(
                task_id=task["id"], fence=task["fence"], pool_id=task["pool_id"], media_hwid=hosts[task["pool_id"]],
                record=task["record_uuid"].hex, parent="", client_hwid=source["client_hwid"],
                resource_type=source["resource_type"], resource=source["resource"], backup_type=source["backup_type"],
                files=1, files_failed=0, size_bytes=1, stored_bytes=1, sealed_at=source["created_at"],
            )  # fmt: skip
            if not await records.seal(self.database, sealed):
                raise Difference(f"the copy of task {task['id']} was not taken")
            self.counts["copies moved" if task["task_type"] == "Move" else "second copies"] += 1
        async with self.database.transaction() as db:
            await db.execute("DELETE FROM task_queue WHERE task_type IN ('Copy', 'Move')")
        return len(held)

    async def _compare(self, now: dt.datetime) -> None:
        async with self.database.connection() as db:
            rows = await db.fetch(_LEFT, self.other)
            deleted = await db.fetchrow(_DELETED)
        found = Counter(map(_row, rows))
        wanted = Counter((o.rule, o.series, o.made, o.until, o.secondary, o.elsewhere) for o in self.copies)
        by_model = self.counts["copies deleted"]
        if wanted != found or (deleted["lines"], deleted["copies"]) != (by_model, by_model):
            lines = [f"missing: {one}" for one in sorted((wanted - found).elements(), key=str)]
            lines += [f"too much: {one}" for one in sorted((found - wanted).elements(), key=str)]
            lines.append(f"deleted {deleted['copies']} in {deleted['lines']} lines, by the model {by_model}")
            raise Difference(f"copies at {now} (seed {self.seed}):\n" + "\n".join(lines[:20]))
        self.counts["most copies at once"] = max(self.counts["most copies at once"], len(rows))

    async def finish(self) -> None:
        """The year is over."""
        await self.database.close()

    # --- the model ---

    def _model(self, now: dt.datetime, rules: set[tuple[str, int]]) -> None:
        """What is left at this instant, and where."""
        by_rule: dict[tuple[str, int], list[Kept]] = {}
        for one in self.copies:
            if one.rule in rules:
                by_rule.setdefault(one.rule, []).append(one)
        gone: set[int] = set()
        for (kind, _number), those in by_rule.items():
            policy = self.policies[kind, those[0].policy]
            those += [self._second(one, policy) for one in those if _gets_second(one, kind, policy, now)]
            held = _last(those) | self._kept(those, policy)
            for one in those:
                if policy.delete and one.until <= now and one.order not in held:
                    gone.add(one.order)
                elif _moves(one, kind, policy, now):
                    one.elsewhere = True
        self.counts["copies deleted"] += len(gone)
        self.copies = [one for one in self.copies if one.order not in gone]

    def _second(self, one: Kept, policy: Policy) -> Kept:
        assert policy.second is not None
        one.second_made = True
        self.order += 1
        until = later(one.made, policy.second[1])
        made = Kept(one.rule, one.policy, one.series, one.leg, one.made, until, True, self.order, True, True)
        self.copies.append(made)
        return made

    def _kept(self, those: list[Kept], policy: Policy) -> set[int]:
        """What the keys hold: the newest copies, and the last one of each of the newest periods."""
        found: set[int] = set()
        for series in {one.series for one in those}:
            mine = [one for one in those if one.series == series and one.good and not one.secondary]
            mine.sort(key=lambda one: (one.made, one.order), reverse=True)
            found |= {one.order for one in mine[: policy.keeps[0]]}
            for count, form in zip(policy.keeps[1:], PERIODS, strict=True):
                lasts: dict[str, int] = {}
                for one in mine:
                    lasts.setdefault(one.made.astimezone(self.zone).strftime(form), one.order)
                found |= set(list(lasts.values())[:count])
        return found


def _row(row: Any) -> tuple[Any, ...]:
    rule = ("strategy", row["strategy_rule_id"]) if row["strategy_rule_id"] else ("rule", row["rule_id"])
    series = (row["client_id"], row["resource"])
    return rule, series, row["created_at"], row["store_until"], row["secondary"], row["elsewhere"]


def _goes_elsewhere(one: Kept, kind: str) -> bool:
    return one.good and not one.secondary and (kind == "rule" or one.leg == "full")


def _gets_second(one: Kept, kind: str, policy: Policy, now: dt.datetime) -> bool:
    if policy.second is None or one.second_made or not _goes_elsewhere(one, kind):
        return False
    return one.made + policy.second[0] * DAY <= now < later(one.made, policy.second[1])


def _moves(one: Kept, kind: str, policy: Policy, now: dt.datetime) -> bool:
    old = policy.move_days and one.made + policy.move_days * DAY <= now
    return bool(old and not one.elsewhere and _goes_elsewhere(one, kind))


def _last(those: list[Kept]) -> set[int]:
    """The newest good copy of each resource; of two that are as old the one that is no second copy."""
    best: dict[tuple[int, str], Kept] = {}
    for one in those:
        held = best.get(one.series)
        if one.good and (
            held is None or (one.made, not one.secondary, one.order) > (held.made, not held.secondary, held.order)
        ):
            best[one.series] = one
    return {one.order for one in best.values()}
