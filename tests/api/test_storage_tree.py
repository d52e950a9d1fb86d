"""The tree of media servers with storages of every family."""

from __future__ import annotations

from typing import Any

from samples import new_pool
from samples_storage import block_pool, keyed_media, new_client_storage, new_cloud, new_device, pool_of, posted

from rubackup.services.pools import PoolReport, StorageReport, report
from support.api import Api
from support.fixtures import Stock


def tree(caller: Api) -> dict[int, dict[str, Any]]:
    """The pools of the tree by id."""
    servers = caller.get("/media_servers/tree").json()["data"]["media_servers"]
    return {pool["id"]: pool for server in servers for pool in server["pools"]}


def test_storages_of_every_family_stand_under_their_pools(office: Api, rows: Stock) -> None:
    """Each with its family, its id there and what it is called; pools without any are there, too."""
    media = keyed_media(rows)
    files = rows.pool_with_storage(media=media)
    blocks, cloud = block_pool(rows, media=media), pool_of(rows, "Cloud", media=media)
    client, tape = pool_of(rows, "Client defined", media=media), pool_of(rows, "Tape library", media=media)
    made = {
        blocks: ("storage_block_devices", new_device(office, pool=blocks, device="/dev/one")),
        client: (
            "client_defined_storages",
            new_client_storage(office, pool=client, metadata_fs_pool=files, name="own"),
        ),
        cloud: ("storage_clouds", new_cloud(office, pool=cloud, prefix="p")),
    }
    expected = {pool: (family, posted(office, family, body)) for pool, (family, body) in made.items()}

    shown = tree(office)

    for pool, (family, row) in expected.items():
        (leaf,) = shown[pool]["storages"]
        assert (leaf["family"], leaf["id"]) == (family, row)
        told = "not reported yet" if pool in {blocks, cloud} else "No client has told of a folder"
        assert told in shown[pool]["problem"]
    assert shown[blocks]["storages"][0]["path"] == "/dev/one"
    assert shown[blocks]["total_bytes"] == shown[blocks]["storages"][0]["total_bytes"] == 1 << 30
    assert shown[cloud]["storages"][0]["path"] == "https://s3.example.org:9000/backups/p"
    assert shown[client]["storages"][0]["path"] == "own"
    assert [leaf["family"] for leaf in shown[files]["storages"]] == ["storage_local_catalogs"]
    assert shown[tape]["storages"] == []


def test_a_folder_shows_how_full_it_is(office: Api, rows: Stock) -> None:
    """As its media server reported, in the tree and in the list; a stranger's report changes nothing."""
    media = rows.media_server()
    pool = rows.pool(media=media)
    storage = rows.storage(pool=pool)
    assert "not reported" in tree(office)[pool]["storages"][0]["problem"]
    fill = StorageReport(id=storage, problem="its disk is gone", free_bytes=3, used_bytes=2, total_bytes=5)
    state = PoolReport(
        id=pool, problem="", free_bytes=3, used_bytes=2, total_bytes=5, chunks=1, storages=(fill,)
    )  # fmt: skip

    office.run(report(office.database, rows.named("media_servers", rows.media_server(), "hwid"), [state]))
    assert "not reported" in tree(office)[pool]["storages"][0]["problem"]
    for _ in range(2):
        office.run(report(office.database, rows.named("media_servers", media, "hwid"), [state]))

    listed = office.get(f"/storage_local_catalogs/{storage}").json()["data"]
    for shown in (tree(office)[pool]["storages"][0], listed):
        told = {key: shown[key] for key in ("problem", "free_bytes", "used_bytes", "total_bytes")}
        assert told == {"problem": "its disk is gone", "free_bytes": 3, "used_bytes": 2, "total_bytes": 5}


def test_a_problem_comes_with_a_code(office: Api, rows: Stock) -> None:
    """As its media server told it; programs go by that."""
    media = rows.media_server()
    pool = rows.pool(media=media)
    hwid = rows.named("media_servers", media, "hwid")
    for code, problem, expected in (("unusable", "No disk.", "unusable"), ("", "Something.", "other"), ("", "", "")):
        state = PoolReport(id=pool, problem=problem, code=code, free_bytes=0, used_bytes=0, total_bytes=0, chunks=0)
        office.run(report(office.database, hwid, [state]))
        row = office.get(f"/pool_list/{pool}").json()["data"]
        assert (row["problem"], row["problem_code"]) == (problem, expected)


def test_a_maintainer_sees_own_storages_in_the_tree(rows: Stock) -> None:
    """Those of other media servers do not exist."""
    media = rows.media_server()
    own = block_pool(rows, media=media)
    posted(rows.api, "storage_block_devices", new_device(rows.api))

    assert own in tree(rows.maintainer(media))
    assert len(tree(rows.maintainer(media))) == 2


def test_media_servers_with_a_pool_of_tapes_are_listed(office: Api, rows: Stock) -> None:
    """As soon as such a pool is made; others are not."""
    path = "/media_servers/filtered_by_tape_library_pool"
    media, other = rows.media_server(), rows.media_server()
    assert office.get(path).json()["data"]["total"] == 0

    posted(office, "pool_list", new_pool(office, pool_type="Tape library", media_server=media))
    posted(office, "pool_list", new_pool(office, pool_type="Cloud", media_server=other))

    assert [row["id"] for row in office.get(path).json()["data"]["items"]] == [media]


def test_devices_and_buckets_show_how_they_are(office: Api, rows: Stock) -> None:
    """By the ids of their own families: a storage of another family with the same id is another one."""
    media = keyed_media(rows)
    hwid = rows.named("media_servers", media, "hwid")
    blocks, cloud = block_pool(rows, media=media), pool_of(rows, "Cloud", media=media)
    device = posted(office, "storage_block_devices", new_device(office, pool=blocks))
    bucket = posted(office, "storage_clouds", new_cloud(office, pool=cloud))

    def state(pool: int, storage: int, used: int) -> PoolReport:
        fill = StorageReport(id=storage, problem="told", free_bytes=3, used_bytes=used, total_bytes=5)
        return PoolReport(id=pool, problem="", free_bytes=3, used_bytes=used, total_bytes=5, chunks=1, storages=(fill,))

    office.run(report(office.database, hwid, [state(blocks, device, 7), state(cloud, bucket, 8)]))
    before = [row["total"] for row in office.fetch("SELECT count(*) AS total FROM storage_state")]
    office.run(report(office.database, hwid, [state(blocks, bucket + 100, 9), state(cloud, device + 100, 9)]))

    listed = office.get(f"/storage_block_devices/{device}").json()["data"]
    assert (listed["problem"], listed["free_bytes"], listed["used_bytes"], listed["size_bytes"]) == (
        "told",
        3,
        7,
        1 << 30,
    )
    listed = office.get(f"/storage_clouds/{bucket}").json()["data"]
    assert (listed["problem"], listed["used_bytes"]) == ("told", 8)
    (leaf,) = tree(office)[blocks]["storages"]
    assert (leaf["problem"], leaf["free_bytes"], leaf["used_bytes"], leaf["total_bytes"]) == ("told", 3, 7, 5)
    (leaf,) = tree(office)[cloud]["storages"]
    assert (leaf["problem"], leaf["free_bytes"], leaf["used_bytes"], leaf["total_bytes"]) == ("told", None, 8, None)
    assert before == [0]
    assert office.get(f"/pool_list/{blocks}").json()["data"]["total_bytes"] == 5
