"""Room for a backup whose rule or strategy has used up its storage_capacity: what has come to its end goes at once.

Only what retention would delete by itself, now, goes: oldest first, and no more than is needed.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from rubackup.catalog.database import Connection
from rubackup.domain.retention import Action, decide, due
from rubackup.services import capacity, deletion, record_history, retention_clock
from rubackup.services import retention_policies as policies
from rubackup.services.capacity import RULE, Limit
from rubackup.services.retention_policies import Unit

_RULES_OF = "SELECT id FROM strategy_rules WHERE strategy_id = $1 ORDER BY id"
_LOCK = """
SELECT id, stored_bytes FROM repository WHERE id = ANY ($1::bigint[]) ORDER BY created_at, id FOR UPDATE SKIP LOCKED"""
_REASON = "Its storage_duration is over, and the storage_capacity of the {} is used up."


async def make(db: Connection, limit: Limit, owner_id: int | None, zone: dt.tzinfo | None) -> str:
    """Why there is no room for a further copy of this owner all the same, as a sentence; '' when there is."""
    excess = await capacity.excess(db, limit, owner_id)
    if excess < 0 or owner_id is None:
        return ""
    now = await retention_clock.judged(db)
    if now is not None:
        await _free(db, limit, owner_id, excess, now, zone)
    return await capacity.over(db, limit, owner_id)


async def _free(
    db: Connection, limit: Limit, owner_id: int, excess: int, now: dt.datetime, zone: dt.tzinfo | None
) -> None:
    kind = policies.RULE if limit is RULE else policies.STRATEGY_RULE
    ids = [owner_id] if limit is RULE else [row["id"] for row in await db.fetch(_RULES_OF, owner_id)]
    for unit_id in ids:
        await policies.lock(db, kind, unit_id)
    units = await policies.read(db, kind, ids, zone)
    ended = await _ended(db, units, now)
    rows = await db.fetch(_LOCK, sorted(ended)) if ended else []
    used = await deletion.in_use(db, [row["id"] for row in rows])
    ended = await _ended(db, units, now) if rows else ended  # anew: what was locked stays as it is from here on
    going = []
    for row in rows:
        if excess < 0:
            break
        if row["id"] in ended and row["id"] not in used:
            going.append(row["id"])
            excess -= row["stored_bytes"]
    if going:
        await record_history.bury(db, going, "deleted", _REASON.format(limit.word))


async def _ended(db: Connection, units: Sequence[Unit], now: dt.datetime) -> set[int]:
    """Copies of these rules that retention would delete now, and do nothing else with."""
    return {
        copy_id
        for unit in units
        for copy_id, steps in due(decide(await policies.copies(db, unit, now), unit.policy, now), now).items()
        if [step.action for step in steps] == [Action.DELETE]
    }
