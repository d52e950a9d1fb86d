"""Puts a manifest in the place of a damaged one, made of what is whole of it.

It is written beside, made durable, sealed and checked before it takes the place, so that a crash leaves the one or
the other. Design: `docs/design/chunkstore.md`, Repair.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from blake3 import blake3
from msgspec.structs import replace

from rubackup.chunkstore import seals
from rubackup.chunkstore.backends.base import Appender
from rubackup.chunkstore.index import RecordRow
from rubackup.chunkstore.manifest import ManifestReader
from rubackup.chunkstore.manifest.rebuild import rebuild_tail
from rubackup.chunkstore.storage import Storage
from rubackup.domain.errors import Corrupt

_COPIED_BYTES: Final = 4 << 20


@contextmanager
def _beside(storage: Storage, row: RecordRow) -> Iterator[Appender]:
    """A file beside a record's manifest, which is to take its place by `replace`; it is gone after an error."""
    name = seals.open_name(row.sealed.record)
    storage.backend.delete(name)
    file = storage.backend.append(name)
    try:
        yield file
    except BaseException:
        file.close()
        storage.backend.delete(name)
        raise
    file.close()
    storage.count(file.size_bytes - row.file_bytes)


def repair_seal(storage: Storage, row: RecordRow) -> RecordRow:
    """Replace a record's manifest, durably, by one with a new seal, which the index tells; its new row.

    Corrupt, and nothing is changed, when the manifest itself is not whole and of this record. It may be encrypted.
    """
    backend, record = storage.backend, row.sealed.record
    name, beside = seals.manifest_name(record), seals.open_name(record)
    total = blake3()
    with _beside(storage, row) as file:
        for offset in range(0, row.stream_bytes, _COPIED_BYTES):
            data = backend.read(name, offset, min(_COPIED_BYTES, row.stream_bytes - offset))
            file.write(data)
            total.update(data)
        reader = ManifestReader(lambda offset, length: backend.read(beside, offset, length), row.stream_bytes)
        if (reader.header.record, reader.header.client_hwid) != (record, row.sealed.owner):
            raise Corrupt("The manifest is of another record or client.")
        reader.verify()
        file.write(seals.seal_bytes(row.sealed, row.stream_bytes, total.digest()))
        file.sync()
        backend.replace(beside, name)
    return replace(row, file_bytes=file.size_bytes)


def repair_manifest(storage: Storage, row: RecordRow, *, lose: bool = False) -> tuple[RecordRow, list[str]]:
    """Replace a record's manifest, durably; its new row, and a sentence for each part that is lost.

    Corrupt, and nothing is changed, when no manifest of this record can be made of it, and when parts would be lost,
    unless `lose` gives them up: that nothing is lost is known where the parts are all there, or the seal's sum of the
    stream comes out again. Invalid for an encrypted one. The seal is written anew from the index, so a damaged
    one is repaired with it.
    """
    backend, record = storage.backend, row.sealed.record
    name, beside = seals.manifest_name(record), seals.open_name(record)
    size = min(row.stream_bytes, backend.size(name))
    total = blake3()
    with _beside(storage, row) as file:

        def sink(data: bytes) -> None:
            file.write(data)
            total.update(data)

        rebuilt = rebuild_tail(lambda offset, length: backend.read(name, offset, length), size, sink)
        # What was damaged may hold nothing of the copy: then the same stream has come out again.
        lost = [] if total.digest() == seals.stream_sum(backend, name) else list(rebuilt.damaged)
        if lost and not lose:
            raise Corrupt(f"Parts of the manifest are lost, as far as can be told. {' '.join(lost[:5])}")
        if (rebuilt.header.record, rebuilt.header.client_hwid) != (record, row.sealed.owner):
            raise Corrupt("The manifest is of another record or client.")
        stream_bytes = file.size_bytes
        reader = ManifestReader(lambda offset, length: backend.read(beside, offset, length), stream_bytes)
        if not lost:
            reader.verify()
        sealed = replace(row.sealed, lost_parts=row.sealed.lost_parts + len(lost))
        file.write(seals.seal_bytes(sealed, stream_bytes, total.digest()))
        file.sync()
        backend.replace(beside, name)
    new = replace(row, sealed=sealed, stream_bytes=stream_bytes, file_bytes=file.size_bytes)
    return new, lost
