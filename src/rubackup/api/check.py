"""Refuses wrong declarations at start-up, all of them at once: a mistake here would be a hole or a 500 later."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec
from msgspec import inspect as types

from rubackup.api.columns import columns_of
from rubackup.api.kernel import Route
from rubackup.api.resource import Action, Answer, Op, Resource
from rubackup.api.router import Router
from rubackup.api.validate import struct_type, structs_in


class WrongDeclaration(Exception):
    """What is declared cannot be served; every reason is a line of the message."""


def check(routes: Iterable[Route]) -> None:
    """WrongDeclaration unless every route can be served as declared."""
    routes = tuple(routes)
    resources = {id(r.resource): r.resource for r in routes}.values()
    problems = [p for resource in resources for p in _resource(resource)]
    problems += [p for route in routes for p in _route(route)]
    problems += list(_doubles(routes))
    if problems:
        raise WrongDeclaration("\n".join(problems))


def _resource(resource: Resource) -> Iterator[str]:
    where = resource.path
    if resource.ops and resource.row is None:
        yield f"{where}: verbs without a row"
    if resource.ops and (resource.source is None) == (resource.lookup is None):
        yield f"{where}: needs either a source or a lookup"
    if Op.BULK_UPDATE in resource.ops:
        yield f"{where}: BULK_UPDATE is declared as an action with a list body"
    if (resource.list_query is None) != (resource.narrow is None):
        yield f"{where}: list_query and narrow go together"
    if resource.lookup is not None and resource.narrow is not None:
        yield f"{where}: a lookup cannot be narrowed"
    yield from _functions(resource)
    if resource.row is not None:
        yield from _source(resource, resource.row)
        yield from _descriptions(where, resource.row)


def _functions(resource: Resource) -> Iterator[str]:
    writes = Op.CREATE | Op.UPDATE | Op.DELETE | Op.BULK_DELETE
    if resource.ops & writes and resource.write is None:
        yield f"{resource.path}: changes without a permission (write)"
    if resource.ops & writes and resource.source is None:
        yield f"{resource.path}: changes without a source"
    needs = {
        Op.CREATE: (("create", resource.create), ("create_body", resource.create_body)),
        Op.UPDATE: (("update", resource.update), ("update_body", resource.update_body)),
        Op.DELETE: (("delete", resource.delete),),
        Op.BULK_DELETE: (("delete", resource.delete),),
    }
    for op, parts in needs.items():
        for name, value in parts:
            if op in resource.ops and value is None:
                yield f"{resource.path}: {op.name} without {name}"


def _source(resource: Resource, row: type[msgspec.Struct]) -> Iterator[str]:
    if resource.source is None:
        return
    source, where = resource.source, resource.path
    fields = {f.encode_name: f for f in struct_type(row).fields}
    for name in source.columns:
        if name not in fields:
            yield f"{where}: column {name} is no field of {row.__name__}"
    for name, field in fields.items():
        if field.required and name not in source.columns:
            yield f"{where}: field {name} has no column"
    columns = columns_of(row, source)
    if source.order not in columns or not columns[source.order].sortable:
        yield f"{where}: the order {source.order} is no column that sorts"
    for name in sorted(source.indexed - columns.keys()):
        yield f"{where}: indexed {name} is no column"


def _descriptions(where: str, struct: type[msgspec.Struct], seen: frozenset[type] = frozenset()) -> Iterator[str]:
    for field in struct_type(struct).fields:
        if not _described(field.type):
            yield f"{where}: field {struct.__name__}.{field.encode_name} has no description"
        for inner in structs_in(field.type):
            if inner not in seen:
                yield from _descriptions(where, inner, seen | {struct, inner})


def _described(kind: types.Type) -> bool:
    if isinstance(kind, types.Metadata):
        return bool((kind.extra_json_schema or {}).get("description")) or _described(kind.type)
    return isinstance(kind, types.UnionType) and any(_described(t) for t in kind.types)


def _route(route: Route) -> Iterator[str]:
    where = f"{route.method} {route.path}"
    if route.body is not None:
        yield from _descriptions(where, route.body.struct)
    if isinstance(route.query, type):
        yield from _descriptions(where, route.query)
    if route.action is not None:
        yield from _action(where, route, route.action)


def _action(where: str, route: Route, action: Action) -> Iterator[str]:
    if (action.run is None) == (action.endpoint is None):
        yield f"{where}: needs either run or endpoint"
    if action.permission is None and action.endpoint is None:
        yield f"{where}: has no permission"
    if "{" in route.path.replace("{id}", "") and not action.word:
        yield f"{where}: has a word in its path that it does not describe"
    if action.media != "application/json" and (action.endpoint is None or (action.row is None) != action.binary):
        yield f"{where}: answers with {action.media}, so it needs an endpoint, and a row that says what is in it"
    if action.answer in {Answer.OBJECT, Answer.LIST} and action.row is None:
        yield f"{where}: answers with a row that it does not name"
    if action.answer is Answer.EACH and not _takes_ids(resource := route.resource, action):
        yield f"{where}: treats each of {resource.path}, so it needs a source, a body with ids, and to mutate"
    if action.row is not None:
        yield from _descriptions(where, action.row)
    if action.method not in {"GET", "POST", "PATCH", "DELETE"}:
        yield f"{where}: no such method"
    if action.ask is not None and not action.mutates:
        yield f"{where}: ask is for what is found out before a change; run returns a Later"
    if action.method == "GET" and action.mutates:
        yield f"{where}: a GET must not change anything (mutates=False)"


def _takes_ids(resource: Resource, action: Action) -> bool:
    takes = action.body is not None and "ids" in action.body.struct.__struct_fields__
    return takes and action.mutates and action.query is None and resource.source is not None


def _doubles(routes: Iterable[Route]) -> Iterator[str]:
    router: Router[Route] = Router()
    names: dict[str, Route] = {}
    for route in routes:
        try:
            router.add(route)
        except ValueError as error:
            yield str(error)
        if route.operation_id in names:
            yield f"{route.method} {route.path}: operation id {route.operation_id} is taken"
        names[route.operation_id] = route
