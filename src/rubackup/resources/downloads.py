"""Single files of copies over HTTP: by login or API token, and by a link that needs neither."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response

from rubackup.api.access import source_address
from rubackup.api.envelope import success
from rubackup.api.files import MAX_DOWNLOADS_OF_USER, FileResponse, open_file, refused
from rubackup.api.kernel import BASE, ROUTE, Asked, Kernel
from rubackup.api.mutations import mutate, refusals_noted
from rubackup.api.reads import refuse_query
from rubackup.api.requests import read_query
from rubackup.api.seats import MAX_DOWNLOADS
from rubackup.api.validate import build_query
from rubackup.api.writes import read_body_struct
from rubackup.domain.errors import RangeNotSatisfiable
from rubackup.services import downloads
from rubackup.services.change import Change, changing
from rubackup.services.fields import Row
from rubackup.services.ports import FilePart

LINKED = "linked_file"
"""Below the repository: where links lead."""


class FileQuery(msgspec.Struct, kw_only=True):
    """Which file of the copy."""

    path: Annotated[
        str,
        Meta(description="Absolute path of a regular file, as the file list shows it.", min_length=1, max_length=32768),
    ]


class LinkQuery(msgspec.Struct, kw_only=True):
    """What was made to open a file."""

    link: Annotated[str, Meta(description="The signed text of the link.", min_length=1, max_length=downloads.MAX_LINK)]


HEADERS = {
    "Range": "`bytes=first-last`, `bytes=first-` or `bytes=-last`: one range. Others are answered by the whole file.",
    "If-Range": "The ETag of what is there already: the range counts only if the file is still the same.",
}
OWNERS = "The copy lies in a storage of its client: only that client can read it"
STATUSES = {
    200: "The file, with Content-Length, ETag and Content-Disposition. HEAD: these alone",
    206: "The range that was asked for, with Content-Range",
    404: "There is no such copy, or the path is no regular file in it; the message says what it is instead",
    409: OWNERS,
    416: "The range begins behind the end of the file; Content-Range tells its size",
    429: "The user has too many downloads; see Retry-After",
    503: "The media server does not answer, the key holder of an encrypted copy is offline, or too many downloads are "
    "under way",
}  # fmt: skip


class RecordSource:
    """A file of a copy for `api.files`."""

    def __init__(self, kernel: Kernel, asked: Asked, record: Row, path: str) -> None:
        self._kernel, self._asked, self._record, self._path = kernel, asked, record, path
        self.name = path.rpartition("/")[2]

    async def part(self, offset: int, length: int) -> FilePart:
        """A range, asked of the media server."""
        return await downloads.part(self._kernel.hosts, self._record, self._path, offset, length)

    async def cut(self, sent_bytes: int, why: str) -> None:
        """Note in audit and log that the file was not sent whole."""
        await self.note(f"cut off after {sent_bytes} bytes: {why}")

    async def note(self, text: str) -> None:
        """An audit row, and a line of the repository's log."""
        asked = self._asked
        async with changing(
            self._kernel.database, asked.principal, self._kernel.hosts, method=asked.method, path=asked.path,
            resource=asked.route.resource.path,
        ) as change:  # fmt: skip
            change.after = {"path": self._path, "sent": text}
            await downloads.note(change, self._record, self._path, text)


async def download(kernel: Kernel, asked: Asked) -> Response:
    """GET /repository/{id}/file."""
    query = build_query(FileQuery, read_query(asked.request), zone=kernel.zone)
    assert asked.id is not None
    return await _send(kernel, asked, asked.id, query.path)


async def linked(kernel: Kernel, request: Request) -> Response:
    """GET /repository/linked_file."""
    query = build_query(LinkQuery, read_query(request), zone=kernel.zone)
    principal, link = await kernel.links.open(query.link, source_address(request))
    asked = Asked(request, principal, request.scope[ROUTE], link.record_id)
    async with refusals_noted(kernel, asked):
        downloads.permit(principal)
    return await _send(kernel, asked, link.record_id, link.path)


async def _send(kernel: Kernel, asked: Asked, record_id: int, path: str) -> Response:
    async with refusals_noted(kernel, asked), kernel.database.connection() as db:
        record = await downloads.downloadable(Change(db, asked.principal, kernel.hosts), record_id, path)
    source = RecordSource(kernel, asked, record, path)
    seat = kernel.seats.take(asked.principal.user_id, of_user=MAX_DOWNLOADS_OF_USER, of_worker=MAX_DOWNLOADS)
    try:
        opened = await open_file(asked.request, source)
        if asked.method != "HEAD":
            span = opened.span
            await source.note(f"bytes {span.begin} to {span.end} of {opened.first.size_bytes}")
    except RangeNotSatisfiable as error:
        kernel.seats.leave(seat)
        return refused(error)
    except BaseException:
        kernel.seats.leave(seat)
        raise
    return FileResponse(source, opened, kernel.seats, seat)


async def make_link(kernel: Kernel, asked: Asked) -> Response:
    """POST /repository/{id}/file_link."""
    refuse_query(asked)
    assert asked.id is not None
    assert asked.route.body is not None
    record_id, body = asked.id, await read_body_struct(kernel, asked, asked.route.body)
    async with refusals_noted(kernel, asked), kernel.database.connection() as db:
        record = await downloads.downloadable(Change(db, asked.principal, kernel.hosts), record_id, body.path)
    found = await downloads.part(kernel.hosts, record, body.path, 0, 0)

    async def work(change: Change) -> Response:
        change.row_ids.append(record_id)
        text, expires_at = kernel.links.make(asked.principal, record_id, body.path)
        url = f"{BASE}/{asked.route.resource.path}/{LINKED}?link={text}"
        link = downloads.FileLink(url=url, expires_at=expires_at, size_bytes=found.size_bytes)
        return success(link, asked.route.action.message if asked.route.action else "")

    return await mutate(kernel, asked, work, body)
