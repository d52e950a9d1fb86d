"""Lists: pages, order, cursor, filter, count, scope."""

from __future__ import annotations

import pytest

from rubackup.domain.permissions import Role
from support.api import Api
from support.widgets import fill

SORTS = ["id", "name", "size", "active", "made_at", "owner"]


def names(api: Api, **query: str | int) -> list[str]:
    """The names in a list's answer."""
    answer = api.get("/widgets", params=query)
    assert answer.status_code == 200, answer.text
    return [item["name"] for item in answer.json()["data"]["items"]]


def test_a_page_says_where_it_stands(api: Api) -> None:
    """The answer's `data` has the seven keys of the design."""
    fill(api, 5)

    data = api.get("/widgets", params={"page": 2, "limit": 2}).json()["data"]

    cursor = data.pop("next_cursor")
    assert [i["name"] for i in data.pop("items")] == ["w2", "w3"]
    assert data == {"total": 5, "total_is_estimate": False, "page": 2, "limit": 2, "pages": 3}
    assert isinstance(cursor, str)


@pytest.mark.parametrize("way", ["asc", "desc"])
@pytest.mark.parametrize("column", SORTS)
def test_pages_and_cursors_give_the_same_order(api: Api, column: str, way: str) -> None:
    """Whatever the column, numbered pages and cursors walk each row once in one total order."""
    fill(api, 11)
    asked: dict[str, str | int] = {"sort_by": column, "sort_order": way}
    whole = names(api, **asked)

    paged = [n for page in range(1, 5) for n in names(api, **asked, limit=3, page=page)]
    walked, cursor = [], ""
    while True:
        data = api.get("/widgets", params=asked | {"limit": 3, "cursor": cursor}).json()["data"]
        walked += [i["name"] for i in data["items"]]
        if not (cursor := data["next_cursor"]):
            break

    assert len(set(whole)) == 11
    assert paged == whole
    assert walked == whole


def test_a_page_beyond_the_end_is_empty(api: Api) -> None:
    """There is no 404 for a page that has no rows."""
    assert names(api, page=1_000_000_000, limit=1000) == []


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("page=0", "page"), ("page=x", "page"), ("limit=1001", "limit"), ("limit=-1", "limit"),
        ("page=99999999999999999999", "page"), ("sort_by=nothing", "sort_by"), ("sort_by=tags", "sort_by"),
        ("sort_order=up", "sort_order"), ("page=1&page=2", "page"), ("size=3", "size"), ("cursor=abc", "cursor"),
        ("cursor=W10", "cursor"), ("filter_data=name", "filter_data"), ('filter_data=nothing="1"', "filter_data"),
        ('filter_data=size="x"', "filter_data"), ('filter_data=size="99999999999999999999"', "filter_data"),
        ('filter_data=active="maybe"', "filter_data"), ('filter_data=active>"yes"', "filter_data"),
        ('filter_data=made_at="soon"', "filter_data"), ('filter_data=made_at~"2024"', "filter_data"),
        ('filter_data=name="a"name="b"', "filter_data"), ('filter_data=name="a",', "filter_data"),
        ('filter_data=name="a', "filter_data"), ("filter_data=name=%22%00%22", "filter_data"),
    ],
)  # fmt: skip
def test_wrong_parameters_are_named(api: Api, query: str, named: str) -> None:
    """A wrong parameter is a 400 under its name."""
    answer = api.get(f"/widgets?{query}")

    assert answer.status_code == 400, answer.text
    assert answer.json()["errors"].keys() == {named}


def test_invalid_utf8_in_the_query_is_400(api: Api) -> None:
    """A query that is no UTF-8 is refused."""
    assert api.get("/widgets?filter_data=%ff").status_code == 400


@pytest.mark.parametrize(
    ("condition", "found"),
    [
        ('name="w3"', ["w3"]),
        ('→ name="w3"', ["w3"]),
        ('-> name="w3"', ["w3"]),
        ('&rarr; name = "w3"', ["w3"]),
        ('name~"W1"', ["w1", "w10"]),
        ('name~"%"', []),
        ('name>"w4",name<"w6"', ["w5"]),
        ('size="1", active="no"', ["w1", "w5", "w9"]),
        ('size>"2"', ["w3", "w7"]),
        ('id~"1",name="w0"', ["w0"]),
        ('active="YES",size="0"', ["w0", "w4", "w8"]),
        ('tags="t1",size="1"', ["w1"]),
        ('tags~"T1",size="1"', ["w1"]),
        ('made_at<"2024-08-19T16:00:00+03:00"', []),
        ('made_at<"2024-08-19T16:00:01 03:00"', ["w1"]),
        ('made_at="2024-08-19T14:00:00Z"', ["w2"]),
        ('name="w3\\""', []),
        ('name="\' OR true --"', []),
    ],
)
def test_filters(api: Api, condition: str, found: list[str]) -> None:
    """The grammar of the guide, every operator on every kind of column."""
    fill(api, 11)

    assert names(api, filter_data=condition) == found


