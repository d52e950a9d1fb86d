"""Answers that are files: read in parts from wherever they lie, sent as they come, whole or a range (RFC 9110).

One part is on its way while the one before it is sent, so memory is that of two parts whatever the file's size. A file
that turns out damaged on the way cuts the connection: a caller never takes half a file for a whole one.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Iterator
from typing import Final, NamedTuple, Protocol
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from rubackup.api.callers import send_until_gone
from rubackup.api.envelope import failure
from rubackup.api.seats import Seats
from rubackup.domain.errors import Corrupt, RangeNotSatisfiable, RubackupError
from rubackup.services.ports import FILE_PART_BYTES, FilePart

log = logging.getLogger(__name__)

MEDIA: Final = "application/octet-stream"
"""Of every file: what it holds is for the caller to know, and for no browser to run."""
SEND_BYTES: Final = 64 << 10
SEND_SECONDS: Final = 30.0
"""A caller that does not take so many bytes in so much time is cut off."""
MAX_DOWNLOADS_OF_USER: Final = 8
"""Each holds two parts in memory."""
_ZEROS: Final = bytes(SEND_BYTES)
_RANGE = re.compile(r"bytes=\s*(?:(\d{1,19})-(\d{0,19})|-(\d{1,19}))\s*", re.IGNORECASE)


class Source(Protocol):
    """A file to be sent."""

    name: str
    """What it is called where it is saved."""

    async def part(self, offset: int, length: int) -> FilePart:
        """A range of at most FILE_PART_BYTES, cut at the end of the file; a hole that ends it comes unfilled."""
        ...

    async def cut(self, sent_bytes: int, why: str) -> None:
        """Note that the caller did not get everything, as the file could not be read."""
        ...


class Span(NamedTuple):
    """The bytes of a file that are sent."""

    begin: int
    end: int


class Opened(NamedTuple):
    """What is to be sent, with its first part at hand."""

    span: Span
    first: FilePart
    partial: bool


async def open_file(request: Request, source: Source) -> Opened:
    """Ask for the first part of what the caller wants; RangeNotSatisfiable, and whatever the source raises.

    A Range that is malformed, names several ranges, or comes with an If-Range of other content, counts as none.
    """
    wanted = _wanted(request)
    only_head = request.method == "HEAD"
    guess = int(wanted[1]) if wanted and wanted[1] else 0
    first = await source.part(guess, 0 if only_head or (wanted and wanted[3]) else FILE_PART_BYTES)
    if wanted and request.headers.get("if-range", etag(first)) != etag(first):
        wanted = None
    span = _span(wanted, first.size_bytes)
    if span is None:
        error = RangeNotSatisfiable(f"The range begins behind the end of the file, which has {first.size_bytes} bytes.")
        error.facts["size_bytes"] = first.size_bytes
        raise error
    if not only_head and span.end > span.begin and (span.begin != guess or not (first.data or first.hole)):
        first = await source.part(span.begin, min(FILE_PART_BYTES, span.end - span.begin))
    return Opened(span, first, wanted is not None)


def _wanted(request: Request) -> re.Match[str] | None:
    """The one range that is asked for, if it can be one."""
    found = _RANGE.fullmatch(request.headers.get("range", ""))
    backwards = found is not None and found[2] and int(found[2]) < int(found[1])
    return None if backwards else found


def _span(wanted: re.Match[str] | None, size: int) -> Span | None:
    """The bytes that a Range header means; None when the file has none of them."""
    if wanted is None:
        return Span(0, size)
    if wanted[3]:
        last = int(wanted[3])
        return Span(max(0, size - last), size) if last and size else None
    begin = int(wanted[1])
    end = int(wanted[2]) + 1 if wanted[2] else size
    return Span(begin, min(end, size)) if begin < size else None


def etag(part: FilePart) -> str:
    """A strong entity tag: the same content always has the same."""
    return f'"{part.tag}"'


def refused(error: RangeNotSatisfiable) -> Response:
    """The 416, with the size that RFC 9110 wants told."""
    return failure(error, {"content-range": f"bytes */{error.facts['size_bytes']}"})


def disposition(name: str) -> str:
    """Content-Disposition with the name in ASCII, and as RFC 5987 (8187) has it."""
    plain = re.sub(r"[^A-Za-z0-9 ._+()\[\]-]", "_", name)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name.encode('utf-8', 'replace'), safe='')}"


class FileResponse(Response):
    """The answer, sent part by part; it takes over the seat of the download and leaves it at the end."""

    def __init__(self, source: Source, opened: Opened, seats: Seats, seat: int) -> None:
        span, first = opened.span, opened.first
        headers = {
            "content-type": MEDIA,
            "content-length": str(span.end - span.begin),
            "content-disposition": disposition(source.name),
            "accept-ranges": "bytes",
            "etag": etag(first),
        }
        if opened.partial:
            headers["content-range"] = f"bytes {span.begin}-{span.end - 1}/{first.size_bytes}"
        super().__init__(None, 206 if opened.partial else 200, headers)
        self._source, self._opened = source, opened
        self._seats, self._seat = seats, seat
        self._at = span.begin

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until all is sent, the caller goes, or the file cannot be read."""
        try:
            await send_until_gone(self._send(scope, send), receive)
        finally:
            self._seats.leave(self._seat)

    async def _send(self, scope: Scope, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        try:
            if scope["method"] != "HEAD":
                await self._parts(send)
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            return
        except TimeoutError:
            log.info("a download was cut off: the caller took nothing for %g s", SEND_SECONDS)
        except RubackupError as error:
            sent = self._at - self._opened.span.begin
            log.error("a download of %s was cut off after %d bytes: %s", self._source.name, sent, error.message)
            await self._source.cut(sent, error.message)
        if abort := scope.get("rubackup.abort"):
            abort()

    async def _parts(self, send: Send) -> None:
        end = self._opened.span.end
        part: FilePart | None = self._opened.first if self._at < end else None
        while part is not None:
            after = min(self._at + len(part.data) + part.hole, end)
            following = asyncio.create_task(self._part(after, end)) if after < end else None
            try:
                for piece in _pieces(part, after - self._at):
                    async with asyncio.timeout(SEND_SECONDS):
                        await send({"type": "http.response.body", "body": piece, "more_body": True})
                    self._at += len(piece)
                    await asyncio.sleep(0)  # a quick caller never makes send wait, and a hole has no part to wait for
                part = await following if following else None
            finally:
                if following is not None:
                    following.cancel()
                    await asyncio.wait({following})
                    if not following.cancelled():
                        following.exception()  # told by the await above, or of no interest any more

    async def _part(self, begin: int, end: int) -> FilePart:
        """The next part, of the same content as the first."""
        found = await self._source.part(begin, min(FILE_PART_BYTES, end - begin))
        if found.tag != self._opened.first.tag or not (found.data or found.hole):
            raise Corrupt("The file is not what it was when the download began.")
        return found


def _pieces(part: FilePart, length: int) -> Iterator[bytes]:
    """What is sent of a part, cut at `length`; a hole is never held."""
    data = memoryview(part.data)[:length]
    for begin in range(0, len(data), SEND_BYTES):
        yield bytes(data[begin : begin + SEND_BYTES])
    for begin in range(len(data), length, SEND_BYTES):
        yield _ZEROS[: length - begin]
