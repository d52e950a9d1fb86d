"""The log of one task, as its client or the servers wrote it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Annotated

import msgspec
from msgspec import Meta

from rubackup.domain.errors import NotFound
from rubackup.services import scopes
from rubackup.services.change import Change

CLIENT = ("client",)
SERVERS = ("server", "media")

_VISIBLE = """
SELECT 1 FROM task_queue t LEFT JOIN clients c ON c.id = t.client_id WHERE t.id = $1 AND """
_COUNT = "SELECT count(*) FROM task_log l WHERE l.task_id = $1 AND l.source = ANY ($2::text[])"
_LINES = """
SELECT l.id, l.task_id, l.at, l.source, l.level, l.text FROM task_log l
WHERE l.task_id = $1 AND l.source = ANY ($2::text[]) ORDER BY l.id LIMIT $3 OFFSET $4"""


class TaskInfoQuery(msgspec.Struct, kw_only=True):
    """Which task, and which page of its log."""

    task_id: Annotated[int, Meta(description="Number of the task in the queue.", ge=1)]
    page: Annotated[int, Meta(description="Page, from 1.", ge=1, le=1_000_000_000)] = 1
    limit: Annotated[int, Meta(description="Lines a page.", ge=1, le=1000)] = 50


class LogLine(msgspec.Struct, frozen=True, kw_only=True):
    """A line of a task's log."""

    id: Annotated[int, Meta(description="Number of the line.")]
    task_id: Annotated[int, Meta(description="Number of the task.")]
    at: Annotated[dt.datetime, Meta(description="When it was written.")]
    source: Annotated[str, Meta(description="Who wrote it: server, client or media.")]
    level: Annotated[str, Meta(description="info, warning or error.")]
    text: Annotated[str, Meta(description="What happened.")]


async def lines(change: Change, query: TaskInfoQuery, sources: Sequence[str]) -> tuple[list[LogLine], int]:
    """A page of the log, oldest first, and the number of all its lines; NotFound for a task out of scope."""
    db, limit = change.db, scopes.work(change.principal, "c.group_id", "t.media_server_id")
    if await db.fetchval(_VISIBLE + limit.numbered(2), query.task_id, *limit.values) is None:
        raise NotFound(f"There is no task {query.task_id} in the queue.", ids=[query.task_id])
    total = await db.fetchval(_COUNT, query.task_id, list(sources))
    rows = await db.fetch(_LINES, query.task_id, list(sources), query.limit, (query.page - 1) * query.limit)
    return [LogLine(**row) for row in rows], total
