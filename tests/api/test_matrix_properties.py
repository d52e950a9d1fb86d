"""Who sees and changes which rows: random users and rows of every family against a model of the design's matrix.

The model is written here: MATRIX says who may use a permission and on which rows, `support.ownership` to whom a row
belongs. It asks neither the roles' grants nor the scopes of the product. `SEED=n` draws other users and rows.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

import httpx
import pytest
from samples import SAMPLES

from rubackup.api.kernel import Route
from rubackup.api.resource import Op, Resource
from rubackup.api.routes import routes_of
from rubackup.catalog.database import DatabaseAddress
from rubackup.domain.permissions import Permission, Role
from rubackup.resources import RESOURCES
from support.api import Api
from support.furnished import furnished
from support.ownership import Owners, owners
from support.samples import needed_query, sent_back, unique
from support.streams import Sent, parse

SEED = int(os.environ.get("SEED", "20261127"))
USERS = 9
"""Random users, beside one of each role."""
ROWS = 3
"""Rows of a family that each user tries."""
MISSING = 2**62

EVERY, OWN = "every", "own"
SUPERUSER, SUPERVISOR, AUDITOR = Role.SUPERUSER, Role.SUPERVISOR, Role.AUDITOR
ADMINISTRATOR, MAINTAINER, STRATEGIST = Role.ADMINISTRATOR, Role.MAINTAINER, Role.STRATEGY_ADMINISTRATOR
COLUMN = {"group": "client_group_id", "media": "media_server_id", "strategy": "strategy_id"}
"""What the event log calls the owners."""
OWNED_BY = {ADMINISTRATOR: "group", MAINTAINER: "media", STRATEGIST: "strategy"}

_OPERATED = {SUPERUSER: EVERY, SUPERVISOR: EVERY}
_READ = {**_OPERATED, AUDITOR: EVERY}
_OF_CLIENTS = {**_OPERATED, ADMINISTRATOR: OWN}
_WORK = {**_READ, ADMINISTRATOR: OWN, MAINTAINER: OWN}
MATRIX: Mapping[Permission, Mapping[Role, str]] = {
    Permission.READ_USERS: _READ,
    Permission.WRITE_USERS: {SUPERUSER: EVERY},
    Permission.READ_CLIENTS: {**_READ, ADMINISTRATOR: OWN},
    Permission.WRITE_CLIENTS: _OF_CLIENTS,
    Permission.AUTHORISE_CLIENTS: _OF_CLIENTS,
    Permission.WRITE_CLIENT_GROUPS: _OPERATED,
    Permission.READ_STORAGE: {**_READ, MAINTAINER: OWN, ADMINISTRATOR: EVERY},
    Permission.WRITE_STORAGE: {**_OPERATED, MAINTAINER: OWN},
    Permission.AUTHORISE_MEDIA: _OPERATED,
    Permission.READ_TASKS: _WORK,
    Permission.WRITE_TASKS: _OF_CLIENTS,
    Permission.READ_RECORDS: _WORK,
    Permission.WRITE_RECORDS: _OF_CLIENTS,
    Permission.RESTORE: _OF_CLIENTS,
    Permission.BROWSE_CLIENTS: _OF_CLIENTS,
    Permission.READ_POLICIES: {**_READ, ADMINISTRATOR: OWN, STRATEGIST: OWN},
    Permission.WRITE_RULES: _OF_CLIENTS,
    Permission.DECIDE_REQUESTS: _OF_CLIENTS,
    Permission.WRITE_STRATEGIES: {**_OPERATED, STRATEGIST: OWN},
    Permission.MANAGE_STRATEGIES: _OPERATED,
    Permission.READ_REPORTS: _READ,
    Permission.WRITE_REPORTS: _OPERATED,
    Permission.READ_NOTIFICATIONS: {**_WORK, STRATEGIST: OWN},
    Permission.READ_MONITORING: _READ,
    Permission.WRITE_CONFIGURATION: {SUPERUSER: EVERY},
}
"""Who may use a permission, and on which rows (design, section 6). Roles add up."""

NOTHING_CHANGED = {"post_repository_id_file_link"}
"""Calls that make something of a row and leave the row as it is: `If-Match` is not for them."""
ANYBODYS = {"unauthorised_clients"}
"""Families whose rows belong to everybody who may see them: a client that waits has no group yet."""
NOBODYS = {"unauthorised_media_servers"}
"""Families whose rows belong to none: only those who see everything see them."""
COMMON = {"dynamic_pool_groups"}
"""Families in which a row without any owner is everybody's: a group that no pool has joined."""
ALL_NEEDED = {"pool_substitution": {"see", "change"}, "dynamic_pool_groups": {"change"}}
"""Families whose rows are only his who owns everything that they tie together."""
UNTOLD = {"servers_hw_id_tmp"}
"""Families of rows that are made of others', whose events tell of them."""
APART = {"tokens"}
"""Families whose rows are one user's own; their tests are `test_tokens.py`."""

