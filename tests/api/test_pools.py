"""Pools and local catalogues."""

from __future__ import annotations

import pytest
from samples import new_pool

from support import hosts
from support.api import Api
from support.fixtures import Stock


def test_a_pool_is_told_to_the_servers(office: Api) -> None:
    """A new pool has no storage yet and says that nobody reported."""
    office.post("/pool_list", new_pool(office, pool_name="p"))

    row = office.get("/pool_list", params={"filter_data": 'pool_name="p"'}).json()["data"]["items"][0]
    assert (row["compression_type"], row["pool_type"], row["retention_period"]) == ("fast", "File system", None)
    assert "not reported" in row["problem"]
    assert row["problem_code"] == "unreported"


def test_every_wrong_field_of_a_pool_is_told(office: Api) -> None:
    """Type, compression, media server and interval are told at once, with what is allowed."""
    answer = office.post(
        "/pool_list",
        new_pool(office, pool_type="Punch cards", compression_type="max", media_server="x", retention_period="soon"),
    )

    assert answer.status_code == 400
    assert answer.json()["errors"].keys() == {
        "data.pool_type", "data.compression_type", "data.media_server", "data.retention_period",
    }  # fmt: skip
    assert "Tape library" in answer.json()["errors"]["data.pool_type"]


def test_a_taken_name_is_409(office: Api) -> None:
    """Names of pools are unique, for new ones and for renamed ones."""
    for name in ("one", "two"):
        assert office.post("/pool_list", new_pool(office, pool_name=name)).status_code == 201
    second = office.get("/pool_list", params={"filter_data": 'pool_name="two"'}).json()["data"]["items"][0]["id"]

    assert office.post("/pool_list", new_pool(office, pool_name="one")).status_code == 409
    assert office.patch(f"/pool_list/{second}", {"data": {"pool_name": "one"}}).status_code == 409


def test_a_pool_is_made_again_with_its_uuid(office: Api, rows: Stock) -> None:
    """When its catalogue was lost: it waits to be reconciled, and tasks get numbers above those that it may have seen."""
    old = "0123456789abcdef0123456789abcdef"
    fence = "SELECT last_value, (SELECT last_value FROM task_queue_id_seq) AS tasks FROM task_fence"
    assert rows.row(fence)["tasks"] < 1_000_000
    assert office.post("/pool_list", new_pool(office, pool_name="again", uuid=old)).status_code == 201
    row = office.get("/pool_list", params={"filter_data": 'pool_name="again"'}).json()["data"]["items"][0]
    after = rows.row(fence)

    assert (row["uuid"].replace("-", ""), row["reconciled"]) == (old, False)
    assert (after["tasks"] > 1_000_000, after["last_value"] > 1 << 50) == (True, True)
    taken = office.post("/pool_list", new_pool(office, pool_name="twice", uuid=old))
    assert (taken.status_code, "again" in taken.json()["message"]) == (409, True)
    wrong = office.post("/pool_list", new_pool(office, pool_name="third", uuid="x"))
    assert wrong.json()["errors"].keys() == {"data.uuid"}
    assert office.delete(f"/pool_list/{row['id']}").status_code == 200
    assert office.post("/pool_list", new_pool(office, pool_name="next", uuid=old)).status_code == 201
    assert rows.row(fence)["tasks"] == after["tasks"]


def test_a_pool_in_use_is_not_deleted(office: Api, rows: Stock) -> None:
    """Storages, copies and unfinished tasks keep it, and are named; an empty pool goes."""
    with_storage, with_record, with_task, empty = rows.pool_with_storage(), rows.pool(), rows.pool(), rows.pool()
    record, task = rows.record(pool=with_record), rows.task(pool=with_task)
    path = rows.row("SELECT path FROM storage_local_catalogs WHERE pool_id = $1", with_storage)["path"]

    for pool, named in ((with_storage, path), (with_record, f"copy {record}"), (with_task, f"task {task}")):
        answer = office.delete(f"/pool_list/{pool}")
        assert answer.status_code == 409
        assert named in answer.json()["message"]
    assert office.delete("/pool_list", {"ids": [empty, with_task]}).status_code == 409
    assert office.delete(f"/pool_list/{empty}").status_code == 200


def test_the_interval_is_read_as_postgresql_writes_it(office: Api, rows: Stock) -> None:
    """Whatever unit was written, a read can be sent back."""
    pool = rows.pool()
    office.patch(f"/pool_list/{pool}", {"data": {"retention_period": "90 Min"}})
    shown = office.get(f"/pool_list/{pool}").json()["data"]["retention_period"]

    assert shown == "01:30:00"
    assert office.patch(f"/pool_list/{pool}", {"data": {"retention_period": shown}}).status_code == 200


def storage(pool: str | int, path: str) -> dict[str, object]:
    """A body of POST /storage_local_catalogs."""
    return {"data": {"path": path, "pool": pool, "description": ""}}


def test_a_folder_is_asked_of_its_media_server(office: Api, rows: Stock) -> None:
    """What the media server refuses is told under data.path."""
    answer = office.post("/storage_local_catalogs", storage(rows.pool(), "/refused"))

    assert answer.status_code == 400
    assert answer.json()["errors"] == {"data.path": "The folder /refused cannot be written."}


