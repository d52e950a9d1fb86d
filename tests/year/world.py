"""The installation of the trial: each change is made in the catalogue and in the model."""

from __future__ import annotations

import datetime as dt
from random import Random
from typing import Any

from rubackup.catalog.database import Connection, Database
from support.catalogue import insert
from year.clocks import Walls
from year.model import DIFFERENTIAL, FULL, INCREMENTAL, Model, Rule, Strategy, Timeline, When
from year.plans import Columns, plan

LEGS = {FULL: "full", INCREMENTAL: "inc", DIFFERENTIAL: "diff"}
GROUPS = 6
RESOURCES = ("/", "/etc", "/home", "/srv", "/var")
OFFLINE = "create_new_task_if_client_offline"
_NEW_SINCE = "UPDATE {table} SET {columns}, schedule_since = $1 WHERE id = $2"


class World:
    """Clients in groups, rules, strategies; `toss` decides, `walls` is the clock of the zone."""

    def __init__(self, database: Database, toss: Random, walls: Walls, end: dt.datetime) -> None:
        self.database, self.toss, self.walls, self.end = database, toss, walls, end
        self.model = Model()
        self.groups: list[int] = []
        self.clients: list[int] = []
        self.pool = self.nobody = 0
        self.born: dict[tuple[str, int], dt.datetime] = {}
        """When each rule and strategy was made."""

    async def build(self, now: dt.datetime, *, rules: int, strategies: int, clients: int) -> None:
        """Make all that there is at the beginning."""
        keys = {"csr_pem": b"csr", "fingerprint": "f0"}
        async with self.database.transaction() as db:
            self.nobody = await db.fetchval("SELECT id FROM user_groups WHERE name = 'Nobody'")
            media = await insert(
                db, "media_servers", hwid="aa" * 32, hostname="vault", data_endpoint="10.0.0.1:1", **keys
            )
            self.pool = await insert(db, "pools", pool_name="Default", pool_type="File system", media_server_id=media)
            self.groups = [await insert(db, "client_groups", name=f"group {one}") for one in range(GROUPS)]
            for one in range(clients):
                group = self.toss.choice(self.groups)
                client = await insert(db, "clients", hwid=f"{one:016x}", hostname=f"host{one}", group_id=group, **keys)
                await db.execute("INSERT INTO client_presence (client_id, online) VALUES ($1, true)", client)
                self.clients.append(client)
                self.model.groups[client] = group
                self.model.online.add(client)
        for _ in range(rules):
            await self.make_rule(now)
        for _ in range(strategies):
            await self.make_strategy(now)

    def _timeline(self, when: When, born: dt.datetime, since: dt.datetime) -> Timeline:
        return Timeline(when.launches(born, since, self.end, self.walls))

    # --- rules ---

    async def make_rule(self, now: dt.datetime) -> None:
        """A rule of a client, or once in a while of a group; most run."""
        columns, when = plan(self.toss, now)
        group = self.toss.choice(self.groups) if self.toss.random() < 0.1 else 0
        client = 0 if group else self.toss.choice(self.clients)
        leg = self.toss.choice([FULL, INCREMENTAL, INCREMENTAL, DIFFERENTIAL])
        resource, runs = self.toss.choice(RESOURCES), self.toss.random() < 0.9
        async with self.database.transaction() as db:
            number = await insert(
                db, "global_schedule", name="rule", client_id=client or None, client_group_id=group or None,
                resource_type="File system", resource=resource, backup_type=leg, pool_id=self.pool,
                storage_duration="1 month", status="run" if runs else "wait", created_at=now, schedule_since=now, **columns,
            )  # fmt: skip
        timeline = self._timeline(when, now, now) if runs else None
        self.model.rules[number] = Rule(client, group, resource, leg, timeline)
        self.born["rule", number] = now

    async def edit_rule(self, now: dt.datetime) -> None:
        """Another schedule for a rule, which runs from now on."""
        if number := self._some(self.model.rules):
            columns, when = plan(self.toss, now)
            await self._edit("global_schedule", number, now, columns | {"status": "run"})
            self.model.rules[number].timeline = self._timeline(when, self.born["rule", number], now)

    async def stop_rule(self, now: dt.datetime) -> None:
        """A rule waits."""
        if number := self._some(self.model.rules):
            async with self.database.transaction() as db:
                await db.execute("UPDATE global_schedule SET status = 'wait' WHERE id = $1", number)
            self.model.rules[number].timeline = None

    async def replace_rule(self, now: dt.datetime) -> None:
        """A rule is deleted, another is made."""
        if number := self._some(self.model.rules):
            async with self.database.transaction() as db:
                await db.execute("DELETE FROM global_schedule WHERE id = $1", number)
            del self.model.rules[number]
        await self.make_rule(now)

    # --- strategies ---

    async def make_strategy(self, now: dt.datetime) -> None:
        """A strategy with rules."""
        columns, legs = self._legs(now)
        told = ("inform_when_obsoleted_copy", "notify_normal", "notify_exception", "notify_verify",
                "notify_strategy_validity", "notify_end_storage_capacity")  # fmt: skip
        async with self.database.transaction() as db:
            number = await insert(
                db, "backup_strategies", name=f"strategy {len(self.born)}", pool_id=self.pool, status="run", created_at=now,
                schedule_since=now, **{f"{one}_group_id": self.nobody for one in told}, **columns,
            )  # fmt: skip
        self.born["strategy", number] = now
        self.model.strategies[number] = Strategy(self._timelines(legs, number, now))
        for _ in range(self.toss.randint(1, 6)):
            await self.add_member(now, number)

    def _legs(self, now: dt.datetime) -> tuple[Columns, dict[str, When]]:
        """Columns of all legs, and the schedules of those that are enabled; the validity is the strategy's."""
        columns: Columns = {}
        legs: dict[str, When] = {}
        for leg, prefix in LEGS.items():
            own, when = plan(self.toss, now)
            while when.start or when.end:
                own, when = plan(self.toss, now)
            own["periodic_launch"] = own["periodic_launch"] or ""
            enabled = leg == FULL or self.toss.random() < 0.7
            columns |= {
                f"{prefix}_{name}": own[name] for name in ("min", "hour", "dom", "mon", "dow", "periodic_launch")
            }
            columns |= {f"{prefix}_archive_enabled": enabled, f"{prefix}_storage_duration": "1 month"}
            if enabled:
                legs[leg] = when
        return columns, legs

    def _timelines(self, legs: dict[str, When], number: int, now: dt.datetime) -> dict[str, Timeline]:
        return {leg: self._timeline(when, self.born["strategy", number], now) for leg, when in legs.items()}

    async def edit_strategy(self, now: dt.datetime) -> None:
        """Other schedules for the legs of a strategy."""
        if number := self._some(self.model.strategies):
            columns, legs = self._legs(now)
            await self._edit("backup_strategies", number, now, columns)
            self.model.strategies[number].legs = self._timelines(legs, number, now)

    async def add_member(self, now: dt.datetime, number: int = 0) -> None:
        """A strategy backs up something more."""
        number = number or self._some(self.model.strategies)
        what = (self.toss.choice(self.clients), self.toss.choice(RESOURCES))
        strategy = self.model.strategies[number]
        if what in strategy.members.values():
            return
        async with self.database.transaction() as db:
            member = await insert(
                db,
                "strategy_rules",
                strategy_id=number,
                client_id=what[0],
                resource_type="File system",
                resource=what[1],
            )
        strategy.members[member] = what

    async def drop_member(self, now: dt.datetime) -> None:
        """A strategy backs up something less."""
        strategy = self.model.strategies[self._some(self.model.strategies)]
        if member := self._some(strategy.members):
            async with self.database.transaction() as db:
                await db.execute("DELETE FROM strategy_rules WHERE id = $1", member)
            del strategy.members[member]

    # --- clients ---

    async def move_client(self, now: dt.datetime) -> None:
        """A client goes into another group."""
        client, group = self.toss.choice(self.clients), self.toss.choice(self.groups)
        async with self.database.transaction() as db:
            await db.execute("UPDATE clients SET group_id = $2 WHERE id = $1", client, group)
        self.model.groups[client] = group

    async def turn_client(self, now: dt.datetime) -> None:
        """A client comes or goes."""
        client = self.toss.choice(self.clients)
        self.model.online ^= {client}
        async with self.database.transaction() as db:
            await db.execute(
                "UPDATE client_presence SET online = $2 WHERE client_id = $1", client, client in self.model.online
            )

    async def turn_option(self, now: dt.datetime) -> None:
        """Offline clients get tasks, or none."""
        self.model.always = not self.model.always
        await self.configure(OFFLINE, "create new task" if self.model.always else "do not create new task")

    async def configure(self, key: str, value: object) -> None:
        """Set a key of the global configuration."""
        async with self.database.transaction() as db:
            await db.execute(
                "INSERT INTO global_configuration VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
                key, value,
            )  # fmt: skip

    async def _edit(self, table: str, number: int, now: dt.datetime, columns: Columns) -> None:
        async with self.database.transaction() as db:
            await _set(db, table, number, now, columns)

    def _some(self, numbers: dict[int, Any]) -> int:
        return self.toss.choice(list(numbers)) if numbers else 0


async def _set(db: Connection, table: str, number: int, now: dt.datetime, columns: Columns) -> None:
    marks = ", ".join(f"{name} = ${place}" for place, name in enumerate(columns, 3))
    await db.execute(_NEW_SINCE.format(table=table, columns=marks), now, number, *columns.values())
