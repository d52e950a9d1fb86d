"""Retention on the catalogue: what is deleted, told, moved and copied, once, and what never is."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
from typing import Any

import pytest

from rubackup.catalog.database import Database
from rubackup.domain.errors import Conflict, Fenced
from rubackup.services import copies, deletion, record_history, repository, retention, retention_policies
from support.catalogue import change, waiting_for_locks
from support.retention import DAY, NOW, Archive

pytestmark = pytest.mark.postgres


def test_a_copy_whose_time_is_over_is_deleted_by_the_leader(run):
    """Row, tombstone, log line, event; with the flag off, and without a rule, it stays."""

    async def scenario(database: Database):
        world = await Archive.build(database)
        mine, off = await world.rule(), await world.rule(auto_delete_obsoleted_copy_flag=False)
        old, young = await world.copy(11, rule_id=mine), await world.copy(9, rule_id=mine)
        kept, urgent = await world.copy(11, rule_id=off), await world.copy(11)
        orphan = await world.copy(11, rule_id=off + 1)
        found = await world.retain()

        assert (found.deleted, found.after) == (1, {})
        assert await world.left() == [young, kept, urgent, orphan]
        assert await world.value("SELECT count(*) FROM record_tombstones") == 1
        line = await world.row("SELECT action, user_name, text FROM repository_log WHERE record_id = $1", old)
        assert (line["action"], line["user_name"]) == ("deleted", "")
        assert f"By rule {mine}: Its storage_duration is over" in line["text"]
        assert await world.column("SELECT row_id FROM events WHERE kind = 'deleted'") == [old]
        assert (await world.retain()).deleted == 0

    run(scenario)


def test_what_a_keep_key_holds_stays(run):
    """Beside the newest copies the last one of each day, week, month and year that is wanted; in the server's zone."""

    async def scenario(database: Database):
        world = await Archive.build(database)
        rule = await world.rule(keep_last=2, keep_monthly=2)
        copies = {days: await world.copy(days, rule_id=rule) for days in (60, 46, 45, 44.6, 20, 16, 15, 14)}
        await world.retain()

        # 2026-06-15: 14 and 15 days ago are June 1 and May 31, 45 days ago May 1, 46 April 30
        assert await world.left() == [copies[15], copies[14]]

    run(scenario)


@pytest.mark.parametrize(
    ("key", "count", "kept"),
    [("keep_daily", 2, [1.1, 2.2]), ("keep_weekly", 2, [1.1, 8.1]), ("keep_yearly", 5, [1.1, 200]), ("keep_last", 3, [1.1, 1.2, 2.2])],
)  # fmt: skip
def test_of_a_period_the_last_copy_stays(run, key: str, count: int, kept: list[float]):
    """As many periods count as have a copy; what is damaged takes no place."""

    async def scenario(database: Database):
        world = await Archive.build(database)
        rule = await world.rule(**{key: count})
        await world.copy(1.05, rule_id=rule, store_until=NOW, verification_status="Not Trusted")
        copies = {
            days: await world.copy(days, rule_id=rule, store_until=NOW) for days in (1.1, 1.2, 2.2, 2.4, 8.1, 200, 201)
        }
        await world.retain()

        assert await world.left() == [copies[days] for days in kept]

    run(scenario)


PROTECTED: dict[str, dict[str, Any]] = {
    "locked": {"locked_until": NOW + DAY},
    "archive": {"archiving": True},
    "without end": {"store_until": None},
    "away": {"unavailable": "/one"},
}


@pytest.mark.parametrize("what", PROTECTED)
def test_nothing_that_is_protected_goes(run, what: str):
    """Locked copies, archives, those without end, those that need what is away; the rule's other copy goes."""

    async def scenario(database: Database):
        world = await Archive.build(database)
        rule = await world.rule()
        kept = await world.copy(20, rule_id=rule, **PROTECTED[what])
        await world.copy(20, rule_id=rule)
        newest = await world.newest(rule_id=rule)
        await world.retain()
        await world.retain(NOW + DAY / 2)

        assert await world.left() == [kept, newest]

    run(scenario)


