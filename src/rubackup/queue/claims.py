"""How tasks are claimed and how freed ones wake those that wait; the PostgreSQL half of the queue's rules.

Claimers take turns (an advisory lock for the length of the claim), so two never weigh clashing
reservations at once. A task is blocked only behind a holder whose row the claim holds FOR SHARE:
letting go takes that row first, so it sees every task blocked behind it. A holder that is just
changing is not waited for: the candidate stays where it is until the next claim.

Whoever leaves the queue's head without becoming a holder passes the turn on, so of the tasks that
wait for a key either one is claimable or somebody holds the key.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from rubackup.domain.tasks import WAIT_BOUNDS_SECONDS
from rubackup.queue import statements as sql
from rubackup.queue.ports import Held

CLAIM_LOCK = 0x52_42_51_55_45  # "RBQUE"
WAKE_LIMIT = 100
RESERVATION_KINDS = ("resource", "record", "pool", "drive")

Connection = Any


async def claim(db: Connection, worker: str, lease_seconds: float, limit: int) -> list[Held]:
    """Claim up to `limit` tasks in order, and block those that clash."""
    await db.execute(sql.CLAIMERS, CLAIM_LOCK)
    seen: list[int] = []
    held: list[Held] = []
    while len(held) < limit:
        candidates = [row["id"] for row in await db.fetch(sql.CANDIDATES, limit - len(held), seen)]
        if not candidates:
            break
        seen += candidates
        free, blocked = await _weigh(db, candidates)
        held += await _take(db, free, worker, lease_seconds)
        await _block(db, blocked)
    return held


async def _weigh(db: Connection, candidates: list[int]) -> tuple[list[int], dict[int, tuple[str, int]]]:
    """Which candidates can run, and behind which key and task the others wait."""
    wanted: dict[int, list[Any]] = {task: [] for task in candidates}
    for row in await db.fetch(sql.CLASHES, candidates):
        wanted[row["task_id"]].append(row)
    holders = sorted({row["holder"] for rows in wanted.values() for row in rows if row["holder"] is not None})
    sure = {row["id"] for row in await db.fetch(sql.STILL_HELD, holders)} if holders else set()

    free: list[int] = []
    blocked: dict[int, tuple[str, int]] = {}
    taken: dict[str, tuple[bool, int]] = {}
    for task in candidates:
        clash = next(((_name(row), row["holder"]) for row in wanted[task] if row["holder"] is not None), None)
        if clash is None:
            clash = next(
                (
                    (_name(r), taken[_name(r)][1])
                    for r in wanted[task]
                    if _excludes(taken.get(_name(r)), r["exclusive"])
                ),
                None,
            )
            if clash is None:
                free.append(task)
                taken |= {_name(row): (row["exclusive"], task) for row in wanted[task]}
            else:
                blocked[task] = clash
        elif clash[1] in sure:
            blocked[task] = clash
    return free, blocked


def _name(row: Any) -> str:
    return f"{row['kind']}:{row['key']}"


def _excludes(taken: tuple[bool, int] | None, exclusive: bool) -> bool:
    return taken is not None and (taken[0] or exclusive)


async def _take(db: Connection, tasks: list[int], worker: str, lease_seconds: float) -> list[Held]:
    if not tasks:
        return []
    rows = {row["id"]: row for row in await db.fetch(sql.CLAIM, tasks, worker)}
    await db.execute(sql.WAITS, tasks, WAIT_BOUNDS_SECONDS)
    await db.execute(sql.HOLD, tasks)
    await db.execute(sql.LEASE, tasks, lease_seconds)
    await db.execute(sql.EVENTS, tasks, "Assigned")
    return [Held(task, rows[task]["fence"], rows[task]["attempt"]) for task in tasks]


async def _block(db: Connection, blocked: dict[int, tuple[str, int]]) -> None:
    if not blocked:
        return
    tasks = list(blocked)
    names = [blocked[task][0] for task in tasks]
    messages = [
        f"Waits until task {blocked[task][1]} is through with the same {_kind(blocked[task][0])}." for task in tasks
    ]
    await db.execute(sql.MARK_BLOCKED, tasks, names, messages)
    passed_on = {row[0] for row in await db.fetch(sql.RESERVED, tasks)} - set(names)
    await wake(db, passed_on)


def _kind(name: str) -> str:
    return name.partition(":")[0]


async def wake(db: Connection, names: Iterable[str]) -> None:
    """Make claimable who can run now that these keys are freer: the first that waits exclusively, or the first shared ones.

    A holder counts only if its row can be held FOR SHARE: then it lets go later than this
    transaction ends, sees what this one freed, and wakes the rest.
    """
    for name in sorted(names):
        kind, _, key = name.partition(":")
        holder = await db.fetchrow(sql.HOLDERS, kind, key)
        if holder is not None and holder["exclusive"]:
            continue
        waiters = await db.fetch(sql.WAITERS, name, WAKE_LIMIT)
        await free(db, _turn(waiters, shared_only=holder is not None))


def _turn(waiters: Sequence[Any], *, shared_only: bool) -> list[int]:
    if waiters and waiters[0]["exclusive"]:
        return [] if shared_only else [waiters[0]["id"]]
    turn: list[int] = []
    for row in waiters:
        if row["exclusive"]:
            break
        turn.append(row["id"])
    return turn


async def free(db: Connection, tasks: list[int]) -> None:
    """Make blocked tasks claimable."""
    if tasks:
        await db.execute(sql.FREE, tasks)
        await db.execute(sql.NOTIFY, "")


async def wake_orphans(db: Connection, limit: int) -> None:
    """Wake who waits for a key that nobody holds: a safety net, at most one turn a key."""
    rows = await db.fetch(sql.ORPHANS, list(RESERVATION_KINDS), limit)
    await wake(db, [row["blocked_on"] for row in rows])
