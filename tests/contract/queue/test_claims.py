"""Claiming: order, leases, fences, reservations, blocking."""

from __future__ import annotations

import pytest

from rubackup.domain.errors import Fenced, WrongState
from rubackup.domain.lookups import TaskStatus as S
from rubackup.domain.tasks import Verb
from rubackup.queue.ports import Beat, Held, NewTask, Reservation, TaskQueue

LEASE = 60.0
HOME = Reservation("resource", "home", exclusive=True)
POOL = Reservation("pool", "1", exclusive=False)
WHOLE_POOL = Reservation("pool", "1", exclusive=True)


def backup(*reservations: Reservation, priority: int = 100) -> NewTask:
    return NewTask(task_type="Backup", executor="client", priority=priority, reservations=reservations)


async def claim_one(queue: TaskQueue) -> Held:
    (held,) = await queue.claim("server", LEASE)
    return held


async def claimed(queue: TaskQueue, limit: int = 10) -> list[int]:
    return [held.task_id for held in await queue.claim("server", LEASE, limit)]


def test_higher_priority_comes_first_then_the_older(run):
    """Tasks are claimed by priority, equal ones in the order in which they were queued."""

    async def scenario(queue):
        low, first, second, high = [await queue.add(backup(priority=p)) for p in (1, 100, 100, 200)]

        assert await claimed(queue) == [high, first, second, low]

    run(scenario)


def test_a_claim_takes_no_more_than_its_limit(run):
    """`limit` bounds how many tasks one claim takes."""

    async def scenario(queue):
        tasks = [await queue.add(backup()) for _ in range(3)]

        assert await claimed(queue, 2) == tasks[:2]
        assert await claimed(queue, 2) == tasks[2:]
        assert await claimed(queue, 2) == []

    run(scenario)


def test_a_claimed_task_is_assigned_under_a_fence_of_its_own(run):
    """Each claim gives a higher fence than every claim before."""

    async def scenario(queue):
        for _ in range(3):
            await queue.add(backup())
        held = await queue.claim("server", LEASE, 3)

        assert [h.fence for h in held] == sorted({h.fence for h in held})
        assert [h.attempt for h in held] == [1, 1, 1]
        assert await queue.status(held[0].task_id) is S.ASSIGNED

    run(scenario)


def test_an_older_fence_changes_nothing(run):
    """A worker whose task was handed on is refused in each of its moves."""

    async def scenario(queue):
        task = await queue.add(backup())
        (old,) = await queue.claim("server", 0)
        await queue.reap(attempts=5)
        new = await claim_one(queue)

        for verb in (Verb.ACCEPT, Verb.FINISH, Verb.FAIL):
            with pytest.raises(Fenced):
                await queue.step(task, old.fence, verb)
        with pytest.raises(Fenced):
            await queue.block(task, old.fence, "client:x", "offline")
        assert new.fence > old.fence
        assert await queue.status(task) is S.ASSIGNED

    run(scenario)


def test_a_handed_on_task_is_closed_to_its_old_worker_before_the_next_claim(run):
    """The fence rises when a task leaves its worker, not only when the next one comes."""

    async def scenario(queue):
        task = await queue.add(backup())
        held = await claim_one(queue)
        await queue.step(task, held.fence, Verb.HAND_ON)

        with pytest.raises(Fenced):
            await queue.step(task, held.fence, Verb.FAIL)
        assert await queue.status(task) is S.NEW

    run(scenario)


def test_exclusive_reservations_of_one_key_run_one_after_the_other(run):
    """A task waits for the one that holds its key and becomes claimable when that one is through."""

    async def scenario(queue):
        first, second, third = [await queue.add(backup(HOME)) for _ in range(3)]
        held = await claim_one(queue)
        assert await claimed(queue) == []
        await queue.step(first, held.fence, Verb.FINISH)

        assert await claimed(queue) == [second]
        await queue.operate(second, Verb.KILL)
        assert await claimed(queue) == [third]

    run(scenario)


def test_shared_reservations_run_together_and_keep_an_exclusive_one_out(run):
    """Any number of tasks shares a key; the exclusive one comes after the last of them."""

    async def scenario(queue):
        readers = [await queue.add(backup(POOL)) for _ in range(2)]
        writer = await queue.add(backup(WHOLE_POOL))
        held = await queue.claim("server", LEASE, 10)
        assert [h.task_id for h in held] == readers

        await queue.step(held[0].task_id, held[0].fence, Verb.FINISH)
        assert await claimed(queue) == []
        await queue.step(held[1].task_id, held[1].fence, Verb.FAIL)
        assert await claimed(queue) == [writer]

    run(scenario)


def test_an_exclusive_holder_lets_all_shared_waiters_go_at_once(run):
    """When an exclusive task is through, the shared ones that waited run together."""

    async def scenario(queue):
        writer = await queue.add(backup(WHOLE_POOL))
        held = await claim_one(queue)
        readers = [await queue.add(backup(POOL)) for _ in range(3)]
        assert await claimed(queue) == []
        await queue.step(writer, held.fence, Verb.FINISH)

        assert await claimed(queue) == readers

    run(scenario)


