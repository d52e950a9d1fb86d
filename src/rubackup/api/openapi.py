"""The OpenAPI 3.1 document, from the same routes that are served. Knows nothing that they do not say."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import msgspec

from rubackup import __version__
from rubackup.api.columns import OPERATORS, columns_of
from rubackup.api.envelope import STATUS_BY_CODE
from rubackup.api.filters import FORM
from rubackup.api.kernel import BASE, Route
from rubackup.api.lists import DEFAULT_LIMIT, MAX_LIMIT
from rubackup.api.resource import Answer, Body, Op, Outcome
from rubackup.api.router import MAX_ID
from rubackup.api.validate import struct_type
from rubackup.domain.errors import all_errors
from rubackup.domain.permissions import NOT_BY_TOKEN

REF = "#/components/schemas/{name}"
_SECURITY: list[dict[str, list[str]]] = [{"csrf": [], "bearer": []}, {"csrf": [], "cookie": []}]
_TOKEN: dict[str, list[str]] = {"token": []}
_ERRORS = {
    400: "The request is not valid; `errors` names each field",
    401: "Verification failed",
    403: "The CSRF token is missing or wrong, or the role of the user does not allow the call",
    404: "Not found, or out of the caller's scope",
    405: "A word in the place of the id; only other methods take one",
    409: "In use, name taken, or not possible in this state",
    412: "`If-Match` names another version of the resource",
    413: "The body is too large",
    415: "The body must be application/json",
    429: "Too many; see `Retry-After`",
    500: "Unexpected error",
    503: "The service database or a host that is needed does not answer; see `Retry-After` where it is told",
}


_INTRODUCTION = """\
Log in with `POST /auth/login`, press Authorize and enter the `csrf_token`. Scripts use an API token instead (`POST /tokens`).

Every answer is an object with the keys `data`, `errors`, `is_error` and `message`. A path that does not exist is a 404 in
the same form, a method that a path does not have a 405 whose `Allow` names those that it has; a trailing slash is accepted.
Sizes are bytes, durations seconds, instants ISO 8601 with their zone, unless a field says otherwise."""


def document(routes: Iterable[Route]) -> dict[str, Any]:
    """The document as a tree."""
    routes = tuple(routes)
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    tags = {r.resource.tag: r.resource.summary for r in reversed(routes)}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "RuBackup REST API",
            "version": __version__,
            "description": _INTRODUCTION,
        },
        "servers": [{"url": BASE}],
        "tags": [{"name": tag, "description": tags[tag]} for tag in dict.fromkeys(r.resource.tag for r in routes)],
        "paths": paths,
        "components": {
            "schemas": _schemas(routes),
            "responses": {_error_name(s): _error(text) for s, text in _ERRORS.items()},
            "parameters": _shared_parameters(),
            "securitySchemes": _schemes(),
        },
    }


def document_bytes(routes: Iterable[Route], *, readable: bool = False) -> bytes:
    """The document as it is served, or `readable` as its golden file is written."""
    compact = msgspec.json.encode(document(routes))
    return msgspec.json.format(compact, indent=1) + b"\n" if readable else compact


def _schemes() -> dict[str, Any]:
    """The CSRF token comes last: that is the field that Swagger UI's Authorize puts the cursor in."""
    return {
        "cookie": {
            "type": "apiKey",
            "in": "cookie",
            "name": "access_token_cookie",
            "description": "Set by login and refresh; the browser sends it by itself.",
        },
        "bearer": {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "JWT",
            "description": "The access_token of the login's answer; not needed where the browser keeps cookies.",
        },
        "token": {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "rbt_ and 43 characters",
            "description": "An API token of `POST /tokens`: no login and no CSRF token are needed with it.",
        },
        "csrf": {
            "type": "apiKey",
            "in": "header",
            "name": "X-CSRF-TOKEN",
            "description": "The csrf_token of the login's answer. In a browser nothing else is needed.",
        },
    }


def _operation(route: Route) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "tags": [route.resource.tag],
        "operationId": route.operation_id,
        "summary": route.summary,
        "parameters": _parameters(route),
        "responses": _responses(route),
        "security": _security(route),
    }
    if route.permission is not None:
        operation["description"] = f"Permission: {route.permission.value}"
    if route.body is not None:
        operation["requestBody"] = _request_body(route.body)
    return operation


def _security(route: Route) -> list[dict[str, list[str]]]:
    if route.permission is not None:
        return _SECURITY if route.permission in NOT_BY_TOKEN else [*_SECURITY, _TOKEN]
    return [{}, {"csrf": []}] if route.body is None and route.mutates else []


def _parameters(route: Route) -> list[dict[str, Any]]:
    found = [_in_path(route, name) for name in re.findall(r"\{(\w+)\}", route.path)]
    if route.op is Op.LIST:
        found += _list_parameters(route)
    if isinstance(route.query, type):
        found += _query_parameters(route.query)
    if route.action is not None:
        found += [
            {"name": name, "in": "header", "description": text, "schema": {"type": "string"}}
            for name, text in route.action.headers.items()
        ]
    if route.replayable:
        found.append(_shared("Idempotency-Key"))
    if route.conditional:
        found.append(_shared("If-Match"))
    return found


