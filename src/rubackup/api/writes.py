"""The changing verbs: each in one transaction with its audit row, after scope and `If-Match` were checked.

A service function is called only for rows that exist and that the caller may see; all or
nothing. Before and after in the audit come from the same SELECT as the list.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from rubackup.api.envelope import etag_of, success
from rubackup.api.kernel import BASE, Asked, Kernel
from rubackup.api.mutations import mutate
from rubackup.api.reads import missing, refuse_query
from rubackup.api.requests import read_json, read_query
from rubackup.api.resource import EVERYTHING, Body, Created, Resource
from rubackup.api.rows import Rows
from rubackup.api.validate import build, build_query
from rubackup.domain.errors import Forbidden, Invalid, PreconditionFailed
from rubackup.services.change import Change


class Ids(msgspec.Struct):
    """The body of a bulk delete."""

    ids: Annotated[
        list[Annotated[int, msgspec.Meta(ge=1)]],
        msgspec.Meta(description="Ids of the rows to delete: all of them or none.", min_length=1, max_length=10_000),
    ]


_TAG = re.compile(r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"')
_TAGS = re.compile(rf"[ \t,]*{_TAG.pattern}(?:[ \t]*,[ \t,]*{_TAG.pattern})*[ \t,]*")
IDS_BODY = Body(Ids, wrapper=None, example={"ids": [1]})


async def read_body_struct(kernel: Kernel, asked: Asked, body: Body) -> Any:
    """The body as its declaration says: a struct, a list of structs, or None when it may be left out."""
    value = await read_json(asked.request)
    if value is None:
        if body.optional:
            return None
        raise Invalid("A body is required.", {body.wrapper or "body": "is required."})
    if body.wrapper is None:
        return build(body.struct, value, "", zone=kernel.zone, ignored=body.ignored)
    value = _unwrapped(value, body)
    if not body.many:
        return build(body.struct, value, body.wrapper, zone=kernel.zone, ignored=body.ignored)
    return _build_many(kernel, value, body)


def _unwrapped(value: Any, body: Body) -> Any:
    assert body.wrapper is not None
    if not isinstance(value, dict):
        raise Invalid(fields={"body": f"must be an object with the key {body.wrapper}."})
    errors = {k: f"is unknown; known here: {body.wrapper}." for k in value if k != body.wrapper}
    errors = {k: text for k, text in errors.items() if k not in body.ignored}
    if body.wrapper not in value:
        errors[body.wrapper] = "is required."
    if errors:
        raise Invalid(fields=errors)
    return value[body.wrapper]


def _build_many(kernel: Kernel, value: Any, body: Body) -> list[Any]:
    if not isinstance(value, list) or not value:
        raise Invalid(fields={str(body.wrapper): "must be a list of at least one item."})
    errors: dict[str, str] = {}
    found = []
    for number, item in enumerate(value):
        try:
            path = f"{body.wrapper}.{number}"
            found.append(build(body.struct, item, path, zone=kernel.zone, ignored=body.ignored))
        except Invalid as error:
            errors.update(error.fields)
    if errors:
        raise Invalid(fields=errors)
    return found


async def create_row(kernel: Kernel, asked: Asked) -> Response:
    """POST of a collection: 201, where the new row is, and its tasks."""
    resource = asked.route.resource
    assert resource.create is not None
    assert resource.create_body is not None
    create = resource.create
    body = await read_body_struct(kernel, asked, resource.create_body)
    query = None
    if resource.create_query is None:
        refuse_query(asked)
    else:
        query = build_query(resource.create_query, read_query(asked.request), zone=kernel.zone)

    async def work(change: Change) -> Response:
        created = await (create(change, body) if query is None else create(change, (body, query)))
        change.row_ids.extend(created.ids)
        if resource.source is not None and change.after is None:
            change.after = _told(await Rows.of(resource).fetch(change.db, created.ids))
        return created_answer(resource, created, 201)

    return await mutate(kernel, asked, work, body)


def created_answer(resource: Resource, created: Created, status: int) -> Response:
    """The guide's sentence about what was created, with the numbers of its tasks."""
    message = f"Resource with name '{resource.name}' was created successfully!"
    return success({}, with_tasks(message, created), status, location(resource, created))


