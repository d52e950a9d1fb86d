"""Takes what the tools of this host ask: one connection, one request, one answer.

Knows no meaning of messages. Whoever connects is known by the kernel's word, never by the message.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

from rubackup.client.tools import sockets
from rubackup.domain.errors import Busy, RubackupError, WireFault
from rubackup.wire import framing
from rubackup.wire.messages import LocalUser, Message

CONNECTIONS = 16
"""Tools that are served at once; one more is told that the client is busy."""
REQUEST_BYTES = 1 << 20
REQUEST_SECONDS = 10.0
"""For the request to come whole, and for the answer to be taken."""

log = logging.getLogger(__name__)

Answer = Callable[[Message, LocalUser], Awaitable[Message]]


class ToolListener:
    """The listening socket of the client's process; made before it says that it is ready."""

    def __init__(self, path: Path, answer: Answer) -> None:
        self._path = path
        self._answer = answer
        self._listener = sockets.listen(path)
        self._served: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Serve until cancelled; the socket is gone then."""
        loop = asyncio.get_running_loop()
        log.info("tools of this host are served at %s", self._path)
        try:
            while True:
                sock, _ = await loop.sock_accept(self._listener)
                sock.setblocking(False)
                full = len(self._served) >= CONNECTIONS
                job = loop.create_task(self._refuse(sock) if full else self._serve(sock))
                self._served.add(job)
                job.add_done_callback(self._served.discard)
        finally:
            self._listener.close()
            self._path.unlink(missing_ok=True)
            for job in self._served:
                job.cancel()

    async def _serve(self, sock: socket.socket) -> None:
        with sock:
            try:
                async with asyncio.timeout(REQUEST_SECONDS):
                    user = sockets.other_side(sock)
                    message = await receive(sock)
            except (OSError, EOFError):  # a time-out too: nobody is there to be told
                return
            except RubackupError as error:
                log.warning("a tool is refused: %s", error.message)
                await self._send(sock, framing.as_fault(error))
                return
            await self._send(sock, await self._outcome(message, user))

    async def _outcome(self, message: Message, user: LocalUser) -> Message:
        try:
            return await self._answer(message, user)
        except RubackupError as error:
            return framing.as_fault(error)
        except Exception as error:
            log.exception("a tool could not be answered")
            return framing.as_fault(error)

    async def _refuse(self, sock: socket.socket) -> None:
        with sock:
            await self._send(sock, framing.as_fault(Busy("The client serves as many tools as it can.")))

    async def _send(self, sock: socket.socket, answer: Message) -> None:
        """Send, and read on until the tool has closed: closing with bytes unread would cut the answer off."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(REQUEST_SECONDS):
                await loop.sock_sendall(sock, framing.frame(answer))
                sock.shutdown(socket.SHUT_WR)
                left = 2 * REQUEST_BYTES
                while left > 0 and (piece := await loop.sock_recv(sock, 64 << 10)):
                    left -= len(piece)
        except OSError as error:
            log.info("a tool did not take its answer: %s", error)


async def receive(sock: socket.socket) -> Message:
    """The request; WireFault for anything malformed or over REQUEST_BYTES, EOFError."""
    length, kind = framing.parse_header(await _exactly(sock, framing.HEADER.size), REQUEST_BYTES)
    if kind is not framing.FrameType.MESSAGE:
        raise WireFault("A tool sent a frame that is no message.")
    return framing.decode(await _exactly(sock, length))


async def _exactly(sock: socket.socket, length: int) -> bytes:
    loop = asyncio.get_running_loop()
    data = bytearray()
    while len(data) < length:
        piece = await loop.sock_recv(sock, min(length - len(data), 64 << 10))
        if not piece:
            raise EOFError
        data += piece
    return bytes(data)
