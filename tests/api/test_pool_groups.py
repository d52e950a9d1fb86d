"""Substitutions and dynamic pool groups: what belongs together, and who may say so."""

from __future__ import annotations

import pytest
from samples import backup_body, new_pool
from samples_storage import new_group, new_record, new_substitution, pool_of, posted

from support.api import Api
from support.fixtures import Stock


def substitution(pool: int | str, other: int | str) -> dict[str, object]:
    """A body of POST /pool_substitution."""
    return {"data": {"pool": pool, "substitution": other}}


def test_a_pool_is_replaced_by_another_one_of_its_type(office: Api, rows: Stock) -> None:
    """Not by itself, not by one of another type, not by an unknown one."""
    pool = rows.pool()
    for other in (pool, pool_of(rows, "Cloud"), "no such"):
        answer = office.post("/pool_substitution", substitution(pool, other))
        assert (answer.status_code, answer.json()["errors"].keys()) == (400, {"data.substitution"})
    clouds = [pool_of(rows, "Cloud") for _ in range(2)]
    assert office.post("/pool_substitution", substitution(*clouds)).status_code == 201


def test_a_substitution_is_there_once(office: Api, rows: Stock) -> None:
    """A pool may have several, and two pools may stand in for each other."""
    one, two, three = (rows.pool() for _ in range(3))
    for pair in ((one, two), (one, three), (two, one)):
        assert office.post("/pool_substitution", substitution(*pair)).status_code == 201

    assert office.post("/pool_substitution", substitution(one, two)).status_code == 409


def test_a_substitution_is_shown_to_those_who_may_know_both_pools(office: Api, rows: Stock) -> None:
    """A maintainer of one of two media servers neither makes, sees nor deletes it."""
    first, second = rows.media_server(), rows.media_server()
    pools = rows.pool(media=first), rows.pool(media=second)
    made = posted(office, "pool_substitution", substitution(*pools))

    for media, wrong in ((first, "data.substitution"), (second, "data.pool")):
        caller = rows.maintainer(media)
        assert caller.get("/pool_substitution").json()["data"]["total"] == 0
        assert caller.delete(f"/pool_substitution/{made}").status_code == 404
        assert caller.post("/pool_substitution", substitution(*pools)).json()["errors"] == {wrong: "unknown pool."}
    both = rows.maintainer(first, second)
    assert both.delete(f"/pool_substitution/{made}").status_code == 200


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("name", ""), ("max_pool_tasks", -1), ("max_media_server_tasks", 100_001), ("max_cpu_usage", 101),
        ("max_in_block_operations", -1), ("max_out_block_operations", "0"), ("calculation_period", 0),
        ("calculation_period", 3601), ("max_cpu_usage", 1.5),
    ],
)  # fmt: skip
def test_limits_have_a_range(office: Api, field: str, wrong: object) -> None:
    """A wrong one is named in a new group and in a change; the guide's empty name is none."""
    group = posted(office, "dynamic_pool_groups", new_group())

    for answer in (
        office.post("/dynamic_pool_groups", new_group(**{field: wrong})),
        office.patch(f"/dynamic_pool_groups/{group}", {"data": {field: wrong}}),
    ):
        assert (answer.status_code, answer.json()["errors"].keys()) == (400, {f"data.{field}"})


def test_names_of_groups_are_unique(office: Api) -> None:
    """For new ones and for renamed ones; one's own name can be written again."""
    posted(office, "dynamic_pool_groups", new_group(name="one"))
    two = posted(office, "dynamic_pool_groups", new_group(name="two"))

    assert office.post("/dynamic_pool_groups", new_group(name="one")).status_code == 409
    assert office.patch(f"/dynamic_pool_groups/{two}", {"data": {"name": "one"}}).status_code == 409
    assert office.patch(f"/dynamic_pool_groups/{two}", {"data": {"name": "two"}}).status_code == 200


def test_a_group_with_pools_is_not_deleted(office: Api, rows: Stock) -> None:
    """They are named; without them it goes, one by one or several at once."""
    record = new_record(office)
    made = posted(office, "dynamic_pool_groups_records", record)
    group, empty = record["data"]["dynamic_pool_group"], posted(office, "dynamic_pool_groups", new_group())

    refused = office.delete("/dynamic_pool_groups", {"ids": [group, empty]})
    assert refused.status_code == 409
    assert record["data"]["pool"] in refused.json()["message"]
    assert office.delete(f"/dynamic_pool_groups_records/{made}").status_code == 200
    assert office.delete("/dynamic_pool_groups", {"ids": [group, empty]}).status_code == 200