def _in_path(route: Route, name: str) -> dict[str, Any]:
    if name == "id":
        text, schema = f"Id of the row: {route.resource.name}.", {"type": "integer", "minimum": 1, "maximum": MAX_ID}
    else:
        assert route.action is not None
        text, schema = route.action.word, {"type": "string", "pattern": "[^0-9/]"}
    return {"name": name, "in": "path", "required": True, "description": text, "schema": schema}


def _header(name: str, text: str) -> dict[str, Any]:
    return {"name": name, "in": "header", "description": text, "schema": {"type": "string"}}


def _in_query(name: str, text: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "query", "description": text, "schema": schema}


def _shared_parameters() -> dict[str, Any]:
    """Parameters that every list has, and headers that every change has."""
    rows = {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT}
    return {
        "page": _in_query("page", "Number of the page, from 1.", {"type": "integer", "minimum": 1, "default": 1}),
        "limit": _in_query("limit", "Rows on a page.", rows),
        "sort_order": _in_query("sort_order", "Direction.", {"type": "string", "enum": ["asc", "desc"]}),
        "cursor": _in_query("cursor", "`next_cursor` of the answer before; instead of page.", {"type": "string"}),
        "Idempotency-Key": _header("Idempotency-Key", "A call repeated under its key within 24 hours is done once."),
        "If-Match": _header("If-Match", "The ETag of a read; 412 when the resource was changed since."),
    }


def _shared(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/parameters/{name}"}


def _list_parameters(route: Route) -> list[dict[str, Any]]:
    assert route.resource.row is not None
    columns = columns_of(route.resource.row, route.resource.source).values()
    sortable = [c.name for c in columns if c.sortable]
    filtered = ", ".join(c.name for c in columns if OPERATORS[c.kind])
    return [
        _shared("page"),
        _shared("limit"),
        _in_query("sort_by", "Column to sort by.", {"type": "string", "enum": sortable}),
        _shared("sort_order"),
        _in_query("filter_data", f"Conditions; each {FORM} Columns: {filtered}.", {"type": "string"}),
        _shared("cursor"),
    ]


def _query_parameters(struct: type[msgspec.Struct]) -> list[dict[str, Any]]:
    schema = msgspec.json.schema_components([struct], ref_template=REF)[1]
    properties = schema[struct.__name__].get("properties", {})
    found = []
    for field in struct_type(struct).fields:
        described = dict(properties[field.encode_name])
        text = described.pop("description", "") or _described(described)
        found.append(
            {
                "name": field.encode_name,
                "in": "query",
                "description": text,
                "required": field.required,
                "schema": described,
            }
        )
    return found


def _described(schema: dict[str, Any]) -> str:
    return next((str(s["description"]) for s in schema.get("anyOf", ()) if "description" in s), "")


def _request_body(body: Body) -> dict[str, Any]:
    schema: dict[str, Any] = {"$ref": REF.format(name=body.struct.__name__)}
    if body.many:
        schema = {"type": "array", "items": schema, "minItems": 1}
    if body.wrapper is not None:
        schema = {"type": "object", "properties": {body.wrapper: schema}, "required": [body.wrapper]}
    media: dict[str, Any] = {"schema": schema}
    if body.example is not None:
        media["example"] = body.example
    return {"required": not body.optional, "content": {"application/json": media}}


def _responses(route: Route) -> dict[str, Any]:
    told = dict(route.action.statuses) if route.action else {}
    good: dict[str, Any] = {"description": told.pop(route.status, _good(route))}
    if route.status != 204:
        good |= _good_content(route)
    if route.status == 201:
        good["headers"] = {"Location": {"description": "Where the new resource is", "schema": {"type": "string"}}}
    elif route.method == "GET" and _is_json(route):
        good["headers"] = {"ETag": {"description": "Tag of this version, for If-Match", "schema": {"type": "string"}}}
    found = {str(route.status): good}
    if 206 in told:
        found["206"] = {"description": told.pop(206), **_good_content(route)}
    if route.action is not None and route.action.answer is Answer.EACH:
        text = told.pop(207, "Some were done, some were not: a result for each id")
        found["207"] = {"description": text, **_content(_envelope(_outcomes(), is_error=False))}
    for status in sorted({*_statuses(route), *told}):
        shared = {"$ref": f"#/components/responses/{_error_name(status)}"}
        found[str(status)] = _error(told[status]) if status in told else shared
    return found


def _is_json(route: Route) -> bool:
    return route.action is None or route.action.media == "application/json"


def _good_content(route: Route) -> dict[str, Any]:
    if _is_json(route):
        return _content(_data(route))
    assert route.action is not None
    if route.action.binary:
        return {"content": {route.action.media: {"schema": {"type": "string", "format": "binary"}}}}
    assert route.action.row is not None
    text = {
        "type": "string",
        "description": f"Lines as the content type says; `data` is a {route.action.row.__name__}.",
    }
    return {"content": {route.action.media: {"schema": text}}}


def _error_name(status: int) -> str:
    return f"Error{status}"


def _error(text: str) -> dict[str, Any]:
    found: dict[str, Any] = {"description": text, **_content({"$ref": REF.format(name="Failure")})}
    if "Retry-After" in text:
        seconds = {
            "description": "Seconds to wait before the next attempt",
            "schema": {"type": "integer", "minimum": 1},
        }
        found["headers"] = {"Retry-After": seconds}
    return found


def _good(route: Route) -> str:
    return "Created" if route.status == 201 else "Done" if route.mutates else "Found"


def _content(schema: dict[str, Any]) -> dict[str, Any]:
    return {"content": {"application/json": {"schema": schema}}}


def _statuses(route: Route) -> set[int]:
    found = {400, 401, 403, 500, 503} if route.permission is not None else {400, 500, 503}
    if "{" in route.path or route.op is Op.BULK_DELETE or _names_rows(route):
        found.add(404)
    if route.mutates and route.permission is not None:
        found |= {404, 409}
    if _shares_place(route):
        found.add(405)
    if route.conditional:
        found.add(412)
    if route.body is not None:
        found |= {413, 415}
    return found


def _shares_place(route: Route) -> bool:
    """Whether what is no id leads to an action that takes a word there, by another method."""
    if not route.path.endswith("/{id}"):
        return False
    words = [one for one in route.resource.actions if re.fullmatch(r"\{(?!id\})\w+\}", one.path)]
    return bool(words) and route.method not in {one.method for one in words}


def _names_rows(route: Route) -> bool:
    """Whether a call that only reads may name a row, in its query or body, that is not there."""
    asks = route.query is not None or route.body is not None
    return asks and route.action is not None and route.permission is not None and _is_json(route)


def _data(route: Route) -> dict[str, Any]:
    """The schema of the whole answer that went well."""
    data: dict[str, Any] = {"type": "object", "maxProperties": 0}
    answer = route.action.answer if route.action else None
    row = route.action.row if route.action else route.resource.row
    if row is not None and (route.op is Op.READ or answer is Answer.OBJECT):
        data = {"$ref": REF.format(name=row.__name__)}
    elif row is not None and (route.op is Op.LIST or answer is Answer.LIST):
        data = _list_schema(row)
    return _envelope(data, is_error=False)


def _envelope(data: dict[str, Any], *, is_error: bool) -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["data", "errors", "is_error", "message"],
        "properties": {
            "data": data,
            "errors": {
                "type": "object",
                "additionalProperties": {"type": "string"},
                "description": "Dotted names of wrong fields, with a sentence each.",
            },
            "is_error": {"const": is_error},
            "message": {"type": "string"},
        },
    }


