"""Whether retention may act: not while the clock is in doubt.

What is deleted by time is as safe as the clock. So the leader compares the catalogue's clock with one that cannot be set: where that leaps more
than an hour ahead of it, nothing is deleted, moved or copied until an administrator says that it is right. While no server
ran, a leap cannot be told from time that passed; after such a gap retention waits for an hour, in which a wrong clock is seen. Design section 8.
"""

from __future__ import annotations

import datetime as dt

from rubackup.catalog.database import Connection, Database
from rubackup.services.leadership import check_epoch

LEAP = dt.timedelta(hours=1)
"""How far the clock may run ahead of what has passed."""
REST = dt.timedelta(hours=1)
"""How long retention waits after nobody ran it for longer than LEAP."""

_READ = "SELECT seen_at, suspended_at, reason, resumes_at FROM retention_state"
_LOCK = f"{_READ} FOR UPDATE"
_SEEN = "UPDATE retention_state SET seen_at = $1"
_SUSPEND = "UPDATE retention_state SET suspended_at = $1, reason = $2, resumes_at = $3"
_RESUME = "UPDATE retention_state SET suspended_at = NULL, reason = '', resumes_at = NULL"
_EVENT = "INSERT INTO events (kind, family, row_id, data) VALUES ('retention', 'retention', 0, $1)"


async def suspended(db: Connection, now: dt.datetime) -> bool:
    """Whether nothing may be deleted, moved or copied by time now."""
    row = await db.fetchrow(_READ)
    return row["suspended_at"] is not None and (row["resumes_at"] is None or row["resumes_at"] > now)


async def resume(db: Connection) -> None:
    """Retention acts again."""
    await db.execute(_RESUME)
    await db.execute(_EVENT, {"suspended": False})


async def judged(db: Connection) -> dt.datetime | None:
    """The last instant that the leader looked at and found right; None while retention rests, or before the first."""
    row = await db.fetchrow(_READ)
    if row["seen_at"] is None or await suspended(db, row["seen_at"]):
        return None
    found: dt.datetime = row["seen_at"]
    return found


class Watch:
    """What one leader knows of the clock; made anew with each leadership."""

    def __init__(self) -> None:
        self._last: tuple[dt.datetime, float] | None = None

    @property
    def at(self) -> dt.datetime | None:
        """The catalogue's clock at the last look: what is done after it is done by this, as the clock may leap meanwhile."""
        return self._last and self._last[0]

    async def look(
        self, database: Database, epoch: int | None, monotonic: float, now: dt.datetime | None = None
    ) -> str:
        """Compare the catalogue's clock (`now` None) with `monotonic`, seconds that only pass; why retention rests from
        this look on, '' when it does not begin to. Fenced when another server leads.
        """
        async with database.transaction() as db:
            if epoch is not None:
                await check_epoch(db, epoch)
            row = await db.fetchrow(_LOCK)
            at: dt.datetime = now or await db.fetchval("SELECT now()")
            reason, resumes = self._judge(row["seen_at"], at, monotonic)
            over = row["resumes_at"] is not None and row["resumes_at"] <= at
            begins = bool(reason) and (
                row["suspended_at"] is None or (resumes is None and row["resumes_at"] is not None)
            )
            if begins:
                await db.execute(_SUSPEND, at, reason, resumes)
                await db.execute(_EVENT, {"suspended": True, "reason": reason})
            elif over:
                await resume(db)
            await db.execute(_SEEN, at)
        self._last = at, monotonic
        return reason if begins else ""

    def _judge(self, seen: dt.datetime | None, at: dt.datetime, monotonic: float) -> tuple[str, dt.datetime | None]:
        if self._last is not None:
            passed = dt.timedelta(seconds=monotonic - self._last[1])
            leapt = (at - self._last[0]) - passed
            if leapt > LEAP:
                return f"The clock leapt {_hours(leapt)} ahead, to {at.isoformat(timespec='seconds')}.", None
        elif seen is not None and at - seen > LEAP:
            text = f"No server looked after the copies for {_hours(at - seen)}, or the clock leapt: retention waits an hour."
            return text, at + REST
        return "", None


def _hours(span: dt.timedelta) -> str:
    return f"{span.total_seconds() / 3600:.1f} hours"
