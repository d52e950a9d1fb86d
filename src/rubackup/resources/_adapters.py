"""From service functions to what a declaration takes; nothing here decides anything."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from rubackup.api.resource import Call, Clause, Create, Created, Page, Scope
from rubackup.domain.permissions import Principal
from rubackup.services.change import Change
from rubackup.services.scopes import Limit

Run = Callable[[Call], Awaitable[Any]]


def making(function: Callable[[Change, Any], Awaitable[int]]) -> Create:
    """A creating verb from a function that gives the new row's id."""

    async def create(change: Change, body: Any) -> Created:
        return Created((await function(change, body),))

    return create


def tasking(function: Callable[[Change, Any], Awaitable[int]]) -> Create:
    """A creating verb from a function that gives the new task's number."""

    async def create(change: Change, body: Any) -> Created:
        task_id = await function(change, body)
        return Created((task_id,), (task_id,))

    return create


def with_body(function: Callable[[Change, Any], Awaitable[Any]]) -> Run:
    """An action from a function of the body; what it returns is the answer."""

    async def run(call: Call) -> Any:
        return await function(call.change, call.body)

    return run


def made(ids: Sequence[int]) -> Created:
    """Rows that an action made."""
    return Created(tuple(ids))


def queued(task_ids: Sequence[int]) -> Created:
    """Tasks that an action made."""
    return Created((), tuple(task_ids))


def whole(items: Sequence[Any]) -> Page:
    """Everything there is, as one page."""
    return Page(list(items), len(items), 1, max(len(items), 1))


def limited(limit: Callable[[Principal], Limit]) -> Scope:
    """A scope from a condition of the services."""

    def scope(principal: Principal) -> Clause:
        found = limit(principal)
        return Clause(found.sql, found.values)

    return scope