def test_a_blocked_task_does_not_hold_up_those_behind_it(run):
    """A claim passes over tasks whose reservations clash."""

    async def scenario(queue):
        holder, blocked, other = [await queue.add(backup(r)) for r in (HOME, HOME, POOL)]

        assert await claimed(queue, 2) == [holder, other]
        assert await queue.status(blocked) is S.NEW

    run(scenario)


def test_the_turn_is_passed_on_by_a_task_that_is_killed_before_its_claim(run):
    """A freed key wakes one exclusive waiter; if an operator takes that one away the next gets its turn."""

    async def scenario(queue):
        first, second, third = [await queue.add(backup(HOME)) for _ in range(3)]
        held = await claim_one(queue)
        await claimed(queue)
        await queue.step(first, held.fence, Verb.FINISH)
        await queue.operate(second, Verb.KILL)

        assert await claimed(queue) == [third]

    run(scenario)


def test_the_turn_is_passed_on_by_a_task_that_waits_for_another_key(run):
    """A task woken for one key that clashes in another does not keep the first key from others."""

    async def scenario(queue):
        holder = await queue.add(backup(WHOLE_POOL))
        held = await claim_one(queue)
        both, third = await queue.add(backup(WHOLE_POOL, HOME)), await queue.add(backup(WHOLE_POOL))
        assert await claimed(queue) == []
        home = await queue.add(backup(HOME))
        assert await claimed(queue) == [home]
        await queue.step(holder, held.fence, Verb.FINISH)

        assert await claimed(queue) == [third]
        await queue.operate(third, Verb.KILL)
        await queue.operate(home, Verb.KILL)
        assert await claimed(queue) == [both]

    run(scenario)


def test_the_same_key_twice_in_one_task_is_one_reservation(run):
    """A task never clashes with itself; of two wishes for a key the stronger counts."""

    async def scenario(queue):
        first = await queue.add(backup(POOL, WHOLE_POOL))
        second = await queue.add(backup(POOL))

        assert await claimed(queue) == [first]
        await queue.operate(first, Verb.KILL)
        assert await claimed(queue) == [second]

    run(scenario)


def test_a_blocked_task_waits_until_what_it_waits_for_comes(run):
    """A task blocked on a host is not claimed before `unblock`; other hosts do not wake it."""

    async def scenario(queue):
        task = await queue.add(backup(HOME))
        held = await claim_one(queue)
        await queue.block(task, held.fence, "client:a", "offline")
        assert await queue.unblock("client:b") == 0
        assert await claimed(queue) == []

        assert await queue.unblock("client:a") == 1
        again = await claim_one(queue)
        assert (again.task_id, again.attempt) == (task, 1)
        assert again.fence > held.fence

    run(scenario)


def test_a_blocked_task_lets_go_of_what_it_had_reserved(run):
    """While a task waits for its host, others may have its keys."""

    async def scenario(queue):
        waiting, other = [await queue.add(backup(HOME)) for _ in range(2)]
        held = await claim_one(queue)
        await claimed(queue)
        await queue.block(waiting, held.fence, "client:a", "offline")

        assert await claimed(queue) == [other]

    run(scenario)


def test_unblocking_is_bounded_and_follows_the_order_of_the_queue(run):
    """`unblock` wakes at most `limit` tasks, those first in line."""

    async def scenario(queue):
        tasks = [await queue.add(backup(priority=p)) for p in (1, 2, 3)]
        for held in await queue.claim("server", LEASE, 3):
            await queue.block(held.task_id, held.fence, "client:a", "offline")

        assert await queue.unblock("client:a", limit=2) == 2
        assert await claimed(queue) == [tasks[2], tasks[1]]
        assert await queue.unblock("client:a", limit=2) == 1

    run(scenario)


def test_blocking_is_for_held_tasks(run):
    """A task that nobody holds cannot be blocked by a worker."""

    async def scenario(queue):
        task = await queue.add(backup())
        held = await claim_one(queue)
        await queue.step(task, held.fence, Verb.FINISH)

        with pytest.raises(WrongState):
            await queue.block(task, held.fence, "client:a", "offline")

    run(scenario)


def test_heartbeats_keep_a_lease_and_name_lost_tasks(run):
    """A beat of the holder prolongs its lease; beats for other fences, ended or unknown tasks are lost."""

    async def scenario(queue):
        kept, ended = [await queue.add(backup()) for _ in range(2)]
        first, second = await queue.claim("server", 0, 2)
        await queue.step(ended, second.fence, Verb.FINISH)
        beats = [
            Beat(task_id=kept, fence=first.fence, bytes_done=5),
            Beat(task_id=ended, fence=second.fence),
            Beat(task_id=10_000, fence=1),
        ]

        assert await queue.heartbeat(beats, LEASE) == [ended, 10_000]
        assert await queue.heartbeat([Beat(task_id=kept, fence=first.fence - 1)], LEASE) == [kept]
        assert await queue.reap(attempts=5) == []
        assert await queue.status(kept) is S.ASSIGNED

    run(scenario)
