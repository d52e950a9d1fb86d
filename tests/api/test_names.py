"""Names that people give: what no eye tells from another name is refused by every family."""

from __future__ import annotations

from typing import Any

import pytest

from rubackup.api.check import check
from rubackup.api.routes import routes_of
from rubackup.api.validate import members, struct_type
from rubackup.domain import names
from rubackup.resources import RESOURCES
from support.api import Api

NAMES = ("name", "username", "groupname", "pool_name")
UNSEEN = ["\n", "a\n", "\x01a", "a\x7f", "a\x85b", "a\u202egpj", "\u2066a", "\u200ba", "\ufeffa", "a\u2028"]


@pytest.mark.parametrize("name", [" ", "\u00a0\u3000", *UNSEEN])
def test_a_name_that_is_not_seen_is_refused(office: Api, name: str) -> None:
    """400 names the field and says what is allowed."""
    answer = office.post("/client_groups", {"data": {"name": name}})

    assert answer.status_code == 400
    assert answer.json()["errors"]["data.name"].endswith("not only of white space and without control characters.")


@pytest.mark.parametrize("name", ["a", " a", "Отдел 7", "部門", "naïve café", "می\u200cخواهم", "x" * 128])
def test_names_of_people_are_taken(office: Api, name: str) -> None:
    """In every script, white space and joiners within."""
    answer = office.post("/client_groups", {"data": {"name": name}})

    assert answer.status_code == 201, answer.text


def structs(kind: Any) -> list[Any]:
    """A struct and those within it."""
    found = [kind]
    for field in kind.fields:
        for one in members(field.type):
            if hasattr(one, "fields"):
                found += structs(one)
    return found


def given() -> list[tuple[str, Any]]:
    """Every text of a body that names a row, with its call."""
    routes = routes_of(RESOURCES)
    check(routes)
    return [
        (f"{route.method} {route.path} {field.encode_name}", one)
        for route in routes
        if route.body is not None and route.resource.path not in {"task_queue", "auth"}
        for struct in structs(struct_type(route.body.struct))
        for field in struct.fields
        if field.encode_name in NAMES
        for one in members(field.type)
        if hasattr(one, "pattern") and "name or id" not in str(field)
    ]


def test_every_family_takes_names_by_the_one_rule() -> None:
    """No body has a name of its own kind."""
    found = given()
    without = [where for where, kind in found if kind.pattern not in names.MEANINGS]

    assert len(found) > 15
    assert without == []
