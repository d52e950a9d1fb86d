"""Samples of the inherited suite: storage."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rubackup.domain.permissions import Role
from rubackup.wire import pki
from support.api import Api
from support.fixtures import Stock, stock
from support.samples import Samples, unique

MAINTAINER = frozenset({Role.MAINTAINER})


def pool_of(here: Stock, pool_type: str, *, media: int | None = None) -> int:
    """A pool of a type other than Block device, on a media server with a real key."""
    return here.pool(pool_type=pool_type, media=media or keyed_media(here))


def keyed_media(here: Stock, key: bytes | None = None) -> int:
    """A media server whose certificate request is a real one; `key`: its private key."""
    media = here.media_server()
    csr = pki.make_csr(key or pki.new_key_pem(), "media")
    here.api.execute(
        "UPDATE media_servers SET csr_pem = $2, fingerprint = $3 WHERE id = $1", media, csr, pki.csr_fingerprint(csr)
    )
    return media


def block_pool(here: Stock, *, media: int | None = None, **fields: Any) -> int:
    """A pool of the type Block device, with a pool for its metadata."""
    media = media or here.media_server()
    blocks = {
        "algorithm": "sha2",
        "hash_length": 256,
        "block_size": 131072,
        "meta_data_pool_id": here.pool(media=media),
    }
    return here.pool(media=media, pool_type="Block device", **(blocks | fields))


def pool_name(here: Stock, pool: int) -> str:
    """The name of a pool."""
    return here.named("pools", pool, "pool_name")


def new_device(api: Api, **fields: Any) -> dict[str, Any]:
    """A good body of POST /storage_block_devices."""
    here = stock(api)
    device = {
        "device": f"/dev/{unique('disk')}", "pool": pool_name(here, block_pool(here)), "overwrite_file_system": False,
        "description": "",
    }  # fmt: skip
    return {"data": device | fields}


def client_media(here: Stock) -> int:
    """The media server of all storages of clients in this database, so that a change can name its pools."""
    known = here.api.fetch("SELECT min(media_server_id) AS id FROM pools WHERE pool_type = 'Client defined'")
    return known[0]["id"] or here.media_server()


def new_client_storage(api: Api, **fields: Any) -> dict[str, Any]:
    """A good body of POST /client_defined_storages: the guide's, with pools that are there."""
    here = stock(api)
    pool = pool_of(here, "Client defined", media=client_media(here))
    metadata = here.pool(media=client_media(here))
    storage = {
        "pool": pool_name(here, pool), "metadata_fs_pool": pool_name(here, metadata), "name": "", "description": "",
    }  # fmt: skip
    return {"data": storage | fields}


def new_cloud(api: Api, **fields: Any) -> dict[str, Any]:
    """A good body of POST /storage_clouds."""
    here = stock(api)
    cloud = {
        "pool": pool_name(here, pool_of(here, "Cloud")), "name": unique("cloud"),
        "endpoint": "https://s3.example.org:9000", "region": "ru-central1", "bucket": "backups",
        "prefix": f"rubackup/{unique('p')}", "access_key": "AKEXAMPLE", "secret_key": "the secret", "ca_file": "",
        "object_lock": "none", "description": "",
    }  # fmt: skip
    return {"data": cloud | fields}


def new_substitution(api: Api) -> dict[str, Any]:
    """A good body of POST /pool_substitution: the guide's, with pools that are there."""
    here = stock(api)
    return {"data": {"pool": pool_name(here, here.pool()), "substitution": pool_name(here, here.pool())}}


def new_group(**fields: Any) -> dict[str, Any]:
    """A good body of POST /dynamic_pool_groups: the guide's, with a name."""
    group = {
        "name": unique("dynamic group"), "max_pool_tasks": 10, "max_media_server_tasks": 10, "max_cpu_usage": 80,
        "max_in_block_operations": 0, "max_out_block_operations": 0, "calculation_period": 10, "description": "",
    }  # fmt: skip
    return {"data": group | fields}


def posted(api: Api, family: str, body: dict[str, Any]) -> int:
    """The id of the row that a body makes."""
    answer = api.post(f"/{family}", body)
    assert answer.status_code == 201, answer.text
    return int(answer.headers["location"].rpartition("/")[2])


def three(family: str, body: Callable[[Api], dict[str, Any]]) -> Callable[[Api], list[int]]:
    """Three rows of a family."""
    return lambda api: [posted(api, family, body(api)) for _ in range(3)]


def dynamic_group(api: Api) -> int:
    """A dynamic pool group without pools."""
    return posted(api, "dynamic_pool_groups", new_group())


def new_record(api: Api, **fields: Any) -> dict[str, Any]:
    """A good body of POST /dynamic_pool_groups_records: the guide's, with rows that are there."""
    here = stock(api)
    record = {"dynamic_pool_group": dynamic_group(api), "pool": pool_name(here, here.pool()), "enabled": True}
    return {"data": record | fields}


def other_metadata(api: Api) -> dict[str, Any]:
    """A change that names another pool for the metadata."""
    here = stock(api)
    return {"data": {"metadata_fs_pool": pool_name(here, here.pool(media=client_media(here)))}}


SAMPLES: dict[str, Samples] = {
    "client_defined_storages": Samples(
        rows=three("client_defined_storages", new_client_storage),
        create=lambda api: [new_client_storage(api), new_client_storage(api, name="own", description="x")],
        update=lambda api: [
            {"data": {"name": "", "description": "z"}},
            {"data": {"name": unique("storage")}},
            other_metadata(api),
        ],
        foreign=MAINTAINER,
    ),
    "dynamic_pool_groups": Samples(
        rows=three("dynamic_pool_groups", lambda _api: new_group()),
        create=lambda _api: [new_group(), new_group(max_cpu_usage=0, max_in_block_operations=10**6)],
        update=lambda _api: [
            new_group(name=unique("renamed")),
            {"data": {"max_pool_tasks": 0, "max_media_server_tasks": 1, "calculation_period": 60}},
            {"data": {"max_cpu_usage": 100, "max_in_block_operations": 5, "max_out_block_operations": 6}},
        ],
        foreign=frozenset(),  # a group without pools is nobody's yet; tests/api/test_pool_groups.py has the scope
    ),
    "dynamic_pool_groups_records": Samples(
        rows=three("dynamic_pool_groups_records", new_record),
        create=lambda api: [new_record(api), new_record(api, enabled=False)],
        foreign=MAINTAINER,
    ),
    "pool_substitution": Samples(
        rows=three("pool_substitution", new_substitution),
        create=lambda api: [new_substitution(api)],
        foreign=MAINTAINER,
    ),
    "storage_block_devices": Samples(
        rows=three("storage_block_devices", new_device),
        create=lambda api: [new_device(api), new_device(api, device="/dev/ext4", overwrite_file_system=True)],
        update=lambda _api: [{"data": {"description": "", "parallel_workers": 2}}, {"data": {"description": "z"}}],
        foreign=MAINTAINER,
    ),
    "storage_clouds": Samples(
        rows=three("storage_clouds", new_cloud),
        create=lambda api: [new_cloud(api), new_cloud(api, object_lock="compliance", region="", ca_file="/etc/ca.pem")],
        update=lambda _api: [
            {"data": {"name": unique("cloud"), "endpoint": "https://s3", "region": "eu", "bucket": unique("bucket")}},
            {"data": {"prefix": unique("p"), "access_key": "other", "secret_key": "another secret"}},
            {"data": {"ca_file": "/etc/own.pem", "object_lock": "governance", "description": "z"}},
        ],
        unread=frozenset({"secret_key"}),
        foreign=MAINTAINER,
    ),
}
