"""Messages over one asyncio TLS connection; works on asyncio's own loop and on uvloop.

Carries frames and translates errors; what the messages mean is decided in `control` and
`peer`. Design: `docs/design/wire.md`.
"""

from __future__ import annotations

import asyncio
import socket
import ssl

from rubackup.domain.errors import Unavailable, WireFault
from rubackup.wire import framing, sockets
from rubackup.wire.certificates import Identity, identity_of
from rubackup.wire.messages import Message

SHUTDOWN_SECONDS = 5.0
CONGESTED_BYTES = 1 << 20
_PIECE_BYTES = 64 << 10


class MessageStream:
    """One connection. One task reads; any may write, a frame is never torn."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, peer: str, address: str) -> None:
        self._reader = reader
        self._writer = writer
        self._drain = asyncio.Lock()
        self.peer = peer
        """How errors name the other side."""
        self.address = address
        self.heard = 0
        """Bytes received; it stands still when the other side is silent."""
        tls = writer.get_extra_info("ssl_object")
        self.certificate: bytes = tls.getpeercert(binary_form=True) or b""
        """The other side's leaf (DER), b'' when it has none."""

    @property
    def identity(self) -> Identity | None:
        """Who the other side's certificate names; None without one, WireFault when it names nobody."""
        return identity_of(self.certificate) if self.certificate else None

    async def receive(self, limit: int = framing.MAX_MESSAGE_BYTES) -> Message:
        """The next message; Unavailable when the connection ended, WireFault for anything malformed or over `limit`."""
        try:
            header = await self._reader.readexactly(framing.HEADER.size)
            self.heard += len(header)
            length, kind = framing.parse_header(header, limit)
            if kind is not framing.FrameType.MESSAGE:
                raise WireFault("A frame of raw bytes came on a control connection.")
            payload = bytearray()
            while len(payload) < length:
                piece = await self._reader.readexactly(min(_PIECE_BYTES, length - len(payload)))
                self.heard += len(piece)
                payload += piece
        except (OSError, EOFError) as error:
            raise sockets.connection_error(error, self.peer) from error
        return framing.decode(payload)

    async def send(self, message: Message) -> None:
        """Returns when the frame is handed to the kernel or small enough to be; Unavailable when the connection ended.

        Waits while the other side does not read. A caller that gives up leaves no torn frame.
        """
        data = framing.frame(message)
        async with self._drain:
            try:
                self._write(data)
                await self._writer.drain()
            except OSError as error:
                raise sockets.connection_error(error, self.peer) from error

    def send_soon(self, message: Message) -> bool:
        """Sends without waiting; False, and nothing sent, when the other side is far behind in reading."""
        if self._writer.transport.get_write_buffer_size() > CONGESTED_BYTES:
            return False
        self._write(framing.frame(message))
        return True

    def _write(self, data: bytes) -> None:
        if self._writer.is_closing():
            raise Unavailable(f"The connection to {self.peer} ended.")
        self._writer.write(data)

    def close(self) -> None:
        """Ends the connection once what was sent is out."""
        self._writer.close()

    def abort(self) -> None:
        """Ends the connection at once."""
        self._writer.transport.abort()

    async def closed(self) -> None:
        """Ends the connection in order, or hard when the other side does not help; returns when it is gone."""
        self.close()
        try:
            async with asyncio.timeout(SHUTDOWN_SECONDS):
                await self._writer.wait_closed()
        except (OSError, TimeoutError):  # how it ended no longer matters
            self.abort()


async def connect(host: str, port: int, context: ssl.SSLContext, *, timeout: float) -> MessageStream:
    """A connection with TLS done; Unavailable or Refused, with the reason, otherwise."""
    peer = f"{host}:{port}"
    try:
        async with asyncio.timeout(timeout):
            sock = await _dial(host, port)
            return await _wrap(sock, context, peer, server_hostname=host)
    except (OSError, EOFError) as error:
        raise sockets.connection_error(error, peer) from error


async def accept(sock: socket.socket, context: ssl.SSLContext, address: str) -> MessageStream:
    """The server's side of a connection, with TLS done."""
    try:
        return await _wrap(sock, context, address, server_hostname=None)
    except (OSError, EOFError) as error:
        raise sockets.connection_error(error, address) from error


async def _dial(host: str, port: int) -> socket.socket:
    loop = asyncio.get_running_loop()
    failure: OSError = OSError(f"{host} has no address")
    for family, kind, protocol, _, address in await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        sock = socket.socket(family, kind, protocol)
        try:
            sock.setblocking(False)
            await loop.sock_connect(sock, address)
        except OSError as error:
            failure = error
            sock.close()
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    raise failure


async def _wrap(
    sock: socket.socket, context: ssl.SSLContext, peer: str, *, server_hostname: str | None
) -> MessageStream:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=_PIECE_BYTES, loop=loop)
    protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
    try:
        sockets.tune(sock)
        address = sockets.plain_address(sock.getpeername())
    except BaseException:
        sock.close()
        raise
    # from here on the loop owns the socket, and closes it also when the handshake fails
    if server_hostname is None:
        transport, _ = await loop.connect_accepted_socket(
            lambda: protocol,
            sock,
            ssl=context,
            ssl_handshake_timeout=sockets.HANDSHAKE_SECONDS,
            ssl_shutdown_timeout=SHUTDOWN_SECONDS,
        )
    else:
        transport, _ = await loop.create_connection(
            lambda: protocol,
            sock=sock,
            ssl=context,
            server_hostname=server_hostname,
            ssl_handshake_timeout=sockets.HANDSHAKE_SECONDS,
            ssl_shutdown_timeout=SHUTDOWN_SECONDS,
        )
    return MessageStream(reader, asyncio.StreamWriter(transport, protocol, reader, loop), peer, address)
