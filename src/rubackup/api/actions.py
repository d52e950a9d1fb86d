"""Calls that are none of the seven verbs: the declared function between the kernel's checks and its envelope."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from starlette.responses import Response

from rubackup.api.envelope import success, with_etag
from rubackup.api.kernel import BASE, Asked, Kernel
from rubackup.api.lists import list_answer
from rubackup.api.mutations import mutate
from rubackup.api.reads import missing, refuse_query
from rubackup.api.requests import read_query, refuse_body
from rubackup.api.resource import Action, Answer, Call, Created, Later, Page, Resource
from rubackup.api.rows import Rows
from rubackup.api.validate import build_query
from rubackup.api.writes import created_answer, location, locked, read_body_struct, refuse_foreign, with_tasks
from rubackup.services.change import Change


async def run_action(kernel: Kernel, asked: Asked) -> Response:
    """Read what the action takes, check the scope of `{id}`, call it, wrap its answer."""
    action = asked.route.action
    assert action is not None
    query = None
    if action.query is None:
        refuse_query(asked)
    else:
        query = build_query(action.query, read_query(asked.request), zone=kernel.zone)
    body = None
    if action.body is None:
        await refuse_body(asked.request)
    else:
        body = await read_body_struct(kernel, asked, action.body)
    call = partial(Call, id=asked.id, body=body, query=query, path_value=asked.word, zone=kernel.zone)
    told = await _ask(kernel, asked, action, call) if action.ask else None

    async def work(change: Change) -> Response:
        if asked.id is not None and asked.route.resource.source is not None:
            await locked(asked, change, [asked.id], "NO KEY UPDATE")
        result = await _run(action, call(change, told=told))
        if isinstance(result, Created):
            change.row_ids.extend(result.ids)
        answer = answer_of(action, asked.route.resource, result)
        if answer.status_code == 201 and change.row_ids:
            answer.headers.setdefault("location", f"{BASE}/{asked.route.resource.path}/{change.row_ids[0]}")
        return answer

    if action.mutates:
        return await mutate(kernel, asked, work, body)
    async with kernel.database.connection() as db:
        change = Change(db, asked.principal, kernel.hosts)
        if asked.id is not None and asked.route.resource.source is not None:
            await _visible(asked, change, asked.id)
        result = await _run(action, call(change, told=told))
    if isinstance(result, Later):
        result = await _asked(kernel, asked, result)
    return answer_of(action, asked.route.resource, result)


async def _asked(kernel: Kernel, asked: Asked, later: Later) -> Any:
    """What the hosts said, or what became of it."""
    said = await later.work()
    if later.then is None:
        return said
    async with kernel.database.connection() as db:
        return await later.then(Change(db, asked.principal, kernel.hosts), said)


async def _ask(kernel: Kernel, asked: Asked, action: Action, call: Callable[[Change], Call]) -> Any:
    """What live hosts say, of a row that the caller may change; no connection is held while they think."""
    assert action.ask is not None
    async with kernel.database.connection() as db:
        change = Change(db, asked.principal, kernel.hosts)
        if asked.id is not None and asked.route.resource.source is not None:
            await _visible(asked, change, asked.id)
            await refuse_foreign(asked, change, [asked.id])
        later = await action.ask(call(change))
    return await later.work()


async def _run(action: Action, call: Call) -> Any:
    assert action.run is not None
    return await action.run(call)


async def _visible(asked: Asked, change: Change, row_id: int) -> None:
    resource = asked.route.resource
    if row_id not in await Rows.of(resource).fetch(change.db, [row_id], resource.scope(asked.principal)):
        raise missing(resource.name, [row_id])


def answer_of(action: Action, resource: Resource, result: Any) -> Response:
    """The envelope of what the function returned."""
    status = action_status(action)
    match action.answer:
        case Answer.OBJECT:
            return (
                with_etag(result, action.message) if action.method == "GET" else success(result, action.message, status)
            )
        case Answer.LIST:
            assert isinstance(result, Page)
            data = list_answer(
                result.items, result.total, estimate=False, page=result.page, limit=result.limit, cursor=None
            )
            return with_etag(data, action.message) if action.method == "GET" else success(data, action.message, status)
        case Answer.CREATED:
            return created_answer(resource, result, status)
        case Answer.TASKS:
            message = with_tasks(action.message or _created_sentence(resource, status), result)
            return success({}, message, status, location(resource, result))
        case _:
            return success({}, result if isinstance(result, str) else action.message, status)


def _created_sentence(resource: Resource, status: int) -> str:
    return f"Resource with name '{resource.name}' was created successfully!" if status == 201 else ""


def action_status(action: Action) -> int:
    """The status of an action that went well: as declared, else 201 for what creates and 200 for the rest."""
    if action.status is not None:
        return action.status
    return 201 if action.answer in {Answer.CREATED, Answer.TASKS} else 200
