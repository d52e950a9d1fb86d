"""From declarations to routes: the seven verbs and the actions, each with everything that is known of it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import msgspec

from rubackup.api.actions import action_status, run_action
from rubackup.api.each import run_each
from rubackup.api.kernel import Endpoint, Route
from rubackup.api.reads import list_rows, read_row
from rubackup.api.resource import Action, Answer, Body, Op, Resource
from rubackup.api.writes import IDS_BODY, create_row, delete_row, delete_rows, update_row
from rubackup.domain.permissions import Permission


@dataclass(frozen=True)
class _Verb:
    op: Op
    method: str
    suffix: str
    endpoint: Endpoint
    name: str
    sentence: str
    status: int = 200


_VERBS = (
    _Verb(Op.LIST, "GET", "", list_rows, "list", "List"),
    _Verb(Op.READ, "GET", "/{id}", read_row, "read", "Read one"),
    _Verb(Op.CREATE, "POST", "", create_row, "create", "Create", 201),
    _Verb(Op.UPDATE, "PATCH", "/{id}", update_row, "update", "Change one"),
    _Verb(Op.DELETE, "DELETE", "/{id}", delete_row, "delete", "Delete one"),
    _Verb(Op.BULK_DELETE, "DELETE", "", delete_rows, "bulk_delete", "Delete several, all or none"),
)


def routes_of(resources: Iterable[Resource]) -> tuple[Route, ...]:
    """Every operation of the API."""
    return tuple(route for resource in resources for route in _routes(resource))


def _routes(resource: Resource) -> Iterator[Route]:
    for verb in _VERBS:
        if verb.op in resource.ops:
            yield Route(
                method=verb.method,
                path=f"/{resource.path}{verb.suffix}",
                operation_id=f"{verb.name}_{resource.path.replace('/', '_')}",
                summary=f"{verb.sentence}: {resource.name}",
                resource=resource,
                permission=_permission(resource, verb.op),
                endpoint=verb.endpoint,
                status=verb.status,
                op=verb.op,
                body=_body(resource, verb.op),
                query=_query(resource, verb.op),
            )
    for action in resource.actions:
        yield _action_route(resource, action)


def _permission(resource: Resource, op: Op) -> Permission | None:
    if op in Op.LIST | Op.READ:
        return resource.read
    if op is Op.CREATE and resource.make is not None:
        return resource.make
    removes = op in Op.DELETE | Op.BULK_DELETE
    return resource.remove if removes and resource.remove is not None else resource.write


def _body(resource: Resource, op: Op) -> Body | None:
    ids = replace(IDS_BODY, example={"ids": list(resource.ids_example)})
    return {Op.CREATE: resource.create_body, Op.UPDATE: resource.update_body, Op.BULK_DELETE: ids}.get(op)


def _query(resource: Resource, op: Op) -> type[msgspec.Struct] | None:
    return {Op.CREATE: resource.create_query, Op.LIST: resource.list_query}.get(op)


def _endpoint(action: Action) -> Endpoint | None:
    """What answers an admitted caller; None for what answers before anybody is known."""
    if action.endpoint is not None:
        return action.endpoint if action.permission is not None else None
    return run_each if action.answer is Answer.EACH else run_action


def _action_route(resource: Resource, action: Action) -> Route:
    path = f"/{resource.path}/{action.path}".rstrip("/")
    words = re.sub(r"[^a-z0-9]+", "_", path.lower()).strip("_")
    return Route(
        method=action.method,
        path=path,
        operation_id=action.operation_id or f"{action.method.lower()}_{words}",
        summary=action.summary,
        resource=resource,
        permission=action.permission,
        endpoint=_endpoint(action),
        status=action_status(action),
        action=action,
        body=action.body,
        query=action.query,
    )
