"""How tasks are claimed and how freed ones wake those that wait; the PostgreSQL half of the queue's rules.

Claimers take turns (an advisory lock for the length of the claim), so two never weigh clashing
reservations at once. A task is blocked only behind a holder whose row the claim holds FOR SHARE:
letting go takes that row first, so it sees every task blocked behind it. A holder that is just
changing is not waited for: the candidate stays where it is until the next claim.

Whoever leaves the queue's head without becoming a holder passes the turn on, so of the tasks that
wait for a key either one is claimable or somebody holds the key.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from rubackup.domain.tasks import WAIT_BOUNDS_SECONDS
from rubackup.queue import places
from rubackup.queue import statements as sql
from rubackup.queue.places import Places
from rubackup.queue.ports import Held

CLAIM_LOCK = 0x52_42_51_55_45  # "RBQUE"
WAKE_LIMIT = 100
LOT = 256
"""Candidates that are looked at together once the first ones could not all be taken."""
LOTS = 40
CLAIM_SECONDS = 0.5
"""After so many lots, or so long, a claim ends, whatever it has: what is behind them is for the next one."""
MANY = 16
"""Tasks of one lot that find no place on one client: those behind them will find none either."""
HEAD, ALIKE = 20_000, 4_000
"""So far behind the head of the queue, and so many at a time, they are blocked with them."""
RESERVATION_KINDS = ("resource", "record", "pool", "drive")

Connection = Any


async def claim(db: Connection, worker: str, lease_seconds: float, limit: int) -> list[Held]:
    """Claim up to `limit` tasks in order, and block those that clash."""
    await db.execute(sql.CLAIMERS, CLAIM_LOCK)
    seen: list[int] = []
    held: list[Held] = []
    until = time.monotonic() + CLAIM_SECONDS
    for lot in range(LOTS):
        wanted = limit - len(held)
        candidates = [row["id"] for row in await db.fetch(sql.CANDIDATES, max(wanted, LOT) if lot else wanted, seen)]
        if not candidates:
            return held
        seen += candidates
        free, blocked = await _weigh(db, candidates, wanted)
        held += await _take(db, free, worker, lease_seconds)
        await _block(db, blocked)
        if len(held) >= limit:
            return held
        await _block_alike(db, blocked)
        if lot and time.monotonic() > until:
            break
    await db.execute(sql.NOTIFY, "")
    return held


async def _weigh(db: Connection, candidates: list[int], limit: int) -> tuple[list[int], dict[int, tuple[str, str]]]:
    """Which candidates can run, at most so many, and for what those before the last of them wait, and that in words."""
    wanted: dict[int, list[Any]] = {task: [] for task in candidates}
    for row in await db.fetch(sql.CLASHES, candidates):
        wanted[row["task_id"]].append(row)
    holders = sorted({row["holder"] for rows in wanted.values() for row in rows if row["holder"] is not None})
    sure = {row["id"] for row in await db.fetch(sql.STILL_HELD, holders)} if holders else set()

    free: list[int] = []
    blocked: dict[int, tuple[str, str]] = {}
    taken: dict[str, tuple[bool, int]] = {}
    left = await Places.of(db, candidates)
    for task in candidates:
        if len(free) == limit:
            break
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
            if clash is not None:
                blocked[task] = clash[0], _behind(*clash)
            elif name := left.take(task):
                blocked[task] = name, left.message(name)
            else:
                free.append(task)
                taken |= {_name(row): (row["exclusive"], task) for row in wanted[task]}
        elif clash[1] in sure:
            blocked[task] = clash[0], _behind(*clash)
    return free, blocked


def _behind(name: str, holder: int) -> str:
    return f"Waits until task {holder} is through with the same {name.partition(':')[0]}."


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


async def _block(db: Connection, blocked: dict[int, tuple[str, str]]) -> None:
    if not blocked:
        return
    tasks = list(blocked)
    names, messages = [list(column) for column in zip(*blocked.values(), strict=True)]
    await db.execute(sql.MARK_BLOCKED, tasks, names, messages)
    await pass_on(db, tasks, names)


async def _block_alike(db: Connection, blocked: dict[int, tuple[str, str]]) -> None:
    """Let all near the head wait that want a place on a client whose places are taken, which many of these have just found.

    One client with 100,000 tasks at the head would be looked at lot by lot, and keep the tasks of others waiting.
    """
    for (name, message), count in Counter(blocked.values()).items():
        if count >= MANY and name.startswith("places:client:"):
            client = int(name.rpartition(":")[2])
            tasks = [row["id"] for row in await db.fetch(sql.BLOCK_ALIKE, client, name, message, HEAD, ALIKE)]
            await pass_on(db, tasks)


async def pass_on(db: Connection, tasks: Sequence[int], kept: Iterable[str] = ()) -> None:
    """Wake who waits for what these tasks reserve, as they left the queue's head without holding it, but for the names `kept`."""
    if tasks:
        await wake(db, {row[0] for row in await db.fetch(sql.RESERVED, tasks)}.difference(kept))


async def wake(db: Connection, names: Iterable[str]) -> None:
    """Make claimable who can run now that these keys are freer: the first that waits exclusively, or the first shared ones.

    Keys that nobody waits for, which are nearly all, cost one question together, and no lock on a holder of theirs.

    A holder counts only if its row can be held FOR SHARE: then it lets go later than this
    transaction ends, sees what this one freed, and wakes the rest.
    """
    waited_for = [row["name"] for row in await db.fetch(sql.WAITED_FOR, sorted(set(names)))]
    for name in waited_for:
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
    """Wake who waits for a key that nobody holds, or for a place that is free: a safety net, at most one turn a key."""
    await places.wake_all(db)
    rows = await db.fetch(sql.ORPHANS, list(RESERVATION_KINDS), limit)
    await wake(db, [row["blocked_on"] for row in rows])