def test_a_folder_of_another_pool_is_a_conflict(office: Api, rows: Stock) -> None:
    """The media server says so, and knows the pool by its uuid; nothing is stored."""
    pool = rows.pool()
    answer = office.post("/storage_local_catalogs", storage(pool, "/foreign"))

    assert answer.status_code == 409
    own = rows.row("SELECT uuid FROM pools WHERE id = $1", pool)["uuid"].hex
    assert answer.json()["message"] == f"The folder /foreign belongs to another pool than {own}."
    assert office.fetch("SELECT 1 FROM storage_local_catalogs WHERE pool_id = $1", pool) == []


@pytest.mark.parametrize("path", ["", "relative", "/a/../b", "//../etc", "/a\nb", "/a\x1b[0m", "/a\0", "/a\x7f"])
def test_a_folder_must_be_absolute(office: Api, rows: Stock, path: str) -> None:
    """And have no `..` and no control characters in it."""
    answer = office.post("/storage_local_catalogs", storage(rows.pool(), path))

    assert answer.json()["errors"].keys() == {"data.path"}


def test_storages_of_a_media_server_do_not_overlap(office: Api, rows: Stock) -> None:
    """The same folder, one within and one around are 409; on another media server they are free."""
    pool = rows.pool()
    assert office.post("/storage_local_catalogs", storage(pool, "/data/one")).status_code == 201

    for path in ("/data/one", "/data/one/", "/data/one/deeper", "/data", "/"):
        assert office.post("/storage_local_catalogs", storage(pool, path)).status_code == 409, path
    assert office.post("/storage_local_catalogs", storage(pool, "/data/one_more")).status_code == 201
    assert office.post("/storage_local_catalogs", storage(rows.pool(), "/data/one")).status_code == 201


def test_a_storage_stays_while_its_pool_has_copies_in_it(office: Api, rows: Stock) -> None:
    """Deleting it would lose them: the media server is asked, and says why."""
    pool = rows.pool()
    kept, free = rows.storage(pool=pool), rows.storage()
    rows.record(pool=pool)

    answer = office.delete(f"/storage_local_catalogs/{kept}")

    assert answer.status_code == 409
    assert "It holds data of the pool." in answer.json()["message"]
    assert office.delete(f"/storage_local_catalogs/{free}").status_code == 200


def test_a_storage_without_data_leaves_a_pool_with_copies(
    office: Api, rows: Stock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not while tasks run or wait that may write to it, unless it never belonged to the pool; all or nothing."""
    pool = rows.pool()
    kept, empty, strange = (rows.storage(pool=pool) for _ in range(3))
    rows.record(pool=pool)
    monkeypatch.setattr(hosts, "EMPTY", frozenset({empty}))
    monkeypatch.setattr(hosts, "LEFT_OUT", frozenset({strange}))
    task = rows.task(pool=pool)

    assert "Tasks" in office.delete(f"/storage_local_catalogs/{empty}").json()["message"]
    assert office.delete(f"/storage_local_catalogs/{strange}").status_code == 200
    office.execute("UPDATE task_queue SET status = 'Done', finished_at = now() WHERE id = $1", task)
    assert office.delete("/storage_local_catalogs", {"ids": [empty, kept]}).status_code == 409
    assert office.delete(f"/storage_local_catalogs/{empty}").status_code == 200
    left = office.fetch("SELECT id FROM storage_local_catalogs WHERE pool_id = $1", pool)
    assert [row["id"] for row in left] == [kept]


@pytest.mark.parametrize("pool_type", ["Client defined", "Block device"])
def test_a_storage_with_the_metadata_of_another_pool_stays(
    office: Api, rows: Stock, monkeypatch: pytest.MonkeyPatch, pool_type: str
) -> None:
    """The pool has no copies, yet others need what is kept in it: the media server is asked, and the last storage stays."""
    media = rows.media_server()
    pool = rows.pool(media=media)
    first, last = (rows.storage(pool=pool) for _ in range(2))
    if pool_type == "Client defined":
        other = rows.pool(media=media, pool_type=pool_type)
        office.execute(
            "INSERT INTO client_defined_storages (name, pool_id, metadata_fs_pool_id, description) VALUES ('n', $1, $2, '')",
            other, pool,
        )  # fmt: skip
    else:
        other = rows.pool(
            media=media,
            pool_type=pool_type,
            meta_data_pool_id=pool,
            algorithm="sha2",
            hash_length=256,
            block_size=65536,
        )
    assert "It holds data" in office.delete(f"/storage_local_catalogs/{first}").json()["message"]
    monkeypatch.setattr(hosts, "EMPTY", frozenset({first, last}))

    assert office.delete("/storage_local_catalogs", {"ids": [first, last]}).status_code == 409
    assert office.delete(f"/storage_local_catalogs/{first}").status_code == 200
    answer = office.delete(f"/storage_local_catalogs/{last}")
    assert answer.status_code == 409
    name = rows.row("SELECT pool_name FROM pools WHERE id = $1", other)["pool_name"]
    assert f"the metadata of pool {name} is kept" in answer.json()["message"]