def test_nothing_goes_before_its_mandatory_time_or_out_of_a_pool_that_does_not_know_the_catalogue(run):
    """`mandatory_storage_time` counts from the creation; a pool waits for its reconciliation; nor in service mode."""

    async def scenario(database: Database):
        world = await Archive.build(database)
        rule = await world.rule()
        old = await world.copy(20, rule_id=rule)
        newest = await world.newest(rule_id=rule)
        await world.configure(mandatory_storage_time=21, service_mode=True)
        await world.row(
            "INSERT INTO pool_state (pool_id, reconciled) VALUES ($1, false) ON CONFLICT (pool_id) DO UPDATE SET reconciled = false RETURNING 1",
            world.pool,
        )
        for days in (0.9, 1.1):
            await world.retain(NOW + days * DAY)
        assert await world.left() == [old, newest]
        await world.row("DELETE FROM global_configuration WHERE key = 'service_mode' RETURNING 1")
        await world.retain(NOW + 1.1 * DAY)
        assert await world.left() == [old, newest]
        await world.row("UPDATE pool_state SET reconciled = true RETURNING 1")
        await world.retain(NOW + 0.9 * DAY)
        assert await world.left() == [old, newest]
        await world.retain(NOW + 1.1 * DAY)

        assert await world.left() == [newest]

    run(scenario)


@pytest.mark.parametrize("kind", ["rule", "strategy"])
def test_the_last_good_copy_of_a_rule_never_goes_by_itself(run, kind: str):
    """However old; a damaged one is none. With the key off it goes."""

    async def scenario(database: Database):
        world = await Archive.build(database)
        if kind == "rule":
            of, key = {"rule_id": await world.rule()}, "dont_delete_last_gs_rule_archive"
        else:
            strategy, rule = await world.strategy()
            of, key = {"strategy_rule_id": rule, "strategy_id": strategy}, "dont_delete_last_strategy_rule_archive"
        await world.copy(400, **of)
        last = await world.copy(300, **of)
        await world.copy(200, **of, verification_status="Not Trusted")
        await world.retain()
        assert await world.left() == [last]
        await world.configure(**{key: False})
        await world.retain()

        assert await world.left() == []

    run(scenario)


def test_a_copy_that_is_read_waits_and_goes_afterwards(run):
    """A restore, verification or copying that is not over keeps it, and so does a running backup that builds on it."""

    async def scenario(database: Database):
        world = await Archive.build(database)
        rule = await world.rule()
        read, built_on = await world.copy(20, rule_id=rule), await world.copy(19, rule_id=rule)
        newest = await world.copy(2, rule_id=rule, resource="/other")
        task = await world.on_record(read)
        await world.backup(backup_type="incremental")
        jobs = await world.claimed()
        assert {job.task_type for job in jobs} == {"Verify", "Backup"}
        await world.retain()
        assert await world.left() == [read, built_on, newest]
        for job in jobs:
            await world.fail(job)
        await world.retain()

        assert await world.left() == [built_on, newest]  # the last of its resource
        assert await world.value("SELECT record_id FROM task_queue WHERE id = $1", task) == read

    run(scenario)


def test_what_builds_on_a_copy_that_ended_stays_and_restores(run):
    """Each copy restores by itself: the end of one that others build on ends none of them, whatever the chain's keys say."""

    async def scenario(database: Database):
        world = await Archive.build(database)
        await world.configure(repository_remove_chain="yes", auto_delete_archive_from_broken_chain="yes")
        rule = await world.rule()
        full = await world.copy(12, rule_id=rule)
        child = await world.copy(5, rule_id=rule, parent_id=full, backup_type="incremental")
        await world.newest(rule_id=rule, parent_id=child, backup_type="incremental")
        await world.retain()
        async with database.transaction() as db:
            assert await deletion.remove_broken(db) == 0

        rows = await world.column("SELECT (id, parent_id, chain_broken)::text FROM repository ORDER BY id")
        assert rows == [f"({child},,f)", f"({child + 1},{child},f)"]

    run(scenario)


