"""Capacities of rules and strategies: no backup is begun beyond them, and whom they name is told."""

from __future__ import annotations

from typing import Any

import pytest

from rubackup.catalog.database import Database
from rubackup.domain.errors import Fenced
from rubackup.services import capacity_notices, retention_room
from rubackup.services.retention_clock import Watch
from support.retention import DAY, NOW, Archive

pytestmark = pytest.mark.postgres
GB = 10**9
KINDS = ("rule", "strategy")
SWITCH = {"rule": "global_schedule_capacity_limits", "strategy": "backup_strategies_capacity_limits"}
TABLE = {"rule": "global_schedule", "strategy": "backup_strategies"}


async def owner(world: Archive, kind: str, **fields: Any) -> tuple[int, dict[str, int]]:
    """A rule or strategy with a capacity of 10 GB; its id, and the columns with which tasks and copies name it."""
    if kind == "rule":
        rule = await world.rule(storage_capacity=10, **fields)
        return rule, {"rule_id": rule}
    strategy, rule = await world.strategy(storage_capacity=10, **fields)
    return strategy, {"strategy_id": strategy, "strategy_rule_id": rule}


@pytest.mark.parametrize("kind", KINDS)
def test_a_backup_over_the_capacity_is_not_begun(run, kind: str):
    """The reserve stays free; without the switch, below the limit, and for others' copies it begins."""

    async def scenario(database: Database):
        world = await Archive.build(database)
        _row, of = await owner(world, kind)
        await world.copy(1, **of, stored_bytes=8 * GB)
        await world.copy(1, stored_bytes=100 * GB)
        task = await world.backup(**of)
        (job,) = await world.claimed()
        await world.fail(job)
        await world.configure(**{SWITCH[kind]: True})
        await world.backup(**of)
        (job,) = await world.claimed()
        await world.fail(job)
        await world.configure(**{f"{kind}_storage_capacity_reserve": 2})
        refused = await world.backup(**of)

        assert await world.claimed() == []
        row = await world.row("SELECT status, message FROM task_queue WHERE id = $1", refused)
        assert row["status"] == "Error"
        assert f"storage_capacity is 10 GB, of which 2 GB stay free ({kind}_storage_capacity_reserve)" in row["message"]
        assert SWITCH[kind] in row["message"]
        assert task < refused

    run(scenario)


@pytest.mark.parametrize("kind", KINDS)
def test_what_has_come_to_its_end_makes_room_first(run, kind: str):
    """Copies whose time is over and that go by themselves go at once when there is no room, oldest first, as many as are needed."""

    async def scenario(database: Database):
        world = await Archive.build(database)
        await world.configure(**{SWITCH[kind]: True, "mandatory_storage_time": 1})
        _row, of = await owner(world, kind)
        held = [await world.copy(days, **of, stored_bytes=4 * GB) for days in (40, 30, 20, 1)]
        await world.row(
            "UPDATE repository SET created_at = now() - ($1 - created_at), store_until = now() - ($1 - store_until) RETURNING 1",
            NOW,
        )
        await Watch().look(database, 0, 1.0)
        task = await world.backup(**of)
        (job,) = await world.claimed()

        assert job.task_id == task
        assert await world.left() == held[2:]
        log = await world.column("SELECT text FROM repository_log WHERE record_id = $1", held[0])
        assert "storage_capacity" in log[-1]

    run(scenario)


@pytest.mark.parametrize("kind", KINDS)
def test_whom_a_rule_names_is_told_now_and_then_that_it_is_full(run, kind: str):
    """At most once a period, with the addresses; not below the limit, not with the switch off, not by a server that lost the lead."""

    async def scenario(database: Database):
        world = await Archive.build(database)
        group = await world.user_group()
        row, of = await owner(
            world, kind, notify_end_storage_capacity_group_id=group, notify_end_storage_capacity_cc="a@example.org"
        )
        await world.copy(1, **of, stored_bytes=9 * GB)
        await world.configure(**{f"{kind}_storage_capacity_notification_period": 60})
        assert await capacity_notices.tell(database, now=NOW) == 0
        await world.configure(**{SWITCH[kind]: True})
        assert await capacity_notices.tell(database, now=NOW) == 0
        await world.copy(1, **of, stored_bytes=GB)
        told = [await capacity_notices.tell(database, 0, now=NOW + DAY * hours / 24) for hours in (0, 0.9, 1.1)]

        assert told == [1, 0, 1]
        notice = await world.row(f"SELECT *, {kind}_id AS owner FROM notifications LIMIT 1")
        assert (notice["kind"], notice["user_group_id"], notice["cc"], notice["owner"]) == (
            "capacity",
            group,
            "a@example.org",
            row,
        )
        assert "10000000000 bytes" in notice["text"]
        assert await world.column("SELECT row_id FROM events WHERE kind = 'capacity' AND family = $1", TABLE[kind]) == [
            row,
            row,
        ]
        with pytest.raises(Fenced):
            await capacity_notices.tell(database, 9)

    run(scenario)


@pytest.mark.parametrize("kind", KINDS)
def test_nobody_is_told_nothing(run, kind: str):
    """The group Nobody without addresses: an event, no notification."""

    async def scenario(database: Database):
        world = await Archive.build(database)
        await world.configure(**{SWITCH[kind]: True})
        _row, of = await owner(world, kind)
        await world.copy(1, **of, stored_bytes=10 * GB)

        assert await capacity_notices.tell(database) == 1
        assert await world.value("SELECT count(*) FROM notifications") == 0
        assert await world.value("SELECT count(*) FROM events WHERE kind = 'capacity'") == 1

    run(scenario)


@pytest.mark.parametrize("kind", KINDS)
def test_a_copy_that_is_to_be_kept_longer_at_the_last_moment_stays(run, kind: str, monkeypatch: pytest.MonkeyPatch):
    """Somebody gives it more time between the decision and the deletion."""

    async def scenario(database: Database):
        world = await Archive.build(database)
        await world.configure(**{SWITCH[kind]: True})
        _row, of = await owner(world, kind)
        held = [await world.copy(days, **of, stored_bytes=5 * GB) for days in (40, 30, 1)]
        await world.row(
            "UPDATE repository SET created_at = now() - ($1 - created_at), store_until = now() - ($1 - store_until) RETURNING 1",
            NOW,
        )
        await Watch().look(database, 0, 1.0)
        await world.backup(**of)
        read, asked = retention_room._ended, []

        async def meanwhile(*arguments: Any) -> set[int]:
            found = await read(*arguments)
            if not asked:
                asked.append(found)
                await world.row(
                    "UPDATE repository SET store_until = now() + interval '1 year' WHERE id = $1 RETURNING 1", held[0]
                )
            return found

        monkeypatch.setattr(retention_room, "_ended", meanwhile)
        await world.claimed()

        assert asked == [set(held[:2])]
        assert await world.left() == [held[0], held[2]]

    run(scenario)
