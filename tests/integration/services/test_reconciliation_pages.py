"""A pool of many copies is reconciled by calls that take a part of it each."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Any

import msgspec
import pytest

from rubackup.catalog.database import Database
from rubackup.domain.errors import Conflict, Invalid
from rubackup.services import reconciliation, reconciliation_pages
from rubackup.services.leadership import Leadership
from rubackup.services.ports import PoolRecord
from rubackup.services.reconciliation import Reconciliation
from support import hosts
from support.catalogue import CLIENT, SERVER, World, change, insert
from support.hosts import AnsweringHosts
from support.many_records import scattered

pytestmark = pytest.mark.postgres
COUNT, CHAIN = 23, 4


def lies(number: int) -> PoolRecord:
    """The record of this number, chains of four; ids are in no order of time."""
    parent = scattered(number - 1) if number % CHAIN else ""
    return PoolRecord(
        record=scattered(number), parent=parent, task_id=number, client_hwid=CLIENT, resource_type="File system", resource="/home",
        backup_type="incremental" if parent else "full", files=3, files_failed=0, size_bytes=number, stored_bytes=50,
        sealed_at_ns=1_700_000_000_000_000_000 + number * 1_000_000_000,
    )  # fmt: skip


async def call(world: World, after: str = "", *, limit: int = 5, apply: bool = True) -> Reconciliation:
    """As the API makes it."""
    async with world.database.transaction() as db:
        pool = await reconciliation.facts(db, world.pool)
        cursor = await reconciliation_pages.begin(db, pool, after, apply=apply)
        part = await reconciliation_pages.examine(AnsweringHosts(), pool, cursor, limit)
        return await reconciliation_pages.reconcile(change(db), world.pool, part, apply=apply)


async def wanted(world: World) -> Any:
    """Whether the media server is told that the pool was reconciled."""
    return await world.value("SELECT coalesce(bool_or(reconcile_wanted), false) FROM pool_state")


async def listed(world: World, name: str) -> None:
    """A copy of the catalogue that is older than the test."""
    async with world.database.connection() as db:
        await insert(
            db, "repository", uuid=uuid.UUID(name), task_id=1, client_id=world.client, client_hostname="workstation",
            client_hwid=CLIENT, pool_id=world.pool, resource_type="File system", resource="/etc", backup_type="full",
            crypto="nocrypt", size_bytes=1, stored_bytes=1, files=1, files_failed=0,
            created_at=dt.datetime.now(dt.UTC) - dt.timedelta(days=1),
        )  # fmt: skip


@pytest.fixture
def stored(monkeypatch: pytest.MonkeyPatch) -> list[PoolRecord]:
    """What lies in the pool."""
    found = [lies(number) for number in range(COUNT)]
    monkeypatch.setattr(hosts, "RECORDS", found)
    return found


@pytest.mark.parametrize("limit", [1, 5, COUNT, 1000])
def test_all_calls_together_adopt_everything_and_mark_what_is_lost(run, stored: list[PoolRecord], limit: int) -> None:
    """Ids ascend with time, chains are whole; only after the last call the pool belongs to the catalogue."""

    async def scenario(database: Database) -> None:
        world = await World.build(database)
        lost = {uuid.UUID(scattered(number)).hex for number in (900, 901, 902)}
        for name in lost:
            await listed(world, name)
        answers, after = [], ""
        while True:
            answers.append(await call(world, after, limit=limit))
            assert await wanted(world) == (answers[-1].after is None)
            if answers[-1].after is None:
                break
            after = answers[-1].after

        assert sum(one.found for one in answers) == COUNT
        assert {one.uuid for answer in answers for one in answer.lost_records} == lost
        assert {uuid.UUID(name).hex for name in await world.column(
            "SELECT uuid::text FROM repository WHERE verification_status = 'Not Trusted'")} == lost  # fmt: skip
        assert await world.column("SELECT size_bytes FROM repository WHERE resource = '/home' ORDER BY id") == list(
            range(COUNT)
        )
        broken = "SELECT count(*) FROM repository WHERE (parent_id IS NULL) <> (parent_uuid IS NULL)"
        assert await world.value(broken) == 0

    run(scenario)


def test_what_was_adopted_stays_when_the_caller_is_gone(run, stored: list[PoolRecord]) -> None:
    """The next one begins anew, finds the rest, and what was sealed out of order meanwhile."""

    async def scenario(database: Database) -> None:
        world = await World.build(database)
        first = await call(world)
        second = await call(world, first.after or "")
        assert (first.found, second.found, await wanted(world)) == (5, 5, False)
        found, after = 0, ""
        while True:
            answer = await call(world, after)
            found += answer.found
            if answer.after is None:
                break
            if after.startswith("adopt") and answer.after.startswith("compare"):
                stored.append(msgspec.structs.replace(lies(COUNT * CHAIN), sealed_at_ns=stored[3].sealed_at_ns))
            after = answer.after
        assert found == COUNT - 10 + 1
        broken = (
            "SELECT count(*) FROM repository WHERE (parent_id IS NULL) <> (parent_uuid IS NULL) AND size_bytes >= 0"
        )
        assert await world.value(broken) == 0
        assert await wanted(world)

    run(scenario)


def test_a_look_changes_nothing(run, stored: list[PoolRecord]) -> None:
    """However many calls it takes; its calls cannot be gone on with by others that do something."""

    async def scenario(database: Database) -> None:
        world = await World.build(database)
        first = await call(world, apply=False)
        found, after = first.found, first.after
        with pytest.raises(Invalid, match="apply must be as"):
            await call(world, first.after or "")
        while after is not None:
            answer = await call(world, after, apply=False)
            found, after = found + answer.found, answer.after
        assert (found, await world.value("SELECT count(*) FROM repository"), await wanted(world)) == (COUNT, 0, False)
        for wrong in ("x", "adopt.1.2.3", first.after + "0" if first.after else ""):
            with pytest.raises(Invalid, match="after must be"):
                await call(world, wrong, apply=False)

    run(scenario)


def test_a_catalogue_that_was_set_back_is_begun_anew(run, stored: list[PoolRecord]) -> None:
    """What earlier calls have adopted is not in it; a take-over by another server changes nothing."""

    async def scenario(database: Database) -> None:
        world = await World.build(database)
        leader = Leadership(database)
        await leader.take(SERVER)
        await leader.release()
        first = await call(world)
        await leader.take(SERVER)
        await leader.release()
        second = await call(world, first.after or "")
        assert second.found == 5
        async with database.connection() as db:
            await db.execute("DELETE FROM leadership_terms")
        with pytest.raises(Conflict, match="begin anew"):
            await call(world, second.after or "")

    run(scenario)


@pytest.mark.parametrize("limit", [None, 5, 1000])
def test_a_storage_that_is_away_proves_nothing(
    run, stored: list[PoolRecord], monkeypatch: pytest.MonkeyPatch, limit: int | None
) -> None:
    """What may lie there is counted and left as it is, and the pool does not belong to the catalogue before it was there."""
    away: list[str] = ["/two"]
    monkeypatch.setattr(hosts, "AWAY", away)
    stored[7] = msgspec.structs.replace(stored[7], away=True)

    async def walk(world: World, back_after: int = 10**9) -> list[Reconciliation]:
        if limit is None:
            async with world.database.transaction() as db:
                listing = await reconciliation.examine(AnsweringHosts(), await reconciliation.facts(db, world.pool))
                return [await reconciliation.reconcile(change(db), world.pool, listing, apply=True)]
        answers, after = [], ""
        while True:
            answers.append(await call(world, after, limit=limit))
            if len(answers) == back_after:
                away.clear()
            if answers[-1].after is None:
                return answers
            after = answers[-1].after

    async def scenario(database: Database) -> None:
        world = await World.build(database)
        for number in (900, 901):
            await listed(world, scattered(number))
        status = "SELECT count(*) FROM repository WHERE verification_status <> 'Not Verified'"
        answers = await walk(world)
        assert {path for one in answers for path in one.away} == {"/two"}
        assert sum(one.found for one in answers) == COUNT - 1
        assert (sum(one.lost for one in answers), sum(one.not_there for one in answers)) == (0, 3)
        assert (await world.value(status), await wanted(world)) == (0, False)
        if limit is not None:  # it is back before the last call: not all was seen for all that
            await walk(world, back_after=1)
            assert (not away, await wanted(world)) == (True, False)

        away.clear()
        stored[7] = msgspec.structs.replace(stored[7], away=False)
        answers = await walk(world)
        assert [sum(getattr(one, name) for one in answers) for name in ("found", "lost", "not_there")] == [1, 2, 0]
        assert (await world.value(status), await wanted(world)) == (2, True)

    run(scenario)
