"""States: what workers and operators may do, reaping, removal."""

from __future__ import annotations

import pytest

from rubackup.domain.errors import Conflict, Fenced, Invalid, NotFound, WrongState
from rubackup.domain.lookups import TaskStatus as S
from rubackup.domain.tasks import FINAL, MOVES, Verb
from rubackup.queue.ports import Beat, NewTask, Reaped, Reservation

LEASE = 60.0
BACKUP = NewTask(task_type="Backup", executor="client")
HOME = Reservation("resource", "home", exclusive=True)


async def held_in(queue, status: S) -> tuple[int, int]:
    """A task in this state, and the fence under which it came there."""
    task = await queue.add(BACKUP)
    if status is S.NEW:
        return task, 0
    (held,) = await queue.claim("server", LEASE)
    path = {
        S.ASSIGNED: [], S.AT_CLIENT: [Verb.ACCEPT], S.EXECUTION: [Verb.EXECUTE], S.TRANSMISSION: [Verb.TRANSMIT],
        S.SUSPENDED: [Verb.SUSPEND], S.DONE: [Verb.FINISH], S.ERROR: [Verb.FAIL], S.BROKEN: [Verb.BREAK],
    }  # fmt: skip
    for verb in path.get(status, []):
        await queue.step(task, held.fence, verb)
    if status in {S.PAUSED, S.KILLED}:
        await queue.operate(task, Verb.PAUSE if status is S.PAUSED else Verb.KILL)
    assert await queue.status(task) is status
    return task, held.fence


@pytest.mark.parametrize("status", list(S), ids=lambda s: s.label)
@pytest.mark.parametrize("verb", [Verb.PAUSE, Verb.CONTINUE, Verb.KILL, Verb.RESUME], ids=lambda v: v.value)
def test_an_operator_may_do_what_the_table_says(run, verb, status):
    """Each operator's verb moves from exactly the states of `domain.tasks`, elsewhere nothing changes."""

    async def scenario(queue):
        task, _fence = await held_in(queue, status)
        sources, target = MOVES[verb]
        if status in sources:
            assert await queue.operate(task, verb) is target
            assert await queue.status(task) is target
        else:
            with pytest.raises(WrongState):
                await queue.operate(task, verb)
            assert await queue.status(task) is status

    run(scenario)


@pytest.mark.parametrize("verb", [Verb.ACCEPT, Verb.EXECUTE, Verb.TRANSMIT, Verb.FINISH, Verb.HAND_ON])
def test_a_worker_moves_nothing_that_is_over(run, verb):
    """A worker's verb on a task in a final state is refused and leaves it as it is."""

    async def scenario(queue):
        task, fence = await held_in(queue, S.DONE)

        with pytest.raises(WrongState):
            await queue.step(task, fence, verb)
        assert await queue.status(task) is S.DONE

    run(scenario)


@pytest.mark.parametrize("verb", [Verb.PAUSE, Verb.KILL])
def test_operating_takes_the_task_from_its_worker(run, verb):
    """After a pause or a kill the worker's fence is too old and its lease is gone."""

    async def scenario(queue):
        task, fence = await held_in(queue, S.EXECUTION)
        await queue.operate(task, verb)

        with pytest.raises(Fenced):
            await queue.step(task, fence, Verb.FINISH)
        assert await queue.heartbeat([Beat(task_id=task, fence=fence)], LEASE) == [task]
        assert await queue.reap(attempts=1) == []

    run(scenario)


@pytest.mark.parametrize("verb", [Verb.PAUSE, Verb.KILL])
def test_operating_frees_what_the_task_had_reserved(run, verb):
    """A paused or killed task holds nothing."""

    async def scenario(queue):
        first, second = [
            await queue.add(NewTask(task_type="Backup", executor="client", reservations=(HOME,))) for _ in range(2)
        ]
        await queue.claim("server", LEASE, 2)
        await queue.operate(first, verb)

        assert [h.task_id for h in await queue.claim("server", LEASE, 2)] == [second]

    run(scenario)


