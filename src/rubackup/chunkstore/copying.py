"""Copies a record into a session of another pool: chunks, manifest, and the proof that it arrived.

What the target has already is not read again. Groups go over as they are stored when all of their chunks
belong to the record and are wanted; else the wanted ones are packed anew, with the target's compression: the
target must not learn, as this owner's, a chunk that the record does not name. Encrypted groups go over whole in any case: all
their chunks are the owner's. Design: `docs/design/chunkstore.md`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final, Protocol

import msgspec

from rubackup.chunkstore import group
from rubackup.chunkstore.identity import HOLE
from rubackup.chunkstore.manifest import Header, ManifestReader, Summary
from rubackup.chunkstore.manifest.format import SEGMENT_ROWS
from rubackup.chunkstore.manifest.rewrite import rewrite_manifest
from rubackup.chunkstore.write import WriteSession
from rubackup.domain.errors import Corrupt

_BATCH_ROWS: Final = 8 * SEGMENT_ROWS
_READ_BYTES: Final = 1 << 20
_PASSES: Final = 2
"""Chunks that the target had, and that turn out damaged there, are copied in the second."""


class RecordSource(Protocol):
    """A sealed record that can be read: `chunkstore.read.ReadSession`, or one of another media server."""

    manifest_bytes: int
    crypto: str
    """Name of the record's cipher, '' of one in clear: the session that takes the copy is opened with it."""
    key_id: str

    def read_manifest(self, offset: int, length: int, /) -> bytes:
        """A range of the manifest, cut at its end."""

    def groups(self, runs: Sequence[tuple[int, int]], /) -> Iterable[bytes]:
        """Each stored group that holds a chunk of these rows (first, count), once; Corrupt when one is damaged."""


class RecordCopy:
    """One record on its way from a source into a session; the caller seals the session."""

    def __init__(
        self,
        source: RecordSource,
        session: WriteSession,
        level: int | None,
        progress: Callable[[int, int, int], None],
        check: Callable[[], None],
    ) -> None:
        """`level` is the target's compression; `progress` gets bytes done, of how many, and bytes written."""
        self._source, self._session, self._level = source, session, level
        self._progress, self._check = progress, check
        self._reader = ManifestReader(source.read_manifest, source.manifest_bytes)
        self._written = self._done = 0
        self._loose: list[tuple[bytes, memoryview]] = []
        """Chunks that wait for a group of their own."""
        self._loose_bytes = 0
        self._first_pass = True

    def run(self) -> Summary:
        """Copy chunks and manifest and read all of it back; Corrupt when the source has damage, or the target."""
        self._chunks()
        summary = self._manifest()
        for left in reversed(range(_PASSES)):
            damaged = self._session.read_back(self._reading_back, self._check).damaged
            if not damaged:
                return summary
            if left:
                self._first_pass = False
                self._chunks()
        raise Corrupt(f"What was written is damaged in the target pool already: {damaged[0]} and others.")

    # --- chunks ---

    def _chunks(self) -> None:
        total = self._reader.row_count
        self._done = 0
        for first in range(0, total, _BATCH_ROWS):
            self._check()
            rows = self._reader.rows(first, min(_BATCH_ROWS, total - first))
            missing = self._session.take_over({name for name, _ in rows if name != HOLE})
            begun = self._done
            if missing:
                self._fetch(first, rows, missing)
            self._done = begun + sum(length for name, length in rows if name != HOLE)
            self._copied()

    def _fetch(self, first: int, rows: list[tuple[bytes, int]], missing: set[bytes]) -> None:
        for data in self._source.groups(_runs(first, rows, missing)):
            self._check()
            self._take(data, missing)
            self._copied()
        self._flush()
        if missing:
            raise Corrupt(f"The source pool does not give {len(missing)} chunks of the copy.")

    def _take(self, data: bytes, missing: set[bytes]) -> None:
        """Put the chunks of a group that are missing, and take them off the list."""
        head = group.read_head(data)
        wanted = missing.intersection(head.ids)
        self._done += sum(length for name, length in zip(head.ids, head.lengths, strict=True) if name in wanted)
        if head.cipher or len(wanted) == len(set(head.ids)):
            self._put(data)
        else:
            stored = group.decode(data)
            for position, name in enumerate(stored.ids):
                if name in wanted:
                    self._pack(name, stored.chunk(position))
                    wanted.discard(name)
        missing.difference_update(head.ids)

    def _pack(self, name: bytes, chunk: memoryview) -> None:
        if self._loose_bytes + len(chunk) > group.TARGET_BYTES or len(self._loose) == group.MAX_CHUNKS:
            self._flush()
        self._loose.append((name, chunk))
        self._loose_bytes += len(chunk)

    def _flush(self) -> None:
        if self._loose:
            self._put(group.encode(self._loose, self._level))
            self._loose, self._loose_bytes = [], 0

    def _put(self, data: bytes) -> None:
        self._session.put_group(data)
        self._written += len(data)

    # --- manifest ---

    def _manifest(self) -> Summary:
        parts = bytearray()

        def sink(data: bytes) -> None:
            parts.extend(data)
            if len(parts) >= _READ_BYTES:
                self._check()
                self._session.put_manifest(bytes(parts))
                parts.clear()

        summary = rewrite_manifest(self._source.read_manifest, self._source.manifest_bytes, self._header, sink)
        self._session.put_manifest(bytes(parts))
        return summary

    def _header(self, header: Header) -> Header:
        return msgspec.structs.replace(header, record=self._session.record, parent=self._session.parent)

    # --- progress: half for the way there, half for reading back ---

    def _copied(self) -> None:
        if self._first_pass:
            self._progress(min(self._done, self._reader.row_bytes) // 2, self._reader.row_bytes, self._written)

    def _reading_back(self, done: int, total: int) -> None:
        self._progress(total // 2 + done // 2, total, self._written)


def _runs(first: int, rows: list[tuple[bytes, int]], missing: set[bytes]) -> list[tuple[int, int]]:
    """Row numbers, as (first, count), that name each missing chunk at least once."""
    runs: list[tuple[int, int]] = []
    asked: set[bytes] = set()
    for number, (name, _) in enumerate(rows, first):
        if name not in missing or name in asked:
            continue
        asked.add(name)
        if runs and sum(runs[-1]) == number:
            runs[-1] = (runs[-1][0], runs[-1][1] + 1)
        else:
            runs.append((number, 1))
    return runs
