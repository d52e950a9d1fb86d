"""A client's master keys among the files that are put back: none that is on this host is ever lost by it.

Whoever puts an older backup back has perhaps rotated the key since; copies of both keys are in the pools.
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Final

from rubackup.catalog.backup.file import KeyFile
from rubackup.chunkstore.keys import MasterKey
from rubackup.client.keys import DAMAGED, NAME, OLD, KeyStore, secret_in
from rubackup.wire.pki import write_private

_FOLDERS: Final = ("keys", "keys/client")
_RINGS: Final = tuple(f"{folder}/{name}" for folder in _FOLDERS for name in (OLD, DAMAGED))


def is_one(name: str) -> bool:
    """Whether the path below an installation's folder is that of a master key, or of what is left of one."""
    path = Path(name)
    return (path.name == NAME and str(path.parent) in _FOLDERS) or str(path.parent) in _RINGS


def keep_both(files: Mapping[Path, KeyFile]) -> list[Path]:
    """Put the keys of a backup beside those that are here, and tell which files of it were new here.

    The current key of this host stays the current one, unless it is missing, damaged, or one that the backup calls old.
    """
    placed = []
    old = {path.name for path in files if path.parent.name == OLD}
    for path, one in files.items():
        if path.exists() and path.read_bytes() == one.content:
            continue
        if _keep(path, one, old):
            placed.append(path)
    return placed


def _keep(path: Path, one: KeyFile, old: AbstractSet[str]) -> bool:
    secret = secret_in(one.content)
    if secret is None:  # damaged in the backup already: only where nothing is lost by it
        if path.exists():
            return False
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_private(path, one.content)
        return True
    current = path.name == NAME
    store = KeyStore(path if current else path.parent.parent / NAME)
    if current:
        store.add(secret, current=_gives_way(store, old))
        return True
    known = MasterKey(secret).id.hex() in store.key_ids()
    if not known:
        store.keep(secret)
    return not known


def _gives_way(store: KeyStore, old: AbstractSet[str]) -> bool:
    try:
        here = secret_in(store.path.read_bytes())
    except FileNotFoundError:
        return True
    return here is None or MasterKey(here).id.hex() in old
