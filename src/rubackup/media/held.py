"""Pools that this media server has served and the catalogue does not know: made after the backup that it was restored from.

The metadata folder of a pool lasts longer than its row: its roster names the storages, and `catalogue` the pool. A storage
counts where its marker says so now. Nothing is opened, and nothing changed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Container, Iterator
from pathlib import Path, PurePath
from typing import Final

from rubackup.chunkstore.backends.local import LocalBackend
from rubackup.chunkstore.roster import Roster
from rubackup.chunkstore.seals import manifest_name
from rubackup.chunkstore.storage import MARKER, parse_marker
from rubackup.domain.errors import StorageFault
from rubackup.domain.pools import HeldKind
from rubackup.media.history import History
from rubackup.wire.messages import HeldPool, HeldStorage

_UUID = re.compile(r"[0-9a-f]{32}")
_MANIFESTS: Final = PurePath(manifest_name("")).parent
_SUFFIX: Final = ".manifest"
_NOT_SEEN: Final = frozenset({HeldKind.DEVICE, HeldKind.BUCKET})


def unknown_pools(metadata: Path, known: Container[str]) -> list[HeldPool]:
    """The pools of this metadata folder whose uuid is not among these, and of which something lies, or may lie, somewhere."""
    found = []
    for name in sorted(path.name for path in metadata.iterdir()) if metadata.is_dir() else ():
        if _UUID.fullmatch(name) and name not in known:
            storages = list(_storages(metadata / name, name))
            copies = sum(one.copies for one in storages)
            if copies or any(one.kind in _NOT_SEEN or one.away for one in storages):
                found.append(HeldPool(uuid=name, name=History(metadata).name(name), storages=storages))
    return found


def _storages(folder: Path, pool: str) -> Iterator[HeldStorage]:
    roster = Roster(bytes.fromhex(pool))
    roster.learn(LocalBackend(folder))
    for path in sorted(set(roster.paths().values())):
        if "://" in path:
            yield HeldStorage(path=path, kind=HeldKind.BUCKET)
        elif Path(path).is_block_device():
            yield HeldStorage(path=path, kind=HeldKind.DEVICE)
        else:
            marker = _marker(Path(path))
            if marker is not None and marker.hex() != pool:  # another pool has it now
                continue
            kind = HeldKind.EMERGENCY if PurePath(path).name == pool else HeldKind.FOLDER
            yield HeldStorage(path=path, kind=kind, away=marker is None, copies=_copies(Path(path)) if marker else 0)


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
