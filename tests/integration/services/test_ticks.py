"""The scheduler's ticks on the catalogue, with a clock of the test's."""

from __future__ import annotations

import asyncio
import datetime as dt
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from rubackup.catalog.database import Database
from rubackup.domain.errors import Fenced
from rubackup.services import housekeeping, ticks
from rubackup.services.leadership import Leadership
from rubackup.services.ticks import Tick
from support.catalogue import World, insert
from support.crashing import Crash, Crashing

pytestmark = pytest.mark.postgres

BERLIN = ZoneInfo("Europe/Berlin")
START = dt.datetime(2026, 3, 2, 10, tzinfo=dt.UTC)
"""A Monday, 11:00 in Berlin."""
HOUR, MINUTE, SECOND = dt.timedelta(hours=1), dt.timedelta(minutes=1), dt.timedelta(seconds=1)


class Clocked:
    """A World whose scheduler lives by a clock that the test sets."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.database = world.database
        self.now = START

    @classmethod
    async def build(cls, database: Database) -> Clocked:
        return cls(await World.build(database))

    async def rule(self, **fields: Any) -> int:
        """A rule that runs since START; every hour unless it says otherwise."""
        row = {
            "name": "hourly", "client_id": self.world.client, "pool_id": self.world.pool, "resource_type": "File system",
            "resource": "/home", "backup_type": "full", "storage_duration": "1 day", "min": "0", "status": "run",
            "created_at": START, "schedule_since": self.now,
        }  # fmt: skip
        async with self.database.transaction() as db:
            return await insert(db, "global_schedule", **(row | fields))

    async def strategy(self, **fields: Any) -> int:
        """A strategy that runs since START, with no leg unless it says so."""
        async with self.database.transaction() as db:
            nobody = await db.fetchval("SELECT id FROM user_groups WHERE name = 'Nobody'")
            told = ("inform_when_obsoleted_copy", "notify_normal", "notify_exception", "notify_verify",
                    "notify_strategy_validity", "notify_end_storage_capacity")  # fmt: skip
            row = {"name": "strategy", "pool_id": self.world.pool, "status": "run", "created_at": START,
                   "schedule_since": self.now, **{f"{one}_group_id": nobody for one in told}}  # fmt: skip
            return await insert(db, "backup_strategies", **(row | fields))

    async def member(self, strategy: int, **fields: Any) -> int:
        """A rule of a strategy."""
        row = {
            "strategy_id": strategy,
            "client_id": self.world.client,
            "resource_type": "File system",
            "resource": "/home",
        }
        async with self.database.transaction() as db:
            return await insert(db, "strategy_rules", **(row | fields))

    async def client(self, hwid: str, group: int | None = None, *, online: bool = False) -> int:
        """A client more."""
        async with self.database.transaction() as db:
            client = await insert(
                db, "clients", hwid=hwid, hostname=f"host{hwid[-1]}", group_id=group or self.world.group, csr_pem=b"csr",
                fingerprint="f0",
            )  # fmt: skip
            await db.execute("INSERT INTO client_presence (client_id, online) VALUES ($1, $2)", client, online)
            return client

    async def tick(self, after: dt.timedelta = dt.timedelta(), **arguments: Any) -> Tick:
        """Let the clock go on, and tick until nothing is due."""
        self.now += after
        epoch = arguments.pop("epoch", None) or await self.world.value("SELECT epoch FROM leadership")
        total = Tick()
        while True:
            done = await ticks.tick(self.database, epoch, BERLIN, now=self.now, **arguments)
            total = Tick(
                launches=total.launches + done.launches, tasks=total.tasks + done.tasks, wait_seconds=done.wait_seconds
            )
            if done.wait_seconds > 0:
                return total

    async def tasks(self) -> list[tuple[Any, ...]]:
        """Rule or strategy, type and resource of every task, in order."""
        async with self.database.connection() as db:
            rows = await db.fetch(
                "SELECT coalesce(rule_id, strategy_id), backup_type, resource, client_id FROM task_queue ORDER BY id"
            )
            return [tuple(row) for row in rows]

    async def rows(self, query: str) -> list[Any]:
        """The rows of a query."""
        async with self.database.connection() as db:
            return list(await db.fetch(query))

    async def lines(self) -> list[tuple[str, str]]:
        """Action and text of the log."""
        async with self.database.connection() as db:
            return [tuple(r) for r in await db.fetch("SELECT action, text FROM global_schedule_log ORDER BY id")]


def test_a_rule_whose_minute_has_come_makes_its_task(run):
    """The task is the rule's, names it, and comes once; the log says when it was due."""

    async def scenario(database: Database):
        here = await Clocked.build(database)
        rule = await here.rule(priority=7, module_parameters={"file_list": True}, notify_normal_script="/opt/ok.sh")
        assert (await here.tick()).tasks == 0
        done = await here.tick(HOUR)
        assert (await here.tick(30 * MINUTE)).tasks == 0

        assert (done.launches, done.tasks) == (1, 1)
        assert await here.tasks() == [(rule, "full", "/home", here.world.client)]
        task = await here.world.row("SELECT * FROM task_queue")
        assert (task["status"], task["priority"], task["created_by"], task["rule_id"]) == ("New", 7, "", rule)
        assert task["storage_duration"] == dt.timedelta(days=1)
        assert task["parameters"] == {"module": {"file_list": True}, "common": {}, "scripts": {"normal": "/opt/ok.sh"}}
        kinds = await here.world.column("SELECT kind FROM task_reservations ORDER BY kind")
        assert kinds == ["pool", "resource"]
        assert await here.lines() == [("executed", "Due at 2026-03-02T11:00:00Z.")]

    run(scenario)


