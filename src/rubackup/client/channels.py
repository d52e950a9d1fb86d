"""Data sessions with a media server as the channels that modules write to and read from.

One thread at a time uses a channel. A renewed ticket is handed over between two requests.
"""

from __future__ import annotations

import ssl
from collections import deque
from collections.abc import Callable, Iterator, Sequence

from typing_extensions import Buffer

from rubackup.client.ports import Answer
from rubackup.wire.data import DataConnection, connect_data
from rubackup.wire.framing import FrameType
from rubackup.wire.messages import (
    PROTOCOL_VERSION,
    Ack,
    BackupOpened,
    Bye,
    Checkpoint,
    Checkpointed,
    CopySegments,
    Known,
    MediaAddress,
    OpenBackup,
    OpenRestore,
    Prove,
    Proved,
    Query,
    ReadManifest,
    Renew,
    RestoreOpened,
    Seal,
    Sealed,
)

MANIFEST_FRAME_BYTES = 1 << 20


class Session:
    """What all kinds of session share."""

    def __init__(self, connection: DataConnection, ticket: Callable[[], bytes]) -> None:
        self._connection = connection
        self._ticket = ticket
        self._shown = ticket()

    def _renew(self) -> None:
        """Show a newer ticket if there is one."""
        ticket = self._ticket()
        if ticket != self._shown:
            self._settle()
            self._connection.send(Renew(ticket=ticket))
            self._connection.expect(Ack)
            self._shown = ticket

    def _settle(self) -> None:
        """Read what was asked for earlier, as its answers come before any later one."""

    def _data(self, offset: int, length: int) -> bytes:
        self._renew()
        self._settle()
        self._connection.send(ReadManifest(offset=offset, length=length))
        return bytes(self._connection.expect_frame(FrameType.DATA))

    def close(self) -> None:
        """End the session in order."""
        try:
            self._connection.send(Bye())
        finally:
            self._connection.close()


def connect(address: MediaAddress, context: ssl.SSLContext) -> DataConnection:
    """A connection to the media server of that name; another one is refused."""
    return connect_data(address.host, address.port, context, expect=("media", address.hwid), key=address.key)


class BackupOverWire(Session):
    """A session that writes one record (client.ports.BackupChannel)."""

    def __init__(self, connection: DataConnection, ticket: Callable[[], bytes], key_id: str = "") -> None:
        """`key_id` names the key of an encrypted copy."""
        super().__init__(connection, ticket)
        connection.send(OpenBackup(version=PROTOCOL_VERSION, ticket=self._shown, key_id=key_id))
        opened = connection.expect(BackupOpened)
        self.parent_bytes: int = opened.parent_bytes
        self.block_bytes: int = opened.block_bytes
        self._asked = 0
        """Questions whose answer was not received yet."""
        self._answers: deque[Known] = deque()

    def read_parent(self, offset: int, length: int) -> bytes:
        """A range of the parent's manifest."""
        return self._data(offset, length)

    def ask(self, ids: bytes) -> Answer:
        """Ask for one state a chunk (0 send, 1 stored, 2 prove) and the nonce for proofs, without waiting."""
        self._renew()
        self._connection.send(Query(ids=ids))
        self._asked += 1
        return self._answer

    def _answer(self) -> tuple[bytes, bytes]:
        """The answer to the oldest question."""
        if not self._answers:
            self._receive()
        known = self._answers.popleft()
        return known.states, known.nonce

    def _receive(self) -> None:
        self._answers.append(self._connection.expect(Known))
        self._asked -= 1

    def _settle(self) -> None:
        while self._asked:
            self._receive()

    def prove(self, ids: bytes, proofs: bytes) -> bytes:
        """One byte a chunk: 1 accepted, 0 send it."""
        self._settle()
        self._connection.send(Prove(ids=ids, proofs=proofs))
        return self._connection.expect(Proved).states

    def put_group(self, *parts: Buffer) -> None:
        """Send a group, whose parts follow one another; what is wrong with it shows at the next answer."""
        self._renew()  # under a limit of bandwidth a group may take minutes
        self._connection.send_frame(FrameType.GROUP, *[memoryview(part) for part in parts])

    def checkpoint(self) -> None:
        """Return when everything sent so far is durable."""
        self._renew()
        self._settle()
        self._connection.send(Checkpoint())
        self._connection.expect(Checkpointed)

    def put_manifest(self, data: bytes) -> None:
        """Send the next piece of the manifest."""
        for start in range(0, len(data), MANIFEST_FRAME_BYTES):
            self._connection.send_frame(FrameType.MANIFEST, memoryview(data)[start : start + MANIFEST_FRAME_BYTES])

    def copy_parent(self, first_segment: int, count: int) -> None:
        """The next piece of the manifest is these segments of the parent's; what is wrong shows at the next answer."""
        self._connection.send(CopySegments(first=first_segment, count=count))

    def seal(self, files: int, files_failed: int, size_bytes: int) -> Sealed:
        """Publish the record."""
        self._renew()
        self._settle()
        self._connection.send(Seal(files=files, files_failed=files_failed, size_bytes=size_bytes))
        return self._connection.expect(Sealed)


class RestoreOverWire(Session):
    """A session that reads one record (client.ports.RestoreChannel)."""

    def __init__(self, connection: DataConnection, ticket: Callable[[], bytes]) -> None:
        super().__init__(connection, ticket)
        connection.send(OpenRestore(version=PROTOCOL_VERSION, ticket=self._shown))
        opened = connection.expect(RestoreOpened)
        self.manifest_bytes: int = opened.manifest_bytes
        self.crypto: str = opened.crypto
        self.key_id: str = opened.key_id

    def read_manifest(self, offset: int, length: int) -> bytes:
        """A range of the manifest."""
        return self._data(offset, length)

    def groups(self, runs: Sequence[tuple[int, int]]) -> Iterator[bytes]:
        """Each group that holds a wanted chunk, once. Corrupt, after the last one, when chunks are damaged."""
        self._renew()
        yield from self._connection.groups(runs)
