"""What the queue does in PostgreSQL beyond its port: concurrency, events, notifications, progress."""

from __future__ import annotations

import asyncio

import pytest

from rubackup.catalog.database import Database
from rubackup.domain.lookups import TaskStatus
from rubackup.domain.tasks import Verb
from rubackup.queue import statements
from rubackup.queue.ports import Beat, NewTask, Reservation
from rubackup.queue.postgres import PooledQueue, PostgresQueue

pytestmark = pytest.mark.postgres
BACKUP = NewTask(task_type="Backup", executor="client")


def test_two_claimers_never_get_the_same_task(run):
    """Claims at the same time share the queue out without doubles and without gaps."""

    async def scenario(database: Database):
        queue = PooledQueue(database)
        tasks = [await queue.add(BACKUP) for _ in range(60)]
        claims = await asyncio.gather(*(queue.claim(f"server {n}", 60, 10) for n in range(8)))

        taken = [held.task_id for claim in claims for held in claim]
        assert sorted(taken) == tasks

    run(scenario)


def test_two_claimers_never_hold_clashing_tasks(run):
    """Of tasks with one exclusive key a single one is held, however many claim at once."""

    async def scenario(database: Database):
        queue = PooledQueue(database)
        task = NewTask(task_type="Backup", executor="client", reservations=(Reservation("resource", "home", True),))
        for _ in range(10):
            await queue.add(task)
        claims = await asyncio.gather(*(queue.claim(f"server {n}", 60, 2) for n in range(6)))

        assert sum(len(claim) for claim in claims) == 1

    run(scenario)


def test_no_waiting_task_is_forgotten_while_workers_finish_at_the_same_time(run):
    """Letting go of a key and blocking behind it never miss each other."""

    async def scenario(database: Database):
        queue = PooledQueue(database)
        for number in range(60):
            key = Reservation("resource", str(number % 3), exclusive=number % 2 == 0)
            await queue.add(NewTask(task_type="Backup", executor="client", reservations=(key,)))
        done: list[int] = []

        async def work(name: str) -> None:
            while len(done) < 60:
                for held in await queue.claim(name, 60, 2):
                    await queue.step(held.task_id, held.fence, Verb.FINISH)
                    done.append(held.task_id)

        await asyncio.wait_for(asyncio.gather(*(work(f"worker {n}") for n in range(5))), 120)

        assert sorted(done) == list(range(1, 61))

    run(scenario)


def test_two_sharers_that_let_go_at_once_do_not_leave_the_waiter_to_each_other(run):
    """An exclusive task is woken when its last two sharers end in transactions that do not see each other."""

    async def scenario(database: Database):
        queue = PooledQueue(database)
        pool = [Reservation("pool", "1", exclusive=exclusive) for exclusive in (False, True)]
        tasks = [
            await queue.add(NewTask(task_type="Backup", executor="client", reservations=(pool[n],))) for n in (0, 0, 1)
        ]
        first, second = await queue.claim("server", 60, 3)
        async with database.transaction() as one, database.transaction() as other:
            await other.execute("SELECT 1 FROM task_queue WHERE id = $1 FOR NO KEY UPDATE", second.task_id)
            await PostgresQueue(one).step(first.task_id, first.fence, Verb.FINISH)
            await PostgresQueue(other).step(second.task_id, second.fence, Verb.FINISH)

        assert [held.task_id for held in await queue.claim("server", 60, 3)] == [tasks[2]]

    run(scenario)


def test_log_lines_do_not_wait_for_the_queue(run):
    """A worker's line is stored while a transaction has the task in hand."""

    async def scenario(database: Database):
        queue = PooledQueue(database)
        task = await queue.add(BACKUP)
        async with database.transaction() as one, database.transaction() as other:
            await PostgresQueue(one).claim("server", 60)
            await other.execute("SET LOCAL lock_timeout = '1 s'")
            await other.execute("INSERT INTO task_log (task_id, source, text) VALUES ($1, 'client', 'x')", task)

    run(scenario)


def test_the_claim_reads_the_partial_index(run):
    """A claim's cost depends on what can run, not on how long the queue is."""

    async def scenario(database: Database):
        async with database.connection() as db:
            await db.execute(
                """INSERT INTO task_queue (task_type, executor, status, blocked_on)
                   SELECT 'Backup', 'client', CASE WHEN n % 3 = 0 THEN 'Done' ELSE 'New' END,
                          CASE WHEN n % 3 = 1 THEN 'client:x' END FROM generate_series(1, 20000) n"""
            )
            await db.execute("ANALYZE task_queue")
            plan = await db.fetch(f"EXPLAIN {statements.CANDIDATES}", 10, [])

        text = "\n".join(row[0] for row in plan)
        assert "task_queue_ready" in text
        assert "Sort" not in text

    run(scenario)


def test_every_change_of_state_is_an_event(run):
    """The event log tells each state of a task in order, with the scope of who may see it."""

    async def scenario(database: Database):
        queue = PooledQueue(database)
        async with database.connection() as db:
            client = await db.fetchrow(
                """INSERT INTO clients (hwid, hostname, group_id, csr_pem, fingerprint)
                   VALUES ('00aa', 'host', 1, '', '') RETURNING id, group_id"""
            )
        task = await queue.add(NewTask(task_type="Backup", executor="client", client_id=client["id"]))
        (held,) = await queue.claim("server", 60)
        await queue.step(task, held.fence, Verb.EXECUTE)
        await queue.operate(task, Verb.KILL)
        async with database.connection() as db:
            rows = await db.fetch("SELECT kind, family, row_id, client_group_id, data FROM events ORDER BY id")

        assert [row["data"]["status"] for row in rows] == ["New", "Assigned", "Execution", "Killed"]
        assert {(r["kind"], r["family"], r["row_id"], r["client_group_id"]) for r in rows} == {
            ("task", "task_queue", task, client["group_id"])
        }

    run(scenario)


