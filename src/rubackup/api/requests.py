"""Reading a request: its body within the limit, its query, its instants. Input errors are 400, 413 or 415."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from starlette.requests import ClientDisconnect, Request

from rubackup.domain.errors import Invalid, TooLarge, UnsupportedMedia

MAX_BODY_BYTES = 4 << 20
BODY_SECONDS = 60
MAX_QUERY_FIELDS = 200
MAX_DOUBLES, MAX_KEY = 100, 100
_SAYS_NOTHING: tuple[Any, ...] = ({}, {"data": {}})


async def read_body(request: Request, limit: int = MAX_BODY_BYTES) -> bytes:
    """The whole body; TooLarge as soon as it is known to be over the limit."""
    declared = request.headers.get("content-length", "")
    if declared.isascii() and declared.isdigit() and int(declared[:18]) > limit:
        raise TooLarge(f"The body of the request may be at most {limit} bytes long.")
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for part in request.stream():
                size += len(part)
                if size > limit:
                    raise TooLarge(f"The body of the request may be at most {limit} bytes long.")
                parts.append(part)
    except TimeoutError as error:
        raise Invalid(f"The body of the request did not arrive in {BODY_SECONDS} s.") from error
    except ClientDisconnect as error:
        raise Invalid("The request ended before its body was complete.") from error
    return b"".join(parts)


async def read_json(request: Request, limit: int = MAX_BODY_BYTES) -> Any:
    """The decoded body, None when it is empty; UnsupportedMedia unless it is declared as JSON."""
    raw = await read_body(request, limit)
    if not raw.strip():
        return None
    kind, _, parameters = request.headers.get("content-type", "").partition(";")
    charset = parameters.replace(" ", "").lower()
    if kind.strip().lower() != "application/json" or charset not in {"", "charset=utf-8", 'charset="utf-8"'}:
        raise UnsupportedMedia("The body must be sent as Content-Type: application/json, in UTF-8.")
    return decode_json(raw)


async def refuse_body(request: Request) -> None:
    """Invalid when a call that takes no body has one that says something: what it asks would not be done."""
    raw = await read_body(request)
    try:
        said = raw.strip() and decode_json(raw) not in _SAYS_NOTHING
    except Invalid:
        said = True
    if said:
        raise Invalid(fields={"body": 'must be empty, {} or {"data": {}}: the call takes no body.'})


def decode_json(raw: bytes) -> Any:
    """A JSON text as Python values; Invalid says what is wrong with it."""
    try:
        value = msgspec.json.decode(raw)
    except UnicodeDecodeError as error:
        raise Invalid("The body is not valid UTF-8.") from error
    except RecursionError as error:
        raise Invalid("The body is nested too deeply.") from error
    except (msgspec.DecodeError, ValueError) as error:
        raise Invalid(f"The body is not valid JSON: {error}.") from error
    _refuse_doubles(raw)
    if b"\\u0000" in raw or b"\x00" in raw:
        _refuse_nulls(value, "")
    return value


def _refuse_doubles(raw: bytes) -> None:
    """Invalid when an object has a key twice: msgspec would silently take the last one, another reader the first."""
    doubles: dict[str, str] = {}

    def keys(pairs: list[tuple[str, Any]]) -> None:
        if len(dict(pairs)) == len(pairs):
            return
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen and len(doubles) < MAX_DOUBLES:
                doubles[name[:MAX_KEY]] = "is given more than once."
            seen.add(name)

    try:
        json.loads(raw, object_pairs_hook=keys, parse_int=str, parse_float=str)
    except RecursionError as error:
        raise Invalid("The body is nested too deeply.") from error
    if doubles:
        raise Invalid(fields=doubles)


def _refuse_nulls(value: Any, path: str) -> None:
    if isinstance(value, str) and "\0" in value:
        raise Invalid(fields={path or "body": "must not hold null bytes."})
    if isinstance(value, dict):
        for key, item in value.items():
            _refuse_nulls(key, path or "body")
            _refuse_nulls(item, f"{path}.{key}" if path else key)
    if isinstance(value, list):
        for number, item in enumerate(value):
            _refuse_nulls(item, f"{path}.{number}" if path else str(number))


def read_query(request: Request) -> dict[str, list[str]]:
    """The query's parameters in the order given, each with all its values."""
    raw = request.scope.get("query_string", b"")
    try:
        pairs = parse_qsl(raw.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MAX_QUERY_FIELDS)
    except UnicodeDecodeError as error:
        raise Invalid("The query is not valid UTF-8.") from error
    except ValueError as error:
        raise Invalid(f"The query may have at most {MAX_QUERY_FIELDS} parameters.") from error
    found: dict[str, list[str]] = {}
    for name, value in pairs:
        if "\0" in name or "\0" in value:
            raise Invalid(fields={name.replace("\0", "?"): "must not hold null bytes."})
        found.setdefault(name, []).append(value)
    return found
