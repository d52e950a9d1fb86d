"""The repository: keeping, deleting, verifying, listing copies."""

from __future__ import annotations

import datetime as dt
import uuid

from support.api import Api
from support.fixtures import Stock

MADE = dt.datetime(2030, 1, 1, tzinfo=dt.UTC)


def test_how_long_a_copy_is_kept_has_bounds(office: Api, rows: Stock) -> None:
    """Not before it was made, not beyond what its pool allows; null is for ever where the pool sets no limit."""
    pool = rows.pool(retention_period=dt.timedelta(days=30))
    limited, free = rows.record(pool=pool, created_at=MADE), rows.record(created_at=MADE)

    def keep(record: int, until: str | None) -> int:
        return office.patch(f"/repository/{record}", {"data": {"store_until": until}}).status_code

    assert keep(limited, "2030-01-31T00:00:00Z") == 200
    assert keep(limited, "2030-01-31T00:00:01Z") == 400
    assert keep(limited, None) == 400
    assert keep(free, "2029-12-31T00:00:00Z") == 400
    assert keep(free, None) == 200
    assert keep(free, "soon") == 400


def test_a_lock_is_only_extended(office: Api, rows: Stock) -> None:
    """A locked copy is neither deleted nor kept for less."""
    record = rows.record(created_at=MADE, locked_until=MADE + dt.timedelta(days=3650))

    assert office.delete(f"/repository/{record}").status_code == 409
    answer = office.patch(f"/repository/{record}", {"data": {"store_until": "2031-01-01T00:00:00Z"}})
    assert answer.status_code == 409


def test_a_locked_copy_that_is_kept_for_longer_is_locked_for_longer(office: Api, rows: Stock) -> None:
    """The lock goes along, null leaves it; a copy that was never locked, or is not any more, gets no lock."""
    soon = dt.datetime.now(dt.UTC) + dt.timedelta(days=1)
    locked = rows.record(locked_until=soon, store_until=soon)
    over = rows.record(locked_until=MADE.replace(year=2020), created_at=MADE.replace(year=2019))

    def locked_until(record: int, until: str | None) -> str | None:
        assert office.patch(f"/repository/{record}", {"data": {"store_until": until}}).status_code == 200
        found: str | None = office.get(f"/repository/{record}").json()["data"]["locked_until"]
        return found

    assert (locked_until(locked, "2099-01-01T00:00:00Z") or "").startswith("2099-01-01")
    assert (locked_until(locked, None) or "").startswith("2099-01-01")
    assert (locked_until(over, "2099-01-01T00:00:00Z") or "").startswith("2020-01-01")
    assert locked_until(rows.record(), "2099-01-01T00:00:00Z") is None


def test_a_deleted_copy_leaves_a_tombstone_and_a_line(office: Api, rows: Stock) -> None:
    """Its media server is told to forget it; the log keeps that it was there."""
    record = rows.record()
    name = rows.named("repository", record, "uuid")

    assert office.delete(f"/repository/{record}").status_code == 200

    assert [str(row["uuid"]) for row in office.fetch("SELECT uuid FROM record_tombstones")] == [name]
    lines = office.get("/repository_log").json()["data"]["items"]
    assert [(line["action"], line["record"]) for line in lines] == [("deleted", record)]


def test_a_copy_in_use_is_not_deleted(office: Api, rows: Stock) -> None:
    """A task that needs it is named; when the task has ended the copy goes."""
    record = rows.record()
    office.post(f"/repository/{record}/verification")
    task = office.get("/task_queue").json()["data"]["items"][0]["id"]

    refused = office.delete(f"/repository/{record}")
    office.post("/kill_task", {"data": {"task_id": task}})

    assert refused.status_code == 409
    assert str(task) in refused.json()["message"]
    assert office.delete(f"/repository/{record}").status_code == 200


def test_a_verification_is_work_for_the_media_server(office: Api, rows: Stock) -> None:
    """201 and a task of the type Verify that shares the copy."""
    record = rows.record()

    answer = office.post(f"/repository/{record}/verification")

    task = office.fetch("SELECT id, task_type, executor, record_id FROM task_queue")[0]
    assert answer.status_code == 201
    assert answer.json()["message"].endswith(f"TASK WAS ADDED TO QUEUE:{task['id']}")
    assert (task["task_type"], task["executor"], task["record_id"]) == ("Verify", "media", record)


def test_a_chain_is_told_from_its_root(office: Api, rows: Stock) -> None:
    """Each copy asked for is followed by all that build on it, however far."""
    client, pool = rows.client(), rows.pool()
    first = rows.record(client=client, pool=pool)
    second = rows.record(client=client, pool=pool, parent_id=first, backup_type="incremental")
    third = rows.record(client=client, pool=pool, parent_id=second, backup_type="incremental")
    rows.record(client=client, pool=pool)

    data = office.post("/repository/deletion_reference_chain", {"ids": [first, third]}).json()["data"]

    found = [(row["root_id"], row["id"], row["parent_id"], row["depth"]) for row in data["items"]]
    assert found == [
        (first, first, None, 0),
        (first, second, first, 1),
        (first, third, second, 2),
        (third, third, second, 0),
    ]
    missing = office.post("/repository/deletion_reference_chain", {"ids": [first, 4711]})
    assert (missing.status_code, "4711" in missing.json()["message"]) == (404, True)


def test_the_files_of_a_copy_come_in_pages(office: Api, rows: Stock) -> None:
    """Path, page and limit go to the media server; the total is the folder's."""
    record = rows.record()

    data = office.get(f"/repository_record_file_list?id={record}&path=/home&page=3&limit=10").json()["data"]

    assert (data["total"], data["pages"], data["page"]) == (25, 3, 3)
    assert [entry["path"] for entry in data["items"]] == [f"/home/file{n}" for n in range(20, 25)]


def test_a_path_of_a_copy_is_absolute(office: Api, rows: Stock) -> None:
    """What is wrong with the query is named."""
    record = rows.record()
    for path in ("home", "/a/../b", "%00"):
        answer = office.get(f"/repository_record_file_list?id={record}&path={path}")
        assert answer.status_code == 400, path
    assert office.get("/repository_record_file_list?id=4711").status_code == 404
    assert office.get("/repository_record_file_list").json()["errors"].keys() == {"id"}


def test_a_read_shows_the_parents_name_even_when_it_is_gone(office: Api, rows: Stock) -> None:
    """A copy whose parent was deleted still says what it was built on."""
    name = uuid.uuid4()
    row = office.get(f"/repository/{rows.record(parent_uuid=name)}").json()["data"]

    assert (row["parent_id"], row["parent_uuid"]) == (None, str(name))