def test_somebody_is_told_once_that_a_copy_ends(run):
    """`obsolete_backup_notification_period` before: event, log line, notification; anew when its end was changed."""

    async def scenario(database: Database):
        world = await Archive.build(database)
        group = await world.user_group()
        await world.configure(obsolete_backup_notification_period=2880)
        rule = await world.rule(inform_when_obsoleted_copy_group_id=group, auto_delete_obsoleted_copy_flag=False)
        copy = await world.copy(7.9, rule_id=rule)
        assert (await world.retain()).informed == 0
        for _again in range(2):
            await world.retain(NOW + DAY / 5)

        notice = await world.row("SELECT * FROM notifications")
        assert (notice["kind"], notice["status"], notice["user_group_id"], notice["rule_id"]) == (
            "obsolete",
            "New",
            group,
            rule,
        )
        assert f"Copy: {copy} (full)" in notice["text"]
        assert await world.column("SELECT action FROM repository_log") == ["obsolete"]
        assert await world.column("SELECT row_id FROM events WHERE kind = 'obsolete'") == [copy]
        until = repository.RecordChange(store_until=NOW + 9 * DAY)
        async with database.transaction() as db:
            await repository.keep_until(change(db), copy, until)
        assert (await world.retain(NOW + 6 * DAY)).informed == 0
        assert (await world.retain(NOW + 8 * DAY)).informed == 1
        assert await world.value("SELECT count(*) FROM notifications") == 2
        assert await world.left() == [copy]

    run(scenario)


def test_a_copy_that_is_old_enough_moves_once(run):
    """One task, whatever becomes of it; when it failed another follows an hour later; moved, the copy stays where it is."""

    async def scenario(database: Database):
        world = await Archive.build(database)
        rule = await world.rule(move_copy_flag=True, move_copy_pool_id=world.other, move_copy_while="5 days")
        old = await world.copy(6, rule_id=rule)
        young, ending = await world.copy(4, rule_id=rule), await world.copy(11, rule_id=rule)
        assert (await world.retain()).moved == 1
        assert (await world.retain()).moved == 0
        (job,) = await world.claimed()
        assert (job.task_type, job.source_pool_id, job.pool_id) == ("Move", world.pool, world.other)
        await world.fail(job)
        assert (await world.retain(NOW + DAY / 48)).moved == 0
        assert (await world.retain(NOW + DAY / 12)).moved == 1
        (job,) = await world.claimed()
        moved = await world.done(job)
        assert (await world.retain(NOW + DAY / 6)).moved == 0

        assert await world.left() == [young, moved]
        row = await world.row(
            "SELECT pool_id, copied_from, secondary, store_until FROM repository WHERE id = $1", moved
        )
        assert tuple(row) == (world.other, old, False, NOW + 4 * DAY)
        assert ending not in await world.left()

    run(scenario)


def test_a_copy_that_does_not_fit_stays_where_it_is(run):
    """Another kind of pool, or one that keeps no copy as old: no task is queued, and it goes when its time is over."""

    async def scenario(database: Database):
        world = await Archive.build(database, retention_period=dt.timedelta(days=6))
        rule = await world.rule(move_copy_flag=True, move_copy_pool_id=world.other, move_copy_while="5 days")
        old, _newest = await world.copy(7, rule_id=rule), await world.newest(rule_id=rule)
        assert (await world.retain()).moved == 0
        await world.row(
            "UPDATE pools SET retention_period = NULL, pool_type = 'Tape library' WHERE id = $1 RETURNING 1",
            world.other,
        )
        assert (await world.retain()).moved == 0
        assert await world.value("SELECT count(*) FROM task_queue") == 0
        await world.retain(NOW + 4 * DAY)

        assert old not in await world.left()

    run(scenario)


