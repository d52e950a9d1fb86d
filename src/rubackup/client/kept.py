"""A session with the media server that keeps the manifests of this client's own pools."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from rubackup.client.channels import MANIFEST_FRAME_BYTES, Session
from rubackup.wire.data import DataConnection
from rubackup.wire.framing import FrameType
from rubackup.wire.messages import (
    PROTOCOL_VERSION,
    Ack,
    AskKept,
    Keep,
    KeptRecords,
    KeptSize,
    ListKept,
    OpenKept,
    ReadKept,
)

_READ_BYTES: Final = 4 << 20


class KeptOverWire(Session):
    """One thread at a time uses it."""

    def __init__(self, connection: DataConnection, ticket: Callable[[], bytes]) -> None:
        super().__init__(connection, ticket)
        connection.send(OpenKept(version=PROTOCOL_VERSION, ticket=self._shown))
        connection.expect(Ack)

    def size(self, record: str) -> int:
        """Length of a record's kept manifest with its seal; 0 when none is kept."""
        self._renew()
        self._connection.send(AskKept(record=record))
        return self._connection.expect(KeptSize).size_bytes

    def read(self, record: str, offset: int, length: int) -> bytes:
        """A range of it."""
        found = b""
        while len(found) < length:
            self._renew()
            part = min(_READ_BYTES, length - len(found))
            self._connection.send(ReadKept(record=record, offset=offset + len(found), length=part))
            data = bytes(self._connection.expect_frame(FrameType.DATA))
            if not data:
                break
            found += data
        return found

    def keep(self, record: str, size_bytes: int, read: Callable[[int, int], bytes]) -> None:
        """Have a sealed manifest kept, durably; what is kept already stays. `read` gives ranges of it."""
        self._renew()
        if self.size(record) == size_bytes:
            return
        self._connection.send(Keep(record=record, size_bytes=size_bytes))
        for at in range(0, size_bytes, MANIFEST_FRAME_BYTES):
            data = read(at, min(MANIFEST_FRAME_BYTES, size_bytes - at))
            self._connection.send_frame(FrameType.MANIFEST, memoryview(data))
        self._connection.expect(Ack)

    def records(self) -> list[str]:
        """Every record of the ticket's pool whose manifest is kept; of a ticket for all of them only."""
        found: list[str] = []
        while True:
            self._renew()
            self._connection.send(ListKept(after=found[-1] if found else ""))
            answer = self._connection.expect(KeptRecords)
            found += answer.records
            if not answer.more or not answer.records:
                return found
