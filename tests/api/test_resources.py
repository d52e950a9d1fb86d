"""The suite that every declared resource inherits; `samples.py` tells it what each one takes.

A new resource gets its tests by its declaration and its samples. Tests of one resource share
a database, so each makes the rows that it changes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec
import pytest
from samples import SAMPLES

from rubackup.api.columns import OPERATORS, Column, Kind, columns_of, write
from rubackup.api.lookups import lookup_rows
from rubackup.api.resource import Op, Resource, everyone
from rubackup.catalog.database import DatabaseAddress
from rubackup.domain.permissions import GRANTS, NO_ROLE, Role
from rubackup.resources import RESOURCES
from support.families import WIDGET_SAMPLES, Family, running_family
from support.samples import Samples, sent_back, told, unique
from support.widgets import WIDGETS

MISSING = 2**62
ALL = SAMPLES | {"widgets": WIDGET_SAMPLES}
DECLARED = (*RESOURCES, WIDGETS)


def of_lookup(resource: Resource) -> Samples:
    """A lookup table needs no samples: its rows are there."""
    assert resource.lookup is not None
    rows = lookup_rows(resource.lookup)
    return Samples(rows=lambda _api: [row.id for row in rows])


Rule = Callable[[Family], None]


def where(declared: Callable[[Resource], object]) -> Callable[[Rule], Rule]:
    """A rule for the resources that declare something."""

    def note(rule: Rule) -> Rule:
        rule.declared = declared  # type: ignore[attr-defined]
        return rule

    return note


def has(op: Op) -> Callable[[Resource], bool]:
    """Whether a resource declares a verb."""
    return lambda resource: op in resource.ops


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Each rule runs over the resources that it is about."""
    if "family" in metafunc.fixturenames:
        declared = getattr(metafunc.function, "declared", lambda _resource: True)
        found = [r for r in DECLARED if r.path != "auth" and declared(r)]
        metafunc.parametrize("family", found, ids=lambda r: r.path, indirect=True, scope="module")


@pytest.fixture(scope="module")
def family(request: pytest.FixtureRequest, postgres: DatabaseAddress) -> Iterator[Family]:
    """Each resource in turn."""
    resource: Resource = request.param
    samples = of_lookup(resource) if resource.lookup else ALL[resource.path]
    with running_family(postgres, resource, samples, RESOURCES) as found:
        yield found


def columns(family: Family) -> list[Column]:
    """The columns of the resource's list."""
    assert family.resource.row is not None
    return list(columns_of(family.resource.row, family.resource.source).values())


# --- access ---


def test_without_a_token_every_call_is_401(family: Family) -> None:
    """Nobody gets in without a session, and nobody learns what exists."""
    stranger = family.api.another()
    for route in family.routes():
        answer = family.call(stranger, route)
        assert answer.status_code == 401, route.operation_id
        assert answer.json()["message"] == "Verification failed"


def test_without_the_csrf_token_every_call_is_403(family: Family) -> None:
    """Each method of each endpoint needs it, says the guide."""
    caller = family.api.another()
    caller.headers = {"Authorization": family.api.headers["Authorization"]}

    for route in family.routes():
        assert family.call(caller, route).status_code == 403, route.operation_id


def test_roles_may_do_what_the_table_says_and_no_more(family: Family) -> None:
    """A role without the permission gets 403, and each refusal is an audit row."""
    for role in (None, *Role):
        if role is Role.SUPERUSER:
            continue  # who may everything
        caller = family.api.user(unique("user"), *([role] if role else []))
        granted = GRANTS[role] if role else NO_ROLE
        for route in family.routes():
            if route.permission not in granted:
                assert family.call(caller, route).status_code == 403, (role, route.operation_id)
                assert family.audits("refused")[0]["method"] == route.method


