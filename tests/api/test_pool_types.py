"""Pools of every type, and which of them a copy can go into."""

from __future__ import annotations

from typing import Any

import pytest
from samples import backup_body, new_pool
from samples_storage import (
    block_pool,
    keyed_media,
    new_client_storage,
    new_cloud,
    new_device,
    new_substitution,
    pool_of,
    posted,
)

from rubackup.domain.pools import BLOCK_SIZES, HASH_LENGTHS
from support.api import Api
from support.fixtures import Stock

OTHERS = ("Tape library",)
GUIDE = {
    "pool_name": "my_pool_name", "pool_type": "Block device", "media_server": "rubackup-server",
    "compression_type": "None", "description": "", "retention_period": "1 year", "ignore_free_space_check": False,
    "algorithm": "streebog", "block_size": 131072, "hash_length": 256, "meta_data_pool": "Default",
}  # fmt: skip
"""The guide's body of POST /pool_list, letter for letter."""


def default_pool(rows: Stock) -> int:
    """The media server and the pool that the guide's body names."""
    media = rows.media_server()
    rows.api.execute("UPDATE media_servers SET hostname = 'rubackup-server' WHERE id = $1", media)
    return rows.pool(media=media, pool_name="Default")


def block_body(rows: Stock, **fields: Any) -> dict[str, Any]:
    """A good body for a pool of the type Block device."""
    media = rows.media_server()
    metadata = rows.pool(media=media)
    return new_pool(
        rows.api, pool_type="Block device", **({"media_server": media, "meta_data_pool": metadata} | fields)
    )


def test_the_guides_block_device_pool_is_made_and_read_back(office: Api, rows: Stock) -> None:
    """Every key of the body comes back with the same text."""
    metadata = default_pool(rows)

    pool = posted(office, "pool_list", {"data": GUIDE})

    shown = office.get(f"/pool_list/{pool}").json()["data"]
    assert {key: shown[key] for key in GUIDE} == GUIDE
    assert shown["meta_data_pool_ref"] == metadata


@pytest.mark.parametrize("pool_type", ["Tape library", "Cloud", "Client defined"])
def test_what_does_not_fit_the_type_is_ignored_right_or_wrong(office: Api, rows: Stock, pool_type: str) -> None:
    """Block parameters mean nothing to these types."""
    wrong = {"algorithm": 5, "block_size": "huge", "hash_length": -1, "meta_data_pool": ["?"]}

    pool = posted(office, "pool_list", new_pool(office, pool_type=pool_type, **wrong))

    shown = office.get(f"/pool_list/{pool}").json()["data"]
    assert shown["pool_type"] == pool_type
    assert [shown[key] for key in wrong] == [None] * 4


@pytest.mark.parametrize("wrong", ["no such", 7, None, ["fast"]])
def test_compression_is_ignored_for_types_that_have_none(office: Api, rows: Stock, wrong: Any) -> None:
    """For Block device and Client defined, in a new pool and in a change; the other types refuse a wrong one."""
    bodies = [block_body(rows, compression_type=wrong)]
    bodies.append(new_pool(office, pool_type="Client defined", compression_type=wrong))
    for body in bodies:
        pool = posted(office, "pool_list", body)
        assert office.patch(f"/pool_list/{pool}", {"data": {"compression_type": wrong}}).status_code == 200
        assert office.get(f"/pool_list/{pool}").json()["data"]["compression_type"] == "None"
    for pool_type in ("File system", "Cloud", "Tape library"):
        answer = office.post("/pool_list", new_pool(office, pool_type=pool_type, compression_type=wrong))
        assert answer.json()["errors"].keys() == {"data.compression_type"}
    answer = office.patch(f"/pool_list/{rows.pool()}", {"data": {"compression_type": wrong}})
    assert answer.json()["errors"].keys() == {"data.compression_type"}


def test_every_pair_of_algorithm_and_length_is_taken_and_no_other(office: Api, rows: Stock) -> None:
    """A wrong length is told with those that the algorithm has."""
    for algorithm, lengths in HASH_LENGTHS.items():
        for length in (160, 256, 512, 257, 256.0, "256", True, [256]):
            answer = office.post("/pool_list", block_body(rows, algorithm=algorithm, hash_length=length))
            good = type(length) is int and length in lengths
            assert answer.status_code == (201 if good else 400), (algorithm, length)
            if not good:
                assert all(str(one) in answer.json()["errors"]["data.hash_length"] for one in lengths)


def test_what_is_left_out_of_a_block_device_pool_has_a_default(office: Api, rows: Stock) -> None:
    """Only the metadata's pool must be named; the length follows the algorithm."""
    pool = posted(office, "pool_list", block_body(rows))
    old = posted(office, "pool_list", block_body(rows, algorithm="sha1"))

    shown = office.get(f"/pool_list/{pool}").json()["data"]
    assert (shown["algorithm"], shown["hash_length"], shown["block_size"]) == ("sha2", 256, 131072)
    assert office.get(f"/pool_list/{old}").json()["data"]["hash_length"] == 160


