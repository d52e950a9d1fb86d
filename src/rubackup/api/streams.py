"""`GET /events`: server-sent events. What is sent, and when a stream ends; the hub feeds it.

A stream holds no connection of the catalogue while it waits, and all of it is freed when the caller goes.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Annotated, Literal

import msgspec
from msgspec import Meta
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from rubackup.api.access import credential_of
from rubackup.api.callers import send_until_gone
from rubackup.api.hub import Credential, EventHub, Subscription
from rubackup.api.kernel import Asked, Kernel
from rubackup.api.requests import read_query
from rubackup.api.validate import build_query
from rubackup.domain.errors import Invalid, RubackupError
from rubackup.services import events

HEARTBEAT_SECONDS = 15.0
SEND_SECONDS = 30.0
"""A caller that takes nothing for so long is cut off."""
RETRY_MILLISECONDS = 2000
MAX_PART = 64 << 10
HEADERS = {"content-type": "text/event-stream", "x-accel-buffering": "no"}
_RESET = b'event: reset\nid: %s\ndata: {"reason": "Events were missed: read anew what is shown."}\n\n'
_ENDS = {
    "session": b'event: end\ndata: {"reason": "The session is over, or its rights have changed."}\n\n',
    "stopping": b'event: end\ndata: {"reason": "The API is being stopped."}\n\n',
    "unavailable": b'event: end\ndata: {"reason": "The service database does not answer."}\n\n',
}


class EventQuery(msgspec.Struct, kw_only=True):
    """What a stream shall hold."""

    family: Annotated[
        list[Annotated[str, Meta(max_length=100)]],
        Meta(description="Only events of this family, the path of its list; may repeat. Left out: all.", max_length=50),
    ] = []
    follow: Annotated[Literal["yes", "no"], Meta(description="no: the stream ends when it has told what there is.")] = (
        "yes"
    )


async def event_stream(kernel: Kernel, asked: Asked) -> Response:
    """The stream of an admitted caller, from `Last-Event-ID` or from now."""
    query = build_query(EventQuery, read_query(asked.request), zone=kernel.zone)
    hub = kernel.events
    unknown = [name for name in query.family if name not in hub.families]
    if unknown:
        raise Invalid(fields={"family": f"{unknown[0]} is unknown; known: {', '.join(sorted(hub.families))}."})
    last = asked.request.headers.get("last-event-id", "").strip()
    resumed = events.read_place(last) if last else None
    credential = Credential(credential_of(asked.request), asked.principal.address, asked.principal)
    if query.follow == "no":
        stream = await hub.glance(credential, query.family)
    else:
        stream = await hub.subscribe(credential, query.family)
    try:
        reset = resumed is not None and not await hub.resume(stream, *resumed)
    except BaseException:
        hub.leave(stream)
        raise
    return EventResponse(hub, stream, reset=reset, follow=query.follow == "yes")


class EventResponse(Response):
    """The answer that does not end by itself."""

    def __init__(self, hub: EventHub, stream: Subscription, *, reset: bool, follow: bool) -> None:
        super().__init__(None, 200, HEADERS)
        del self.headers["content-length"]
        self._hub, self._stream = hub, stream
        self._reset, self._follow = reset, follow

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until the caller goes, or the stream ends."""
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            await send_until_gone(self._send(scope, send), receive)
        finally:
            self._hub.leave(self._stream)

    async def _send(self, scope: Scope, send: Send) -> None:
        async def put(part: bytes, *, more: bool = True) -> None:
            async with asyncio.timeout(SEND_SECONDS):
                await send({"type": "http.response.body", "body": part, "more_body": more})

        try:
            if scope["method"] == "HEAD":
                await put(b"", more=False)
                return
            await put(b"retry: %d\n%s" % (RETRY_MILLISECONDS, _standing(self._stream)))
            if self._reset:
                await put(_RESET % events.write_place(self._stream.log, self._stream.place).encode())
            await put(await self._tell(put), more=False)
        except TimeoutError:
            if abort := scope.get("rubackup.abort"):
                abort()

    async def _tell(self, put: Callable[[bytes], Awaitable[None]]) -> bytes:
        """Everything that is to be told; the last words."""
        stream = self._stream
        try:
            while not stream.ended and not self._hub.attach(stream):
                if part := await self._hub.catch_up(stream):
                    await put(part)
        except RubackupError:
            return _ENDS["unavailable"]
        while self._follow and not stream.ended:
            part = await _next_part(stream)
            if not stream.ended:
                await put(part or b": still here\n" + _standing(stream))
        if stream.ended == "reset":
            return _RESET % self._hub.standing(stream).encode()
        return _ENDS.get(stream.ended, b"")


async def _next_part(stream: Subscription) -> bytes:
    """What waits, or comes within the time of a heartbeat; nothing when nothing came, or the stream has ended."""
    if not stream.waiting:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stream.woken.wait(), HEARTBEAT_SECONDS)
    stream.woken.clear()
    parts, size = [], 0
    while stream.waiting and size < MAX_PART:
        parts.append(stream.waiting.popleft())
        size += len(parts[-1])
    return b"".join(parts)


def _standing(stream: Subscription) -> bytes:
    """Where the stream is, so that a caller to whom nothing happened resumes there."""
    return b"id: %s\n\n" % events.write_place(stream.log, stream.place).encode()
