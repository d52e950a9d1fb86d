"""Pools that this media server has, or has had, and the catalogue does not know: made after the backup that it was restored from.

The metadata folder of a pool lasts longer than its row: its roster names the storages, and `catalogue` the pool. A storage
counts where its marker says so now. Without that folder, as when the media server's state was lost, devices tell by their
marker whose they are, and pools of files which Client defined pools keep lists of files in them. Nothing is opened, and
nothing changed.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Container, Iterator, Sequence
from pathlib import Path, PurePath
from typing import Final, NamedTuple

from rubackup.chunkstore.backends.local import LocalBackend
from rubackup.chunkstore.pool import Pool
from rubackup.chunkstore.roster import Roster
from rubackup.chunkstore.seals import manifest_name
from rubackup.chunkstore.storage import MARKER, parse_marker
from rubackup.domain.errors import RubackupError, StorageFault
from rubackup.domain.pools import HeldKind
from rubackup.media.device_markers import Marked, marked, scan
from rubackup.media.devices import HOST, Kernel
from rubackup.media.history import History
from rubackup.wire.messages import HeldPool, HeldStorage

_UUID = re.compile(r"[0-9a-f]{32}")
_MANIFESTS: Final = PurePath(manifest_name("")).parent
_SUFFIX: Final = ".manifest"
_NOT_SEEN: Final = frozenset({HeldKind.DEVICE, HeldKind.BUCKET})


class FilePool(NamedTuple):
    """A pool of files that is open."""

    name: str
    pool: Pool


def unknown_pools(
    metadata: Path, known: Container[str], files: Sequence[FilePool] = (), kernel: Kernel = HOST
) -> list[HeldPool]:
    """The pools whose uuid is not among these, and of which something lies, or may lie, somewhere.

    `files`: the pools in which metadata of others may be kept.
    """
    on_devices: defaultdict[str, list[Marked]] = defaultdict(list)
    for device in scan(kernel):
        if device.pool not in known:
            on_devices[device.pool].append(device)
    found = []
    for name in sorted(path.name for path in metadata.iterdir()) if metadata.is_dir() else ():
        if _UUID.fullmatch(name) and name not in known:
            devices = on_devices.pop(name, [])
            storages = list(_storages(metadata / name, name, devices))
            copies = sum(one.copies for one in storages)
            if copies or any(one.kind in _NOT_SEEN or one.away for one in storages):
                called = History(metadata).name(name)
                found.append(HeldPool(uuid=name, name=called, storages=storages, kept_in=_keeper(files, devices)))
    for name, devices in on_devices.items():
        storages = [HeldStorage(path=one.path, kind=HeldKind.DEVICE) for one in devices]
        found.append(HeldPool(uuid=name, name="", storages=storages, kept_in=_keeper(files, devices)))
    return sorted([*found, *_of_clients(files, known)], key=lambda one: one.uuid)


def _storages(folder: Path, pool: str, devices: Sequence[Marked]) -> Iterator[HeldStorage]:
    roster = Roster(bytes.fromhex(pool))
    roster.learn(LocalBackend(folder))
    there = {os.path.realpath(one.path): one for one in devices}
    for path in sorted(set(roster.paths().values())):
        if "://" in path:
            yield HeldStorage(path=path, kind=HeldKind.BUCKET)
        elif _is_device(path):
            device = there.pop(os.path.realpath(path), None) or marked(path)
            if device is None or device.pool == pool:  # else another pool has it now
                yield HeldStorage(path=path, kind=HeldKind.DEVICE, away=device is None)
        else:
            marker = _marker(Path(path))
            if marker is not None and marker.hex() != pool:  # another pool has it now
                continue
            kind = HeldKind.EMERGENCY if PurePath(path).name == pool else HeldKind.FOLDER
            yield HeldStorage(path=path, kind=kind, away=marker is None, copies=_copies(Path(path)) if marker else 0)
    for one in sorted(there.values()):  # it has another name than when it was added
        yield HeldStorage(path=one.path, kind=HeldKind.DEVICE)


def _is_device(path: str) -> bool:
    """Whether a storage is, or was, a device or a file in its place, and no folder."""
    place = Path(path)
    if place.is_dir() or path.startswith("/dev/shm/"):  # noqa: S108 - folders of memory
        return False
    return path.startswith("/dev/") or place.is_file() or place.is_block_device()


def _keeper(files: Sequence[FilePool], devices: Sequence[Marked]) -> str:
    """The pool that keeps the metafile of one of these devices."""
    for one in files:
        try:
            if any(one.pool.keeps_metafile(device.device) for device in devices):
                return one.name
        except RubackupError:  # it closes just now, or a folder of it is away
            continue
    return ""


def _of_clients(files: Sequence[FilePool], known: Container[str]) -> Iterator[HeldPool]:
    """Client defined pools, by the lists of files that are kept of them."""
    held: dict[str, dict[str, HeldStorage]] = {}
    keepers: dict[str, str] = {}
    for keeper in files:
        for folder in keeper.pool.kept_folders(""):
            pool, _, client = folder.partition("-")
            copies = len(keeper.pool.kept_manifests(folder).records())
            if copies and pool not in known:
                before = held.setdefault(pool, {}).get(client)
                keepers.setdefault(pool, keeper.name)
                held[pool][client] = HeldStorage(
                    path=folder, kind=HeldKind.CLIENT, client=client, copies=copies + (before.copies if before else 0)
                )
    for pool, parts in held.items():
        storages = [part for _, part in sorted(parts.items())]
        yield HeldPool(uuid=pool, name="", storages=storages, kept_in=keepers[pool])


def _marker(folder: Path) -> bytes | None:
    """The pool to which a folder belongs; None when it is not there, or has no marker that can be read."""
    try:
        found = parse_marker((folder / MARKER).read_bytes())
    except OSError:
        return None
    return found[0] if found else None


def _copies(folder: Path) -> int:
    try:
        with os.scandir(folder / _MANIFESTS) as entries:
            return sum(entry.name.endswith(_SUFFIX) for entry in entries)
    except FileNotFoundError:
        return 0
    except OSError as error:
        raise StorageFault(f"{folder / _MANIFESTS}: {error.strerror}.") from error
