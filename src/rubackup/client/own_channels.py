"""Channels to a pool of the client's own: what a data session with a media server is to other pools, without a network.

Groups are checked as a media server checks them: what is written here must restore whoever wrote it. A record that is
sealed is reported only after its manifest is kept by the media server.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from typing_extensions import Buffer

from rubackup.agent.seals import SealBook
from rubackup.chunkstore.pool import ReadSession, SealedRecord, WriteSession
from rubackup.client.ports import Answer, Sealed
from rubackup.domain.errors import Corrupt

DAMAGE_TOLD = 4
"""Damaged places that one error names."""


class OwnBackup:
    """A session that writes one record (client.ports.BackupChannel)."""

    def __init__(
        self, session: WriteSession, seals: SealBook, pool_id: int, keep: Callable[[SealedRecord], None]
    ) -> None:
        """`keep` has the manifest of the sealed record kept; when it fails the record is not reported by this attempt."""
        self._session, self._seals, self._pool_id, self._keep = session, seals, pool_id, keep
        self.parent_bytes: int = session.parent_bytes
        self.block_bytes: int = session.block_bytes

    def read_parent(self, offset: int, length: int) -> bytes:
        """A range of the parent's manifest."""
        return self._session.read_parent(offset, length)

    def ask(self, ids: bytes) -> Answer:
        """One state a chunk (0 send, 1 stored, 2 prove) and the nonce for proofs."""
        return self._session.ask(ids)

    def prove(self, ids: bytes, proofs: bytes) -> bytes:
        """One byte a chunk: 1 accepted, 0 send it."""
        return self._session.prove(ids, proofs)

    def put_group(self, *parts: Buffer) -> None:
        """Store a group, whose parts follow one another."""
        self._session.put_group(*[memoryview(part) for part in parts])

    def checkpoint(self) -> None:
        """Return when everything so far is durable."""
        self._session.checkpoint()

    def put_manifest(self, data: bytes) -> None:
        """The next piece of the manifest."""
        self._session.put_manifest(data)

    def copy_parent(self, first_segment: int, count: int) -> None:
        """The next piece of the manifest is these segments of the parent's."""
        self._session.copy_parent(first_segment, count)

    def seal(self, files: int, files_failed: int, size_bytes: int) -> Sealed:
        """Publish the record, and have its manifest kept; the note that the server must hear of it is durable before."""
        with self._seals.sealing(self._pool_id, self._session.record):
            sealed = self._session.seal(files, files_failed, size_bytes)
            self._keep(sealed)
        return sealed

    def close(self) -> None:
        """End the session; what is not sealed by now never will be, but chunks that are whole stay."""
        self._session.abort()


class OwnRestore:
    """A session that reads one record (client.ports.RestoreChannel)."""

    def __init__(self, session: ReadSession) -> None:
        self._session = session
        self.manifest_bytes: int = session.manifest_bytes
        self.crypto: str = session.crypto
        self.key_id: str = session.key_id

    def read_manifest(self, offset: int, length: int) -> bytes:
        """A range of the manifest."""
        return self._session.read_manifest(offset, length)

    def groups(self, runs: Sequence[tuple[int, int]]) -> Iterator[bytes]:
        """Each group that holds a wanted chunk, once. Corrupt, after the last one, when chunks are damaged."""
        groups = self._session.groups(runs)
        damage: list[str] = []
        while True:
            try:
                data = next(groups)
            except StopIteration:
                break
            except Corrupt as error:
                damage.append(str(error))
                continue
            yield data
        if damage:
            raise Corrupt(" ".join(damage[:DAMAGE_TOLD]))

    def close(self) -> None:
        """Nothing is held."""