def test_a_tick_says_when_the_next_is_due(run):
    """The wait ends with the next launch of all schedules, and is never longer than half a minute."""

    async def scenario(database: Database):
        here = await Clocked.build(database)
        await here.rule()
        here.now += HOUR - 10 * SECOND

        assert (await here.tick()).wait_seconds == pytest.approx(10)
        assert (await here.tick(10 * SECOND)).wait_seconds == ticks.LOOK_SECONDS

    run(scenario)


def test_a_leg_makes_the_backups_of_the_strategys_rules(run):
    """Pool, cipher and the leg's duration are the strategy's; client, resource, priority, parameters and scripts its rule's."""

    async def scenario(database: Database):
        here = await Clocked.build(database)
        strategy = await here.strategy(
            crypto="kuznyechik 256", full_storage_duration="1 year", diff_archive_enabled=True,
            diff_storage_duration="2 weeks", diff_min="30",
        )  # fmt: skip
        first = await here.member(
            strategy, resource="/srv", priority=9, module_parameters={"file_list": True},
            common_parameters={"worker_parallelism": 3}, normal_execution_script="/opt/ok.sh",
            exception_execution_script="/opt/bad.sh",
        )  # fmt: skip
        other = await here.member(strategy, resource="/home", client_id=await here.client("01" * 8))
        await here.tick(30 * MINUTE)

        task, second = await here.rows("SELECT * FROM task_queue ORDER BY id")
        assert (task["strategy_id"], task["strategy_rule_id"], task["rule_id"]) == (strategy, first, None)
        assert (task["resource"], task["client_id"], task["priority"]) == ("/srv", here.world.client, 9)
        assert (task["backup_type"], task["crypto"], task["pool_id"]) == (
            "differential",
            "kuznyechik 256",
            here.world.pool,
        )
        assert task["storage_duration"] == dt.timedelta(weeks=2)
        assert task["parameters"] == {
            "module": {"file_list": True}, "common": {"worker_parallelism": 3},
            "scripts": {"normal": "/opt/ok.sh", "exception": "/opt/bad.sh"},
        }  # fmt: skip
        assert (second["strategy_rule_id"], second["parameters"]) == (other, {"module": {}, "common": {}})

    run(scenario)


# --- exactly once ---


def test_missed_launches_are_made_once(run):
    """After a night without a server each schedule runs once, for its latest instant, and goes on as if nothing had been."""

    async def scenario(database: Database):
        here = await Clocked.build(database)
        rule = await here.rule()
        daily = await here.rule(resource="/etc", hour="3", dow="2")
        assert (await here.tick()).tasks == 0

        done = await here.tick(23 * HOUR + 30 * MINUTE)

        assert (done.launches, done.tasks) == (2, 2)
        assert await here.world.column("SELECT due_at FROM schedule_ticks ORDER BY due_at") == [
            dt.datetime(2026, 3, 3, 2, tzinfo=dt.UTC), dt.datetime(2026, 3, 3, 9, tzinfo=dt.UTC)
        ]  # fmt: skip
        assert sorted(task[0] for task in await here.tasks()) == [rule, daily]
        assert (await here.tick(30 * MINUTE)).tasks == 1

    run(scenario)


