"""Calls that treat each id of their body by itself: what can be done is done, and each id gets its result.

Each id has a savepoint of its own. An id that does not exist, or is out of the caller's scope, is a result too;
a row that may be seen but not changed refuses the whole call, as everywhere.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from starlette.responses import Response

from rubackup.api.actions import action_status
from rubackup.api.envelope import success
from rubackup.api.kernel import Asked, Kernel
from rubackup.api.mutations import mutate
from rubackup.api.reads import missing, refuse_query
from rubackup.api.resource import Action, Call, Outcome
from rubackup.api.rows import Rows
from rubackup.api.writes import locked, read_body_struct
from rubackup.domain.errors import CallerError, Conflict
from rubackup.services.change import Change, write_audit

SOME_STATUS = 207
"""Only some went well (the contract's 207)."""


async def each(call: Call, work: Callable[[Change, int], Awaitable[str | None]]) -> list[Outcome]:
    """The outcome of `work` for each id, which returns what it did; what it raises undoes its own id alone."""
    outcomes = []
    for row_id in call.ids:
        try:
            async with call.change.db.transaction():
                done = await work(call.change, row_id)
        except CallerError as error:
            outcomes.append(Outcome(row_id, ok=False, message=error.message))
        else:
            outcomes.append(Outcome(row_id, ok=True, message=done or ""))
    return outcomes


async def run_each(kernel: Kernel, asked: Asked) -> Response:
    """Lock what exists within the scope, let the declared function treat it, wrap the results."""
    action = asked.route.action
    assert action is not None
    assert action.body is not None
    refuse_query(asked)
    body = await read_body_struct(kernel, asked, action.body)
    ids: tuple[int, ...] = tuple(dict.fromkeys(body.ids))

    async def work(change: Change) -> Response:
        assert action.run is not None
        there = await _there(asked, change, ids)
        await locked(asked, change, there, "UPDATE")
        outcomes = list(await action.run(Call(change, body=body, zone=kernel.zone, ids=there)))
        change.row_ids[:] = [one.id for one in outcomes if one.ok]
        return _answer(action, asked, ids, outcomes)

    return await mutate(kernel, asked, work, body)


async def _there(asked: Asked, change: Change, ids: tuple[int, ...]) -> tuple[int, ...]:
    """Those of the ids that the caller may know of, in order; NotFound when there is none."""
    rows = Rows.of(asked.route.resource)
    found = await rows.fetch(change.db, ids, asked.route.resource.scope(asked.principal))
    if not found:
        raise missing(asked.route.resource.name, list(ids))
    foreign = sorted(await rows.fetch(change.db, [i for i in ids if i not in found]))
    if foreign:
        await write_audit(
            change.db, change.principal, method=asked.method, path=asked.path, resource=asked.route.resource.path,
            outcome="refused: out of scope", row_ids=foreign,
        )  # fmt: skip
    return tuple(i for i in ids if i in found)


def _answer(action: Action, asked: Asked, ids: Sequence[int], outcomes: Sequence[Outcome]) -> Response:
    results = {one.id: one for one in outcomes}
    told = [
        results.get(i) or Outcome(i, ok=False, message=missing(asked.route.resource.name, [i]).message) for i in ids
    ]
    done = sum(one.ok for one in told)
    if not done:
        raise Conflict("Nothing was done. " + " ".join(f"{one.id}: {one.message}" for one in told))
    if done == len(told):
        return success({}, action.message or f"Done: {done}.", action_status(action))
    return success({"items": told}, f"Done: {done} of {len(told)}.", SOME_STATUS)
