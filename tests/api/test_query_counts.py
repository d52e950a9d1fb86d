"""How many statements each reading call sends to the catalogue: the same for 5 rows and for 30, and none more than agreed.

The numbers lie in `query_counts.json`, those that tell who the caller is included; the failing test says how to renew them.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from samples import SAMPLES

from rubackup.api.kernel import Route
from rubackup.api.lookups import lookup_rows
from rubackup.api.resource import Answer, Op
from rubackup.api.routes import routes_of
from rubackup.catalog.database import DatabaseAddress
from rubackup.resources import RESOURCES
from support.api import Api
from support.furnished import furnished, make_rows

GOLDEN = Path(__file__).with_name("query_counts.json")
RENEW = "RENEW_GOLDENS=1 .venv/bin/pytest tests/api/test_query_counts.py"
TIMES = 10
"""After these rounds of samples a family has ten times the rows of the first."""
READS = tuple(
    route for route in routes_of(RESOURCES)
    if route.permission is not None and not route.mutates
    and not (route.action is not None and route.action.endpoint is not None)
)  # fmt: skip


class Counting(Api):
    """A caller who knows how many statements the last call sent."""

    def __init__(self, api: Api) -> None:
        super().__init__(api.runner, api.app, api.database)
        self.headers, self.statements, self._asking = api.headers, 0, False
        self._connection = api.database.connection

    @contextlib.asynccontextmanager
    async def connection(self) -> AsyncIterator[Any]:
        """A connection of the catalogue whose statements are counted while a call is being answered."""
        async with self._connection() as db:
            with db.query_logger(self._count) if self._asking else contextlib.nullcontext():
                yield db

    def _count(self, _statement: Any) -> None:
        self.statements += 1

    async def send(self, method: str, path: str, **given: Any) -> httpx.Response:
        """One call; what it sends is counted."""
        self.statements, self._asking = 0, True
        try:
            return await super().send(method, path, **given)
        finally:
            self._asking = False


@pytest.fixture(scope="module")
def counts(postgres: DatabaseAddress) -> Iterator[tuple[dict[str, int], dict[str, int]]]:
    """Statements by call: with a few rows of every family, and with many."""
    with furnished(postgres, SAMPLES, 1) as api, pytest.MonkeyPatch.context() as patch:
        caller = Counting(api)
        patch.setattr(api.database, "connection", caller.connection)
        rows = make_rows(caller, SAMPLES, RESOURCES)
        few = counted(caller, rows, 5)
        for _ in range(TIMES):
            make_rows(caller, SAMPLES, RESOURCES)
        yield few, counted(caller, rows, 30)


def counted(caller: Counting, rows: dict[str, list[int]], limit: int) -> dict[str, int]:
    """Statements of each reading call, which must go well; a list is longer than the page that is asked for."""
    found: dict[str, int] = {}
    for route in READS:
        answer = asked(caller, route, rows, limit)
        assert answer.status_code == route.status, (route.operation_id, answer.text)
        found[f"{route.method} {route.path}"] = caller.statements
    return dict(sorted(found.items()))


def asked(caller: Counting, route: Route, rows: dict[str, list[int]], limit: int) -> httpx.Response:
    """The answer to a reading call of everything, or of the first row."""
    if route.op is Op.LIST:
        return caller.get(route.path, params={"limit": limit, "sort_by": "id"})
    if route.op is Op.READ:
        lookup = route.resource.lookup
        first = lookup_rows(lookup)[0].id if lookup else rows[route.resource.path][0]
        return caller.get(route.path.replace("{id}", str(first)))
    return SAMPLES[route.resource.path].actions[route.operation_id](caller)


def test_more_rows_cost_no_more_statements(counts: tuple[dict[str, int], dict[str, int]]) -> None:
    """No list, tree or read asks the catalogue once for each row."""
    few, many = counts

    assert many == few


def test_the_numbers_are_the_agreed_ones(counts: tuple[dict[str, int], dict[str, int]]) -> None:
    """A change of how often a call asks is seen in review."""
    if os.environ.get("RENEW_GOLDENS"):
        GOLDEN.write_text(json.dumps(counts[0], indent=1) + "\n")

    assert json.loads(GOLDEN.read_text()) == counts[0], f"renew it: {RENEW}"


def test_what_answers_with_rows_is_counted() -> None:
    """Every read of every family has its number."""
    reading = {f"{one.method} {one.path}" for one in READS}

    assert {name for name in reading if name in json.loads(GOLDEN.read_text())} == reading
    assert any(one.action is not None and one.action.answer is Answer.OBJECT for one in READS)