def with_tasks(message: str, created: Created) -> str:
    """The message that ends with the numbers of new tasks, if there are any."""
    if not created.task_ids:
        return message
    numbers = ",".join(str(i) for i in created.task_ids)
    return f"{message} TASK WAS ADDED TO QUEUE:{numbers}".lstrip()


def location(resource: Resource, created: Created) -> dict[str, str]:
    """Where the first new row can be read."""
    if created.ids:
        return {"location": f"{BASE}/{resource.path}/{created.ids[0]}"}
    return {"location": f"{BASE}/task_queue/{created.task_ids[0]}"} if created.task_ids else {}


async def update_row(kernel: Kernel, asked: Asked) -> Response:
    """PATCH of one row: only what is given changes."""
    resource = asked.route.resource
    assert asked.id is not None
    assert resource.update is not None
    assert resource.update_body is not None
    update, row_id = resource.update, asked.id
    refuse_query(asked)
    body = await read_body_struct(kernel, asked, resource.update_body)

    async def work(change: Change) -> Response:
        await locked(asked, change, [row_id], "NO KEY UPDATE")
        await update(change, row_id, body)
        if change.after is None:
            change.after = _told(await Rows.of(resource).fetch(change.db, [row_id]))
        return success({}, f"Resource with name '{resource.name}' was updated successfully!")

    return await mutate(kernel, asked, work, body)


async def delete_row(kernel: Kernel, asked: Asked) -> Response:
    """DELETE of one row."""
    assert asked.id is not None
    refuse_query(asked)
    return await _delete(kernel, asked, (asked.id,))


async def delete_rows(kernel: Kernel, asked: Asked) -> Response:
    """DELETE of a collection: the rows that the body lists, all or none."""
    refuse_query(asked)
    body = await read_body_struct(kernel, asked, IDS_BODY)
    return await _delete(kernel, asked, tuple(dict.fromkeys(body.ids)))


async def _delete(kernel: Kernel, asked: Asked, ids: tuple[int, ...]) -> Response:
    resource = asked.route.resource
    assert resource.delete is not None
    delete = resource.delete

    async def work(change: Change) -> Response:
        await locked(asked, change, ids, "UPDATE")
        await delete(change, ids)
        return success({}, f"Resource with name '{resource.name}' was deleted successfully!")

    return await mutate(kernel, asked, work, {"ids": list(ids)})


async def locked(asked: Asked, change: Change, ids: Sequence[int], strength: str) -> None:
    """Lock the rows and note them as `before`; NotFound names every missing one, PreconditionFailed a changed one."""
    resource = asked.route.resource
    scope = resource.scope(asked.principal)
    found = await Rows.of(resource).fetch(change.db, ids, scope, strength)
    absent = [i for i in ids if i not in found]
    if absent:
        raise missing(resource.name, absent)
    await refuse_foreign(asked, change, ids)
    change.row_ids.extend(ids)
    change.before = _told(found)
    tags = wanted_tags(asked.request)
    if tags is not None and (len(ids) != 1 or etag_of(found[ids[0]]) not in tags):
        raise PreconditionFailed


def wanted_tags(request: Request) -> list[str] | None:
    """The entity tags of `If-Match`; None when there is none, or any will do. Invalid for what RFC 9110 does not know."""
    given = request.headers.getlist("if-match")
    if not given:
        return None
    wanted = ",".join(given).strip(" \t")
    if wanted == "*":
        return None
    if not _TAGS.fullmatch(wanted):
        raise Invalid(fields={"If-Match": 'must be * or entity tags such as "1f2e", as a read told them.'})
    return _TAG.findall(wanted)


async def refuse_foreign(asked: Asked, change: Change, ids: Sequence[int]) -> None:
    """Forbidden for rows that the caller may see but not change: a role that reads adds to one that changes."""
    resource = asked.route.resource
    changeable = resource.changeable(asked.principal)
    if changeable == EVERYTHING:
        return
    own = await Rows.of(resource).fetch(change.db, ids, changeable)
    foreign = [i for i in ids if i not in own]
    if foreign:
        raise Forbidden(
            f"Resource with name '{resource.name}' may be seen, not changed: {', '.join(map(str, foreign))}."
        )


def _told(rows: dict[int, msgspec.Struct]) -> Any:
    """Rows for the audit: one as itself, several as a list."""
    told = [msgspec.to_builtins(row) for row in rows.values()]
    return told[0] if len(told) == 1 else told or None