def test_the_service_mode_holds_launches_back(run):
    """While it is on nothing is launched; what was due meanwhile is made once when it ends."""

    async def scenario(database: Database):
        here = await Clocked.build(database)
        await here.rule()
        await here.world.configure(service_mode=True)
        assert (await here.tick(5 * HOUR)).tasks == 0
        async with database.transaction() as db:
            await db.execute("DELETE FROM global_configuration")

        assert (await here.tick(MINUTE)).tasks == 1

    run(scenario)


def test_only_the_leader_of_the_epoch_launches(run):
    """A server that was overtaken makes nothing, and what it would have made is left for the other."""

    async def scenario(database: Database):
        here = await Clocked.build(database)
        await here.rule()
        first, second = Leadership(database), Leadership(database)
        old = await first.take("aa" * 32)
        await first.release()
        new = await second.take("bb" * 32)
        here.now += HOUR
        with pytest.raises(Fenced):
            await here.tick(epoch=old)
        assert await here.tasks() == []

        assert (await here.tick(epoch=new)).tasks == 1
        await second.release()

    run(scenario)


def test_two_servers_that_tick_at_once_launch_once(run):
    """Ticks of one epoch side by side share the launches among them."""

    async def scenario(database: Database):
        here = await Clocked.build(database)
        for number in range(40):
            await here.rule(resource=f"/home/{number}")
        here.now += HOUR

        done = await asyncio.gather(*(here.tick(limit=7) for _ in range(4)))

        assert sum(one.tasks for one in done) == 40
        assert len({task[0] for task in await here.tasks()}) == len(await here.tasks()) == 40

    run(scenario)


def test_a_crash_at_any_statement_loses_and_doubles_nothing(database):
    """Whatever statement of a tick is the last, the next server makes each launch exactly once."""

    async def scenario() -> None:
        catalogue = Crashing(database)
        await catalogue.open()
        try:
            here = await Clocked.build(catalogue)
            rules = [await here.rule(resource=f"/home/{number}") for number in range(3)]
            strategy = await here.strategy(
                full_archive_enabled=True, full_storage_duration="1 day", full_min="0",
                inc_archive_enabled=True, inc_storage_duration="1 day", inc_min="0,30",
            )  # fmt: skip
            await here.member(strategy, resource="/srv")
            statements = hours = 0
            await here.tick()
            while True:  # each hour the server is lost one statement later, until a tick comes to its end
                here.now, hours, catalogue.left = here.now + HOUR, hours + 1, statements
                try:
                    await here.tick()
                except Crash:
                    statements, catalogue.left = statements + 1, None
                    await here.tick()
                else:
                    break
            catalogue.left = None

            assert hours > 10
            assert sorted(await here.tasks()) == sorted(
                [(rule, "full", f"/home/{number}", here.world.client) for number, rule in enumerate(rules)] * hours
                + [(strategy, "full", "/srv", here.world.client)] * hours
            )
        finally:
            await catalogue.close()

    asyncio.run(scenario())


def test_a_clock_that_is_set_back_does_not_silence_the_schedule(run):
    """A clock that was a year ahead for a moment: launches are found anew, and none is made a second time."""

    async def scenario(database: Database):
        here = await Clocked.build(database)
        await here.rule()
        assert (await here.tick(HOUR)).tasks == 1
        assert (await here.tick(365 * 24 * HOUR)).tasks == 1
        here.now = START + HOUR + MINUTE
        assert (await here.tick()).tasks == 0

        assert (await here.tick(HOUR)).tasks == 1
        instants = await here.world.column("SELECT due_at FROM schedule_ticks ORDER BY due_at")
        assert instants[:2] == [START + HOUR, START + 2 * HOUR]

    run(scenario)


def test_another_zone_moves_what_is_to_come(run):
    """A server whose TIMEZONE was changed launches by the new one from then on, and nothing twice."""

    async def scenario(database: Database):
        here = await Clocked.build(database)
        await here.rule(hour="23")
        await here.tick()
        here.now += 5 * HOUR  # 15:00 UTC: 18:00 in Moscow, 16:00 in Berlin
        epoch = await here.world.value("SELECT epoch FROM leadership")
        await ticks.tick(database, epoch, ZoneInfo("Europe/Moscow"), now=here.now)

        due = await here.world.value("SELECT due_at FROM schedule_launches")
        assert due == dt.datetime(2026, 3, 2, 20, tzinfo=dt.UTC)

    run(scenario)


