"""How many tasks are at work at a time on a client, a media server, a pool: each has so many places.

Tasks that are held are counted at each claim, and claimers take turns, so no more are ever held than there are places,
but where a limit was lowered meanwhile, or a backup was given another pool after its claim. A task without a place gets
`blocked_on = 'places:<kind>:<id>'` and leaves the index of what can be claimed. Whoever lets go wakes as many as there
are places then. Two that let go at once may both miss a task that is just being blocked; the next one, or reaping,
wakes it. Design: `docs/design/dispatch.md`, Places.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from typing import Any

from rubackup.queue import statements as sql

KINDS = {
    "client": "The client works on as many tasks as it takes at a time ({}).",
    "media": "The media server works on as many tasks of its own as it takes at a time ({}).",
    "sessions": "The media server has as many sessions with clients as it takes at a time ({}).",
    "server": "The media server has as many tasks as its max_tasks allows at a time ({}).",
    "pool": "The pool has as many tasks as its max_tasks allows at a time ({}).",
}
"""Of what there are places, and what a task without one is told."""
NAMES_AT_ONCE = 200
"""So many names a run of `wake_all` looks at."""
WAKE_LIMIT = 100

Connection = Any


class Places:
    """The places that the candidates of one claim want, and what is left of them."""

    def __init__(self, wanted: dict[int, list[str]], limits: dict[str, int], taken: dict[str, int]) -> None:
        self._wanted, self._limits, self._taken = wanted, limits, taken

    @classmethod
    async def of(cls, db: Connection, tasks: Sequence[int]) -> Places:
        """What these tasks want, counted now."""
        wanted: dict[int, list[str]] = {}
        limits: dict[str, int] = {}
        for row in await db.fetch(sql.PLACES, tasks):
            wanted.setdefault(row["id"], []).append(row["name"])
            limits[row["name"]] = row["most"]
        return cls(wanted, limits, await _taken(db, limits))

    def take(self, task: int) -> str:
        """Take the task's places; the name of the first of which there is none left, '' when it has them all."""
        wanted = self._wanted.get(task, [])
        for name in wanted:
            if self._taken.get(name, 0) >= self._limits[name]:
                return name
        for name in wanted:
            self._taken[name] = self._taken.get(name, 0) + 1
        return ""

    def message(self, name: str) -> str:
        """Why a task waits for a place."""
        return KINDS[name.split(":")[1]].format(self._limits[name])


async def _taken(db: Connection, names: Iterable[str]) -> dict[str, int]:
    ids: dict[str, list[int]] = {kind: [] for kind in KINDS}
    for name in names:
        _, kind, number = name.split(":")
        ids[kind].append(int(number))
    if not any(ids.values()):
        return {}
    return {row["name"]: row["tasks"] for row in await db.fetch(sql.PLACES_TAKEN, *ids.values())}


def names_of(task: Any) -> list[str]:
    """What places a task (a row) takes while it is held, whether there is a limit or not."""
    own = [("client", task["client_id"]), ("sessions", task["media_server_id"])]
    if task["executor"] != "client":
        own = [("media", task["media_server_id"])]
    all_ = [*own, ("server", task["media_server_id"]), ("pool", task["pool_id"])]
    return [f"places:{kind}:{number}" for kind, number in all_ if number is not None]


async def wake(db: Connection, names: Sequence[str]) -> None:
    """Make claimable whom there is a place for now, in the order of the queue."""
    waited_for = [row["name"] for row in await db.fetch(sql.WAITED_FOR, names)]
    if not waited_for:
        return
    limits = {row["name"]: row["most"] for row in await db.fetch(sql.PLACES_OF, waited_for)}
    taken = await _taken(db, waited_for)
    woken: list[int] = []
    for name in waited_for:
        most = limits.get(name)  # None: there is no limit any more
        free = WAKE_LIMIT if most is None else min(most - taken.get(name, 0), WAKE_LIMIT)
        if free > 0:
            woken += [row["id"] for row in await db.fetch(sql.WAITERS, name, free)]
    if woken:
        await db.execute(sql.FREE, woken)
        await db.execute(sql.NOTIFY, "")


async def wake_all(db: Connection) -> None:
    """Wake who waits although there are places: a limit was raised, or a waker missed it. Bounded; it begins anywhere."""
    start = f"places:{random.choice(list(KINDS))}:{random.randrange(10**6)}"  # noqa: S311 - where to begin is no secret
    names = [row["name"] for row in await db.fetch(sql.PLACES_WAITED_FOR, start, "places;", NAMES_AT_ONCE)]
    if len(names) < NAMES_AT_ONCE:
        more = await db.fetch(sql.PLACES_WAITED_FOR, "places:", start, NAMES_AT_ONCE - len(names))
        names += [row["name"] for row in more]
    if names:
        await wake(db, names)
