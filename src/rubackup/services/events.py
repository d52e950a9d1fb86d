"""The event log as it is read. Design section 5.

Ids are given when a row is inserted, but rows appear when their transaction commits: ids alone skip late
commits. So the log is read in order of (xid, id), and only up to the oldest transaction that still runs:
below it nothing can appear any more. A place in the log is told as `log-xid-id`; `log` changes with the
PostgreSQL cluster or its timeline, whose numbers begin anew.
"""

from __future__ import annotations

import hashlib
import re
from datetime import datetime
from typing import Annotated, Any, NamedTuple

import msgspec
from msgspec import Meta

from rubackup.catalog.database import Connection
from rubackup.domain.errors import Invalid

PAGE = 500
_TEXT = re.compile(r"([0-9a-f]{8})-([0-9]{1,20})-([0-9]{1,19})")

_HEAD = """
SELECT pg_snapshot_xmin(s.snapshot) AS xmin, pg_snapshot_xmax(s.snapshot) AS xmax, l.trimmed_xid, l.trimmed_id,
    c.system_identifier, p.timeline_id
FROM (SELECT pg_current_snapshot() AS snapshot) s CROSS JOIN event_log l
CROSS JOIN pg_control_system() c CROSS JOIN pg_control_checkpoint() p"""
_AFTER = """
SELECT e.xid, e.id, e.at, e.kind, e.family, e.row_id, e.client_group_id, e.media_server_id, e.strategy_id, e.data
FROM events e
WHERE (e.xid, e.id) > ($1, $2) AND e.xid < pg_snapshot_xmin(pg_current_snapshot())
ORDER BY e.xid, e.id LIMIT $3"""


class Place(NamedTuple):
    """A place in the order of the log: after this event."""

    xid: int
    id: int


START = Place(0, 0)


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """An event as callers see it."""

    id: Annotated[str, Meta(description="Place of the event in the log, for `Last-Event-ID`.")]
    at: Annotated[datetime, Meta(description="When the change began.")]
    kind: Annotated[str, Meta(description="What happened: created, changed, deleted, task, presence and the like.")]
    family: Annotated[str, Meta(description="The family whose row it happened to: the path of its list.")]
    row_id: Annotated[int, Meta(description="Id of the row; 0 where the family has no rows.")]
    data: Annotated[dict[str, Any], Meta(description="What there is to add, for example the new `status` of a task.")]


class Event(NamedTuple):
    """A row of the log."""

    place: Place
    at: datetime
    kind: str
    family: str
    row_id: int
    client_group_id: int | None
    media_server_id: int | None
    strategy_id: int | None
    data: dict[str, Any]


class Head(NamedTuple):
    """The log at one moment."""

    log: str
    now: Place
    trimmed: Place
    beyond: int
    """A transaction id that no transaction of this log has had yet."""

    def holds(self, log: str, place: Place) -> bool:
        """Whether everything after a place can still be read."""
        return log == self.log and self.trimmed <= place and place.xid <= self.beyond


async def head(db: Connection) -> Head:
    """Where the log stands: everything before `now` can be read, everything after it is still to come."""
    row = await db.fetchrow(_HEAD)
    seed = f"{row['system_identifier']}:{row['timeline_id']}"
    log = hashlib.blake2b(seed.encode(), digest_size=4).hexdigest()
    return Head(log, Place(row["xmin"], 0), Place(row["trimmed_xid"], row["trimmed_id"]), row["xmax"])


async def after(db: Connection, place: Place, limit: int = PAGE) -> list[Event]:
    """The next events that can be read."""
    rows = await db.fetch(_AFTER, *place, limit)
    return [Event(Place(row["xid"], row["id"]), *tuple(row)[2:]) for row in rows]


def write_place(log: str, place: Place) -> str:
    """A place as callers are told it."""
    return f"{log}-{place.xid}-{place.id}"


def read_place(text: str) -> tuple[str, Place]:
    """The place that a caller names; Invalid when it is none."""
    match = _TEXT.fullmatch(text)
    if match is None or int(match[2]) >= 2**64 or int(match[3]) >= 2**63:
        raise Invalid(fields={"Last-Event-ID": "must be the id of an event, as the stream told it."})
    return match[1], Place(int(match[2]), int(match[3]))