def test_a_queue_takes_part_in_its_callers_transaction(run):
    """What the caller rolls back, the queue has never heard of, its event neither."""

    async def scenario(database: Database):
        async def add_and_fail() -> None:
            async with database.transaction() as db:
                await PostgresQueue(db).add(BACKUP)
                raise RuntimeError

        with pytest.raises(RuntimeError):
            await add_and_fail()
        async with database.connection() as db:
            counts = await db.fetchrow("SELECT (SELECT count(*) FROM task_queue), (SELECT count(*) FROM events)")

        assert tuple(counts) == (0, 0)

    run(scenario)


def test_listeners_hear_of_work_and_of_stops(run):
    """NOTIFY on `tasks` follows a new task, and names a task that its worker must stop."""

    async def scenario(database: Database):
        heard: asyncio.Queue[str] = asyncio.Queue()
        listener = await database.direct()
        await listener.add_listener("tasks", lambda _c, _p, _ch, payload: heard.put_nowait(payload))
        queue = PooledQueue(database)
        task = await queue.add(BACKUP)
        assert await asyncio.wait_for(heard.get(), 60) == ""
        await queue.claim("server", 60)
        await queue.operate(task, Verb.KILL)

        assert await asyncio.wait_for(heard.get(), 60) == f"kill {task}"
        await listener.close()

    run(scenario)


def test_listeners_of_the_event_log_hear_of_the_end_of_a_task(run):
    """NOTIFY on `events` follows the end, so that who waits for it does not wait for the next poll."""

    async def scenario(database: Database):
        heard: asyncio.Queue[str] = asyncio.Queue()
        listener = await database.direct()
        await listener.add_listener("events", lambda _c, _p, channel, _payload: heard.put_nowait(channel))
        queue = PooledQueue(database)
        await queue.add(BACKUP)
        (held,) = await queue.claim("server", 60)
        await queue.step(held.task_id, held.fence, Verb.FINISH)

        assert await asyncio.wait_for(heard.get(), 60) == "events"
        await listener.close()

    run(scenario)


def test_the_speed_is_an_average_that_follows_the_bytes(run):
    """The first interval gives the speed, later ones pull it towards theirs, by their length."""

    async def scenario(database: Database):
        queue = PooledQueue(database)
        task = await queue.add(BACKUP)
        (held,) = await queue.claim("server", 60)

        async def beat(seconds: float, bytes_done: int) -> int:
            async with database.transaction() as db:
                await db.execute(
                    "UPDATE task_progress SET updated_at = now() - make_interval(secs => $1)", float(seconds)
                )
                beat = Beat(task_id=task, fence=held.fence, bytes_done=bytes_done, bytes_total=10_000)
                assert await PostgresQueue(db).heartbeat([beat], 60) == []
                return await db.fetchval("SELECT speed_bytes_per_second FROM task_progress")

        assert await beat(2, 2000) == 1000
        assert await beat(2, 4000) == 1000
        assert 1000 < await beat(2, 8000) < 2000
        assert await beat(100, 8000) < 1

    run(scenario)


def test_progress_stays_to_be_seen_when_a_task_is_over(run):
    """Figures outlive the lease; a next attempt starts from nought."""

    async def scenario(database: Database):
        queue = PooledQueue(database)
        task = await queue.add(BACKUP)
        (held,) = await queue.claim("server", 60)
        async with database.connection() as db:
            await db.execute("UPDATE task_progress SET updated_at = updated_at - interval '1 s'")
        await queue.heartbeat([Beat(task_id=task, fence=held.fence, files_done=7, bytes_done=70)], 60)
        await queue.step(task, held.fence, Verb.HAND_ON)
        async with database.connection() as db:
            left = await db.fetchrow("SELECT files_done, bytes_done, speed_bytes_per_second FROM task_progress")
        await queue.claim("server", 60)
        async with database.connection() as db:
            again = await db.fetchrow("SELECT files_done, bytes_done FROM task_progress")

        assert tuple(left) == (7, 70, 0)
        assert tuple(again) == (0, 0)

    run(scenario)


def test_a_task_whose_time_has_not_come_is_passed_over(run):
    """`not_before` keeps a task from being claimed until then."""

    async def scenario(database: Database):
        queue = PooledQueue(database)
        later, now = await queue.add(BACKUP), await queue.add(BACKUP)
        async with database.connection() as db:
            await db.execute("UPDATE task_queue SET not_before = now() + interval '1 hour' WHERE id = $1", later)

        assert [held.task_id for held in await queue.claim("server", 60, 5)] == [now]
        assert await queue.status(later) is TaskStatus.NEW

    run(scenario)


def test_who_waits_for_a_key_that_nobody_holds_is_woken_by_reaping(run):
    """A blocked task whose holder vanished from outside the queue's own moves is not stuck."""

    async def scenario(database: Database):
        queue = PooledQueue(database)
        task = NewTask(task_type="Backup", executor="client", reservations=(Reservation("pool", "1", True),))
        holder, waiting = await queue.add(task), await queue.add(task)
        await queue.claim("server", 60, 2)
        async with database.connection() as db:
            await db.execute("DELETE FROM task_queue WHERE id = $1", holder)
        await queue.reap(attempts=5)

        assert [held.task_id for held in await queue.claim("server", 60, 2)] == [waiting]

    run(scenario)