def test_a_record_names_its_group_by_id_or_name(office: Api, rows: Stock) -> None:
    """It is read as the guide writes it, as an id."""
    group = posted(office, "dynamic_pool_groups", new_group(name="spread"))
    for named in (group, "spread"):
        made = posted(office, "dynamic_pool_groups_records", new_record(office, dynamic_pool_group=named))
        shown = office.get(f"/dynamic_pool_groups_records/{made}").json()["data"]
        assert (shown["dynamic_pool_group"], shown["dynamic_pool_group_name"], shown["enabled"]) == (
            group,
            "spread",
            True,
        )
    answer = office.post(
        "/dynamic_pool_groups_records", new_record(office, dynamic_pool_group="no such", pool="no such")
    )
    assert answer.json()["errors"].keys() == {"data.dynamic_pool_group", "data.pool"}


def test_a_pool_is_in_a_group_once(office: Api) -> None:
    """It may be in several groups."""
    body = new_record(office)
    posted(office, "dynamic_pool_groups_records", body)

    assert office.post("/dynamic_pool_groups_records", body).status_code == 409
    other = new_record(office, pool=body["data"]["pool"])
    assert office.post("/dynamic_pool_groups_records", other).status_code == 201


def test_groups_belong_to_those_whose_pools_are_in_them(office: Api, rows: Stock) -> None:
    """A maintainer makes groups, sees those with an own pool, and changes those with own pools only."""
    media = rows.media_server()
    own, other = rows.pool(media=media), rows.pool()
    caller = rows.maintainer(media)
    mine, mixed, foreign = (posted(caller, "dynamic_pool_groups", new_group()) for _ in range(3))
    for group, pool in ((mine, own), (mixed, own), (mixed, other), (foreign, other)):
        posted(office, "dynamic_pool_groups_records", {"data": {"dynamic_pool_group": group, "pool": pool}})

    change = {"data": {"max_pool_tasks": 3}}
    assert {row["id"] for row in caller.get("/dynamic_pool_groups").json()["data"]["items"]} == {mine, mixed}
    assert caller.get(f"/dynamic_pool_groups/{foreign}").status_code == 404
    assert [caller.patch(f"/dynamic_pool_groups/{g}", change).status_code for g in (mine, mixed, foreign)] == [
        200,
        403,
        404,
    ]
    records = caller.get("/dynamic_pool_groups_records").json()["data"]["items"]
    assert {row["pool_ref"] for row in records} == {own}


def test_maintainers_put_own_pools_into_groups_that_they_see(rows: Stock) -> None:
    """A group of others' pools is unknown, so is a foreign pool."""
    media = rows.media_server()
    caller = rows.maintainer(media)
    foreign = new_record(rows.api)
    posted(rows.api, "dynamic_pool_groups_records", foreign)
    group = foreign["data"]["dynamic_pool_group"]

    answer = caller.post("/dynamic_pool_groups_records", new_record(rows.api, dynamic_pool_group=group))

    assert answer.json()["errors"] == {
        "data.dynamic_pool_group": "unknown dynamic pool group.", "data.pool": "unknown pool.",
    }  # fmt: skip
    good = {
        "data": {
            "dynamic_pool_group": posted(caller, "dynamic_pool_groups", new_group()),
            "pool": rows.pool(media=media),
        }
    }
    assert caller.post("/dynamic_pool_groups_records", good).status_code == 201


def test_administrators_look_only(rows: Stock) -> None:
    """They see substitutions and groups, and change none."""
    caller = rows.administrator(rows.client_group())
    posted(rows.api, "pool_substitution", new_substitution(rows.api))

    assert caller.get("/pool_substitution").json()["data"]["total"] == 1
    assert caller.post("/dynamic_pool_groups", new_group()).status_code == 403


def test_events_of_a_substitution_go_to_those_who_may_know_both_pools(office: Api, rows: Stock) -> None:
    """The log belongs to the media server that has both pools; with two media servers, to those who see everything."""
    media = rows.media_server()
    both = rows.pool(media=media), rows.pool(media=media)
    for pools, heard in ((both, media), ((both[0], rows.pool()), None)):
        made = posted(office, "pool_substitution", substitution(*pools))
        assert office.delete(f"/pool_substitution/{made}").status_code == 200

        told = office.fetch(
            "SELECT kind, media_server_id FROM events WHERE family = 'pool_substitution' AND row_id = $1", made
        )
        assert sorted((event["kind"], event["media_server_id"]) for event in told) == [
            ("created", heard),
            ("deleted", heard),
        ]


def test_who_sees_everything_hears_of_substitutions(office: Api, rows: Stock) -> None:
    """The stream of a superuser has them."""
    start = [
        block
        for block in office.get("/events?follow=no").text.split("\n\n")
        if block.startswith("id: ") or "\nid: " in block
    ]
    last = start[-1].rpartition("id: ")[2].split("\n")[0]
    posted(office, "pool_substitution", substitution(rows.pool(), rows.pool()))

    assert '"family":"pool_substitution"' in office.get("/events?follow=no", headers={"Last-Event-ID": last}).text


