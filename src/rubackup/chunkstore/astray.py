"""Manifests that lie under the name of another record, as somebody swapped or renamed files.

Their headers tell whose they are, and they get their names back. Nothing is overwritten or removed. Each goes by a name
of its own (`.astray`), so that a crash in between loses none; the next opening goes on. Design: `docs/design/chunkstore.md`, Repair.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import PurePosixPath
from typing import Final

from msgspec.structs import replace

from rubackup.chunkstore import seals
from rubackup.chunkstore.backends.base import Backend
from rubackup.chunkstore.backends.oserrors import is_bad_sector
from rubackup.chunkstore.index import Index, RecordRow
from rubackup.chunkstore.manifest import format as fmt
from rubackup.chunkstore.storage import Storage
from rubackup.domain.errors import Corrupt, Invalid, StorageFault

log = logging.getLogger(__name__)
SUFFIX: Final = ".astray"
_FRONT: Final = len(fmt.MAGIC)


def record_in(backend: Backend, name: str) -> str:
    """The record that a manifest is of, by its header, else by its seal; '' when both are damaged. NotFound."""
    try:
        size = backend.size(name)
        front = backend.read(name, 0, min(size, _FRONT + fmt.FRAME_BYTES))
        if front[:_FRONT] == fmt.MAGIC:
            length = fmt.parse_front(front[_FRONT:], _FRONT).total_bytes
            if length <= min(size - _FRONT, fmt.FRAME_BYTES + fmt.MAX_SEALED_BYTES):
                frame = backend.read(name, _FRONT, length)
                return seals.check_record_id(fmt.decode_header(fmt.unpack_frame(frame, _FRONT, b"H", None)[1]).record)
    except (Corrupt, Invalid, StorageFault) as error:  # the seal may tell
        _raise_unless_damage(error)
    try:
        return seals.read_seal(backend, name)[0].record
    except (Corrupt, StorageFault) as error:
        _raise_unless_damage(error)
        return ""


def _raise_unless_damage(error: Exception) -> None:
    if isinstance(error, StorageFault) and not is_bad_sector(error):
        raise error


def put_back(index: Index, storages: Iterable[Storage]) -> list[str]:
    """Give every manifest that lies under another's name its own; a sentence for each. The pool's lock is held.

    One stays where it is when its record was dropped, has a file in its place already or two that claim to be it, or when
    its place is taken by one that has to stay.
    """
    storages = list(storages)
    inside = {(at, name): record_in(storages[at].backend, name) for at, name in _files(storages)}
    own = {record for (_, name), record in inside.items() if name == seals.manifest_name(record)}
    claims = Counter(record for (_, name), record in inside.items() if name != seals.manifest_name(record))
    moves = {
        (at, name): record
        for (at, name), record in inside.items()
        if record and record not in own and claims[record] == 1 and not _is_dropped(storages, record)
    }
    while stuck := [
        (at, name)
        for (at, name), record in moves.items()
        if (at, seals.manifest_name(record)) in inside and (at, seals.manifest_name(record)) not in moves
    ]:
        for one in stuck:
            del moves[one]
    for (at, name), record in moves.items():
        if name != _astray(record):
            storages[at].backend.publish(name, _astray(record))
    told = []
    for (at, name), record in moves.items():
        storages[at].backend.publish(_astray(record), seals.manifest_name(record))
        _list_there(index, storages[at], record)
        told.append(f"{storages[at].backend.label}/{name} was the manifest of record {record}: it has its name again.")
        log.warning("%s", told[-1])
    return told


def check_removable(
    storages: Sequence[Storage],
    storage: Storage,
    record: str,
    rows: Callable[[], Iterable[RecordRow]],
    row: RecordRow | None,
) -> None:
    """Corrupt names the file that has a record's name and may be all that is left of another, so it must not go with it."""
    name = seals.manifest_name(record)
    inside = record_in(storage.backend, name)
    if inside == record or (inside and (_is_dropped(storages, inside) or _has_own(storages, inside))):
        return
    if not inside:
        if row is not None and (row.storage, row.file_bytes) == (storage.id, storage.backend.size(name)):
            return  # as long as the record's own: damaged, not swapped
        homeless = [one.sealed.record for one in rows() if one.sealed.record != record]
        if all(_has_own(storages, other) for other in homeless):
            return
    whose = f"is that of record {inside}" if inside else "cannot be read, and a manifest of another record is missing"
    raise Corrupt(
        f"The manifest {storage.backend.label}/{name} {whose}: it is not removed. "
        "Move it to its right name, or elsewhere, and delete the copy again."
    )


def _files(storages: Sequence[Storage]) -> Iterable[tuple[int, str]]:
    for at, storage in enumerate(storages):
        for item in list(storage.backend.list("manifests")):
            if PurePosixPath(item.name).suffix in {".manifest", SUFFIX}:
                yield at, item.name


def _astray(record: str) -> str:
    return f"manifests/{record}{SUFFIX}"


def _is_dropped(storages: Iterable[Storage], record: str) -> bool:
    return any(one.has(seals.tombstone_name(record)) for one in storages)


def _has_own(storages: Iterable[Storage], record: str) -> bool:
    """Whether a record has a file under its own name that says that it is its manifest."""
    name = seals.manifest_name(record)
    return any(one.has(name) and record_in(one.backend, name) == record for one in storages)


def _list_there(index: Index, storage: Storage, record: str) -> None:
    """The row of a record, if it has one, tells where its manifest is now."""
    row = index.record(record)
    if row is None:
        return
    backend, name = storage.backend, seals.manifest_name(record)
    try:
        _, stream_bytes, file_bytes = seals.read_seal(backend, name)
    except Corrupt:
        stream_bytes, file_bytes = row.stream_bytes, row.file_bytes
    moved = replace(row, storage=storage.id, stream_bytes=stream_bytes, file_bytes=file_bytes)
    if moved != row:
        index.put_record(moved, None)
