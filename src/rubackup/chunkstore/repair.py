"""Puts a manifest in the place of a damaged one, made of what is whole of it.

How its parts are found again is the manifest's matter; here it is written beside, made durable, sealed and checked
before it takes the place, so that a crash leaves the one or the other. Design: `docs/design/chunkstore.md`, Repair.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from blake3 import blake3
from msgspec.structs import replace

from rubackup.chunkstore import seals
from rubackup.chunkstore.index import RecordRow
from rubackup.chunkstore.manifest import Header, ManifestReader
from rubackup.chunkstore.storage import Storage
from rubackup.domain.errors import Corrupt

ReadAt = Callable[[int, int], bytes]
Sink = Callable[[bytes], None]


class Rebuilt(Protocol):
    """What was written."""

    @property
    def header(self) -> Header:
        """The manifest's header."""

    @property
    def damaged(self) -> Sequence[str]:
        """A sentence for each part that could not be taken."""


Rebuild = Callable[[ReadAt, int, Sink], Rebuilt]
"""Writes a manifest from what is whole of another; Corrupt when nothing can be made of it."""


def repair_manifest(storage: Storage, row: RecordRow, rebuild: Rebuild) -> tuple[RecordRow, list[str]]:
    """Replace a record's manifest, durably; its new row, and a sentence for each part that is lost.

    Corrupt, and nothing is changed, when no manifest of this record can be made of it. The record's seal is
    written anew from the index, so a damaged one is repaired with it.
    """
    backend, record = storage.backend, row.sealed.record
    name, beside = seals.manifest_name(record), seals.open_name(record)
    size = min(row.stream_bytes, backend.size(name))
    backend.delete(beside)
    file, total = backend.append(beside), blake3()

    def sink(data: bytes) -> None:
        file.write(data)
        total.update(data)

    try:
        rebuilt = rebuild(lambda offset, length: backend.read(name, offset, length), size, sink)
        stream_bytes = file.size_bytes
        _check(lambda offset, length: backend.read(beside, offset, length), stream_bytes, row, rebuilt)
        file.write(seals.seal_bytes(row.sealed, stream_bytes, total.digest()))
        file.sync()
        backend.replace(beside, name)
    except BaseException:
        file.close()
        backend.delete(beside)
        raise
    file.close()
    storage.count(file.size_bytes - row.file_bytes)
    return replace(row, stream_bytes=stream_bytes, file_bytes=file.size_bytes), list(rebuilt.damaged)


def _check(read_at: ReadAt, size: int, row: RecordRow, rebuilt: Rebuilt) -> None:
    reader = ManifestReader(read_at, size)
    if (rebuilt.header.record, rebuilt.header.client_hwid) != (row.sealed.record, row.sealed.owner):
        raise Corrupt("The manifest is of another record or client.")
    if not rebuilt.damaged:
        reader.verify()
