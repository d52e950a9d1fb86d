"""Whether an index that was not closed in order can be read at all, found out where a crash harms nobody.

LMDB maps its file into memory, and a damaged size or pointer in a page kills the process that follows it (SIGBUS,
SIGSEGV). So a mark tells that an index is open. Where it is found at an opening, the process that had it open died,
maybe of the index: a process of its own then reads all of it, and if that one finds damage, or dies, the index is rebuilt.
"""

from __future__ import annotations

import logging
import signal
import subprocess
import sys
from pathlib import Path
from typing import Final

import lmdb

from rubackup.chunkstore import _index_pages
from rubackup.chunkstore._tables import VALUE_SIZES
from rubackup.chunkstore.backends.oserrors import translated
from rubackup.chunkstore.index_rows import record_row
from rubackup.domain.errors import StorageFault

log = logging.getLogger(__name__)

_KEY_SIZES: Final = {
    "chunks": {32, 36},
    "owners": {36},
    "packs": {4},
    "pack_ids": {16},
    "fences": {8},
    "records": {16},
    "record_packs": {16},
    "bad": {8},
    "condemned": {4},
    "pins": {12},
}
"""Bytes that a key may have."""
_VALUE_SIZES: Final = VALUE_SIZES | {"owners": 0, "bad": 0, "pins": 0}
_DAMAGED: Final = 2


def is_sound(folder: Path) -> bool:
    """Whether the index in `folder` can be opened here; marks it as open. StorageFault when that cannot be found out."""
    mark = _mark(folder)
    with translated(str(mark.parent), mark.name):
        unclean = mark.exists() and (folder / "data.mdb").exists()
        mark.touch()
    if not unclean:
        return True
    log.warning("The index in %s was not closed in order: it is read once.", folder)
    child = subprocess.run([sys.executable, "-m", __name__, str(folder)], capture_output=True, text=True, check=False)
    if child.returncode not in {0, _DAMAGED, -signal.SIGBUS, -signal.SIGSEGV, -signal.SIGABRT}:
        told = child.stderr.strip()[-500:]
        raise StorageFault(f"The index in {folder} could not be checked ({child.returncode}): {told}")
    if child.returncode:
        log.error("The index in %s is damaged (%d): %s", folder, child.returncode, child.stderr.strip())
    return child.returncode == 0


def closed(folder: Path) -> None:
    """The index was closed in order."""
    mark = _mark(folder)
    with translated(str(mark.parent), mark.name):
        mark.unlink(missing_ok=True)


def _mark(folder: Path) -> Path:
    return folder.parent / f"{folder.name}.open"


def check(folder: Path) -> str:
    """What is wrong with an index that nobody else has open, or ''; may die of it. Nothing is changed.

    The pages first, so that neither reading nor a later writer follows what one of them says wrongly, then each row.
    """
    file = folder / "data.mdb"
    if problem := _index_pages.check(file):
        return problem
    try:
        with lmdb.open(str(folder), map_size=2 * file.stat().st_size + (64 << 20), max_dbs=64, readahead=True) as env:
            with env.begin() as txn:
                names = list(txn.cursor().iternext(values=False))
            for name in names:
                database = env.open_db(name, create=False)
                with env.begin() as txn:
                    problem = _walk(txn, database, name.decode(errors="replace"))
                if problem:
                    return problem
    except (lmdb.Error, MemoryError, ValueError, SystemError) as error:
        return str(error) or type(error).__name__
    return ""


def _walk(txn: lmdb.Transaction[bytes], database: lmdb._Database, name: str) -> str:
    """What is wrong with the rows of a table, whose pages are as they should be: so their order and number are."""
    keys, size = _KEY_SIZES.get(name), _VALUE_SIZES.get(name)
    for key, value in txn.cursor(database):
        if keys and len(key) not in keys:
            return f"{name}: a key of {len(key)} bytes"
        if size is not None and len(value) != size:
            return f"{name}: a value of {len(value)} bytes"
        if name == "records":
            record_row(key, value)
    return ""


if __name__ == "__main__":
    found = check(Path(sys.argv[1]))
    sys.stderr.write(found)
    sys.exit(_DAMAGED if found else 0)
