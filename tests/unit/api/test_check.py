"""Wrong declarations stop the start, every one named."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from rubackup.api.check import WrongDeclaration, check
from rubackup.api.resource import Action, Answer, Body, Op, Resource, Source
from rubackup.api.routes import routes_of
from rubackup.domain.permissions import Permission
from rubackup.resources.auth import AUTH
from rubackup.resources.lookups import LOOKUPS
from support.widgets import WIDGETS, Widget


class Bare(msgspec.Struct):
    """A field without a description."""

    id: int


async def run(_call: Any) -> None:
    """Nothing."""


def problems(*resources: Resource) -> str:
    """What is said of the declarations."""
    with pytest.raises(WrongDeclaration) as caught:
        check(routes_of(resources))
    return str(caught.value)


def action(**given: Any) -> Resource:
    """Widgets with one more action."""
    base: dict[str, Any] = {
        "method": "POST",
        "path": "x",
        "summary": "",
        "permission": Permission.READ_STATE,
        "run": run,
    }
    return replace(WIDGETS, actions=(Action(**base | given),))


def test_good_declarations_pass() -> None:
    """Lookups, sessions and the trial resource can be served."""
    check(routes_of((AUTH, *LOOKUPS, WIDGETS)))


@pytest.mark.parametrize(
    ("resource", "told"),
    [
        (replace(WIDGETS, write=None), "changes without a permission"),
        (replace(WIDGETS, create=None), "CREATE without create"),
        (replace(WIDGETS, update_body=None), "UPDATE without update_body"),
        (replace(WIDGETS, delete=None), "DELETE without delete"),
        (replace(WIDGETS, ops=Op.BULK_UPDATE), "list body"),
        (replace(WIDGETS, source=None), "either a source or a lookup"),
        (replace(WIDGETS, row=None), "verbs without a row"),
        (replace(WIDGETS, narrow=None), "list_query and narrow go together"),
        (replace(WIDGETS, source=None, lookup=LOOKUPS[0].lookup), "a lookup cannot be narrowed"),
        (replace(WIDGETS, row=Bare, source=Source("t", "t.id", {"id": "t.id"})), "Bare.id has no description"),
        (replace(WIDGETS, source=Source("t", "t.id", {"id": "t.id", "nope": "t.nope"})), "nope is no field"),
        (replace(WIDGETS, source=Source("t", "t.id", {"id": "t.id"})), "field name has no column"),
        (replace(WIDGETS, source=Source("t", "t.id", WIDGETS.source.columns, order="tags")), "no column that sorts"),  # type: ignore[union-attr]
        (replace(WIDGETS, source=replace(WIDGETS.source, indexed=frozenset({"x"}))), "indexed x"),  # type: ignore[type-var]
        (action(permission=None), "has no permission"),
        (action(run=None), "either run or endpoint"),
        (action(answer=Answer.OBJECT), "a row that it does not name"),
        (action(ask=run, mutates=False), "ask is for"),
        (action(method="GET"), "a GET must not change"),
        (action(method="PUT"), "no such method"),
        (action(body=Body(Bare)), "Bare.id has no description"),
        (action(query=Bare), "Bare.id has no description"),
        (action(method="GET", path="", mutates=False), "has the shape"),
        (action(operation_id="list_widgets"), "operation id list_widgets is taken"),
    ],
)  # fmt: skip
def test_a_wrong_declaration_is_named(resource: Resource, told: str) -> None:
    """The message says which resource and what is missing."""
    assert told in problems(resource)


def test_every_problem_is_told_at_once() -> None:
    """Who writes a declaration starts the process once, not seven times."""
    found = problems(replace(WIDGETS, write=None, create=None, row=Widget), action(permission=None))

    assert len(found.splitlines()) >= 3
