"""Copying and moving copies: who may ask for it, what is refused and why."""

from __future__ import annotations

import datetime as dt

import pytest
from samples import backup_body

from support.api import Api
from support.fixtures import Stock


@pytest.fixture
def place(rows: Stock) -> tuple[int, int]:
    """A copy, and another pool of its media server."""
    media = rows.media_server()
    record = rows.record(pool=rows.pool_with_storage(media=media), client=rows.client())
    return record, rows.pool_with_storage(media=media)


def ask(api: Api, record: int, pool: object, what: str = "copying") -> tuple[int, str]:
    """Status and message of the answer."""
    answer = api.post(f"/repository/{record}/{what}", params={"pool": pool})
    return answer.status_code, answer.json()["message"]


@pytest.mark.parametrize(("what", "task_type", "exclusive"), [("copying", "Copy", False), ("moving", "Move", True)])
def test_a_copy_goes_into_another_pool_as_a_task_of_its_media_server(
    office: Api, rows: Stock, place: tuple[int, int], what: str, task_type: str, exclusive: bool
) -> None:
    """201 with the task's number; a copy shares its source, a move has it alone; both pools are shared."""
    record, pool = place
    status, message = ask(office, record, rows.named("pools", pool, "pool_name"), what)

    task = office.get("/task_queue").json()["data"]["items"][0]
    assert (status, message.rpartition(" TASK WAS ADDED TO QUEUE:")[2]) == (201, str(task["id"]))
    assert (task["task_type"], task["record"], task["pool_ref"], task["status"]) == (task_type, record, pool, "New")
    reserved = office.fetch("SELECT kind, key, exclusive FROM task_reservations ORDER BY kind, key::bigint")
    source = rows.row("SELECT pool_id FROM repository WHERE id = $1", record)["pool_id"]
    assert [tuple(row) for row in reserved] == [
        ("pool", str(source), False), ("pool", str(pool), False), ("record", str(record), exclusive),
    ]  # fmt: skip
    assert office.get("/repository_log").json()["data"]["items"][0]["action"] == what


def test_a_pool_is_named_by_name_or_id(office: Api, rows: Stock, place: tuple[int, int]) -> None:
    """A name of digits is a name first; what is neither is a 400 that names the parameter."""
    record, pool = place
    assert ask(office, record, pool)[0] == 201
    media = rows.row("SELECT media_server_id FROM pools WHERE id = $1", pool)["media_server_id"]
    digits = rows.pool_with_storage(media=media, pool_name=str(pool))
    assert ask(office, record, pool)[0] == 201
    assert office.get("/task_queue").json()["data"]["items"][0]["pool_ref"] == digits

    for unknown in ("no such pool", "4711", "9" * 30, "-1"):
        answer = office.post(f"/repository/{record}/copying", params={"pool": unknown})
        assert (answer.status_code, answer.json()["errors"].keys()) == (400, {"pool"}), unknown
    for missing in (None, ""):
        answer = office.post(f"/repository/{record}/copying", params={"pool": missing} if missing is not None else None)
        assert (answer.status_code, answer.json()["errors"].keys()) == (400, {"pool"})


def test_pools_that_do_not_fit_are_refused_with_the_reason(office: Api, rows: Stock, place: tuple[int, int]) -> None:
    """The same pool, another type, one without storage."""
    record, pool = place
    media = rows.row("SELECT media_server_id FROM pools WHERE id = $1", pool)["media_server_id"]
    own = rows.row("SELECT pool_id FROM repository WHERE id = $1", record)["pool_id"]

    for target, reason in (
        (own, "already"),
        (rows.pool_with_storage(media=media, pool_type="Tape library"), "of the type Tape library"),
        (rows.pool(media=media), "has no storage yet"),
    ):
        status, message = ask(office, record, target)
        assert status == 409
        assert reason in message


def test_the_other_media_server_must_be_online(office: Api, rows: Stock, place: tuple[int, int]) -> None:
    """Between two media servers both are needed; the one that is not there is named."""
    record, _ = place
    elsewhere = rows.media_server()
    pool = rows.pool_with_storage(media=elsewhere)
    assert ask(office, record, pool)[0] == 201
    office.execute("UPDATE media_presence SET online = false WHERE media_server_id = $1", elsewhere)

    status, message = ask(office, record, pool)

    assert status == 409
    assert rows.named("media_servers", elsewhere, "hostname") in message


def test_service_modes_stop_copying(office: Api, rows: Stock, place: tuple[int, int]) -> None:
    """The global one, and the local one of either media server."""
    record, _ = place
    elsewhere = rows.media_server()
    pool = rows.pool_with_storage(media=elsewhere)
    office.execute("UPDATE media_servers SET local_service_mode = true WHERE id = $1", elsewhere)
    assert ask(office, record, pool)[0] == 409
    office.execute("UPDATE media_servers SET local_service_mode = false")
    office.patch("/global_configuration/service_mode", {"service_mode": True})
    assert ask(office, record, pool, "moving")[0] == 409