# --- what changes meanwhile ---


def test_stopped_rules_launch_nothing_and_started_ones_miss_nothing(run):
    """What lies between stop and start was not missed."""

    async def scenario(database: Database):
        here = await Clocked.build(database)
        rule = await here.rule()
        set_status = "UPDATE global_schedule SET status = $2, schedule_since = $3 WHERE id = $1"
        async with database.transaction() as db:
            await db.execute(set_status, rule, "wait", START)
        assert (await here.tick(5 * HOUR + MINUTE)).launches == 0
        async with database.transaction() as db:
            await db.execute(set_status, rule, "run", here.now)
        assert (await here.tick()).launches == 0

        assert (await here.tick(HOUR)).tasks == 1

    run(scenario)


def test_a_deleted_rule_leaves_nothing_to_launch(run):
    """Rules and strategies take their launches with them."""

    async def scenario(database: Database):
        here = await Clocked.build(database)
        await here.rule()
        await here.strategy(full_archive_enabled=True, full_storage_duration="1 day", diff_archive_enabled=True,
                            diff_storage_duration="1 day")  # fmt: skip
        assert await here.world.value("SELECT count(*) FROM schedule_launches") == 3
        async with database.transaction() as db:
            await db.execute("DELETE FROM global_schedule")
            await db.execute("UPDATE backup_strategies SET diff_archive_enabled = false, schedule_since = now()")
            assert await db.fetchval("SELECT array_agg(leg) FROM schedule_launches") == ["full"]
            await db.execute("DELETE FROM backup_strategies")

        assert await here.world.value("SELECT count(*) FROM schedule_launches") == 0

    run(scenario)


def test_a_rule_of_a_group_backs_up_who_is_in_it(run):
    """A client that joins the group counts from then on, one that leaves it does not any more; others never did."""

    async def scenario(database: Database):
        here = await Clocked.build(database)
        async with database.transaction() as db:
            group = await insert(db, "client_groups", name="lab")
        first, second = await here.client("01" * 8, group), await here.client("02" * 8)
        await here.rule(client_id=None, client_group_id=group)

        async def clients(*, moved: int, to: int) -> list[int]:
            async with database.transaction() as db:
                await db.execute("DELETE FROM task_queue")
                await db.execute("UPDATE clients SET group_id = $2 WHERE id = $1", moved, to)
            await here.tick(HOUR)
            return [task[3] for task in await here.tasks()]

        assert await clients(moved=first, to=group) == [first]
        assert await clients(moved=second, to=group) == [first, second]
        assert await clients(moved=first, to=here.world.group) == [second]
        assert await clients(moved=second, to=here.world.group) == []

    run(scenario)


# --- full and partial, offline clients ---


def test_a_full_and_a_partial_due_together_are_the_full_alone(run):
    """Between rules and strategies: of the same resource of a client the partial ones are left out, and the log says so."""

    async def scenario(database: Database):
        here = await Clocked.build(database)
        other = await here.client("01" * 8)
        strategy = await here.strategy(
            full_archive_enabled=True, full_storage_duration="1 day", full_min="0", full_hour="*/2",
            inc_archive_enabled=True, inc_storage_duration="1 day", inc_min="0",
            diff_archive_enabled=True, diff_storage_duration="1 day", diff_min="30", diff_hour="12",
        )  # fmt: skip
        await here.member(strategy)
        partial = await here.rule(backup_type="incremental", min="0,30", hour="12")
        elsewhere = await here.rule(backup_type="incremental", client_id=other)
        client = here.world.client

        await here.tick(HOUR)  # 12:00 in Berlin
        assert await here.tasks() == [(strategy, "full", "/home", client), (elsewhere, "incremental", "/home", other)]
        assert await here.world.column("SELECT text FROM global_schedule_log WHERE action = 'skipped'") == [
            "Due at 2026-03-02T11:00:00Z. No task: a full backup of the same resource was due at the same time."
        ]
        skipped = await here.world.column("SELECT family FROM events WHERE kind = 'skipped' ORDER BY family")
        assert skipped == ["global_schedule", "strategy_rules"]

        await here.tick(30 * MINUTE)  # 12:30: two partial ones are two
        assert [one[:2] for one in (await here.tasks())[2:]] == [(partial, "incremental"), (strategy, "differential")]

    run(scenario)


