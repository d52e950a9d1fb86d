"""Retention as administrators see it: whether it acts, and how it goes on after the clock leapt."""

from __future__ import annotations

import datetime as dt
from typing import Annotated

import msgspec
from msgspec import Meta

from rubackup.catalog.database import Connection
from rubackup.domain.errors import Conflict, Invalid
from rubackup.services import configuration, retention_clock
from rubackup.services.change import Change

_READ = "SELECT seen_at, suspended_at, reason, resumes_at, now() AS now FROM retention_state"


class RetentionState(msgspec.Struct, frozen=True, kw_only=True):
    """Whether retention acts."""

    acts: Annotated[bool, Meta(description="Whether copies are deleted, moved and copied by time now.")]
    seen_at: Annotated[dt.datetime | None, Meta(description="When the leading server looked last; null: never.")]
    suspended_at: Annotated[dt.datetime | None, Meta(description="Since when it rests as the clock is in doubt.")]
    reason: Annotated[str, Meta(description="Why it does not act; empty while it does.")]
    resumes_at: Annotated[
        dt.datetime | None,
        Meta(description="When it goes on by itself; null while suspended: when that is acknowledged."),
    ]


class Acknowledgement(msgspec.Struct, kw_only=True):
    """What an administrator has looked at."""

    clock_is_right: Annotated[bool, Meta(description="true: the clock of the catalogue's host shows the right time.")]


async def read(db: Connection) -> RetentionState:
    """How it is now."""
    row = await db.fetchrow(_READ)
    rests = await retention_clock.suspended(db, row["now"])
    service_mode = await configuration.enabled(db, "service_mode")
    reason = row["reason"] if rests else "The service mode is on." if service_mode else ""
    return RetentionState(
        acts=not rests and not service_mode, seen_at=row["seen_at"], suspended_at=row["suspended_at"], reason=reason,
        resumes_at=row["resumes_at"],
    )  # fmt: skip


async def acknowledge(change: Change, wanted: Acknowledgement) -> str:
    """Let retention go on; a sentence. Conflict when it is not suspended."""
    if not wanted.clock_is_right:
        raise Invalid(fields={"data.clock_is_right": "must be true; until then retention rests."})
    row = await change.db.fetchrow(f"{_READ} FOR UPDATE")
    if row["suspended_at"] is None:
        raise Conflict("Retention is not suspended.")
    change.before = {"suspended_at": str(row["suspended_at"]), "reason": row["reason"]}
    await retention_clock.resume(change.db)
    return "Retention goes on."
