"""What a copy reads of its source, and what a backup sends, seen from beside them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from blake3 import blake3

from rubackup.chunkstore import group
from rubackup.chunkstore.pool import Pool, WriteSession

SUM_BYTES = 16


@dataclass
class CountedSource:
    """A pool that is read; the ids in each group that it gave."""

    pool: Pool
    given: list[frozenset[bytes]] = field(default_factory=list)

    def read(self, record: str) -> Any:
        """A session that is counted."""
        session, given = self.pool.read(record), self.given

        class Counted:
            manifest_bytes, crypto, key_id = session.manifest_bytes, session.crypto, session.key_id
            read_manifest = staticmethod(session.read_manifest)

            @staticmethod
            def groups(runs: Sequence[tuple[int, int]]) -> Iterator[bytes]:
                for data in session.groups(runs):
                    given.append(frozenset(group.read_head(data).ids))
                    yield data

        return Counted

    def read_again(self, wanted: set[bytes], held: set[bytes]) -> int:
        """How many groups were read that have nothing but what the target held."""
        return sum(not (ids & wanted) - held for ids in self.given)


@dataclass
class TwoPools:
    """What `media.copying.Copier` asks for pools, with the source counted."""

    source_id: int
    source: CountedSource
    target: Pool

    def wait_for(self, number: int) -> Any:
        """A pool."""
        return self.source if number == self.source_id else self.target


class Ciphertext:
    """Sums of all groups that clients encrypted: a pool may hold no other ciphertext."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def noted(self, session: WriteSession) -> Any:
        """The session; the sum of each group is written down before it is sent."""
        path = self._path

        class Noted:
            def __getattr__(self, name: str) -> Any:
                return getattr(session, name)

            @staticmethod
            def put_group(data: bytes) -> None:
                with path.open("ab") as file:
                    file.write(blake3(data).digest(SUM_BYTES))
                session.put_group(data)

        return Noted()

    def known(self) -> set[bytes]:
        """All sums; what a kill cut off is in none."""
        data = self._path.read_bytes() if self._path.exists() else b""
        return {data[at : at + SUM_BYTES] for at in range(0, len(data), SUM_BYTES)}
