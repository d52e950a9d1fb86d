"""Block devices: the media server looks, and what is there is respected."""

from __future__ import annotations

import pytest
from samples_storage import block_pool, new_device, pool_of, posted

from support.api import Api
from support.fixtures import Stock


def refused(api: Api, status: int, **fields: object) -> str:
    """What is said to a device that cannot be taken."""
    answer = api.post("/storage_block_devices", new_device(api, **fields))
    assert answer.status_code == status, answer.text
    return str(answer.json()["errors"].get("data.device") or answer.json()["message"])


def test_what_the_media_server_found_is_shown(office: Api, rows: Stock) -> None:
    """Size, real path and signature of a new device, and where it is."""
    pool = block_pool(rows)
    device = posted(
        office,
        "storage_block_devices",
        new_device(office, device="/dev/link-to-ext4", pool=pool, overwrite_file_system=True),
    )

    shown = office.get(f"/storage_block_devices/{device}").json()["data"]

    assert (shown["device"], shown["real_path"], shown["size_bytes"]) == ("/dev/link-to-ext4", "/dev/ext4", 1 << 30)
    assert (shown["signature"], shown["overwrite_file_system"], shown["parallel_workers"]) == (
        "an ext4 file system",
        True,
        1,
    )
    assert (shown["pool_ref"], shown["kind"]) == (pool, "block device")
    assert shown["media_server_ref"] == office.get(f"/pool_list/{pool}").json()["data"]["media_server_ref"]


def test_a_known_signature_must_be_allowed_to_be_overwritten(office: Api) -> None:
    """It is named; overwrite_file_system takes the device all the same."""
    assert "ext4" in refused(office, 409, device="/dev/ext4-disk")
    posted(office, "storage_block_devices", new_device(office, device="/dev/ext4-disk", overwrite_file_system=True))


def test_a_device_in_use_is_never_taken(office: Api) -> None:
    """Not even with overwrite_file_system."""
    for overwrite in (False, True):
        assert "mounted at /home" in refused(office, 409, device="/dev/mounted", overwrite_file_system=overwrite)


def test_what_the_media_server_refuses_is_told_under_the_field(office: Api) -> None:
    """Neither nothing nor a disk that is too small becomes a storage."""
    assert "No such file" in refused(office, 400, device="/dev/refused")
    assert "4096" in refused(office, 400, device="/dev/tiny")


@pytest.mark.parametrize("device", ["", "sdb", "/dev/../sdb", "../sdb", "/dev/sd\nb"])
def test_a_device_is_an_absolute_path(office: Api, device: str) -> None:
    """The guide's empty device is a 400."""
    assert "absolute path" in refused(office, 400, device=device)


def test_a_device_is_in_one_pool_only(office: Api, rows: Stock) -> None:
    """By whatever name, as a partition or as the disk around one; on another media server it is another one."""
    media = rows.media_server()
    first, second = block_pool(rows, media=media), block_pool(rows, media=media)
    for device in ("/dev/disk7", "/dev/disk8-part1", "/dev/link-to-disk9"):
        posted(office, "storage_block_devices", new_device(office, device=device, pool=first))

    for device in ("/dev/disk7", "/dev/link-to-disk7", "/dev/disk7-part1", "/dev/disk8", "/dev/disk9"):
        assert "uses already" in refused(office, 409, device=device, pool=second), device
        assert "uses already" in refused(office, 409, device=device, pool=first, overwrite_file_system=True), device
    posted(office, "storage_block_devices", new_device(office, device="/dev/disk8-part2", pool=second))
    posted(office, "storage_block_devices", new_device(office, device="/dev/disk7"))


def test_a_device_has_one_storage_by_whatever_node_or_hard_link(office: Api, rows: Stock) -> None:
    """What the media server finds to be the same is a 409 in the same pool, in another one, and at any time."""
    media = rows.media_server()
    first, second = block_pool(rows, media=media), block_pool(rows, media=media)
    posted(office, "storage_block_devices", new_device(office, device="/dev/disk5", pool=first))

    for pool in (first, second):
        text = refused(office, 409, device="/node-of-disk5", pool=pool, overwrite_file_system=True)
        assert "lies on /dev/disk5" in text
    posted(office, "storage_block_devices", new_device(office, device="/node-of-disk6", pool=second))