FAMILIES = tuple(one for one in RESOURCES if one.source is not None and one.path not in APART)


@dataclass
class User:
    """A caller with random roles."""

    api: Api
    roles: frozenset[Role]
    owned: dict[str, set[int]] = field(default_factory=dict)

    def may(self, permission: Permission | None) -> bool:
        """Whether a role of his may use it at all."""
        assert permission is not None
        return bool(MATRIX[permission].keys() & self.roles)

    def reaches(self, permission: Permission | None, family: str, row: Owners) -> bool:
        """Whether a role of his may use it on this row."""
        assert permission is not None
        if row.addressed & self.owned["addressed"] and self.may(permission):
            return True
        verb = "see" if permission.name.startswith("READ_") else "change"
        for role in MATRIX[permission].keys() & self.roles:
            own = MATRIX[permission][role] == OWN or (family in NOBODYS and role in OWNED_BY)
            if not own or family in ANYBODYS or self._owns(role, verb, family, row):
                return True
        return False

    def _owns(self, role: Role, verb: str, family: str, row: Owners) -> bool:
        theirs, mine = row.of(OWNED_BY[role]), self.owned[OWNED_BY[role]]
        if not theirs:
            return family in COMMON
        return theirs <= mine if verb in ALL_NEEDED.get(family, ()) else bool(theirs & mine)

    def __str__(self) -> str:
        return f"a user who is {', '.join(sorted(role.value for role in self.roles)) or 'nothing'}"


@dataclass
class World:
    """Rows of every family, and users."""

    api: Api
    users: list[User]
    random: Random


# --- rows and users ---


UNTIDY = (
    "UPDATE notifications SET user_group_id = (SELECT min(id) FROM user_groups) + id % 5",
    "UPDATE notifications SET client_id = NULL, client_group_id = NULL WHERE id % 3 = 0",
    "UPDATE disaster_recovery_plan SET client_id = NULL WHERE id % 3 = 0",
    "UPDATE clients SET group_id = (SELECT min(group_id) FROM clients) + id % 7 WHERE id % 3 = 0",
    "UPDATE repository SET client_id = NULL WHERE id % 3 = 0",
    "UPDATE repository SET client_group_id = NULL WHERE id % 5 = 0",
    "UPDATE repository_log SET record_id = record_id + 1000000 WHERE id % 3 = 0",
    "UPDATE repository_log SET pool_id = NULL WHERE id % 4 = 0",
    "UPDATE global_schedule_log SET client_id = client_id + 1000000 WHERE id % 2 = 0",
    "UPDATE task_queue SET client_id = NULL WHERE id % 5 = 0",
    "UPDATE task_queue SET media_server_id = NULL WHERE id % 7 = 0",
)
"""Clients that moved, copies and lines that outlived what they are about."""


