"""Which pools can take each other's copies."""

from __future__ import annotations

from rubackup.domain.lookups import StorageType
from rubackup.services.fields import Row


def misfit(source: Row, target: Row) -> str:
    """Why a copy that lies in `source` cannot lie in `target`, as a sentence; '' when it can.

    Both rows have id, name, pool_type and the number of storages.
    """
    if source["id"] == target["id"]:
        return f"The copy is in pool {target['name']} already."
    for pool in (source, target):
        if pool["pool_type"] != StorageType.FILE_SYSTEM.label:
            return f"Pool {pool['name']} is of the type {pool['pool_type']}; copies go between pools of the type {StorageType.FILE_SYSTEM.label}."
    if not target["storages"]:
        return f"Pool {target['name']} has no storage yet; add one to storage_local_catalogs."
    return ""