def test_repeated_filters_must_all_hold(api: Api) -> None:
    """`filter_data` may be given several times."""
    fill(api, 11)

    answer = api.get("/widgets", params=[("filter_data", 'size="1"'), ("filter_data", 'name~"5"')])

    assert [i["name"] for i in answer.json()["data"]["items"]] == ["w5"]


def test_escapes_in_a_value(api: Api) -> None:
    r"""`\"` and `\\` stand for a quote and a backslash."""
    api.execute("INSERT INTO widgets (name) VALUES ($1)", 'a"b\\c')

    assert names(api, filter_data='name="a\\"b\\\\c"') == ['a"b\\c']


def test_a_cursor_belongs_to_its_sort_and_filter(api: Api) -> None:
    """Used with another order or filter it is refused."""
    fill(api, 5)
    cursor = api.get("/widgets", params={"limit": 2, "sort_by": "size"}).json()["data"]["next_cursor"]

    assert api.get("/widgets", params={"cursor": cursor}).status_code == 400
    assert api.get("/widgets", params={"cursor": cursor, "sort_by": "size"}).status_code == 200
    wrong = api.get("/widgets", params={"cursor": cursor, "sort_by": "size", "filter_data": 'size="1"'})
    assert wrong.status_code == 400


def test_many_matches_are_estimated(api: Api) -> None:
    """Beyond 10,000 matches the total is an estimate and says so."""
    api.execute("INSERT INTO widgets (name, size) SELECT 'n' || g, g % 2 FROM generate_series(1, 10500) g")
    api.execute("ANALYZE widgets")

    every = api.get("/widgets").json()["data"]
    most = api.get("/widgets", params={"filter_data": 'name~"n"'}).json()["data"]
    some = api.get("/widgets", params={"filter_data": 'size="1"'}).json()["data"]

    assert every["total_is_estimate"]
    assert 10_001 <= every["total"] < 12_000
    assert (most["total"] >= 10_001, most["total_is_estimate"]) == (True, True)
    assert (some["total"], some["total_is_estimate"]) == (5250, False)


def test_rows_out_of_scope_do_not_exist(api: Api) -> None:
    """They are missing from lists, counts and filters, and reading one is a 404."""
    foreign = fill(api, 3)[0]
    own = api.user("anna", Role.ADMINISTRATOR)
    api.execute("INSERT INTO widgets (name, owner) VALUES ('mine', 'anna')")

    data = own.get("/widgets").json()["data"]

    assert ([i["name"] for i in data["items"]], data["total"]) == (["mine"], 1)
    assert names(own, filter_data='name~"w"') == []
    assert own.get(f"/widgets/{foreign}").status_code == 404


def test_lookups_are_filtered_sorted_and_paged_alike(api: Api) -> None:
    """A table in memory answers as one in PostgreSQL does."""
    asked = {"filter_data": 'description~"read"', "sort_by": "name", "sort_order": "desc", "limit": "2"}

    data = api.get("/backup_types", params=asked).json()["data"]
    rest = api.get("/backup_types", params=asked | {"cursor": data["next_cursor"]}).json()["data"]

    assert [i["name"] for i in data["items"]] == ["incremental", "full"]
    assert [i["name"] for i in rest["items"]] == ["differential"]
    assert rest["next_cursor"] is None


def test_a_list_may_take_parameters_of_its_own(api: Api) -> None:
    """They narrow what the scope, filters and pages show, and are counted with; wrong ones are named."""
    fill(api, 8)  # sizes 0, 1, 2, 3, 0, 1, 2, 3

    assert names(api, heavier=1) == ["w2", "w3", "w6", "w7"]
    assert names(api, heavier=1, filter_data='size<"3"', sort_order="desc", sort_by="name") == ["w6", "w2"]
    first = api.get("/widgets", params={"heavier": 1, "limit": 3}).json()["data"]
    assert (first["total"], len(first["items"])) == (4, 3)
    assert names(api, heavier=1, limit=3, cursor=first["next_cursor"]) == ["w7"]
    for query in ({"heavier": "x"}, {"heavier": -1}, {"lighter": 1}):
        answer = api.get("/widgets", params=query)
        assert (answer.status_code, answer.json()["errors"].keys()) == (400, query.keys())
    assert "heavier" in api.get("/widgets", params={"lighter": 1}).json()["errors"]["lighter"]


def test_own_parameters_of_a_list_never_widen_the_scope(api: Api) -> None:
    """A row out of scope stays out."""
    fill(api, 4, owner="somebody")
    caller = api.user("narrow", Role.ADMINISTRATOR)

    assert names(caller, heavier=0) == []