def test_full_ones_are_found_across_batches(run):
    """However few launches a transaction makes, a partial one finds the full one that covers it."""

    async def scenario(database: Database):
        here = await Clocked.build(database)
        for number in range(5):
            await here.rule(resource=f"/home/{number}", backup_type="incremental", min="*/10")
        for number in range(5):
            await here.rule(resource=f"/home/{number}", backup_type="full")

        done = await here.tick(HOUR, limit=2)

        assert (done.launches, done.tasks) == (10, 5)
        assert {task[1] for task in await here.tasks()} == {"full"}

    run(scenario)


def test_the_launch_of_an_offline_client_can_be_left_out(run):
    """With `create_new_task_if_client_offline` off there is no task, a line and an event say why; online ones have theirs."""

    async def scenario(database: Database):
        here = await Clocked.build(database)
        offline = await here.client("01" * 8)
        await here.rule()
        await here.rule(client_id=offline)
        async with database.transaction() as db:
            group = await insert(db, "client_groups", name="cluster", clustered=True)
        node, _up = await here.client("02" * 8, group), await here.client("03" * 8, group, online=True)
        await here.rule(client_id=node)
        assert (await here.tick(HOUR)).tasks == 3
        await here.world.configure(create_new_task_if_client_offline="do not create new task")

        done = await here.tick(HOUR)

        assert (done.launches, done.tasks) == (3, 2)
        assert [task[3] for task in (await here.tasks())[3:]] == [here.world.client, node]
        text = "Due at 2026-03-02T12:00:00Z. No task: the client host1 (0101010101010101) was offline "
        assert (await here.lines())[-1] == ("skipped", f"{text}(create_new_task_if_client_offline).")

    run(scenario)


def test_launches_of_an_offline_client_do_not_pile_up(run):
    """The first one's task waits for all of them; a rule of another type has its own, and when the task is gone there is a new one."""

    async def scenario(database: Database):
        here = await Clocked.build(database)
        offline = await here.client("01" * 8)
        rule = await here.rule(client_id=offline)
        strategy = await here.strategy(inc_archive_enabled=True, inc_storage_duration="1 day", inc_min="0")
        await here.member(strategy, client_id=offline, resource="/other")
        assert (await here.tick(HOUR)).tasks == 2
        done = await here.tick(HOUR)
        task = await here.world.value("SELECT id FROM task_queue WHERE rule_id = $1", rule)

        assert (done.launches, done.tasks) == (2, 0)
        text = f"Due at 2026-03-02T12:00:00Z. No task: task {task} of the same rule still waits for the client host1 (0101010101010101), which is offline."
        assert ("skipped", text) in await here.lines()
        await here.world.row(
            "UPDATE task_queue SET status = 'Killed', finished_at = now() WHERE id = $1 RETURNING 1", task
        )
        await here.rule(client_id=offline, backup_type="incremental", resource="/third")
        assert (await here.tick(HOUR)).tasks == 2

    run(scenario)


def test_after_a_change_of_leader_clients_get_time_to_come_back(run):
    """Where offline clients get no tasks, nothing is launched before agents had the time to connect."""

    async def scenario(database: Database):
        here = await Clocked.build(database)
        await here.rule()
        assert (await here.tick(HOUR, settled=False)).tasks == 1
        await here.world.configure(create_new_task_if_client_offline="do not create new task")

        assert (await here.tick(HOUR, settled=False)).launches == 0
        assert (await here.tick(15 * SECOND)).tasks == 1

    run(scenario)


def test_old_launches_are_forgotten(run):
    """Housekeeping removes the rows of launches after a month, their lines after 400 days, and no line of a user."""

    async def scenario(database: Database):
        here = await Clocked.build(database)
        async with database.transaction() as db:
            for days in (1, 30, 32, 400):
                await db.execute(
                    "INSERT INTO schedule_ticks VALUES ('rule', 1, 'full', now() - make_interval(days => $1), now(), 1)",
                    days,
                )
                await db.execute(
                    """INSERT INTO global_schedule_log (at, rule_id, rule_name, client, client_group_id, action, user_name)
                       SELECT now() - make_interval(days => $1), 1, 'r', 'c', 1, a, u
                       FROM (VALUES ('executed', ''), ('skipped', ''), ('executed', 'root')) AS v (a, u)""",
                    days + 1,
                )
        await housekeeping.run(here.database)

        assert await here.world.value("SELECT count(*) FROM schedule_ticks") == 2
        assert await here.world.value("SELECT count(*) FROM global_schedule_log") == 4 * 3 - 2

    run(scenario)