def test_a_second_copy_is_made_once_and_lives_by_its_own_time(run):
    """Before its source may go; it is not made again, holds no place of a keep key, and ends when its own time is over."""

    async def scenario(database: Database):
        world = await Archive.build(database)
        rule = await world.rule(
            second_copy_flag=True, second_copy_pool_id=world.other, second_copy_while="2 days",
            second_copy_duration="1 mon", keep_last=1,
        )  # fmt: skip
        source = await world.copy(11, rule_id=rule)
        newest = await world.newest(rule_id=rule)
        found = await world.retain()
        assert (found.copied, found.deleted) == (1, 0)
        (job,) = await world.claimed()
        await world.fail(job)
        assert await world.retain(NOW + DAY / 48) == await world.retain(NOW + DAY / 48)
        assert source in await world.left()
        assert (await world.retain(NOW + DAY / 12)).copied == 1
        (job,) = await world.claimed()
        second = await world.done(job)

        row = await world.row("SELECT pool_id, secondary, store_until, rule_id FROM repository WHERE id = $1", second)
        assert tuple(row) == (world.other, True, dt.datetime(2026, 7, 4, 12, tzinfo=dt.UTC), rule)
        assert (await world.retain(NOW + DAY / 6)).deleted == 1
        assert await world.left() == [newest, second]
        assert (await world.retain(NOW + DAY)).copied == 0
        assert (await world.retain(NOW + 18.9 * DAY)).copied == 1  # of the newest
        assert await world.left() == [newest, second]
        await world.retain(NOW + 19.1 * DAY)
        assert await world.left() == [newest]

    run(scenario)


def test_a_copy_that_an_administrator_copied_lives_by_its_own_time(run):
    """It takes no place from the rule's copies, does not move, and no second copy of it is made."""

    async def scenario(database: Database):
        world = await Archive.build(database)
        rule = await world.rule(
            keep_last=1, move_copy_flag=True, move_copy_pool_id=world.other, move_copy_while="1 day"
        )  # fmt: skip
        beside = await world.copy(11, rule_id=rule, secondary=True)
        young = await world.copy(8, rule_id=rule, secondary=True)
        held = await world.copy(11, rule_id=rule, pool_id=world.other)
        found = await world.retain()

        assert (found.moved, found.deleted) == (0, 1)
        assert await world.left() == [young, held]
        assert beside not in await world.left()

    run(scenario)


def test_a_strategy_acts_leg_by_leg(run):
    """What moves, and what gets a second copy, depends on the type of the copy; the flag and the group are the strategy's."""

    async def scenario(database: Database):
        world = await Archive.build(database)
        group = await world.user_group()
        strategy, rule = await world.strategy(
            full_second_copy_flag=True, full_second_copy_pool_id=world.other, full_second_copy_duration="1 year",
            inc_move_copy_flag=True, inc_move_copy_pool_id=world.other, inc_move_copy_while="1 day",
            inform_when_obsoleted_copy_group_id=group,
        )  # fmt: skip
        of = {"strategy_id": strategy, "strategy_rule_id": rule}
        full, inc = await world.copy(3, **of), await world.copy(2, **of, backup_type="incremental")
        await world.copy(12, **of, backup_type="differential")
        found = await world.retain()
        jobs = {job.task_type: job for job in await world.claimed()}

        assert (found.copied, found.moved, found.deleted, found.informed) == (1, 1, 1, 1)
        assert await world.left() == [full, inc]
        assert jobs.keys() == {"Copy", "Move"}
        assert await world.column("SELECT record_id FROM task_queue ORDER BY task_type") == [full, inc]
        assert await world.column("SELECT strategy_id FROM notifications") == [strategy]

    run(scenario)


@pytest.mark.parametrize("kind", ["rule", "strategy"])
def test_copies_are_verified_again_and_again(run, kind: str):
    """`verify_interval` after the last time, or after their making; not what is damaged, ends, or is being verified."""

    async def scenario(database: Database):
        world = await Archive.build(database)
        says = {"verify_flag": True, "verify_interval": "2 days"}
        if kind == "rule":
            of: dict[str, Any] = {"rule_id": await world.rule(**says)}
        else:
            strategy, rule = await world.strategy(**says)
            of = {"strategy_rule_id": rule, "strategy_id": strategy}
        old, new = await world.copy(3, **of), await world.copy(1, **of)
        await world.copy(3, **of, verification_status="Not Trusted")
        await world.copy(11, **of)
        assert (await world.retain()).verified == 1
        assert (await world.retain()).verified == 0
        (job,) = await world.claimed()
        task = await world.row("SELECT * FROM task_queue WHERE id = $1", job.task_id)
        assert (task["task_type"], task["record_id"]) == ("Verify", old)
        assert {name: task[name] for name in of} == of
        assert (await world.retain(NOW + 1.5 * DAY)).verified == 1
        assert await world.column("SELECT record_id FROM task_queue ORDER BY id") == [old, new]
        await world.fail(job)

        assert (await world.retain(NOW + 2 * DAY)).verified == 1
        assert await world.column("SELECT record_id FROM task_queue ORDER BY id") == [old, new, old]

    run(scenario)


