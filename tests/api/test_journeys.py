"""A row's whole life in each family, and the same tried by those to whom it does not belong.

By the declarations and samples alone: whatever verbs a family has are walked through in their order. The stranger's
steps are refused as the matrix says (403 without the permission or for a row that is only seen, else 404; 400 when a body
names what is not his), and afterwards nothing in the catalogue is other than before.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from samples import SAMPLES

from rubackup.api.kernel import Route
from rubackup.api.resource import Op, Resource, everyone
from rubackup.api.routes import routes_of
from rubackup.catalog.database import DatabaseAddress
from rubackup.domain.permissions import GRANTS, Role
from rubackup.resources import RESOURCES
from support.api import Api, running_api
from support.databases import fresh_database
from support.hosts import AnsweringHosts
from support.samples import needed_query, told, unique

MADE = tuple(one for one in RESOURCES if {Op.CREATE, Op.READ, Op.DELETE} <= set(one.ops))
"""Families whose rows are made and removed over the API."""
COMMON = {"dynamic_pool_groups"}
"""Families whose new rows belong to nobody yet, and so to every maintainer (`test_pool_groups.py`)."""
APART = {"tokens"}
"""Families whose rows are one user's own (`test_tokens.py`)."""
SCOPED = tuple(
    one for one in RESOURCES if one.source is not None and one.scope is not everyone and one.path not in COMMON | APART
)
STRANGERS = tuple(
    role
    for role in (Role.ADMINISTRATOR, Role.MAINTAINER, Role.STRATEGY_ADMINISTRATOR)
    if role is not Role.STRATEGY_ADMINISTRATOR or any(one.path == "strategy_administrators" for one in RESOURCES)
)
NOTED = ("audit", "token_families", "login_failures", "users", "idempotency_keys", "tape_candidates")
"""Tables in which a refused call leaves its mark, and where devices get a number when somebody looks at them."""
_TABLES = """
SELECT relname AS name FROM pg_class
WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND relname <> ALL ($1::text[]) ORDER BY 1"""


@pytest.fixture(scope="module")
def api(postgres: DatabaseAddress) -> Iterator[Api]:
    """The superuser of the whole API; hosts answer."""
    with fresh_database(postgres) as address, running_api(address, RESOURCES, AnsweringHosts()) as caller:
        caller.login("rubackup")
        yield caller


# --- the owner's ---


@pytest.mark.parametrize("resource", MADE, ids=lambda one: one.path)
def test_a_row_is_made_read_changed_read_and_removed(api: Api, resource: Resource) -> None:
    """Each step is seen by the next, in the row, in the list and in the event log."""
    samples = SAMPLES[resource.path]
    assert samples.create is not None
    for body in samples.create(api):
        made = api.post(f"/{resource.path}", body, params=samples.create_query)
        assert made.status_code == 201, made.text
        where = made.headers["location"].removeprefix("/api/v1")
        row_id = int(where.rpartition("/")[2])

        first = api.get(where)
        assert first.status_code == 200, first.text
        shown = told(body["data"], first.json()["data"])
        assert shown, "a read shows nothing of what was written"
        assert in_list(api, resource, row_id) == [first.json()["data"]]

        after = first.json()["data"]
        for change in samples.update(api)[:2] if samples.update else ():
            answer = api.patch(where, change, headers={"If-Match": api.get(where).headers["etag"]})
            assert answer.status_code == 200, answer.text
            before, after = after, api.get(where).json()["data"]
            wanted = told(change["data"], after)
            assert {key: after[key] for key in wanted.keys() - samples.unread} == {
                key: value for key, value in wanted.items() if key not in samples.unread
            }
            assert after["id"] == before["id"] == row_id
            assert in_list(api, resource, row_id) == [after]

        assert api.delete(where).status_code == 200
        assert api.get(where).status_code == api.delete(where).status_code == 404
        assert in_list(api, resource, row_id) == []
        assert last_told(api, resource, row_id) in {"deleted", "Removed"}


def in_list(api: Api, resource: Resource, row_id: int) -> list[dict[str, Any]]:
    """What the list shows of a row."""
    found: list[dict[str, Any]] = api.get(f"/{resource.path}", params={"filter_data": f'id="{row_id}"'}).json()["data"][
        "items"
    ]
    return found


