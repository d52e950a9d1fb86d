"""A record of another media server, read over a data session that a ticket of the server opens (chunkstore.copying)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from rubackup.domain.errors import WireFault
from rubackup.wire.data import DataConnection
from rubackup.wire.framing import FrameType
from rubackup.wire.messages import (
    PROTOCOL_VERSION,
    Ack,
    Bye,
    OpenRestore,
    ReadManifest,
    Renew,
    RestoreOpened,
)


class RemoteRecord:
    """The ticket's record, as the media server that stores it gives it. Used by one thread."""

    def __init__(self, connection: DataConnection, ticket: Callable[[], bytes]) -> None:
        """`ticket` gives the newest ticket of the task."""
        self._connection = connection
        self._ticket = ticket
        self._shown = ticket()
        connection.send(OpenRestore(version=PROTOCOL_VERSION, ticket=self._shown))
        opened = connection.expect(RestoreOpened)
        self.manifest_bytes: int = opened.manifest_bytes
        self.crypto: str = opened.crypto
        self.key_id: str = opened.key_id

    def read_manifest(self, offset: int, length: int) -> bytes:
        """A range of the manifest, cut at its end."""
        length = min(length, self.manifest_bytes - offset)
        data = bytearray()
        while len(data) < length:  # the other side gives less at once than may be asked for
            self._renew()
            self._connection.send(ReadManifest(offset=offset + len(data), length=length - len(data)))
            piece = self._connection.expect_frame(FrameType.DATA)
            if not piece:
                raise WireFault("The media server sent no manifest.")
            data += piece
        return bytes(data)

    def groups(self, runs: Sequence[tuple[int, int]]) -> Iterator[bytes]:
        """Each group that holds a wanted chunk, once. Corrupt, after the last one, when chunks are damaged."""
        self._renew()
        yield from self._connection.groups(runs)

    def bye(self) -> None:
        """End the session in order."""
        self._connection.send(Bye())

    def _renew(self) -> None:
        """Show a newer ticket if there is one."""
        ticket = self._ticket()
        if ticket != self._shown:
            self._connection.send(Renew(ticket=ticket))
            self._connection.expect(Ack)
            self._shown = ticket
