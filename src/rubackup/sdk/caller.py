"""What the generated classes are made of: answers, pages, and the way a call goes.

The classes know paths and types only; tokens, retries and TLS are behind `Caller`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, Self, TypedDict, TypeVar
from urllib.parse import quote

from rubackup.sdk.errors import BadAnswer, Misused

T = TypeVar("T")

Query = Mapping[str, Any]
"""Names with values; None is left out, a sequence repeats the name."""

PAGE_ROWS = 1000
_TASKS = re.compile(r"TASK WAS ADDED TO QUEUE:([0-9]+(?:,[0-9]+)*)")


class Page(TypedDict, Generic[T]):
    """A page of a list."""

    items: list[T]
    total: int
    """Matches: exact to 10,000, beyond that an estimate."""
    total_is_estimate: bool
    page: int
    limit: int
    pages: int
    next_cursor: str | None
    """Asks for the next page; None on the last."""


@dataclass(frozen=True)
class Answer(Generic[T]):
    """What the API answered to a call that went well. `headers` have their names in lower case."""

    status: int
    data: T
    message: str
    headers: Mapping[str, str]

    @property
    def etag(self) -> str | None:
        """The tag of this version, for `if_match`."""
        return self.headers.get("etag")

    @property
    def tasks(self) -> list[int]:
        """Numbers of the tasks that the call made."""
        found = _TASKS.search(self.message)
        return [int(number) for number in found[1].split(",")] if found else []

    @property
    def row_id(self) -> int | None:
        """Id of the row that the call made; None when it made none."""
        last = self.headers.get("location", "").rpartition("/")[2]
        return int(last) if last.isdigit() else None

    @property
    def made(self) -> int:
        """Id of the row that the call made; BadAnswer when it made none."""
        if self.row_id is None:
            raise BadAnswer("The call made no row.")
        return self.row_id


class Stream(Protocol):
    """An answer that is read piece by piece; to be closed, or used in a `with`."""

    status: int
    headers: Mapping[str, str]

    def __enter__(self) -> Self: ...
    def __exit__(self, *_: object) -> None: ...

    def read(self, size: int) -> bytes:
        """At most `size` bytes; none at the end. Unreachable when the answer breaks off before its end."""

    def pieces(self, size: int = 1 << 20) -> Iterator[bytes]:
        """All of it, in pieces of that size."""

    def save(self, file: str | Path, *, replace: bool = False) -> int:
        """Write all of it to a file, which is there under its name only when it is whole; how many bytes it has.

        A file that is there already is replaced only when told so; what is no ordinary file (a link, a device, a folder) never.
        """

    def lines(self) -> Iterator[str]:
        """The text line by line, without line ends."""

    def close(self) -> None:
        """End it."""


class Caller(Protocol):
    """Who carries calls out. Raises Refused, LoggedOut, Unreachable, BadAnswer."""

    def call(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        repeatable: bool = False,
    ) -> Answer[Any]:
        """The answer of a call. `repeatable`: the API knows Idempotency-Key here."""  # fmt: skip

    def stream(
        self, method: str, path: str, *, query: Query | None = None, headers: Mapping[str, str] | None = None
    ) -> Stream:
        """The answer of a call that is no envelope."""


class Family:
    """Base of the generated classes."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    def _call(
        self, method: str, path: str, *, query: Query | None = None, body: Any = None,
        headers: Mapping[str, str | None] | None = None, if_match: str | None = None,
        idempotency_key: str | None = None, repeatable: bool = False,
    ) -> Answer[Any]:  # fmt: skip
        named = {**(headers or {}), "If-Match": if_match, "Idempotency-Key": idempotency_key}
        return self._caller.call(
            method, path, query=query, body=body, headers=_given(named), repeatable=repeatable
        )  # fmt: skip

    def _stream(
        self, method: str, path: str, *, query: Query | None = None, headers: Mapping[str, str | None] | None = None
    ) -> Stream:
        return self._caller.stream(method, path, query=query, headers=_given(headers or {}))

    def _rows(self, path: str, query: Query) -> Iterator[Any]:
        return rows(self._caller, path, query)


def rows(
    caller: Caller, path: str, query: Query | None = None, *, limit: int = PAGE_ROWS, numbered: bool = False
) -> Iterator[Any]:
    """Every row of a list, page by page: behind a cursor, or by its number where a list knows no cursor."""
    if numbered:
        yield from _numbered(caller, path, query, limit)
        return
    cursor: str | None = None
    while True:
        page = caller.call("GET", path, query={**(query or {}), "limit": limit, "cursor": cursor}).data
        yield from page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            return


def _numbered(caller: Caller, path: str, query: Query | None, limit: int) -> Iterator[Any]:
    number, pages = 0, 1
    while number < pages:
        number += 1
        page = caller.call("GET", path, query={**(query or {}), "limit": limit, "page": number}).data
        pages = page["pages"]
        yield from page["items"]


def segment(value: str | int) -> str:
    """A value as one part of a path; Misused where it is no text."""
    try:
        return quote(str(value), safe="")
    except UnicodeEncodeError as error:
        raise Misused(f"{value!r} is no text.") from error


def condition(column: str, operator: str, value: object) -> str:
    """A condition for `filter_data`; `operator` is one of = ~ < >."""
    text = ("yes" if value else "no") if isinstance(value, bool) else str(value)
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'{column}{operator}"{escaped}"'


def _given(values: Mapping[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in values.items() if value is not None}


def flat(query: Query) -> list[tuple[str, str]]:
    """A query as pairs of text."""
    pairs: list[tuple[str, str]] = []
    for name, value in query.items():
        if value is None:
            continue
        many = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
        pairs += [(name, str(one).lower() if isinstance(one, bool) else str(one)) for one in many]
    return pairs