def last_told(api: Api, resource: Resource, row_id: int) -> str:
    """What the event log tells of a row last; of a task its status."""
    row = api.fetch("SELECT * FROM events WHERE family = $1 AND row_id = $2 ORDER BY id", resource.path, row_id)[-1]
    found: str = row["data"].get("status", row["kind"])
    return found


# --- the stranger's ---


@pytest.mark.parametrize("role", STRANGERS, ids=lambda role: role.value)
@pytest.mark.parametrize("resource", SCOPED, ids=lambda one: one.path)
def test_a_stranger_changes_nothing(api: Api, resource: Resource, role: Role) -> None:
    """The administrator of another group, the maintainer of another server, the administrator of another strategy."""
    rows = SAMPLES[resource.path].rows(api)
    stranger = api.user(unique("stranger"), role)
    steps = [(route, body) for route in routes_of([resource]) for body in bodies(api, route, rows)]
    before = catalogue(api)

    for route, body in steps:
        path = route.path.replace("{id}", str(rows[0]))
        if "{" in path or route.op is Op.LIST or route.permission is None:  # a link opens itself: no user is asked
            continue
        answer = stranger.request(route.method, path, json=body, params=query_of(route))
        allowed = expected(resource, role, route)
        assert answer.status_code in allowed, (route.operation_id, allowed, answer.text)
    if resource.read in GRANTS[role] and role in SAMPLES[resource.path].foreign and Op.LIST in resource.ops:
        seen = stranger.get(f"/{resource.path}", params={"limit": 1000}).json()["data"]
        assert not {row["id"] for row in seen["items"]} & set(rows)

    assert catalogue(api) == before


def bodies(api: Api, route: Route, rows: list[int]) -> list[Any]:
    """Bodies of the route that would be good for their owner."""
    samples = SAMPLES[route.resource.path]
    if route.body is None:
        return [None]
    if route.op is Op.CREATE:
        assert samples.create is not None
        return samples.create(api)
    if route.op is Op.UPDATE:
        assert samples.update is not None
        return samples.update(api)[:2]
    return [about(route.body.example, rows)]


def about(example: Any, rows: list[int]) -> Any:
    """An example body that names these rows where it names ids."""
    if isinstance(example, list):
        return [about(one, rows) for one in example]
    if not isinstance(example, dict):
        return example
    return {
        key: rows if key == "ids" else rows[0] if key == "id" else about(value, rows) for key, value in example.items()
    }


def query_of(route: Route) -> dict[str, str]:
    """The query that a call needs."""
    return dict(SAMPLES[route.resource.path].create_query) if route.op is Op.CREATE else needed_query(route.query)


def names_rows(route: Route) -> bool:
    """Whether the call is about rows of the family: by its path, or by ids in its body."""
    if route.op is Op.CREATE or route.body is None:
        return "{id}" in route.path
    return "{id}" in route.path or about(route.body.example, [-1]) != route.body.example


def expected(resource: Resource, role: Role, route: Route) -> set[int]:
    """How a step is refused."""
    if route.permission not in GRANTS[role]:
        return {403}
    hidden = role in SAMPLES[resource.path].foreign
    if names_rows(route):
        if not route.mutates:
            return {404} if hidden else {200, 400, 404, 409, 503}
        return {404} if hidden else {403}
    if not route.mutates:
        return {200, 400, 404, 503}
    return {400, 404}


def catalogue(api: Api) -> dict[str, tuple[int, str]]:
    """What every table holds, but for those in which refusals are noted."""
    found = {}
    for table in (row["name"] for row in api.fetch(_TABLES, list(NOTED))):
        row = api.fetch(
            f"SELECT count(*) AS n, md5(string_agg(t::text, '|' ORDER BY t::text)) AS digest FROM {table} t"
        )[0]
        found[table] = (row["n"], row["digest"])
    return found


def test_every_scoped_family_is_strange_to_somebody() -> None:
    """The steps of a stranger are about something: each such family has a role that sees none of its rows."""
    assert [one.path for one in SCOPED if not SAMPLES[one.path].foreign & set(STRANGERS)] == []