@pytest.fixture
def spread(office: Api, rows: Stock) -> tuple[str, int]:
    """A group with a pool that has a storage: its name, and the pool."""
    pool = rows.pool_with_storage()
    group = posted(office, "dynamic_pool_groups", new_group(name=f"spread {pool}"))
    posted(office, "dynamic_pool_groups_records", new_record(office, dynamic_pool_group=group, pool=pool))
    return f"spread {pool}", pool


def test_a_task_names_a_group_in_place_of_a_pool(office: Api, rows: Stock, spread: tuple[str, int]) -> None:
    """A pool of that name wins; a group without a pool that is enabled is unknown."""
    name, pool = spread
    body = backup_body(office, pool=name)
    answer = office.post("/task_queue", body)
    assert answer.status_code == 201, answer.text
    task = rows.row("SELECT pool_id, pool_group_id FROM task_queue ORDER BY id DESC LIMIT 1")
    assert (task["pool_id"], task["pool_group_id"] is not None) == (pool, True)

    office.fetch("UPDATE dynamic_pool_groups_records SET enabled = false WHERE pool_id = $1", pool)
    answer = office.post("/task_queue", body)
    assert (answer.status_code, answer.json()["errors"].keys()) == (400, {"data.task.pool"})
    office.fetch("UPDATE pools SET pool_name = $2 WHERE id = $1", pool, name)
    assert office.post("/task_queue", body).status_code == 201
    assert rows.row("SELECT pool_group_id FROM task_queue ORDER BY id DESC LIMIT 1")["pool_group_id"] is None


def test_a_rule_names_a_group_in_place_of_a_pool(office: Api, rows: Stock, spread: tuple[str, int]) -> None:
    """It reads as it was written, its tasks name the group, and the group stays while the rule is there."""
    name, pool = spread
    rule = rows.rule()
    assert office.patch(f"/global_schedule/{rule}", {"data": {"global_schedule": {"pool_id": name}}}).status_code == 200
    read = office.get(f"/global_schedule/{rule}").json()["data"]
    assert (read["pool_id"], read["pool_id_ref"]) == (name, pool)
    assert office.post(f"/global_schedule/{rule}/execution").status_code in {200, 201}
    assert rows.row("SELECT pool_group_id FROM task_queue ORDER BY id DESC LIMIT 1")["pool_group_id"] is not None

    group = rows.row("SELECT id FROM dynamic_pool_groups WHERE name = $1", name)["id"]
    office.fetch("DELETE FROM dynamic_pool_groups_records WHERE group_id = $1", group)
    answer = office.delete(f"/dynamic_pool_groups/{group}")
    assert (answer.status_code, f"used by rules: {rule}" in answer.json()["message"]) == (409, True)
    back = rows.named("pools", rows.pool_with_storage(), "pool_name")
    assert office.patch(f"/global_schedule/{rule}", {"data": {"global_schedule": {"pool_id": back}}}).status_code == 200
    assert office.get(f"/global_schedule/{rule}").json()["data"]["pool_id"] == back
    assert office.delete(f"/dynamic_pool_groups/{group}").status_code == 200


def test_a_copy_that_needs_what_is_away_is_not_read(office: Api, rows: Stock) -> None:
    """Restoring, verifying and copying are refused with the folder; the row shows it, and can be searched by it."""
    record = rows.record()
    office.fetch("UPDATE repository SET unavailable = '/srv/gone' WHERE id = $1", record)
    assert office.get(f"/repository/{record}").json()["data"]["unavailable"] == "/srv/gone"
    answer = office.post(f"/repository/{record}/verification")
    assert (answer.status_code, "away: /srv/gone" in answer.json()["message"]) == (409, True)


def test_a_group_and_a_pool_do_not_share_a_name(office: Api, rows: Stock) -> None:
    """A backup names either in the same place; neither way round, neither at birth nor later."""
    pool = rows.pool()
    name = rows.row("SELECT pool_name FROM pools WHERE id = $1", pool)["pool_name"]
    group = posted(office, "dynamic_pool_groups", new_group())
    called = office.get(f"/dynamic_pool_groups/{group}").json()["data"]["name"]

    assert office.post("/dynamic_pool_groups", new_group(name=name)).status_code == 409
    assert office.patch(f"/dynamic_pool_groups/{group}", {"data": {"name": name}}).status_code == 409
    assert office.patch(f"/pool_list/{pool}", {"data": {"pool_name": called}}).status_code == 409
    assert office.post("/pool_list", new_pool(office, pool_name=called)).status_code == 409
    assert office.patch(f"/pool_list/{pool}", {"data": {"pool_name": name}}).status_code == 200
    assert office.patch(f"/dynamic_pool_groups/{group}", {"data": {"name": called}}).status_code == 200
