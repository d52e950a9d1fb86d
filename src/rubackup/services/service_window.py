"""The service window: the time of day in which verifications, moves and cleanings may begin. Design section 9."""

from __future__ import annotations

import datetime as dt

from rubackup.catalog.database import Connection
from rubackup.domain.lookups import TaskType
from rubackup.services import configuration

KEPT_OUT = frozenset({TaskType.VERIFY.label, TaskType.MOVE.label, TaskType.CLEAN.label})
"""Types of tasks that begin only within the window."""
LOOK_AGAIN_SECONDS = 600.0
"""How long a task rests at most before the window is looked at again: it may have been changed."""
_DAY = dt.timedelta(days=1)
_WAITS = "The task waits for the service window"
_LOOK_NOW = """
UPDATE task_queue SET not_before = now() WHERE status = 'New' AND not_before > now() AND task_type = ANY ($1::text[])
    AND starts_with(message, $2)"""


async def wait_seconds(db: Connection, zone: dt.tzinfo | None, now: dt.datetime | None = None) -> tuple[float, str]:
    """Seconds until the window opens, at most ten minutes, and why; 0 while it is open. `zone` None: the host's."""
    texts = [str(await configuration.value(db, f"service_window_{end}")) for end in ("start", "end")]
    start, end = map(dt.time.fromisoformat, texts)
    local = (now or dt.datetime.now(dt.UTC)).astimezone(zone)
    if is_open(local.time(), start, end):
        return 0.0, ""
    opens = local.replace(hour=start.hour, minute=start.minute, second=start.second, microsecond=0)
    if opens <= local:
        opens += _DAY
    text = f"{_WAITS}, {texts[0]} to {texts[1]}."
    return min((opens - local).total_seconds(), LOOK_AGAIN_SECONDS), text


async def changed(db: Connection) -> None:
    """The window is another: who waits for it looks at once. The caller wakes the dispatcher."""
    await db.execute(_LOOK_NOW, list(KEPT_OUT), _WAITS)


def is_open(now: dt.time, start: dt.time, end: dt.time) -> bool:
    """Whether a time of day lies in the window; its last second belongs to it, and one that ends before it starts spans midnight."""
    now = now.replace(microsecond=0, tzinfo=None)
    return start <= now <= end if start <= end else now >= start or now <= end