@pytest.mark.parametrize("size", [0, 8192, 16385, 100_000, 2**21, True, "131072", 131072.0, 2**70])
def test_a_block_is_a_power_of_two_from_16_kib_to_1_mib(office: Api, rows: Stock, size: Any) -> None:
    """Anything else is a 400 that lists them."""
    answer = office.post("/pool_list", block_body(rows, block_size=size))

    assert answer.json()["errors"].keys() == {"data.block_size"}
    assert all(str(one) in answer.json()["errors"]["data.block_size"] for one in BLOCK_SIZES)


def test_metadata_lie_in_a_file_system_pool_of_the_same_media_server(office: Api, rows: Stock) -> None:
    """No pool, another type, another media server, an unknown pool and what is no name are told under the field."""
    media = rows.media_server()
    wrong = (None, "", rows.pool(), rows.pool(media=media, pool_type="Cloud"), "no such", 2**70, True, ["a"], 0)
    for value in wrong:
        answer = office.post("/pool_list", block_body(rows, media_server=media, meta_data_pool=value))
        assert answer.status_code == 400, value
        assert answer.json()["errors"].keys() == {"data.meta_data_pool"}, value


def test_every_wrong_field_of_a_block_device_pool_is_told(office: Api) -> None:
    """All at once."""
    answer = office.post(
        "/pool_list",
        new_pool(
            office, pool_type="Block device", algorithm="md5", block_size=1, hash_length=1, retention_period="soon"
        ),
    )

    assert answer.json()["errors"].keys() == {
        "data.algorithm", "data.block_size", "data.meta_data_pool", "data.retention_period",
    }  # fmt: skip
    assert "streebog" in answer.json()["errors"]["data.algorithm"]


@pytest.mark.parametrize("pool_type", OTHERS)
def test_a_pool_that_is_not_written_says_so_and_takes_no_backup(office: Api, rows: Stock, pool_type: str) -> None:
    """Its problem names the type; a backup into it is a 400 and no task is made."""
    pool = rows.pool(pool_type=pool_type)

    assert pool_type in office.get(f"/pool_list/{pool}").json()["data"]["problem"]
    answer = office.post("/task_queue", backup_body(office, pool=pool))
    assert (answer.status_code, answer.json()["errors"].keys()) == (400, {"data.task.pool"})
    assert office.get("/task_queue").json()["data"]["total"] == 0


def test_a_pool_cannot_name_metadata_out_of_scope(rows: Stock) -> None:
    """A maintainer's own media server is needed for both."""
    own = rows.media_server()
    caller = rows.maintainer(own)
    good = block_body(rows, media_server=own, meta_data_pool=rows.pool(media=own))
    foreign = block_body(rows, media_server=own, meta_data_pool=rows.pool())

    assert caller.post("/pool_list", good).status_code == 201
    assert caller.post("/pool_list", foreign).json()["errors"] == {"data.meta_data_pool": "unknown pool."}


def test_the_size_of_a_block_device_pool_is_that_of_its_devices(office: Api, rows: Stock) -> None:
    """Two of 1 GiB make 2 GiB."""
    pool = block_pool(rows)
    for _ in range(2):
        posted(office, "storage_block_devices", new_device(office, pool=pool))

    assert office.get(f"/pool_list/{pool}").json()["data"]["total_bytes"] == 2 << 30


def test_whatever_uses_a_pool_keeps_it_and_is_named(office: Api, rows: Stock) -> None:
    """Devices, clouds, storages of clients, metadata, substitutions, dynamic groups, clients' own pools."""
    metadata = rows.row("SELECT meta_data_pool_id AS id FROM pools WHERE id = $1", block_pool(rows))["id"]
    device, cloud, storage = new_device(office), new_cloud(office), new_client_storage(office)
    substitution = new_substitution(office)
    posted(office, "storage_block_devices", device)
    posted(office, "storage_clouds", cloud)
    posted(office, "client_defined_storages", storage)
    number = posted(office, "pool_substitution", substitution)
    group = posted(office, "dynamic_pool_groups", {"data": {"name": "spread"}})
    grouped, local = rows.pool(), rows.pool()
    posted(office, "dynamic_pool_groups_records", {"data": {"dynamic_pool_group": group, "pool": grouped}})
    client = rows.client(ls_pool_id=local)
    used = [
        (device["data"]["pool"], device["data"]["device"]),
        (cloud["data"]["pool"], cloud["data"]["name"]),
        (storage["data"]["pool"], "client-defined storage"),
        (storage["data"]["metadata_fs_pool"], "client-defined storage"),
        (substitution["data"]["pool"], f"pool substitution {number}"),
        (substitution["data"]["substitution"], f"pool substitution {number}"),
        (metadata, "metadata"),
        (grouped, "spread"),
        (local, f"client {client}"),
    ]
    for pool, named in used:
        row = pool if isinstance(pool, int) else rows.row("SELECT id FROM pools WHERE pool_name = $1", pool)["id"]
        answer = office.delete(f"/pool_list/{row}")
        assert answer.status_code == 409, named
        assert named in answer.json()["message"]


