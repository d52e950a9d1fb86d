"""A caller that reads an answer while it is being made, as a browser reads an event stream."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from support.api import HOST, Api

LIMIT_SECONDS = 300


@dataclass(frozen=True)
class Sent:
    """One event of a stream; a comment has no kind, an id alone is `id`."""

    kind: str
    id: str
    data: Any = None


def parse(block: str) -> Sent:
    """An event as a browser reads it."""
    fields: dict[str, str] = {}
    for line in block.splitlines():
        name, _, value = line.partition(": ")
        if name:
            fields[name] = value
    data = json.loads(fields["data"]) if "data" in fields else None
    kind = fields.get("event", "message") if data is not None else "id" if "id" in fields else "comment"
    return Sent(kind, fields.get("id", ""), data)


@dataclass
class Stream:
    """An open stream; without `taking` it takes nothing, like a caller whose network is gone."""

    api: Api
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    last: str = ""
    ended: bool = False
    aborted: bool = False
    taking: asyncio.Event = field(default_factory=asyncio.Event)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    _gone: asyncio.Event = field(default_factory=asyncio.Event)
    _seen: int = 0

    async def _receive(self) -> dict[str, Any]:
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: dict[str, Any]) -> None:
        await self.taking.wait()
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {name.decode(): value.decode() for name, value in message["headers"]}
        else:
            self.body += message.get("body", b"")
            self.ended = not message.get("more_body", False)
        self._changed.set()

    def blocks(self) -> list[Sent]:
        """Everything that came so far."""
        return [parse(block) for block in self.body.decode().split("\n\n")[:-1]]

    async def until(self, reached: Any) -> list[Sent]:
        """What came, as soon as `reached` holds for it."""
        async with asyncio.timeout(LIMIT_SECONDS):
            while not reached(self.blocks()):
                self._changed.clear()
                await self._changed.wait()
        return self.blocks()

    async def messages(self, count: int) -> list[dict[str, Any]]:
        """The data of the first so many events."""
        found = await self.until(lambda blocks: sum(one.kind == "message" for one in blocks) >= count)
        return [one.data for one in found if one.kind == "message"]

    def leave(self) -> None:
        """Hang up."""
        self._gone.set()


@contextlib.asynccontextmanager
async def opened(caller: Api, path: str = "/events", *, last: str = "", **headers: str) -> AsyncIterator[Stream]:
    """An open stream, once its head and first place came; hung up at the end, which must free everything."""
    stream = Stream(caller)
    stream.taking.set()
    given = {**caller.headers, "host": HOST, **headers} | ({"Last-Event-ID": last} if last else {})
    url, _, query = path.partition("?")
    scope = {
        "type": "http", "method": "GET", "path": f"/api/v1{url}", "query_string": query.encode(), "client": ("192.0.2.7", 1),
        "headers": [(name.lower().encode(), value.encode()) for name, value in given.items()], "scheme": "https",
        "server": (HOST, 5656), "http_version": "1.1", "rubackup.abort": lambda: setattr(stream, "aborted", True),
    }  # fmt: skip
    running = asyncio.create_task(caller.app(scope, stream._receive, stream._send))  # type: ignore[arg-type]
    try:
        await asyncio.wait(
            {running, asyncio.create_task(stream.until(lambda blocks: blocks or stream.ended))},
            return_when=asyncio.FIRST_COMPLETED,
        )
        yield stream
    finally:
        stream.leave()
        async with asyncio.timeout(LIMIT_SECONDS):
            await running