def _outcomes() -> dict[str, Any]:
    items = {"type": "array", "items": {"$ref": REF.format(name=Outcome.__name__)}}
    return {"type": "object", "required": ["items"], "properties": {"items": items}}


def _list_schema(row: type[msgspec.Struct]) -> dict[str, Any]:
    count = {"type": "integer", "minimum": 0}
    properties = {
        "items": {"type": "array", "items": {"$ref": REF.format(name=row.__name__)}},
        "total": count | {"description": "Matches: exact to 10,000, beyond that an estimate."},
        "total_is_estimate": {"type": "boolean"},
        "page": count,
        "limit": count,
        "pages": count,
        "next_cursor": {"type": ["string", "null"], "description": "Asks for the next page; null on the last."},
    }
    return {"type": "object", "required": list(properties), "properties": properties}


def _schemas(routes: Iterable[Route]) -> dict[str, Any]:
    structs: dict[str, type[msgspec.Struct]] = {}
    for route in routes:
        shown = (
            route.resource.row,
            route.action.row if route.action else None,
            route.body.struct if route.body else None,
            Outcome if route.action and route.action.answer is Answer.EACH else None,
        )
        for struct in shown:
            if struct is not None and structs.setdefault(struct.__name__, struct) is not struct:
                raise ValueError(f"two structs are called {struct.__name__}")
    found = msgspec.json.schema_components(list(structs.values()), ref_template=REF)[1]
    inputs = {r.body.struct.__name__ for r in routes if r.body is not None}
    for name in inputs & found.keys():
        found[name]["additionalProperties"] = False
    codes = sorted(c for c in all_errors() if c in STATUS_BY_CODE)
    failed = _envelope({"type": "object", "maxProperties": 0}, is_error=True)
    failed["description"] = f"Something was wrong. Kinds: {', '.join(codes)}."
    return dict(sorted((found | {"Failure": failed}).items()))