def test_methods_that_are_not_declared_are_405(family: Family) -> None:
    """Allow lists those that are."""
    served: dict[str, set[str]] = {}
    for route in family.routes():
        served.setdefault(route.path, set()).add(route.method)
    for path, methods in served.items():
        concrete = path.replace("{id}", "1").replace("{", "").replace("}", "")
        answer = family.api.request("PUT", concrete)
        assert answer.status_code == 405, path
        assert answer.headers["allow"] == ", ".join(sorted(methods))


# --- reading ---


@where(has(Op.LIST))
def test_the_list_shows_every_row_with_every_field(family: Family) -> None:
    """Rows have the fields of the declared struct, all of them."""
    assert family.resource.row is not None
    fields = set(family.resource.row.__struct_fields__)

    items = family.items()

    assert {i["id"] for i in items} >= set(family.ids)
    assert all(item.keys() == fields for item in items)


@where(has(Op.LIST))
def test_every_column_sorts_the_same_by_page_and_by_cursor(family: Family) -> None:
    """In both directions each row comes once, in one total order."""
    for column in columns(family):
        for way in ("asc", "desc") if column.sortable else ():
            asked: dict[str, str | int] = {"sort_by": column.name, "sort_order": way}
            whole = [i["id"] for i in family.items(**asked)]
            some = max(1, len(whole) // 3)
            pages = range(1, len(whole) // some + 2)
            paged = [i["id"] for page in pages for i in family.items(**asked, limit=some, page=page)]
            walked, cursor = [], ""
            while True:
                query = asked | {"limit": some, "cursor": cursor}
                data = family.api.get(family.path, params=query).json()["data"]
                walked += [i["id"] for i in data["items"]]
                if not (cursor := data["next_cursor"]):
                    break
            assert paged == walked == whole, asked


@where(has(Op.LIST))
def test_every_column_is_filtered_by_every_operator(family: Family) -> None:
    """Less, equal, greater and null are each row once; `~` finds what it was cut from."""
    assert family.resource.row is not None
    row = msgspec.convert(family.items()[0], family.resource.row)
    total = len(family.items())
    for column in columns(family):
        value = getattr(row, column.name)
        value = value[0] if column.kind is Kind.LIST and value else value
        if value is None or isinstance(value, list) or column.kind is Kind.OPAQUE:
            continue
        text = write(value).replace("\\", "\\\\").replace('"', '\\"')
        counts = {op: len(family.items(filter_data=f'{column.name}{op}"{text}"')) for op in OPERATORS[column.kind]}
        assert counts["="] >= 1, column.name
        assert counts.get("~", 1) >= 1, column.name
        if "<" in counts:
            nulls = sum(i[column.name] is None for i in family.items())
            assert counts["<"] + counts["="] + counts[">"] + nulls == total, column.name


@where(has(Op.LIST))
def test_an_unknown_column_is_named(family: Family) -> None:
    """Neither sort nor filter takes a column that is none."""
    for query in ({"sort_by": "no_column"}, {"filter_data": 'no_column="1"'}):
        answer = family.api.get(family.path, params=query)
        assert answer.status_code == 400
        assert answer.json()["errors"].keys() == query.keys()


@where(has(Op.READ))
def test_reading_gives_the_row_of_the_list(family: Family) -> None:
    """One row looks as it does in the list, and carries an ETag."""
    listed = {i["id"]: i for i in family.items()} if Op.LIST in family.resource.ops else {}
    answer = family.api.get(f"{family.path}/{family.ids[0]}")

    assert answer.status_code == 200
    assert answer.json()["data"] == listed.get(family.ids[0], answer.json()["data"])
    assert answer.headers["etag"].startswith('"')


def test_what_is_not_there_is_404(family: Family) -> None:
    """Reading, changing and deleting alike name the id."""
    for op, method in ((Op.READ, "GET"), (Op.DELETE, "DELETE")):
        if op in family.resource.ops:
            answer = family.api.request(method, f"{family.path}/{MISSING}")
            assert answer.status_code == 404
            assert str(MISSING) in answer.json()["message"]
    if Op.UPDATE in family.resource.ops:
        assert family.samples.update is not None
        body = family.samples.update(family.api)[0]
        assert family.api.patch(f"{family.path}/{MISSING}", body).status_code == 404


@where(lambda resource: resource.scope is not everyone and Op.LIST in resource.ops)
def test_rows_out_of_scope_do_not_exist(family: Family) -> None:
    """An administrator of another group and a maintainer of another server see none of them."""
    for role in family.samples.foreign:
        if family.resource.read not in GRANTS[role]:
            continue
        caller = family.api.user(unique("foreign"), role)
        assert not {i["id"] for i in family.items(caller)} & set(family.ids), role
        if Op.READ in family.resource.ops:
            assert caller.get(f"{family.path}/{family.ids[0]}").status_code == 404


# --- changing ---


@where(has(Op.CREATE))
def test_every_sample_can_be_created(family: Family) -> None:
    """201, the guide's sentence, a Location that can be read, an audit row with the new row."""
    assert family.samples.create is not None
    for body in family.samples.create(family.api):
        answer = family.api.post(family.path, body, params=family.samples.create_query)
        assert answer.status_code == 201, answer.text
        sentence = f"Resource with name '{family.resource.name}' was created successfully!"
        assert answer.json()["message"].startswith(sentence)
        audit = family.audits()[0]
        assert (audit["method"], audit["user_name"]) == ("POST", "rubackup")
        assert audit["after"]
        if Op.READ in family.resource.ops:
            where = answer.headers["location"].removeprefix("/api/v1")
            assert family.api.get(where).status_code == 200


@where(has(Op.CREATE))
def test_creating_under_one_key_is_done_once(family: Family) -> None:
    """An Idempotency-Key makes a repeated call harmless; one whose body holds a secret is not replayed."""
    assert family.samples.create is not None
    body = family.samples.create(family.api)[0]
    key = {"Idempotency-Key": unique("key")}
    first, second = (
        family.api.post(family.path, body, params=family.samples.create_query, headers=key) for _ in range(2)
    )

    (route,) = (one for one in family.routes() if one.op is Op.CREATE)
    assert first.status_code == 201
    assert (first.content == second.content) is route.replayable
    assert route.replayable is (family.path not in {"/users", "/storage_clouds"})


@where(has(Op.CREATE))
def test_unknown_keys_of_a_new_row_are_named(family: Family) -> None:
    """And what is missing is named in the same answer."""
    answer = family.api.post(family.path, {"data": {"no_such_key": 1}}, params=family.samples.create_query)

    assert answer.status_code == 400
    assert "data.no_such_key" in answer.json()["errors"]


@where(has(Op.UPDATE))
def test_every_sample_change_is_done_and_read_back(family: Family) -> None:
    """A read gives back the keys of the write with the same text; the audit has before and after."""
    assert family.samples.update is not None
    for body in family.samples.update(family.api):
        row = family.fresh()[0]
        answer = family.api.patch(f"{family.path}/{row}", body)
        assert answer.status_code == 200, answer.text
        after = family.api.get(f"{family.path}/{row}").json()["data"]
        changed = told(body.get("data", body), after)
        for key in changed.keys() - family.samples.unread:
            assert after[key] == changed[key], key
        assert family.audits()[0]["before"]["id"] == row
        assert family.audits()[0]["after"]["id"] == row


@where(has(Op.UPDATE))
def test_a_read_can_be_sent_back(family: Family) -> None:
    """What a GET shows of the keys that a PATCH takes is a good PATCH that changes nothing."""
    row = family.fresh()[0]
    before = family.api.get(f"{family.path}/{row}").json()["data"]
    body = family.resource.update_body
    assert body is not None
    sent = sent_back(body.struct, before)

    answer = family.api.patch(f"{family.path}/{row}", {"data": sent} if body.wrapper else sent)

    assert answer.status_code == 200, answer.text
    assert family.api.get(f"{family.path}/{row}").json()["data"] == before


@where(has(Op.UPDATE))
def test_unknown_keys_of_a_change_are_named(family: Family) -> None:
    """And nothing is changed."""
    row = family.fresh()[0]
    before = family.api.get(f"{family.path}/{row}").content

    answer = family.api.patch(f"{family.path}/{row}", {"data": {"no_such_key": 1}})

    assert answer.status_code == 400
    assert "data.no_such_key" in answer.json()["errors"]
    assert family.api.get(f"{family.path}/{row}").content == before


@where(has(Op.UPDATE))
def test_a_change_under_an_old_etag_is_412(family: Family) -> None:
    """If-Match keeps two editors from overwriting each other."""
    assert family.samples.update is not None
    row = family.fresh()[0]
    body = family.samples.update(family.api)[0]
    tag = family.api.get(f"{family.path}/{row}").headers["etag"]

    assert family.api.patch(f"{family.path}/{row}", body, headers={"If-Match": '"old"'}).status_code == 412
    assert family.api.patch(f"{family.path}/{row}", body, headers={"If-Match": tag}).status_code == 200


@where(has(Op.DELETE))
def test_a_deleted_row_is_gone(family: Family) -> None:
    """200, then 404; the audit keeps what it was."""
    row = family.fresh()[0]
    answer = family.api.delete(f"{family.path}/{row}")

    assert answer.status_code == 200, answer.text
    assert family.api.get(f"{family.path}/{row}").status_code == 404
    assert family.audits()[0]["before"]["id"] == row
    assert family.audits()[0]["row_ids"] == [row]


@where(has(Op.BULK_DELETE))
def test_bulk_delete_is_all_or_nothing(family: Family) -> None:
    """One missing id keeps every row and is named; without it all are gone."""
    rows = family.fresh()[:2]
    refused = family.api.delete(family.path, {"ids": [*rows, MISSING]})
    there = {i["id"] for i in family.items(filter_data=f'id>"{rows[0] - 1}"')}
    done = family.api.delete(family.path, {"ids": rows})

    assert (refused.status_code, done.status_code) == (404, 200), done.text
    assert str(MISSING) in refused.json()["message"]
    assert set(rows) <= there
    assert not set(rows) & {i["id"] for i in family.items()}


# --- actions, and what must not be forgotten ---


def test_every_action_has_a_call_that_goes_well(family: Family) -> None:
    """Each answers with its declared status in the envelope; what it changes is audited."""
    for route in family.routes():
        if route.action is None or route.operation_id not in family.samples.actions:
            continue  # that none is forgotten is the last test's matter
        answer = family.samples.actions[route.operation_id](family.api)
        if route.operation_id in family.samples.refused:
            assert answer.status_code == 409, (route.operation_id, answer.text)
            continue
        assert answer.status_code == route.status, (route.operation_id, answer.text)
        told = answer.headers.get("content-type") == "application/json"
        assert not told or not answer.json()["is_error"]
        if route.mutates:
            assert family.audits()[0]["method"] == route.method


def test_every_resource_has_samples_and_every_action_a_call() -> None:
    """A declared resource cannot be forgotten, nor can samples outlive one."""
    declared = {r.path: r for r in RESOURCES if r.lookup is None and r.path != "auth"}
    assert SAMPLES.keys() == declared.keys()
    for path, resource in declared.items():
        samples = SAMPLES[path]
        names = {r.operation_id for r in Family(None, resource, samples, []).routes() if r.action}  # type: ignore[arg-type]
        assert samples.actions.keys() == names, path
        assert samples.refused <= names, path
        assert (samples.create is not None) == (Op.CREATE in resource.ops), path
        assert (samples.update is not None) == (Op.UPDATE in resource.ops), path
