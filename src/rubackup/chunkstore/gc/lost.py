"""Chunks that manifests name and that the index does not know: shows that they are in no pack, so that a collection may go on.

Every pack of the pool is asked for its ids. Where one cannot be, nothing is shown, and the collection is refused.
Reasons: `docs/design/chunkstore.md`, Garbage collection.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import Final

from rubackup.chunkstore import pack
from rubackup.chunkstore.backends.base import Backend
from rubackup.chunkstore.gc.ground import Ground
from rubackup.chunkstore.gc.live import PREFIX_BYTES
from rubackup.chunkstore.group import Head
from rubackup.chunkstore.storage import Storage
from rubackup.domain.errors import Conflict, Corrupt, NotFound, StorageFault

_ID: Final = re.compile(r"[0-9a-f]{32}")


def prove_lost(ground: Ground, lost: set[bytes]) -> set[int]:
    """Return when no pack holds an id that begins like one of these; the packs with damaged groups, which must stay.

    Corrupt or StorageFault names a pack that cannot be asked, Corrupt one that holds such an id, and the index is suspected;
    Conflict when a backup that runs has sent one.
    """
    scarred: set[int] = set()
    met: set[bytes] = set()
    for storage in ground.storages().all:
        storage.check_bound()
        for item in list(storage.backend.list("packs")):
            ground.check()
            path = PurePosixPath(item.name)
            if not _ID.fullmatch(path.stem):  # no file of the pool; the opening named it
                continue
            if path.suffix == ".open":
                _ask_open(storage, item.name, lost)
            elif path.suffix == ".pack":
                met.add(bytes.fromhex(path.stem))
                if _ask(ground, storage, item.name, lost):
                    row = ground.index.pack_by_id(bytes.fromhex(path.stem))
                    scarred.update([row.number] if row else [])
    for row in ground.index.packs():
        mark = ground.index.marks.condemned.get(row.number)
        if row.closed and row.id not in met and not (mark is not None and mark.going) and ground.index.pack(row.number):
            raise Corrupt(
                f"Nothing is collected: pack {row.id.hex()} is missing, so chunks that copies need may lie there. If it is "
                "lost for good, `rubackup media repair --rebuild-index` says so."
            )
    return scarred


def _ask_open(storage: Storage, name: str, lost: set[bytes]) -> None:
    try:
        if any(_among(head, lost) for _, head in pack.scan(storage.backend, name)):
            raise Conflict(f"Chunks that copies have lost are being sent again to {storage.backend.label}/{name}.")
    except NotFound:  # closed or given up meanwhile: what it holds was just sent, and is asked next time
        return


def _ask(ground: Ground, storage: Storage, name: str, lost: set[bytes]) -> bool:
    """Whether a closed pack has damaged groups."""
    label = f"{storage.backend.label}/{name}"
    try:
        heads, scarred = _heads(ground, storage.backend, name)
    except NotFound:
        storage.check_bound()
        return False
    except Corrupt as error:
        raise Corrupt(
            f"Nothing is collected: copies lack chunks, and {label} cannot be asked: {error.message}"
        ) from error
    except StorageFault as error:
        raise StorageFault(
            f"Nothing is collected: copies lack chunks, and {label} cannot be asked: {error.message}"
        ) from error
    if any(_among(head, lost) for head in heads):
        text = f"Pack {label} holds chunks that copies need and the index does not know."
        ground.index.suspect(text)
        raise Corrupt(f"Nothing is collected: {text}")
    return scarred


def _heads(ground: Ground, backend: Backend, name: str) -> tuple[list[Head], bool]:
    """The headers of a pack's groups, and whether some are damaged; Corrupt when nobody can tell what else it holds."""
    pack.check_is(backend, name, ground.pool, bytes.fromhex(PurePosixPath(name).stem))
    try:
        extents = pack.read_extents(backend, name)
    except Corrupt:
        found = list(pack.scan(backend, name))
        whole = [extent for extent, _ in found]
        trailer_bytes = pack.overhead_bytes(len(whole)) - pack.HEADER_BYTES
        end = whole[-1].offset + whole[-1].length if whole else pack.HEADER_BYTES
        if pack.gaps(whole) or end + trailer_bytes != backend.size(name):
            raise
        return [head for _, head in found], False
    heads = [head for _, head in pack.read_heads(backend, name, extents)]
    return heads, len(heads) < len(extents)


def _among(head: Head, lost: set[bytes]) -> bool:
    return any(name[:PREFIX_BYTES] in lost for name in head.ids)