def test_verifications_of_a_rule_are_queued_bit_by_bit(run, monkeypatch):
    """So that a rule with many copies does not fill the queue; the longest unread come first."""

    async def scenario(database: Database):
        monkeypatch.setattr(retention, "VERIFICATIONS", 2)
        world = await Archive.build(database)
        rule = await world.rule(verify_flag=True, verify_interval="1 day")
        copies = [await world.copy(days, rule_id=rule) for days in (3, 5, 4)]
        assert (await world.retain()).verified == 2
        assert (await world.retain()).verified == 0
        assert await world.column("SELECT record_id FROM task_queue ORDER BY record_id") == copies[1:]
        for job in await world.claimed():
            await world.fail(job)
        await world.retain()

        assert await world.column("SELECT record_id FROM task_queue WHERE status = 'New'") == copies[:1]

    run(scenario)


def test_tasks_of_retention_wait_as_others_do(run):
    """A move for the service window, a second copy of a client over its capacity for room."""

    async def scenario(database: Database):
        world = await Archive.build(database)
        rule = await world.rule(second_copy_flag=True, second_copy_pool_id=world.other, second_copy_duration="1 year")
        copy = await world.copy(1, rule_id=rule, stored_bytes=2 * 10**9)
        await world.configure(clients_capacity_limits=True)
        await world.row("UPDATE clients SET storage_capacity = 1 RETURNING 1")
        assert (await world.retain()).copied == 0
        line = await world.row("SELECT action, text FROM repository_log WHERE record_id = $1", copy)
        assert line["action"] == "waiting"
        assert "storage_capacity" in line["text"]
        await world.row("UPDATE clients SET storage_capacity = 0 RETURNING 1")
        assert (await world.retain(NOW + DAY)).copied == 1

    run(scenario)


def test_two_who_delete_the_last_two_copies_of_a_rule_leave_one(run):
    """Whoever comes second waits for the first, and sees what is left then."""

    async def scenario(database: Database):
        world = await Archive.build(database)
        rule = await world.rule()
        old, new = await world.copy(20, rule_id=rule), await world.copy(19, rule_id=rule)
        async with database.transaction() as db:
            await deletion.delete_records(change(db), [new])
            retaining = asyncio.create_task(world.retain())
            async with database.connection() as watcher:
                await waiting_for_locks(watcher, 1)
        assert (await retaining).deleted == 0
        assert await world.left() == [old]
        newest = await world.newest(rule_id=rule)
        async with database.transaction() as db:
            await db.execute("SELECT 1 FROM global_schedule WHERE id = $1 FOR NO KEY UPDATE", rule)
            deleting = asyncio.create_task(_delete(database, newest))
            async with database.connection() as watcher:
                await waiting_for_locks(watcher, 1)
            await db.execute("DELETE FROM repository WHERE id = $1", old)
        with pytest.raises(Conflict, match="No good copy"):
            await deleting

        assert await world.left() == [newest]

    run(scenario)


async def _delete(database: Database, record: int) -> None:
    async with database.transaction() as db:
        await deletion.delete_records(change(db), [record])


class Crashed(Exception):
    """The server died here."""


