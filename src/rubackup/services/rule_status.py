"""The status of several rules, strategies or reports at once: wait or run."""

from __future__ import annotations

from collections.abc import Sequence

from rubackup.domain.errors import Forbidden, NotFound
from rubackup.domain.lookups import RuleStatus
from rubackup.services.change import Change
from rubackup.services.fields import Problems
from rubackup.services.scopes import Limit


async def set_all(
    change: Change, table: str, key: str, wanted: Sequence[tuple[int, str]], visible: Limit, writable: Limit
) -> list[int]:
    """Set each row's status, all or none; the ids of those that had another.

    `table` is one of the code's, with the columns `status` and `schedule_since`; the limits are about its alias
    `x`. Starting one begins its schedule anew. Invalid names items by `data.<number>.<key>`, NotFound and
    Forbidden the ids.
    """
    statuses = _checked(key, wanted)
    ids = sorted(statuses)
    before = await _rows(change, table, ids, visible)
    missing = [row_id for row_id in ids if row_id not in before]
    if missing:
        raise NotFound(f"Not found: {_join(missing)}.", ids=missing)
    own = await _rows(change, table, ids, writable)
    foreign = [row_id for row_id in ids if row_id not in own]
    if foreign:
        raise Forbidden(f"These may be seen, not changed: {_join(foreign)}.")
    changed = [row_id for row_id in ids if statuses[row_id] != before[row_id]]
    await change.db.execute(
        f"UPDATE {table} x SET status = w.status, "  # noqa: S608 - a table of the code
        f"schedule_since = CASE WHEN w.status = '{RuleStatus.RUN.label}' THEN now() ELSE x.schedule_since END "
        "FROM unnest($1::bigint[], $2::text[]) AS w (id, status) WHERE x.id = w.id",
        changed, [statuses[row_id] for row_id in changed],
    )  # fmt: skip
    change.row_ids.extend(ids)
    change.before = [{"id": row_id, "status": before[row_id]} for row_id in ids]
    change.after = [{"id": row_id, "status": statuses[row_id]} for row_id in ids]
    return changed


def _checked(key: str, wanted: Sequence[tuple[int, str]]) -> dict[int, str]:
    problems, statuses = Problems(), dict[int, str]()
    for number, (row_id, text) in enumerate(wanted):
        status = problems.label(RuleStatus, text, f"data.{number}.status")
        if row_id in statuses:
            problems.add(f"data.{number}.{key}", "is given twice.")
        statuses[row_id] = status
    problems.raise_any()
    return statuses


async def _rows(change: Change, table: str, ids: Sequence[int], limit: Limit) -> dict[int, str]:
    rows = await change.db.fetch(
        f"SELECT x.id, x.status FROM {table} x WHERE x.id = ANY ($1::bigint[]) AND ({limit.numbered(2)}) "  # noqa: S608 - a table of the code
        "ORDER BY x.id FOR NO KEY UPDATE OF x",
        list(ids), *limit.values,
    )  # fmt: skip
    return {row["id"]: row["status"] for row in rows}


def _join(ids: Sequence[int]) -> str:
    return ", ".join(map(str, ids))
