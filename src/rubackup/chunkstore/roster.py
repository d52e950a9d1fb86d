"""Which storages belong to the pool, told in every storage and in the metadata folder, so that the index may be lost.

Each `storages` file is rows of text to which rows are only ever added; the row with the highest number of a storage holds.
Format: `docs/design/chunkstore.md`, Storages.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from typing import Final, NamedTuple
from urllib.parse import quote_from_bytes, unquote_to_bytes

from blake3 import blake3

from rubackup.chunkstore.backends.base import Backend, add_durably
from rubackup.domain.errors import NotFound, StorageFault

log = logging.getLogger(__name__)
FILE: Final = "storages"
_ROW = re.compile(rb"([0-9]{1,18}) (in|out) ([0-9a-f]{32}) (\S*) ([0-9a-f]{64})")


class Member(NamedTuple):
    """What is known of one storage."""

    number: int
    """Of the row; a later one has a higher number."""
    joined: bool
    """False: it was empty, and left the pool."""
    path: str


class Roster:
    """The storages of one pool."""

    def __init__(self, pool: bytes) -> None:
        self._pool = pool
        self._members: dict[bytes, Member] = {}

    def learn(self, backend: Backend) -> None:
        """Add what the file in a folder tells; one that is not there tells nothing, and neither does a damaged row."""
        for storage, member in self._read(backend).items():
            known = self._members.get(storage)
            if known is None or known.number < member.number:
                self._members[storage] = member

    def paths(self) -> dict[bytes, str]:
        """Path of each storage that belongs to the pool."""
        return {storage: one.path for storage, one in self._members.items() if one.joined}

    def knows(self, storage: bytes) -> bool:
        """Whether a storage belongs, or belonged, to the pool."""
        return storage in self._members

    def left(self) -> set[bytes]:
        """Storages that belonged to the pool, and left it empty."""
        return {storage for storage, one in self._members.items() if not one.joined}

    def away(self, present: Iterable[bytes]) -> list[str]:
        """Paths of the storages that belong to the pool and are not among these."""
        there = set(present)
        return sorted(path for storage, path in self.paths().items() if storage not in there)

    def join(self, storage: bytes, path: str) -> None:
        """A storage belongs to the pool, and lies there."""
        known = self._members.get(storage)
        if known is None or (known.joined, known.path) != (True, path):
            self._members[storage] = Member(self._next(), True, path)

    def leave(self, storage: bytes) -> None:
        """A storage without any file of the pool belongs to it no more."""
        known = self._members.get(storage)
        if known is not None and known.joined:
            self._members[storage] = Member(self._next(), False, known.path)

    def write(self, backend: Backend) -> None:
        """Add to the file in a folder what it does not tell yet, durably."""
        told = self._read(backend)
        rows = [self._row(storage, one) for storage, one in self._members.items() if told.get(storage) != one]
        if not rows:
            return
        try:
            content: bytes | None = backend.read(FILE, 0, backend.size(FILE))
        except NotFound:
            content = None
        # A row that a crash cut off goes.
        add_durably(backend, FILE, None if content is None else content.rfind(b"\n") + 1, b"".join(rows))

    def write_where_possible(self, backends: Iterable[Backend]) -> bool:
        """As `write`; whether each has it now. A folder that cannot take it (no room, say) is told later."""
        whole = True
        for backend in backends:
            try:
                self.write(backend)
            except StorageFault as error:
                whole = False
                log.warning("%s/%s does not tell of every storage: %s", backend.label, FILE, error.message)
        return whole

    def _next(self) -> int:
        return 1 + max((one.number for one in self._members.values()), default=0)

    def _row(self, storage: bytes, one: Member) -> bytes:
        path = quote_from_bytes(one.path.encode(errors="surrogateescape"))
        text = f"{one.number} {'in' if one.joined else 'out'} {storage.hex()} {path}".encode()
        return text + b" " + self._sum(text) + b"\n"

    def _sum(self, text: bytes) -> bytes:
        return blake3(self._pool + text).hexdigest().encode()

    def _read(self, backend: Backend) -> dict[bytes, Member]:
        try:
            lines = backend.read(FILE, 0, backend.size(FILE)).split(b"\n")
        except NotFound:
            return {}
        found: dict[bytes, Member] = {}
        for line in lines:
            row = _ROW.fullmatch(line)
            if row is None or self._sum(line[: row.start(5) - 1]) != row[5]:
                if line:
                    log.error("%s/%s has a damaged row.", backend.label, FILE)
                continue
            path = unquote_to_bytes(row[4]).decode(errors="surrogateescape")
            storage, member = bytes.fromhex(row[3].decode()), Member(int(row[1]), row[2] == b"in", path)
            if storage not in found or found[storage].number < member.number:
                found[storage] = member
        return found
