"""What the contract test knows of a row of the guide's table: a call that goes well, and what shows that it did.

A family of standard verbs needs only to say how a row is made and what its bodies name; the rest of
its rows follow from the verbs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx

from support.office import MISSING, Office, contract, example

Key = tuple[str, str]


@dataclass(frozen=True)
class Call:
    """One call: a path below /api/v1, its body and its query; `about` is the id of the row that it is about."""

    path: str
    body: Any = None
    query: dict[str, Any] | None = None
    about: int = 0


Effect = Callable[[Office, Call, httpx.Response], None]


@dataclass(frozen=True)
class Row:
    """A row of the table. `effect` asserts by further calls that what the answer says was done.

    `refused` is the reason (a part of the sentence) with which this version refuses an otherwise good call:
    then `status` is the refusal's, and `effect` asserts that nothing changed.
    """

    call: Callable[[Office], Call]
    effect: Effect
    refused: str = ""
    status: int = 0
    absent: Callable[[Office], Call] | None = None
    """The same call about something that does not exist; unless given, the id is one that no row has."""
    absent_status: int = 404
    invalid: Callable[[Call], Call] | None = None
    """The call with a wrong body; unless given, an unknown key or an unknown query parameter."""
    caller: Callable[[Office], httpx.Client] | None = None
    """Who makes the call; the superuser unless given."""


Rows = dict[Key, Row]


def check(condition: object, *shown: Any) -> None:
    """Assert, and show what was found."""
    assert condition, shown


# --- standard verbs ---


def data_of(answer: httpx.Response) -> Any:
    """The `data` of an answer."""
    return answer.json()["data"]


def lists(path: str, make: Callable[[Office], int]) -> Rows:
    """GET of a collection: it holds a row that is there."""

    def effect(office: Office, call: Call, answer: httpx.Response) -> None:
        found = data_of(answer)
        assert found["total"] >= 1, path
        again = office.call("GET", path, filter_data=f'id="{call.about}"')
        assert [item["id"] for item in again["items"]] == [call.about], path

    def prepare(office: Office) -> Call:
        return Call(path, query={"page": 1, "limit": 10}, about=make(office))

    def absent(_office: Office) -> Call:
        return Call(f"{path}/{MISSING}/nothing")

    return {("GET", path): Row(prepare, effect, absent=absent)}


def reads(path: str, make: Callable[[Office], int]) -> Rows:
    """GET of a row."""

    def effect(_office: Office, call: Call, answer: httpx.Response) -> None:
        assert data_of(answer)["id"] == call.about

    return {("GET", f"{path}/{{id}}"): Row(lambda o: about(path, make(o)), effect)}


def about(path: str, row_id: int, body: Any = None, rest: str = "") -> Call:
    """A call about a row."""
    return Call(f"{path}/{row_id}{rest}", body, about=row_id)


def deletes(path: str, make: Callable[[Office], int], *, single: bool = True, many: bool = True) -> Rows:
    """DELETE of a row, and of a list of rows: they are gone."""

    def gone(office: Office, call: Call, _answer: httpx.Response) -> None:
        again = office.call("GET", path, filter_data=f'id="{call.about}"')
        assert again["items"] == [], path

    def several(office: Office) -> Call:
        row_id = make(office)
        return Call(path, {"ids": [row_id]}, about=row_id)

    found: Rows = {}
    if many:
        found["DELETE", path] = Row(several, gone, absent=lambda _o: Call(path, {"ids": [MISSING]}))
    if single:
        found["DELETE", f"{path}/{{id}}"] = Row(lambda o: about(path, make(o)), gone)
    return found


def creates(path: str, body: Callable[[Office], Any], *shown: str, query: dict[str, Any] | None = None) -> Rows:
    """POST of a collection: the new row reads back what was written, key by key (`shown`: others than the body's)."""

    def effect(office: Office, call: Call, answer: httpx.Response) -> None:
        assert answer.json()["message"].startswith("Resource with name '"), answer.text
        row = office.call("GET", answer.headers["location"].removeprefix("/api/v1"))
        written = call.body["data"] | {}
        for key in shown or written.keys() & row.keys():
            assert row[key] == written[key], (path, key, row[key], written[key])

    def absent(_office: Office) -> Call:
        return Call(f"{path}/{MISSING}/nothing")

    return {("POST", path): Row(lambda o: Call(path, body(o), query), effect, absent=absent)}


def changes(path: str, make: Callable[[Office], int], body: Callable[[Office, int], Any], *unread: str) -> Rows:
    """PATCH of a row: a read gives back what was written."""

    def effect(office: Office, call: Call, _answer: httpx.Response) -> None:
        row = office.row(path, call.about)
        for key, value in call.body["data"].items():
            if key not in unread:
                assert row[key] == value, (path, key, row[key], value)

    def prepare(office: Office) -> Call:
        row_id = make(office)
        return about(path, row_id, body(office, row_id))

    return {("PATCH", f"{path}/{{id}}"): Row(prepare, effect)}


def crud(
    path: str,
    body: Callable[[Office], Any],
    change: Callable[[Office, int], Any] | None = None,
    *,
    unread: tuple[str, ...] = (),
    shown: tuple[str, ...] = (),
    make: Callable[[Office], int] | None = None,
) -> Rows:
    """All standard verbs that the guide's table has for a collection."""

    def new(office: Office) -> int:
        return office.made(path, body(office))

    maker = make or new
    found = lists(path, maker) | reads(path, maker) | creates(path, body, *shown) | deletes(path, maker)
    if change is not None:
        found |= changes(path, maker, change, *unread)
    return {key: row for key, row in found.items() if key in contract()}


def log_rows(path: str, make: Callable[[Office], int]) -> Rows:
    """A collection that is only read."""
    found = lists(path, make) | reads(path, make)
    return {key: row for key, row in found.items() if key in contract()}


def lookup(path: str) -> Rows:
    """A lookup table: its rows are there from the start."""
    return log_rows(path, lambda office: int(office.items(path)[0]["id"]))


def same(method: str, path: str) -> Callable[[Office, int], Any]:
    """The guide's example body as it stands."""
    return lambda _office, _row: example(method, path)
