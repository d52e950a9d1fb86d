"""HTTP at the edge: what no application ever sees, a broken or endless head, is answered in our envelope too."""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from rubackup.api.envelope import failure
from rubackup.domain.errors import Invalid

MAX_HEAD_BYTES = 64 << 10
"""Request line and headers together; two tokens in cookies and two in headers are about 4 KiB."""
HEAD_SECONDS = 20.0
"""A caller that has not finished its head by then is cut off."""
MAX_CONNECTIONS = 4000


class ApiProtocol(HttpToolsProtocol):
    """One connection of a caller."""

    _head_bytes = 0
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for the first request, but not for long; beyond the limit of connections, not at all."""
        super().connection_made(transport)
        if len(self.connections) > MAX_CONNECTIONS:
            transport.abort()
            return
        self._deadline = self.loop.call_later(HEAD_SECONDS, transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        """The caller is gone."""
        self._cancel_deadline()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self.scope["rubackup.abort"] = self.transport.abort  # type: ignore[typeddict-unknown-key]
        self._head_bytes = 0
        if self._deadline is None:
            self._deadline = self.loop.call_later(HEAD_SECONDS, self.transport.abort)

    def on_url(self, url: bytes) -> None:
        """A part of the request line."""
        self._count(url)
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header."""
        self._count(name, value)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head is whole."""
        self._cancel_deadline()
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        """The envelope in place of a line of text."""
        body = bytes(failure(Invalid(msg)).body)
        head = (
            b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\n"
            b"connection: close\r\ncontent-length: %d\r\n\r\n" % len(body)
        )
        self.transport.write(head + body)
        self.transport.close()

    def _count(self, *parts: bytes) -> None:
        self._head_bytes += sum(map(len, parts))
        if self._head_bytes > MAX_HEAD_BYTES:
            raise ValueError("the head of the request is too large")

    def _cancel_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