@pytest.fixture(scope="module")
def world(postgres: DatabaseAddress) -> Iterator[World]:
    """Three times the samples of every family, and users with random roles and scopes."""
    random = Random(SEED)
    with furnished(postgres, SAMPLES, 3) as api:
        for statement in UNTIDY:
            api.execute(statement)
        single = [
            frozenset({role}) for role in Role if role is not STRATEGIST or "strategy_administrators" in tables(api)
        ]
        several = [
            frozenset(role for role in Role if random.random() < 0.35 and {role} <= set().union(*single))
            for _ in range(USERS)
        ]
        several = [roles - {SUPERUSER} for roles in several]
        users = [a_user(api, random, roles) for roles in (frozenset(), *single, *several)]
        yield World(api, users, random)


def tables(api: Api) -> set[str]:
    """The tables of the catalogue."""
    return {row["name"] for row in api.fetch("SELECT relname AS name FROM pg_class WHERE relkind = 'r'")}


def a_user(api: Api, random: Random, roles: frozenset[Role]) -> User:
    """A user with these roles, scoped ones over some two of five groups, media servers, strategies."""
    name = unique("drawn")
    user_id = api.add_user(name, *roles & {SUPERUSER, SUPERVISOR, AUDITOR})
    owned: dict[str, set[int]] = {}
    for role, kind, table, source, column in (
        (ADMINISTRATOR, "group", "administrators", "client_groups", "client_group_id"),
        (MAINTAINER, "media", "maintainers", "media_servers", "media_server_id"),
        (STRATEGIST, "strategy", "strategy_administrators", "backup_strategies", "strategy_id"),
    ):
        there = [row["id"] for row in api.fetch(f"SELECT id FROM {source} ORDER BY id")] if role in roles else []
        owned[kind] = set(random.sample(there, max(1, len(there) * 2 // 5))) if there else set()
        if there:
            api.execute(
                f"INSERT INTO {table} (user_id, {column}) SELECT $1, unnest($2::bigint[])", user_id, sorted(owned[kind])
            )
    caller = api.another()
    caller.login(name)
    groups = [row["id"] for row in api.fetch("SELECT id FROM user_groups WHERE name <> 'Nobody' ORDER BY id")]
    owned["addressed"] = {random.choice(groups)}
    api.execute("UPDATE users SET group_id = $2 WHERE id = $1", user_id, *owned["addressed"])
    return User(caller, roles, owned)


# --- what is seen ---


@pytest.mark.parametrize("resource", FAMILIES, ids=lambda one: one.path)
def test_lists_and_reads_show_what_the_matrix_says(world: World, resource: Resource) -> None:
    """List, total, filter and read agree about every user and row: 403, or exactly the rows that are his to see."""
    belonging = owners(world.api, resource)
    existing = {row["id"] for row in listed(world.api, resource)}
    for user in world.users:
        where = f"SEED={SEED}: {user} of /{resource.path}"
        if not user.may(resource.read):
            assert user.api.get(f"/{resource.path}").status_code == 403, where
            assert user.api.get(f"/{resource.path}/{min(existing)}").status_code in {403, 404}, where
            continue
        wanted = {i for i in existing if user.reaches(resource.read, resource.path, belonging[i])}
        assert {row["id"] for row in listed(user.api, resource)} == wanted, where
        for row_id in some(world, existing, wanted):
            found = user.api.get(f"/{resource.path}", params={"filter_data": f'id="{row_id}"'}).json()["data"]
            assert found["total"] == len(found["items"]) == (row_id in wanted), (where, row_id)
            if Op.READ in resource.ops:
                read = user.api.get(f"/{resource.path}/{row_id}")
                assert read.status_code == (200 if row_id in wanted else 404), (where, row_id)


def listed(caller: Api, resource: Resource) -> list[dict[str, Any]]:
    """The rows of a list, whose total is their number."""
    data = caller.get(f"/{resource.path}", params={"limit": 1000}).json()["data"]
    assert data["total"] == len(data["items"])
    found: list[dict[str, Any]] = data["items"]
    return found


def some(world: World, existing: set[int], wanted: set[int]) -> list[int]:
    """Some rows, of those that are seen and of those that are not."""
    seen, hidden = sorted(wanted), sorted(existing - wanted)
    return [
        *world.random.sample(seen, min(ROWS - 1, len(seen))), *world.random.sample(hidden, min(ROWS - 1, len(hidden))),
    ][:ROWS]  # fmt: skip


# --- what is changed ---


def changing(resource: Resource) -> list[Route]:
    """The calls that change a row that the path names."""
    return [one for one in routes_of([resource]) if one.mutates and "{id}" in one.path]


CHANGED = tuple(one for one in FAMILIES if changing(one) or Op.BULK_DELETE in one.ops)


@pytest.mark.parametrize("resource", CHANGED, ids=lambda one: one.path)
def test_changes_are_let_through_as_the_matrix_says(world: World, resource: Resource) -> None:
    """Of another's row 404, of one that is only seen 403, of an own one it goes on to `If-Match`: 412 here."""
    belonging = owners(world.api, resource)
    existing = {row["id"] for row in listed(world.api, resource)}
    before = whole(world.api, resource)
    for user in world.users:
        for route in changing(resource):
            own = {i for i in existing if user.reaches(route.permission, resource.path, belonging[i])}
            for row_id in some(world, existing, own if user.may(route.permission) else set()):
                answer = user.api.request(
                    route.method, route.path.replace("{id}", str(row_id)), json=good_body(world.api, route),
                    params=needed_query(route.query),
                    headers={"If-Match": '"none"'},
                )  # fmt: skip
                expected = status(user, route, resource, belonging[row_id])
                if expected == 412 and route.operation_id in NOTHING_CHANGED:
                    expected = 200
                assert answer.status_code == expected, (
                    f"SEED={SEED}: {user}, {route.operation_id} {row_id}: {answer.text}"
                )
        if Op.BULK_DELETE in resource.ops:
            bulk(world, user, resource, belonging, existing)

    assert whole(world.api, resource) == before


def status(user: User, route: Route, resource: Resource, row: Owners) -> int:
    """What becomes of a call that changes a row, under an `If-Match` that never holds."""
    if not user.may(route.permission):
        return 403
    if user.reaches(route.permission, resource.path, row):
        return 412
    return 403 if user.may(resource.read) and user.reaches(resource.read, resource.path, row) else 404


def bulk(world: World, user: User, resource: Resource, belonging: dict[int, Owners], existing: set[int]) -> None:
    """A deletion of several is refused as the worst of them is."""
    (route,) = [one for one in routes_of([resource]) if one.op is Op.BULK_DELETE]
    own = {i for i in existing if user.reaches(route.permission, resource.path, belonging[i])}
    ids = some(world, existing, own if user.may(route.permission) else set())
    each = {status(user, route, resource, belonging[i]) for i in ids}
    answer = user.api.delete(f"/{resource.path}", {"ids": ids}, headers={"If-Match": '"none"'})
    assert answer.status_code == (404 if 404 in each else min(each)), f"SEED={SEED}: {user}, {ids}: {answer.text}"


def good_body(api: Api, route: Route) -> Any:
    """A body that passes the checks of its form; names in it need not exist."""
    if route.body is None:
        return None
    if route.op is Op.UPDATE:
        make = SAMPLES[route.resource.path].update
        assert make is not None
        return make(api)[0]
    return route.body.example


def whole(api: Api, resource: Resource) -> list[dict[str, Any]]:
    """Every row of the family, whole."""
    return sorted(listed(api, resource), key=lambda row: row["id"])


@pytest.mark.parametrize("resource", [one for one in CHANGED if Op.UPDATE in one.ops], ids=lambda one: one.path)
def test_a_change_that_is_allowed_is_done_and_told_to_its_owners(world: World, resource: Resource) -> None:
    """Everybody who may changes the row; the event that tells of it belongs to the owner of the row."""
    belonging = owners(world.api, resource)
    existing = {row["id"] for row in listed(world.api, resource)}
    for user in world.users:
        if not user.may(resource.write):
            continue
        own = [i for i in sorted(existing) if user.reaches(resource.write, resource.path, belonging[i])]
        for row_id in world.random.sample(own, min(1, len(own))):
            last = world.api.fetch("SELECT coalesce(max(id), 0) AS id FROM events")[0]["id"]
            answer = changed(world, user, resource, row_id)
            assert answer.status_code == 200, f"SEED={SEED}: {user}, {row_id}: {answer.text}"
            told = world.api.fetch(
                "SELECT * FROM events WHERE id > $1 AND family = $2 AND row_id = $3", last, resource.path, row_id
            )
            now = owners(world.api, resource)[row_id]
            for kind in heard_by(resource):
                heard = {event.get(COLUMN[kind]) for event in told} - {None}
                wanted = belonging[row_id].of(kind) | now.of(kind)
                assert heard == wanted, f"events of /{resource.path}/{row_id} for a {kind}: {told}"
            assert told, f"no event of /{resource.path}"


def heard_by(resource: Resource) -> set[str]:
    """The kinds of owners who see the rows as theirs, and so hear of their changes."""
    return {OWNED_BY[role] for role, reach in MATRIX[resource.read].items() if reach == OWN}


def changed(world: World, user: User, resource: Resource, row_id: int) -> httpx.Response:
    """The answer to what the user read, sent back with another description or priority; to a sample where there is none."""
    path, body = f"/{resource.path}/{row_id}", resource.update_body
    assert body is not None
    sent = sent_back(body.struct, user.api.get(path).json()["data"])
    make = SAMPLES[resource.path].update
    assert make is not None
    if not retold(sent):
        return user.api.patch(path, make(world.api)[0])
    return user.api.patch(path, {"data": sent} if body.wrapper else sent)


def retold(sent: dict[str, Any]) -> bool:
    """Change a description, or a priority, wherever it stands; whether there is one."""
    if "description" in sent:
        sent["description"] = unique("changed")
    elif "priority" in sent:
        sent["priority"] = sent["priority"] % 1000 + 1
    else:
        return any(retold(part) for part in sent.values() if isinstance(part, dict))
    return True


# --- the event log ---


def test_the_event_log_tells_each_user_of_what_is_his(world: World) -> None:
    """Of every family and every owner there is an event; a user hears of those about rows that he may see."""
    start = [one.id for one in blocks(world.api.get("/events?follow=no").text)][-1]
    first = world.api.fetch("SELECT coalesce(max(id), 0) AS id FROM events")[0]["id"]
    served = {one.path: one for one in RESOURCES}
    for resource in (one for one in FAMILIES if one.path not in UNTOLD):
        for row_id, row in sorted(owners(world.api, resource).items())[:4]:
            columns = {name: min(row.of(kind), default=None) for kind, name in COLUMN.items()}
            world.api.execute(
                "INSERT INTO events (kind, family, row_id, client_group_id, media_server_id, strategy_id)"
                " VALUES ('changed', $1, $2, $3, $4, $5)", resource.path, row_id, *columns.values(),
            )  # fmt: skip
    log = [dict(row) for row in world.api.fetch("SELECT * FROM events WHERE id > $1 ORDER BY id", first)]

    for user in world.users:
        answer = user.api.get("/events?follow=no", headers={"Last-Event-ID": start})
        if not user.roles:
            assert answer.status_code == 403
            continue
        told = [(one.data["family"], one.data["row_id"]) for one in blocks(answer.text) if one.kind == "message"]
        wanted = [(e["family"], e["row_id"]) for e in log if hears(user, served[e["family"]], e)]
        assert told == wanted, f"SEED={SEED}: {user}: {sorted(set(told) ^ set(wanted))}"


def hears(user: User, resource: Resource, event: dict[str, Any]) -> bool:
    """Whether an event is about something that one of his roles shows him."""
    for role in MATRIX[resource.read].keys() & user.roles:
        own = MATRIX[resource.read][role] == OWN or (resource.path in NOBODYS and role in OWNED_BY)
        if not own or resource.path in ANYBODYS or event[COLUMN[OWNED_BY[role]]] in user.owned[OWNED_BY[role]]:
            return True
    return False


def blocks(text: str) -> list[Sent]:
    """What a stream told."""
    return [parse(block) for block in text.split("\n\n")[:-1]]


# --- trees ---


def test_the_tree_of_clients_is_the_lists_of_groups_and_clients(world: World) -> None:
    """Each user finds in the tree the groups and clients that are his to see, and their numbers."""
    groups = {row["id"] for row in world.api.fetch("SELECT id FROM client_groups")}
    clients = {row["id"]: row["group_id"] for row in world.api.fetch("SELECT id, group_id FROM clients")}
    for user in world.users:
        asked = {
            "client_groups_limit": 1000,
            "clients": [
                {"client_group_id": i, "clients_limit": 1000}
                for i in sorted(groups)
                if user.may(Permission.READ_CLIENTS)
                and user.reaches(Permission.READ_CLIENTS, "client_groups", Owners(group={i}))
            ],
        }
        answer = user.api.post("/clients/tree", {"data": asked})
        if not user.may(Permission.READ_CLIENTS):
            assert answer.status_code == 403, str(user)
            continue
        seen = {group["client_group_id"] for group in asked["clients"]}
        data = answer.json()["data"]
        assert {one["id"] for one in data["client_groups"]} == seen, str(user)
        assert data["client_groups_total"] == len(seen)
        for one in data["client_groups"]:
            inside = {client for client, group in clients.items() if group == one["id"]}
            assert {leaf["id"] for leaf in one["clients"]} == inside
            assert one["clients_total"] == len(inside)
        for hidden in world.random.sample(sorted(groups - seen), min(2, len(groups - seen))):
            named = user.api.post("/clients/tree", {"data": {"clients": [{"client_group_id": hidden}]}})
            assert named.status_code == 404, (str(user), hidden)


def test_the_tree_of_media_servers_is_the_lists_of_servers_pools_and_storages(world: World) -> None:
    """Each user finds in the tree what `/media_servers` and `/pool_list` show him, and nothing else."""
    for user in world.users:
        answer = user.api.get("/media_servers/tree")
        if not user.may(Permission.READ_STORAGE):
            assert answer.status_code == 403, str(user)
            continue
        tree = answer.json()["data"]["media_servers"]
        pools = [pool for server in tree for pool in server["pools"]]
        by_path = {one.path: one for one in FAMILIES}
        assert {one["id"] for one in tree} == {row["id"] for row in listed(user.api, by_path["media_servers"])}
        assert {one["id"] for one in pools} == {row["id"] for row in listed(user.api, by_path["pool_list"])}


# --- the model itself ---


def test_the_model_is_about_something(world: World) -> None:
    """Rows have owners, and users with scopes see some rows of each family and not others."""
    both = []
    for resource in FAMILIES:
        belonging = owners(world.api, resource)
        views = {
            (user.may(resource.read), user.reaches(resource.read, resource.path, row))
            for user in world.users for row in belonging.values()
        }  # fmt: skip
        both += [resource.path] if {(True, True), (True, False)} <= views else []

    assert len(both) > 8
    assert {"clients", "pool_list", "repository", "task_queue", "global_schedule"} <= set(both)


def test_every_permission_of_a_family_is_in_the_matrix() -> None:
    """A family under a permission that the model does not know cannot be forgotten."""
    used = {route.permission for resource in FAMILIES for route in routes_of([resource])} - {None}

    assert used - MATRIX.keys() <= {Permission.OWN_PASSWORD}
