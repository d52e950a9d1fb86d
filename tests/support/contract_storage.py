"""Contract rows: pools of every type, their storages, substitutions, dynamic groups."""

from __future__ import annotations

from typing import Any

import httpx

from support.office import Office, example, unique
from support.rows import Call, Row, Rows, crud, data_of

# --- pools ---


def _new_pool(office: Office) -> Any:
    """The guide's own: a pool of the type Block device."""
    return example("POST", "/pool_list", pool_name=unique("pool"), media_server=office.media)


def _available(office: Office, _call: Call, answer: httpx.Response) -> None:
    assert "Default" in [row["pool_name"] for row in data_of(answer)["items"]]


def _device(office: Office) -> Any:
    file = office.folder / unique("device")
    file.write_bytes(bytes(1 << 20))
    pool = office.pool("Block device")
    return example("POST", "/storage_block_devices", device=str(file), pool=pool)


def _defined(office: Office) -> Any:
    pool = office.pool("Client defined")
    return example("POST", "/client_defined_storages", pool=pool, metadata_fs_pool="Default")


def _catalogue(office: Office) -> Any:
    pool = office.pool(compression_type="fast")
    return example("POST", "/storage_local_catalogs", path=str(office.folder / unique("storage")), pool=pool)


ROWS: Rows = {
    **crud(
        "/pool_list",
        _new_pool,
        lambda _o, _id: example("PATCH", "/pool_list/{id}", pool_name=unique("pool")),
        make=lambda o: o.items("/pool_list", filter_data=f'pool_name="{o.pool()}"')[0]["id"],
    ),
    ("GET", "/pool_list/available_for_copy_or_move"): Row(
        lambda _o: Call("/pool_list/available_for_copy_or_move"), _available,
        absent=lambda _o: Call("/pool_list/available_for_nothing"),
    ),
    **crud(
        "/storage_block_devices", _device, lambda _o, _id: example("PATCH", "/storage_block_devices/{id}", description="d")
    ),
    **crud(
        "/client_defined_storages",
        _defined,
        lambda o, _id: example("PATCH", "/client_defined_storages/{id}", metadata_fs_pool=o.second_pool, name=unique("s")),
    ),
    **crud(
        "/storage_local_catalogs", _catalogue, lambda _o, _id: example("PATCH", "/storage_local_catalogs/{id}", description="d")
    ),
    **crud("/pool_substitution", lambda o: example("POST", "/pool_substitution", pool=o.pool("File system"), substitution="Default")),
    **crud(
        "/dynamic_pool_groups",
        lambda _o: example("POST", "/dynamic_pool_groups", name=unique("dynamic")),
        lambda _o, _id: example("PATCH", "/dynamic_pool_groups/{id}", name=unique("dynamic"), max_cpu_usage=70),
    ),
    **crud(
        "/dynamic_pool_groups_records",
        lambda o: example(
            "POST", "/dynamic_pool_groups_records", pool=o.pool("File system"),
            dynamic_pool_group=o.made("/dynamic_pool_groups", example("POST", "/dynamic_pool_groups", name=unique("dynamic"))),
        ),
    ),
}  # fmt: skip
