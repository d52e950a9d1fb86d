"""Lines of a task's log, from the server, a client or a media server.

What hosts send may hold names that are not UTF-8; they are stored with backslash escapes.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from rubackup.catalog.database import Connection

LEVELS = frozenset({"info", "warning", "error"})
TEXT_CHARACTERS = 8192
"""A longer line is cut; a path of 4,096 bytes fits."""

Line = tuple[int, str, str]
"""When (unix time in ns), level, text."""

_ADD = """
INSERT INTO task_log (task_id, source, fence, line, at, level, text)
SELECT q.id, $2, $3, l.line, l.at, l.level, l.text
FROM task_queue q, unnest($4::bigint[], $5::timestamptz[], $6::text[], $7::text[]) AS l (line, at, level, text)
WHERE q.id = $1
ORDER BY l.line
ON CONFLICT (task_id, source, fence, line) WHERE line > 0 DO NOTHING"""
_LAST = "SELECT text FROM task_log WHERE task_id = $1 AND source = 'server' ORDER BY id DESC LIMIT 1"
_SAY = "INSERT INTO task_log (task_id, source, level, text) VALUES ($1, 'server', $2, $3)"


def printable(text: str) -> str:
    """`text` as PostgreSQL can store it: surrogate escapes and NUL become backslash escapes."""
    cut = text if len(text) <= TEXT_CHARACTERS else text[:TEXT_CHARACTERS] + "…"
    return cut.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")


async def add(db: Connection, task_id: int, source: str, fence: int, first: int, lines: Sequence[Line]) -> None:
    """Store lines numbered from `first` (at least 1) of one source and attempt; a repeat changes nothing.

    Lines of a task that is not in the queue any more are dropped.
    """
    numbers = list(range(max(first, 1), max(first, 1) + len(lines)))
    levels = [level if level in LEVELS else "info" for _at, level, _text in lines]
    instants = [_instant(at_ns) for at_ns, _level, _text in lines]
    texts = [printable(text) for _at, _level, text in lines]
    await db.execute(_ADD, task_id, source, fence, numbers, instants, levels, texts)


def _instant(at_ns: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(at_ns / 1e9, dt.UTC)


async def say(db: Connection, task_id: int, text: str, level: str = "info", *, once: bool = False) -> None:
    """A line of the server's own; with `once` not if it would only repeat the server's last one."""
    stored = printable(text)
    if once and await db.fetchval(_LAST, task_id) == stored:
        return
    await db.execute(_SAY, task_id, level, stored)
