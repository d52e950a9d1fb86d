"""Parts of single files of encrypted copies, for whoever downloads them through the API: only this client has the key.

What was opened for one part serves the next: a few sessions are kept for a minute. Knows of HTTP and users nothing; the
server's ticket says that the record may be read.
"""

from __future__ import annotations

import contextlib
import ssl
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from rubackup.agent.record_files import part_of
from rubackup.agent.record_listing import meant
from rubackup.chunkstore.file import FileRanges, Piece
from rubackup.chunkstore.group import Group, open_group
from rubackup.chunkstore.identity import HOLE
from rubackup.chunkstore.keys import Keys
from rubackup.chunkstore.manifest import ManifestReader
from rubackup.client.channels import RestoreOverWire, connect
from rubackup.client.encrypted import open_manifest
from rubackup.client.ports import RestoreChannel
from rubackup.domain.errors import Corrupt, Invalid, RubackupError
from rubackup.wire.messages import MediaAddress, ReadEncryptedFile, RecordFilePart

PART_BYTES: Final = 1 << 20
KEPT_FILES: Final = 4
KEPT_SECONDS: Final = 60.0
_GROUPS: Final = 2
"""Groups kept between two parts: a part ends within one mostly."""


class EncryptedFile(FileRanges):
    """A file of an encrypted record, over a session with its media server."""

    def __init__(self, channel: RestoreChannel, reader: ManifestReader, keys: Keys, *paths: bytes) -> None:
        """As of FileRanges."""
        super().__init__(reader, *paths)
        self._channel, self._keys = channel, keys
        self._recent: list[Group] = []

    def _contents(self, pieces: Sequence[Piece]) -> Iterable[bytes | memoryview]:
        wanted = {piece.name for piece in pieces} - {HOLE}
        found: dict[bytes, memoryview] = {}
        for group in self._recent:
            self._take(group, wanted, found)
        missing = [piece.row for piece in pieces if piece.name in wanted and piece.name not in found]
        if missing:
            for data in self._channel.groups([(row, 1) for row in missing]):
                group = open_group(data, self._keys)
                self._take(group, wanted, found)
                self._recent = [*self._recent[1 - _GROUPS :], group]
        return [self._bytes(piece, found) for piece in pieces]

    @staticmethod
    def _take(group: Group, wanted: set[bytes], found: dict[bytes, memoryview]) -> None:
        for position, name in enumerate(group.ids):
            if name in wanted and name not in found and group.identify(group.chunk(position)) == name:
                found[name] = group.chunk(position)

    @staticmethod
    def _bytes(piece: Piece, found: dict[bytes, memoryview]) -> bytes | memoryview:
        if piece.name == HOLE:
            return bytes(piece.end - piece.begin)
        chunk = found.get(piece.name)
        if chunk is None or len(chunk) != piece.chunk_bytes:
            raise Corrupt(f"Chunk {piece.name.hex()} is damaged, or not in the pool any more.")
        return chunk[piece.begin : piece.end]


class _Opened:
    """A session with a media server, and the file that is read through it; parts are read one after another."""

    def __init__(self, media: MediaAddress, context: ssl.SSLContext, keys: Keys, asked: ReadEncryptedFile) -> None:
        self.ticket = asked.ticket
        self.used_at = 0.0
        self._connection = connect(media, context)
        try:
            channel = RestoreOverWire(self._connection, lambda: self.ticket)
            if not channel.key_id:
                raise Corrupt("The copy is not encrypted.")
            reader = open_manifest(channel, keys)
            self.file = EncryptedFile(channel, reader, keys, *meant(asked.path))
        except BaseException:
            self._connection.close()
            raise

    def close(self) -> None:
        """End it."""
        with contextlib.suppress(RubackupError, OSError):
            self._connection.close()


class EncryptedFiles:
    """Answers ReadEncryptedFile. Safe for threads; one part at a time, as all of them share the client's processor."""

    def __init__(
        self, context: Callable[[], ssl.SSLContext], keys: Keys, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._context, self._keys, self._clock = context, keys, clock
        self._lock = threading.Lock()
        self._open: OrderedDict[tuple[int, str, str], _Opened] = OrderedDict()

    def read(self, asked: ReadEncryptedFile, media: MediaAddress) -> RecordFilePart:
        """The part that is asked for. NotFound says what the path is instead of a file; Corrupt, Conflict, Invalid."""
        if not 0 <= asked.length <= PART_BYTES or asked.offset < 0:
            raise Invalid(f"A file of a copy is read in parts of at most {PART_BYTES} bytes.")
        key = (asked.pool_id, asked.record, asked.path)
        with self._lock:
            opened = self._open.pop(key, None)
            try:
                if opened is None:
                    opened = _Opened(media, self._context(), self._keys, asked)
                opened.ticket = asked.ticket
                part = part_of(opened.file, asked)
            except BaseException:
                if opened is not None:
                    opened.close()
                raise
            opened.used_at = self._clock()
            self._open[key] = opened
            self._forget()
            return part

    def close(self) -> None:
        """End every session."""
        with self._lock:
            while self._open:
                self._open.popitem()[1].close()

    def _forget(self) -> None:
        before = self._clock() - KEPT_SECONDS
        while len(self._open) > KEPT_FILES or next(iter(self._open.values())).used_at < before:
            self._open.popitem(last=False)[1].close()
