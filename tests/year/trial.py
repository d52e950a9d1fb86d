"""The trial: a fake clock runs on, servers come, go, crash and take over, and after every tick what was made is compared."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import heapq
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, Protocol
from zoneinfo import ZoneInfo

from rubackup.catalog.database import DatabaseAddress
from rubackup.domain.errors import Fenced
from rubackup.services import ticks
from rubackup.services.leadership import Leadership
from support.crashing import Crash, Crashing
from year.clocks import walls
from year.model import Launch, Task
from year.world import World

SECOND, MINUTE, HOUR, DAY = (dt.timedelta(seconds=one) for one in (1, 60, 3600, 86_400))
A_YEAR = {
    "edit_rule": 120, "stop_rule": 40, "replace_rule": 40, "edit_strategy": 15, "add_member": 20, "drop_member": 20,
    "move_client": 60, "turn_client": 400, "turn_option": 20, "outage": 50, "crash": 150, "take_over": 100, "service": 25,
}  # fmt: skip
"""What happens besides, and how often in a year."""
_TAKE_AWAY = """
DELETE FROM task_queue RETURNING id, rule_id, strategy_id, strategy_rule_id, client_id, backup_type, resource,
    resource_type, pool_id, storage_duration, priority"""
_LAUNCHES = "DELETE FROM schedule_ticks RETURNING origin, origin_id, leg, due_at, at"
_NEXT = "SELECT min(due_at) FROM schedule_launches WHERE due_at > '-infinity'"


class Difference(AssertionError):
    """The product did something else than the model."""


class Part(Protocol):
    """Something that lives in the same year: it hears of the tasks, as if their copies were made then, and of the days.

    Retention joins here: `made` writes copies, `day_over` deletes and moves, and both compare with a model of their own.
    """

    async def made(self, now: dt.datetime, tasks: Sequence[Any]) -> None:
        """These tasks were made at this instant, and have left the queue."""

    async def day_over(self, now: dt.datetime) -> None:
        """A day is over."""

    async def finish(self) -> None:
        """The year is over."""


@dataclass
class Trial:
    """A span of time; `parts` live in it, too."""

    address: DatabaseAddress
    start: dt.datetime
    days: int
    zone: ZoneInfo
    seed: int
    rules: int = 200
    strategies: int = 20
    clients: int = 50
    parts: Sequence[Part] = ()
    happens: float = 1.0
    """How much more often than in a common year things happen."""
    counts: Counter[str] = field(default_factory=Counter)

    async def run(self) -> Counter[str]:
        """What happened, counted; Difference at the first one."""
        self.toss = Random(self.seed)
        self.now, self.end = self.start, self.start + self.days * DAY
        self.down_until, self.service = self.start, False
        self.crash_next = False
        self.database = Crashing(self.address, size=4)
        await self.database.open()
        leaders = [Leadership(self.database), Leadership(self.database)]
        try:
            clock = walls(self.start - DAY, self.end + DAY, self.zone)
            self.world = World(self.database, self.toss, clock, self.end)
            await self.world.build(self.start, rules=self.rules, strategies=self.strategies, clients=self.clients)
            self.leaders = leaders
            self.epoch = await self._lead()
            await self._live()
            for part in self.parts:
                await part.finish()
        finally:
            for leader in leaders:
                await leader.release()
            await self.database.close()
        return self.counts + Counter({f"skipped: {what}": n for what, n in self.world.model.skipped.items()})

    async def _lead(self) -> int:
        """Another server takes over; the new epoch."""
        self.leaders.reverse()
        await self.leaders[1].release()
        epoch = await self.leaders[0].take(f"{len(self.leaders):064x}")
        assert epoch is not None
        self.counts["changes of leader"] += 1
        return epoch

    # --- time ---

    async def _live(self) -> None:
        self.happenings = self._happenings()
        await self._tick()
        midnight = self.start + DAY
        while self.now < self.end:
            due = await self._value(_NEXT) if not self.service and self.now >= self.down_until else None
            wake = due + self.toss.choice([0, 0, 0.3, 1.5, 40]) * SECOND if due else None
            if self.now < self.down_until:
                wake = self.down_until
            coming = self.happenings[0][0] if self.happenings else self.end
            if wake is None or coming <= wake:
                self.now = max(self.now, min(coming, self.end))
                if self.happenings and self.now < self.end:
                    await self._happen(heapq.heappop(self.happenings)[2])
            else:
                self.now = max(self.now, min(wake, self.end))
                self.down_until = min(self.down_until, self.now)
                await self._tick()
            while midnight <= self.now:
                await self._day_over(midnight)
                midnight += DAY
        self.down_until, self.service = self.now, False
        await self.world.configure("service_mode", value=False)
        await self._tick()
        await self._day_over(self.end)

    def _happenings(self) -> list[tuple[dt.datetime, int, str]]:
        found = []
        for what, a_year in A_YEAR.items():
            for _ in range(round(a_year * self.happens * self.days / 365 + self.toss.random())):
                at = self.start + self.toss.random() * self.days * DAY
                found.append((at.replace(microsecond=0), self.toss.randrange(2**31), what))
        heapq.heapify(found)
        return found

    async def _happen(self, what: str) -> None:
        self.counts[what] += 1
        match what:
            case "outage":
                length = self.toss.choice([MINUTE, 10 * MINUTE, HOUR, 5 * HOUR, DAY, 3 * DAY]) * self.toss.random()
                self.down_until = max(self.down_until, self.now + length)
                self.epoch = await self._lead()
            case "take_over":
                await self._take_over()
            case "crash":
                self.crash_next = True
            case "service":
                self.service = not self.service
                await self.world.configure("service_mode", value=self.service)
                if self.service:
                    later = self.now + self.toss.randrange(1, 30) * HOUR
                    heapq.heappush(self.happenings, (later, self.toss.randrange(2**31), "service"))
            case _:
                await getattr(self.world, what)(self.now)

    # --- servers ---

    async def _take_over(self) -> None:
        """Another server leads; the one before has not heard of it, and ticks at the same moment."""
        old, self.epoch = self.epoch, await self._lead()
        if self.now < self.down_until:
            return

        async def left_behind() -> None:
            with contextlib.suppress(Fenced, Crash):
                await ticks.tick(self.database, old, self.zone, now=self.now)
                raise Difference("a server that does not lead any more has made a tick")

        await asyncio.gather(left_behind(), self._tick())

    async def _tick(self) -> None:
        if self.crash_next and not self.service:
            self.crash_next = False
            self.database.left = self.toss.randrange(15)
            try:
                await ticks.tick(self.database, self.epoch, self.zone, now=self.now)
            except Crash:
                self.database.left = None
                self.epoch = await self._lead()
                self.down_until = self.now + self.toss.choice([2 * SECOND, 20 * SECOND, 20 * MINUTE])
                self.counts["crashes in the middle of a tick"] += 1
                return
            self.database.left = None
        limit = self.toss.choice([7, 40, 500])
        while (await ticks.tick(self.database, self.epoch, self.zone, now=self.now, limit=limit)).wait_seconds == 0:
            self.counts["ticks that left something for the next"] += 1
        self.counts["ticks"] += 1
        await self._compare()

    # --- what came of it ---

    async def _compare(self) -> None:
        launches, tasks = ([], Counter[Task]()) if self.service else self.world.model.tick(self.now)
        async with self.database.transaction() as db:
            made = await db.fetch(_TAKE_AWAY)
            found = [tuple(row) for row in await db.fetch(_LAUNCHES)]
        self._same("launches", Counter[Launch](launches), Counter(found))
        self._same("tasks", tasks, Counter(map(_task, made)))
        self.counts["launches"] += len(launches)
        self.counts["tasks"] += len(made)
        for part in self.parts:
            await part.made(self.now, sorted(made, key=lambda row: row["id"]))

    def _same(self, what: str, wanted: Counter[Any], found: Counter[Any]) -> None:
        if wanted != found:
            lines = [f"missing: {one}" for one in sorted((wanted - found).elements(), key=str)]
            lines += [f"too much: {one}" for one in sorted((found - wanted).elements(), key=str)]
            raise Difference(f"{what} at {self.now} (seed {self.seed}):\n" + "\n".join(lines[:20]))

    async def _day_over(self, midnight: dt.datetime) -> None:
        fulls = self.world.model.fulls
        for at in [at for at in fulls if at < midnight - 40 * DAY]:
            del fulls[at]
        for part in self.parts:
            await part.day_over(midnight)

    async def _value(self, query: str) -> Any:
        async with self.database.connection() as db:
            return await db.fetchval(query)


def _task(row: Any) -> Task:
    kind = "strategy" if row["strategy_id"] else "rule"
    return (
        kind, row["strategy_id"] or row["rule_id"], row["strategy_rule_id"] or 0, row["client_id"], row["backup_type"],
        row["resource"],
    )  # fmt: skip