def test_a_file_in_the_folder_of_a_pool_is_not_taken(office: Api, rows: Stock) -> None:
    """It may be part of copies."""
    media = rows.media_server()
    storage = rows.storage(pool=rows.pool(media=media))
    path = rows.named("storage_local_catalogs", storage, "path")

    assert "folder of a pool" in refused(office, 409, device=f"{path}/packs/one", pool=block_pool(rows, media=media))


def test_a_folder_around_a_device_becomes_no_storage(office: Api, rows: Stock) -> None:
    """Its file may hold blocks of copies; a folder beside it is free."""
    media = rows.media_server()
    posted(office, "storage_block_devices", new_device(office, device="/img/a/one", pool=block_pool(rows, media=media)))
    pool = rows.pool(media=media)

    for path, status in (("/img/a", 409), ("/", 409), ("/img/a/one", 409), ("/img/b", 201)):
        answer = office.post("/storage_local_catalogs", {"data": {"path": path, "pool": pool, "description": ""}})
        assert answer.status_code == status, path


def test_a_device_needs_a_pool_of_its_type(office: Api, rows: Stock) -> None:
    """Pools of other types, and unknown ones, are told with a wrong device at once."""
    for pool in (rows.pool(), pool_of(rows, "Cloud"), "no such"):
        answer = office.post("/storage_block_devices", new_device(office, pool=pool, device=""))
        assert answer.json()["errors"].keys() == {"data.pool", "data.device"}


@pytest.mark.parametrize("workers", [0, 65, "2", None])
def test_parallel_workers_are_1_to_64(office: Api, workers: object) -> None:
    """Others are told with the range."""
    device = posted(office, "storage_block_devices", new_device(office))

    answer = office.patch(f"/storage_block_devices/{device}", {"data": {"parallel_workers": workers}})

    assert "from 1 to 64" in answer.json()["errors"]["data.parallel_workers"]


def test_a_deleted_device_is_free_again(office: Api) -> None:
    """Its pool held nothing on it."""
    device = posted(office, "storage_block_devices", new_device(office, device="/dev/once"))
    body = new_device(office, device="/dev/once")
    assert office.delete(f"/storage_block_devices/{device}").status_code == 200

    posted(office, "storage_block_devices", body)


def test_a_device_is_made_ready_and_its_uuid_kept(office: Api, rows: Stock) -> None:
    """The media server gave it; a device that could not be made ready is no row."""
    pool = block_pool(rows)
    device = posted(office, "storage_block_devices", new_device(office, device="/dev/one", pool=pool))

    shown = office.get(f"/storage_block_devices/{device}").json()["data"]
    assert len(shown["uuid"]) == 36
    assert "not reported yet" in shown["problem"]
    assert "in use" in refused(office, 409, device="/dev/raced")
    assert "did not answer" in refused(office, 503, device="/dev/silent")
    assert office.get("/storage_block_devices").json()["data"]["total"] == 1


def test_a_device_with_data_leaves_its_pool_no_more(office: Api, rows: Stock, monkeypatch: pytest.MonkeyPatch) -> None:
    """The media server is asked once the pool has copies."""
    pool = block_pool(rows)
    device = posted(office, "storage_block_devices", new_device(office, pool=pool))
    rows.record(pool=pool)

    answer = office.delete(f"/storage_block_devices/{device}")
    monkeypatch.setattr("support.hosts.EMPTY", frozenset({device}))

    assert (answer.status_code, "holds data" in answer.json()["message"]) == (409, True)
    assert office.delete(f"/storage_block_devices/{device}").status_code == 200


def test_maintainers_add_devices_to_own_pools(rows: Stock) -> None:
    """A pool of another media server is unknown; administrators look only."""
    media = rows.media_server()
    caller = rows.maintainer(media)

    good = caller.post("/storage_block_devices", new_device(rows.api, pool=block_pool(rows, media=media)))
    foreign = caller.post("/storage_block_devices", new_device(rows.api))

    assert good.status_code == 201
    assert foreign.json()["errors"] == {"data.pool": "unknown pool."}
    administrator = rows.administrator(rows.client_group())
    assert administrator.get("/storage_block_devices").json()["data"]["total"] == 1
    assert administrator.post("/storage_block_devices", new_device(rows.api)).status_code == 403
