"""Metafiles of a pool's devices, and other pools' metafiles that are kept in this one.

With its metafile the directory of a device is found again when it is lost: `docs/design/pools.md`, Metafile and rebuild.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from rubackup.chunkstore.backends.block import BlockBackend
from rubackup.chunkstore.storage import Storage, Storages
from rubackup.domain.errors import NotFound

FOLDER: Final = "metafiles"
_SUFFIX: Final = ".metafile"


class Metafile(NamedTuple):
    """That of one device, as it would be now."""

    device: str
    """Uuid of the device, in hex."""
    label: str
    version: tuple[int, int]
    """Another one after each change of the device's directory."""
    read: Callable[[], bytes]


def metafiles_of(storages: Storages) -> list[Metafile]:
    """Those of the devices that are there."""
    found = [
        (one.backend.label, one.backend) for one in storages.all if isinstance(one.backend, BlockBackend) and one.bound
    ]
    return [Metafile(device.uuid.hex(), label, device.version, device.metafile) for label, device in found]


def file_name(device: str) -> str:
    """The name of a kept metafile."""
    return f"{FOLDER}/{device}{_SUFFIX}"


def is_kept(storages: Storages, device: str) -> bool:
    """Whether the metafile of a device is in one of these storages."""
    return _where(storages, device) is not None


def keep(storages: Storages, device: str, data: bytes) -> str:
    """Keep a metafile, in place of the one before it, which is there until the new one is durable; where it is."""
    storage = _where(storages, device) or storages.room_for(len(data), emergency=False)
    backend, name = storage.backend, file_name(device)
    growing = f"{FOLDER}/{device}.open"
    backend.delete(growing)  # what a crash has left
    file = backend.append(growing)
    try:
        file.write(data)
        file.sync()
    finally:
        file.close()
    if storage.has(name):
        backend.replace(growing, name)
    else:
        backend.publish(growing, name)
    return f"{backend.label}/{name}"


def read(storages: Storages, device: str) -> bytes:
    """A kept metafile; NotFound."""
    storage = _where(storages, device)
    if storage is None:
        raise NotFound(f"The pool keeps no metafile of the device {device}.")
    return storage.backend.read(file_name(device), 0, storage.backend.size(file_name(device)))


def _where(storages: Storages, device: str) -> Storage | None:
    return next((one for one in storages.regular if one.bound and one.has(file_name(device))), None)