def test_a_pool_of_many_copies_names_a_few(office: Api, rows: Stock) -> None:
    """The refusal stays a sentence."""
    pool = rows.pool()
    for _ in range(8):
        rows.record(pool=pool)

    assert office.delete(f"/pool_list/{pool}").json()["message"].count("copy ") == 5


# --- available_for_copy_or_move ---


def available(caller: Api, **query: Any) -> set[int]:
    """The ids of the pools that are listed."""
    answer = caller.get("/pool_list/available_for_copy_or_move", params=query)
    assert answer.status_code == 200, answer.text
    return {row["id"] for row in answer.json()["data"]["items"]}


def test_pools_that_take_copies_are_written_and_have_a_storage(office: Api, rows: Stock) -> None:
    """Pools without a storage and pools of other types are left out."""
    usable = rows.pool_with_storage()
    rows.pool()
    block_pool(rows)
    pool_of(rows, "Cloud")

    assert available(office) == {usable}


def test_copies_go_between_folders_and_buckets_and_between_devices_of_one_kind(office: Api, rows: Stock) -> None:
    """In both directions; blocks only where they are cut and named alike."""
    media = keyed_media(rows)
    files, cloud = rows.pool_with_storage(media=media), pool_of(rows, "Cloud", media=media)
    blocks, alike = block_pool(rows, media=media), block_pool(rows, media=media)
    other = block_pool(rows, media=media, block_size=16384)
    posted(office, "storage_clouds", new_cloud(office, pool=cloud))
    for pool in (blocks, alike, other):
        posted(office, "storage_block_devices", new_device(office, pool=pool))

    assert available(office) == {files, cloud, blocks, alike, other}
    assert (available(office, pool=files), available(office, pool=cloud)) == ({cloud}, {files})
    assert (available(office, pool=blocks), available(office, pool=other)) == ({alike}, set())


def test_backups_go_into_pools_of_devices_and_buckets(office: Api, rows: Stock) -> None:
    """Once they have a storage; without one the family is named to which it is added."""
    media = keyed_media(rows)
    for pool, family, storage in (
        (block_pool(rows, media=media), "storage_block_devices", new_device),
        (pool_of(rows, "Cloud", media=media), "storage_clouds", new_cloud),
    ):
        refused = office.post("/task_queue", backup_body(office, pool=pool))
        posted(office, family, storage(office, pool=pool))

        assert family in refused.json()["errors"]["data.task.pool"]
        assert office.post("/task_queue", backup_body(office, pool=pool)).status_code == 201


def test_a_source_narrows_the_pools_to_those_that_fit(office: Api, rows: Stock) -> None:
    """By pool (name or id) or by copy: its own pool is left out; what is stored as blocks fits into no other type."""
    source, target, blocks = rows.pool_with_storage(), rows.pool_with_storage(), block_pool(rows)
    record = rows.record(pool=source)
    name = rows.named("pools", source, "pool_name")

    assert available(office) == {source, target}
    assert available(office, pool=name) == available(office, pool=source) == {target}
    assert available(office, record_id=record) == {target}
    assert available(office, pool=blocks) == set()
    assert available(office, pool=source, filter_data=f'id="{source}"') == set()


def test_a_wrong_source_is_named(office: Api, rows: Stock) -> None:
    """Unknown ones, both at once, and what is no number."""
    pool = rows.pool()
    for query, field in (
        ({"pool": "no such"}, "pool"), ({"record_id": 2**40}, "record_id"), ({"record_id": "x"}, "record_id"),
        ({"pool": pool, "record_id": 1}, "record_id"), ({"source": pool}, "source"),
    ):  # fmt: skip
        answer = office.get("/pool_list/available_for_copy_or_move", params=query)
        assert (answer.status_code, answer.json()["errors"].keys()) == (400, {field}), query


def test_sources_out_of_scope_are_unknown(rows: Stock) -> None:
    """A maintainer asks about pools and copies of own media servers, and sees own pools."""
    media = rows.media_server()
    own, other = rows.pool_with_storage(media=media), rows.pool_with_storage()
    second = rows.pool_with_storage(media=media)
    caller = rows.maintainer(media)

    assert available(caller) == {own, second}
    assert available(caller, record_id=rows.record(pool=own)) == {second}
    for query in ({"pool": other}, {"record_id": rows.record(pool=other)}):
        assert caller.get("/pool_list/available_for_copy_or_move", params=query).status_code == 400
