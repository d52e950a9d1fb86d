"""One change, from the first lock to the answer: transaction, audit, refusals, replays. Design sections 5 and 6."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import msgspec
from starlette.responses import Response

from rubackup.api import idempotency
from rubackup.api.kernel import Asked, Kernel
from rubackup.api.rows import Rows
from rubackup.domain.errors import Forbidden, NotFound
from rubackup.services.change import Change, changing, write_audit


async def mutate(
    kernel: Kernel, asked: Asked, work: Callable[[Change], Awaitable[Response]], body: Any = None
) -> Response:
    """The answer of `work`, done in one transaction with its audit row.

    `body` is what was asked: it stands in the audit where no row can be shown, and a call
    repeated under one Idempotency-Key must bring the same.
    """
    told = None if body is None else msgspec.to_builtins(body)
    resource = asked.route.resource.path
    try:
        async with (
            refusals_noted(kernel, asked),
            changing(
                kernel.database, asked.principal, kernel.hosts, method=asked.method, path=asked.path, resource=resource
            ) as change,
        ):
            answer = await idempotency.once(change, asked, told, lambda: work(change))
            if change.after is None and asked.method != "DELETE":
                change.after = told
            return answer
    except idempotency.Replay as replay:
        return replay.answer


@contextlib.asynccontextmanager
async def refusals_noted(kernel: Kernel, asked: Asked) -> AsyncIterator[None]:
    """Write down who was refused what inside."""
    try:
        yield
    except NotFound as error:
        await _note_foreign(kernel, asked, error)
        raise
    except Forbidden as error:
        await note_refusal(kernel, asked, error.message)
        raise


async def _note_foreign(kernel: Kernel, asked: Asked, error: NotFound) -> None:
    """A row that exists, but not for this caller, was asked for: that is a refusal to be seen in the audit."""
    ids = error.facts.get("ids")
    if asked.principal.sees_everything or not ids or asked.route.resource.source is None:
        return
    async with kernel.database.connection() as db:
        found = await Rows.of(asked.route.resource).fetch(db, ids)
    if found:
        await note_refusal(kernel, asked, "out of scope", sorted(found))


async def note_refusal(kernel: Kernel, asked: Asked, why: str, row_ids: list[int] | None = None) -> None:
    """The audit row of a refused attempt, in a transaction of its own."""
    async with kernel.database.transaction() as db:
        await write_audit(
            db, asked.principal, method=asked.method, path=asked.path, resource=asked.route.resource.path,
            outcome=f"refused: {why}", row_ids=row_ids or (),
        )  # fmt: skip
