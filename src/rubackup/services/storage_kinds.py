"""Storages of every kind that pools are written to, as SQL."""

from __future__ import annotations

from rubackup.domain.pools import BLOCK_DEVICE, CLIENT_DEFINED, CLOUD, FILE_SYSTEM

FAMILIES = {
    FILE_SYSTEM: "storage_local_catalogs",
    BLOCK_DEVICE: "storage_block_devices",
    CLOUD: "storage_clouds",
    CLIENT_DEFINED: "client_defined_storages",
}
"""Where the storages of a pool are, by the pool's type."""

COUNT = """((SELECT count(*) FROM storage_local_catalogs k WHERE k.pool_id = p.id)
        + (SELECT count(*) FROM storage_block_devices k WHERE k.pool_id = p.id)
        + (SELECT count(*) FROM storage_clouds k WHERE k.pool_id = p.id)
        + (SELECT count(*) FROM client_defined_storages k WHERE k.pool_id = p.id))"""
"""How many storages pool `p` has."""
CLOUD_LABEL = "rtrim(s.endpoint || '/' || s.bucket || '/' || s.prefix, '/')"
"""What cloud storage `s` is called, by people and by the media server."""
STATES = {
    "storage_local_catalogs": "storage_state",
    "storage_block_devices": "storage_block_device_state",
    "storage_clouds": "storage_cloud_state",
}
"""Where it is kept how the storages of a family are, as their media server tells it."""
