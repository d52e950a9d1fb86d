"""HTTP at the edge: what no application ever sees, a broken or endless head, is answered in our envelope too."""

from __future__ import annotations

import asyncio
import re
from http import HTTPStatus

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from rubackup.api.envelope import failure
from rubackup.domain.errors import AddressTooLong, HeadTooLarge, Invalid

MAX_HEAD_BYTES = 64 << 10
"""Request line and headers together; two tokens in cookies and two in headers are about 4 KiB."""
HEAD_SECONDS = 20.0
"""A caller that has not finished its head by then is cut off."""
LINGER_SECONDS = 2.0
"""How long a caller is listened to whose head was too large: one that is still sending would not read the answer else."""
MAX_CONNECTIONS = 4000
_LIMIT = f"the address of a request and its headers may take {MAX_HEAD_BYTES:,} bytes together."
_NAME = re.compile(rb"[A-Za-z_]{1,64}")


class ApiProtocol(HttpToolsProtocol):
    """One connection of a caller."""

    _head_bytes = 0
    _deadline: asyncio.TimerHandle | None = None
    _refusal: Invalid | None = None
    """What is wrong with the head, once that is known: nothing is read from then on."""

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

    def data_received(self, data: bytes) -> None:
        """Something of a request, or what still comes behind a head that was refused."""
        if self._refusal is None:
            super().data_received(data)

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self.scope["rubackup.abort"] = self.transport.abort  # type: ignore[typeddict-unknown-key]
        self._head_bytes = 0
        if self._deadline is None:
            self._deadline = self.loop.call_later(HEAD_SECONDS, self.transport.abort)

    def on_url(self, url: bytes) -> None:
        """A part of the request line."""
        super().on_url(url)
        if self._grown(url):
            self._refusal = _too_long(self.url)
            raise ValueError(self._refusal.message)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header."""
        if self._grown(name, value):
            self._refusal = HeadTooLarge(f"The headers of the request are too large: {_LIMIT}")
            raise ValueError(self._refusal.message)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head is whole."""
        self._cancel_deadline()
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        """The envelope in place of a line of text."""
        answer = failure(self._refusal or Invalid(msg))
        status, body = HTTPStatus(answer.status_code), bytes(answer.body)
        head = (
            f"HTTP/1.1 {status.value} {status.phrase}\r\ncontent-type: application/json\r\n"
            f"connection: close\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self._cancel_deadline()
        if self._refusal is None:
            self.transport.close()
        else:
            self._deadline = self.loop.call_later(LINGER_SECONDS, self.transport.close)

    def _grown(self, *parts: bytes) -> bool:
        """Whether the head has become too large by these."""
        self._head_bytes += sum(map(len, parts))
        return self._head_bytes > MAX_HEAD_BYTES

    def _cancel_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


def _too_long(url: bytes) -> AddressTooLong:
    """Names the parameter that takes most of what has come of the address."""
    path, _, query = url.partition(b"?")
    longest = max(query.split(b"&"), key=len)
    name = longest.partition(b"=")[0]
    if len(longest) < len(path) or not _NAME.fullmatch(name):
        return AddressTooLong(f"The address of the request is too long: {_LIMIT}")
    return AddressTooLong(fields={name.decode(): f"is too long: {_LIMIT}"})