def test_a_continued_task_reserves_again(run):
    """A task that was paused and continued clashes like a new one."""

    async def scenario(queue):
        paused, other = [
            await queue.add(NewTask(task_type="Backup", executor="client", reservations=(HOME,))) for _ in range(2)
        ]
        await queue.operate(paused, Verb.PAUSE)
        (held,) = await queue.claim("server", LEASE, 2)
        await queue.operate(paused, Verb.CONTINUE)
        assert await queue.claim("server", LEASE, 2) == []
        await queue.step(other, held.fence, Verb.FINISH)

        assert [h.task_id for h in await queue.claim("server", LEASE, 2)] == [paused]

    run(scenario)


def test_operators_have_their_own_verbs(run):
    """A worker's verb is no operator's verb."""

    async def scenario(queue):
        task, _fence = await held_in(queue, S.ASSIGNED)

        with pytest.raises(Invalid):
            await queue.operate(task, Verb.FINISH)

    run(scenario)


def test_a_silent_worker_loses_its_task(run):
    """A task whose lease is over is New again, and Broken after its last attempt."""

    async def scenario(queue):
        task = await queue.add(BACKUP)
        ends = []
        for _ in range(3):
            (held,) = await queue.claim("server", 0)
            ends += await queue.reap(attempts=3)

        assert held.attempt == 3
        assert ends == [Reaped(task, S.NEW), Reaped(task, S.NEW), Reaped(task, S.BROKEN)]
        assert await queue.claim("server", LEASE) == []

    run(scenario)


def test_a_running_lease_is_left_alone(run):
    """Reaping touches no task whose worker may still report."""

    async def scenario(queue):
        await held_in(queue, S.EXECUTION)

        assert await queue.reap(attempts=1) == []

    run(scenario)


def test_a_reaped_task_frees_its_reservations(run):
    """What a lost worker had reserved goes to the next in line."""

    async def scenario(queue):
        first, second = [
            await queue.add(NewTask(task_type="Backup", executor="client", reservations=(HOME,))) for _ in range(2)
        ]
        await queue.claim("server", 0, 2)

        assert await queue.reap(attempts=1) == [Reaped(first, S.BROKEN)]
        assert [h.task_id for h in await queue.claim("server", LEASE, 2)] == [second]

    run(scenario)


def test_reaping_is_bounded(run):
    """`limit` bounds how many tasks one reaping takes."""

    async def scenario(queue):
        for _ in range(3):
            await queue.add(BACKUP)
        await queue.claim("server", 0, 3)

        assert len(await queue.reap(attempts=5, limit=2)) == 2
        assert len(await queue.reap(attempts=5, limit=2)) == 1

    run(scenario)


@pytest.mark.parametrize("status", [S.NEW, S.PAUSED, S.SUSPENDED, *sorted(FINAL, key=lambda s: s.id)])
def test_tasks_that_nobody_holds_can_be_removed(run, status):
    """Waiting and ended tasks leave the queue."""

    async def scenario(queue):
        task, _fence = await held_in(queue, status)
        await queue.remove([task])

        with pytest.raises(NotFound):
            await queue.status(task)

    run(scenario)


def test_removing_is_all_or_nothing(run):
    """One held or missing task keeps all of them, and the error names it."""

    async def scenario(queue):
        waiting = await queue.add(BACKUP)
        held = await queue.add(NewTask(task_type="Backup", executor="client", priority=999))
        await queue.claim("server", LEASE)

        with pytest.raises(Conflict, match=str(held)):
            await queue.remove([waiting, held])
        with pytest.raises(NotFound, match="4711"):
            await queue.remove([waiting, 4711])
        assert await queue.status(waiting) is S.NEW

    run(scenario)


def test_removing_a_task_passes_its_turn_on(run):
    """A removed task that was next for a key does not keep others from it."""

    async def scenario(queue):
        task = NewTask(task_type="Backup", executor="client", reservations=(HOME,))
        first, second, third = [await queue.add(task) for _ in range(3)]
        (held,) = await queue.claim("server", LEASE, 3)
        await queue.step(first, held.fence, Verb.FINISH)
        await queue.remove([second])

        assert [h.task_id for h in await queue.claim("server", LEASE, 3)] == [third]

    run(scenario)


def test_unknown_tasks_are_named(run):
    """Every method that takes a task says which one does not exist."""

    async def scenario(queue):
        for call in (queue.status(7), queue.operate(7, Verb.KILL), queue.step(7, 1, Verb.FINISH)):
            with pytest.raises(NotFound, match="7"):
                await call

    run(scenario)