@pytest.mark.parametrize("crash_at", range(1, 14, 2))
def test_a_crash_at_any_statement_leaves_nothing_half_done(run, monkeypatch, crash_at: int):
    """What was begun is done once by the next leader: one log line, one tombstone, one task, one notification each."""

    async def scenario(database: Database):
        world = await Archive.build(database)
        group = await world.user_group()
        rule = await world.rule(
            inform_when_obsoleted_copy_group_id=group, move_copy_flag=True, move_copy_pool_id=world.other,
            move_copy_while="1 day",
        )  # fmt: skip
        ended = [await world.copy(20 + number, rule_id=rule) for number in range(3)]
        moving, newest = await world.copy(5, rule_id=rule), await world.newest(rule_id=rule)
        with Dying(monkeypatch, crash_at), contextlib.suppress(Crashed):
            await world.retain()
        await world.retain()
        await world.retain()

        assert await world.left() == [moving, newest]
        deleted = await world.column("SELECT record_id FROM repository_log WHERE action = 'deleted' ORDER BY 1")
        assert deleted == ended
        assert await world.value("SELECT count(*) FROM record_tombstones") == 3
        assert await world.column("SELECT record_id FROM task_queue") == [moving]
        assert await world.value("SELECT count(*) FROM notifications") == 3
        assert await world.value("SELECT count(*) FROM events WHERE kind = 'obsolete'") == 3

    run(scenario)


class Dying:
    """Dies before the n-th statement that changes something."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, after: int) -> None:
        self._monkeypatch, self._left = monkeypatch, after

    def __enter__(self) -> None:
        for module, name in (
            (record_history, "bury"), (record_history, "note"), (record_history, "tell"), (copies, "by_rule"),
            (deletion, "in_use"), (retention_policies, "copies"), (retention, "_inform"), (retention, "_send"),
        ):  # fmt: skip
            self._monkeypatch.setattr(module, name, self._dying(getattr(module, name)))

    def _dying(self, function: Any) -> Any:
        async def wrapped(*args: Any, **kwargs: Any) -> Any:
            found = await function(*args, **kwargs)
            self._left -= 1
            if self._left == 0:
                raise Crashed
            return found

        return wrapped

    def __exit__(self, *_error: object) -> None:
        self._monkeypatch.undo()


def test_two_leaders_at_once_do_everything_once(run):
    """One that lost the lead is fenced; even without that, the rows are locked."""

    async def scenario(database: Database):
        world = await Archive.build(database)
        rules = [await world.rule(keep_last=1) for _ in range(4)]
        for rule in rules:
            for days in (12, 13, 14, 15):
                await world.copy(days, rule_id=rule)
        found = await asyncio.gather(*(world.retain() for _ in range(4)))

        assert sum(one.deleted for one in found) == 12
        assert await world.value("SELECT count(*) FROM record_tombstones") == 12
        assert await world.value("SELECT count(*) FROM repository_log WHERE action = 'deleted'") == 12
        await world.row("UPDATE leadership SET epoch = 7 RETURNING 1")
        with pytest.raises(Fenced):
            await retention.run(database, 6, now=NOW)

    run(scenario)


def test_more_than_one_lot_and_round_come_to_their_end(run, monkeypatch):
    """Copies of a rule go in lots, rules in rounds that say where the next begins; what must wait holds up nothing."""

    async def scenario(database: Database):
        monkeypatch.setattr(retention, "COPIES_AT_ONCE", 2)
        world = await Archive.build(database)
        rules = [await world.rule() for _ in range(3)]
        for rule in rules:
            held = await world.copy(30, rule_id=rule)
            await world.on_record(held)
            for days in range(11, 16):
                await world.copy(days, rule_id=rule)
        first = await world.retain(at_once=2)
        second = await world.retain(at_once=2, after=first.after)

        assert (first.deleted, first.after, second.deleted, second.after) == (8, {"rule": rules[1]}, 4, {})
        assert await world.value("SELECT count(*) FROM repository") == 6

    run(scenario)


def test_a_rule_that_cannot_be_looked_at_keeps_no_other_from_its_turn(run, monkeypatch):
    """What is in the catalogue may be what nobody foresaw; it is told in the log."""

    async def scenario(database: Database):
        world = await Archive.build(database)
        broken, fine = await world.rule(), await world.rule()
        kept, old = await world.copy(11, rule_id=broken), await world.copy(11, rule_id=fine)
        await world.newest(rule_id=fine)
        read = retention_policies.copies

        async def copies_of(db, unit, now):
            if unit.id == broken:
                raise TypeError("can't compare")
            return await read(db, unit, now)

        monkeypatch.setattr(retention_policies, "copies", copies_of)
        assert (await world.retain()).deleted == 1
        left = await world.left()
        assert kept in left
        assert old not in left

    run(scenario)