def test_a_locked_copy_is_copied_but_not_moved(office: Api, rows: Stock, place: tuple[int, int]) -> None:
    """Moving would delete it where it is."""
    record, pool = place
    office.execute("UPDATE repository SET locked_until = now() + interval '1 day'")

    assert ask(office, record, pool, "moving")[0] == 409
    assert ask(office, record, pool, "copying")[0] == 201


def test_a_copy_too_old_for_a_pool_is_refused(office: Api, rows: Stock) -> None:
    """A pool that keeps copies for a day takes none that is older."""
    media = rows.media_server()
    made = dt.datetime.now(dt.UTC) - dt.timedelta(hours=25)
    record = rows.record(pool=rows.pool_with_storage(media=media), created_at=made)
    pool = rows.pool_with_storage(media=media, retention_period=dt.timedelta(days=1))

    status, message = ask(office, record, pool)

    assert (status, "retention_period" in message) == (409, True)


def test_administrators_copy_what_is_theirs(office: Api, rows: Stock, place: tuple[int, int]) -> None:
    """Their clients' copies into any pool they see; others do not exist for them; maintainers only look."""
    record, pool = place
    group = rows.row("SELECT client_group_id AS id FROM repository WHERE id = $1", record)["id"]
    media = rows.row("SELECT media_server_id AS id FROM pools WHERE id = $1", pool)["id"]

    assert ask(rows.administrator(group), record, pool)[0] == 201
    assert ask(rows.administrator(rows.client_group()), record, pool)[0] == 404
    assert ask(rows.maintainer(media), record, pool)[0] == 403


def test_a_copy_says_where_it_comes_from(office: Api, rows: Stock) -> None:
    """`copied_from` can be read and filtered; it stays when the source is gone."""
    source = rows.record()
    made = rows.record(copied_from=source)
    office.delete(f"/repository/{source}")

    items = office.get(f'/repository?filter_data=copied_from="{source}"').json()["data"]["items"]

    assert [(item["id"], item["copied_from"]) for item in items] == [(made, source)]


@pytest.mark.parametrize(("what", "exclusive"), [("copying", False), ("moving", True)])
def test_a_copying_task_can_be_restarted(
    office: Api, rows: Stock, place: tuple[int, int], what: str, exclusive: bool
) -> None:
    """The new task does the same with the same reservations, until the copy is gone."""
    record, pool = place
    ask(office, record, pool, what)
    first = office.get("/task_queue").json()["data"]["items"][0]["id"]
    office.post("/kill_task", {"data": {"task_id": first}})
    assert office.post("/restart_task", {"data": {"tasks_ids": [first]}}).status_code == 201

    task = office.get("/task_queue").json()["data"]["items"][0]
    assert (task["restarted_from"], task["record"], task["pool_ref"]) == (first, record, pool)
    reserved = office.fetch("SELECT kind, exclusive FROM task_reservations WHERE task_id = $1", task["id"])
    assert sorted(map(tuple, reserved)) == [("pool", False), ("pool", False), ("record", exclusive)]
    office.post("/kill_task", {"data": {"task_id": task["id"]}})
    office.delete(f"/repository/{record}")
    assert office.post("/restart_task", {"data": {"tasks_ids": [first]}}).status_code == 409


def test_the_target_pool_stays_while_a_task_fills_it(office: Api, rows: Stock, place: tuple[int, int]) -> None:
    """Neither it nor the source's can be deleted."""
    record, pool = place
    ask(office, record, pool)
    office.execute("DELETE FROM storage_local_catalogs")

    refused = office.delete(f"/pool_list/{pool}")

    assert refused.status_code == 409
    assert "unfinished task" in refused.json()["message"]


def test_a_client_over_its_capacity_gets_no_more_copies(office: Api, rows: Stock, place: tuple[int, int]) -> None:
    """Copying adds to what its copies take, moving does not; the sentence tells the figures."""
    record, pool = place
    office.execute("UPDATE clients SET storage_capacity = 2")
    office.execute("UPDATE repository SET stored_bytes = 2000000000")
    assert ask(office, record, pool)[0] == 201
    office.patch("/global_configuration", {"data": {"clients_capacity_limits": True}})

    status, message = ask(office, record, pool)

    assert status == 409
    assert "2000000000 bytes" in message
    assert "2 GB" in message
    assert ask(office, record, pool, "moving")[0] == 201
    body = backup_body(office)
    body["data"]["task"]["client"] = rows.label(
        rows.row("SELECT client_id FROM repository WHERE id = $1", record)["client_id"]
    )
    assert office.post("/task_queue", body).status_code == 409
    office.execute("UPDATE clients SET storage_capacity = 3")
    assert office.post("/task_queue", body).status_code == 201
