"""A family of the API under test: a resource, its samples, a database of its own with rows in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from rubackup.api.kernel import Route
from rubackup.api.resource import Resource
from rubackup.api.routes import routes_of
from rubackup.catalog.database import DatabaseAddress
from support.api import Api, running_api
from support.databases import fresh_database
from support.hosts import AnsweringHosts
from support.samples import Samples, unique
from support.widgets import TABLE, WIDGETS


@dataclass
class Family:
    """What each rule of the suite is checked on."""

    api: Api
    resource: Resource
    samples: Samples
    ids: list[int]

    @property
    def path(self) -> str:
        """The collection's path."""
        return f"/{self.resource.path}"

    def routes(self) -> tuple[Route, ...]:
        """Every operation, those that need no login left out."""
        return tuple(r for r in routes_of([self.resource]) if r.permission is not None)

    def call(self, caller: Api, route: Route, **given: Any) -> httpx.Response:
        """A call of the route, with a row that exists and no body."""
        path = route.path.replace("{id}", str(self.ids[0]))
        for segment in route.path.split("/"):
            if segment.startswith("{") and segment != "{id}":
                path = path.replace(segment, "word")
        return caller.request(route.method, path, **given)

    def items(self, caller: Api | None = None, **query: str | int) -> list[dict[str, Any]]:
        """The rows of a list call."""
        answer = (caller or self.api).get(self.path, params={"limit": 1000} | query)
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()["data"]["items"]
        return found

    def fresh(self) -> list[int]:
        """New rows that nothing else uses."""
        return self.samples.rows(self.api)

    def audits(self, outcome: str = "done") -> list[dict[str, Any]]:
        """Audit rows of the family with this beginning of the outcome, newest first."""
        rows = self.api.fetch(
            "SELECT * FROM audit WHERE resource = $1 AND starts_with(outcome, $2) ORDER BY id DESC",
            self.resource.path, outcome,
        )  # fmt: skip
        return [dict(row) for row in rows]


def widget_rows(api: Api) -> list[int]:
    """Three widgets."""
    return [
        api.fetch(
            "INSERT INTO widgets (name, size, made_at, tags) VALUES ($1, $2, now(), ARRAY['a']) RETURNING id",
            unique("w"), size,
        )[0]["id"]
        for size in (3, 1, 2)
    ]  # fmt: skip


WIDGET_SAMPLES = Samples(
    rows=widget_rows,
    create=lambda _api: [{"data": {"name": unique("w")}}, {"data": {"name": unique("w"), "size": 3}}],
    update=lambda _api: [{"data": {"name": unique("w")}}, {"data": {"made_at": None}}],
    actions={
        "post_widgets_id_polish": lambda api: api.post(f"/widgets/{widget_rows(api)[0]}/polish"),
        "post_widgets_secret": lambda api: api.post("/widgets/secret", {"data": {"name": unique("w")}}),
        "post_widgets_shine": lambda api: api.post("/widgets/shine", {"ids": widget_rows(api)}),
        "delete_widgets_shine": lambda api: api.delete("/widgets/shine", {"ids": widget_rows(api)}),
        "get_widgets_echo": lambda api: api.get("/widgets/echo?word=a"),
        "get_widgets_relay": lambda api: api.get("/widgets/relay"),
        "delete_widgets_status": lambda api: api.delete("/widgets/word"),
        "patch_widgets": lambda api: api.patch("/widgets", {"data": [{"name": "a"}]}),
    },
)
"""The suite runs over the kernel's own trial resource as well."""


@contextmanager
def running_family(
    postgres: DatabaseAddress, resource: Resource, samples: Samples, resources: tuple[Resource, ...]
) -> Iterator[Family]:
    """The family in a database of its own, with rows in it; `api` is a superuser."""
    with fresh_database(postgres) as address, running_api(address, (*resources, WIDGETS), AnsweringHosts()) as api:
        api.execute(TABLE)
        api.login("rubackup")
        yield Family(api, resource, samples, samples.rows(api))
