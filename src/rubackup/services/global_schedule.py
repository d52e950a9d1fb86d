"""Rules of the global schedule: making, changing, stopping, starting and deleting them.

What a rule's body says is `services.rules`; running one is `services.rule_execution`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rubackup.domain.errors import Forbidden, Invalid, NotFound
from rubackup.domain.lookups import RuleStatus
from rubackup.services import rule_columns, rule_log, rules, scopes, tasks
from rubackup.services.change import Change
from rubackup.services.fields import Problems, update_columns
from rubackup.services.rules import NewRule, RuleChange, RuleStatusChange

MOST_STATUSES = 1000
_READ = "SELECT * FROM global_schedule WHERE id = $1"
_SINCE_NOW = "UPDATE global_schedule SET changed_at = now(), schedule_since = now() WHERE id = ANY ($1::bigint[])"
_OWN = f"""
SELECT s.id, s.name, s.status, ({{writable}}) AS writable FROM global_schedule s {rule_log.OWNER}
WHERE s.id = ANY ($1::bigint[]) AND ({{visible}}) ORDER BY s.id FOR NO KEY UPDATE OF s"""  # noqa: S608 - constants of the code
_STATUS = """
UPDATE global_schedule s SET status = w.status, changed_at = now(),
    schedule_since = CASE WHEN w.status = 'run' THEN now() ELSE s.schedule_since END
FROM unnest($1::bigint[], $2::text[]) AS w (id, status) WHERE s.id = w.id"""
_OF_CLIENTS = "SELECT id FROM global_schedule WHERE client_id = ANY ($1::bigint[]) ORDER BY id FOR UPDATE"
_DELETE = "DELETE FROM global_schedule WHERE id = ANY ($1::bigint[])"
_VALUES = f"""
SELECT s.resource_type, s.module_parameters, s.common_parameters
FROM global_schedule s {rule_log.OWNER} WHERE s.id = $1 AND """  # noqa: S608 - constants of the code


async def create(change: Change, new: NewRule) -> int:
    """A new rule of a client, or of a client group, that the caller administers; the id."""
    problems = Problems()
    draft = await rule_columns.draft(change, problems, rules.given(new.global_schedule))
    row = draft.columns | {
        "module_parameters": dict(new.module_extensions.parameters),
        "common_parameters": dict(new.common_modules_extensions.parameters),
    }
    rule_columns.check_whole(problems, row)
    await _check_places(change, problems, draft, row)
    rule_columns.check_parameters(problems, new.module_extensions, new.common_modules_extensions, row["resource_type"])
    problems.raise_any()
    rule_id = await _insert(change, row)
    await rule_log.note(change, [rule_id], "created", f"Status {row['status']}.")
    await rule_log.tell(change, [rule_id], "created")
    return rule_id


async def _insert(change: Change, row: dict[str, Any]) -> int:
    names, marks = ", ".join(row), ", ".join(f"${number}" for number in range(1, len(row) + 1))
    statement = f"INSERT INTO global_schedule ({names}) VALUES ({marks}) RETURNING id"  # noqa: S608 - names of the code
    rule_id: int = await change.db.fetchval(statement, *row.values())
    return rule_id


async def _check_places(change: Change, problems: Problems, draft: rule_columns.Draft, row: dict[str, Any]) -> None:
    prefix = rule_columns.PREFIX
    if draft.client and row["resource_type"]:
        tasks.check_client_serves(problems, draft.client, row["resource_type"], f"{prefix}.resource_type")
        tasks.check_client_encrypts(problems, draft.client, row["crypto"], f"{prefix}.crypto")
    if draft.pool:
        await tasks.check_pool(
            change.db, problems, draft.pool, row["storage_duration"], f"{prefix}.pool_id", f"{prefix}.storage_duration"
        )


async def update(change: Change, rule_id: int, wanted: RuleChange) -> None:
    """Change what is given. What says nothing new leaves the rule, its ticks and its log as they are."""
    before = dict(await change.db.fetchrow(_READ, rule_id))
    problems = Problems()
    draft = await rule_columns.draft(change, problems, rules.given(wanted.global_schedule))
    columns = draft.columns | {
        "module_parameters": before["module_parameters"] | wanted.module_extensions.parameters,
        "common_parameters": before["common_parameters"] | wanted.common_modules_extensions.parameters,
    }
    changed = {name: value for name, value in columns.items() if value != before[name]}
    after = before | changed
    rule_columns.check_whole(problems, after)
    await _check_new_place(change, problems, draft, changed, after)
    rule_columns.check_parameters(
        problems, wanted.module_extensions, wanted.common_modules_extensions, before["resource_type"]
    )
    problems.raise_any()
    if not changed:
        return
    await update_columns(change.db, "global_schedule", rule_id, changed)
    await change.db.execute(_SINCE_NOW, [rule_id])
    await rule_log.note(change, [rule_id], "changed", _told(changed))
    await rule_log.tell(change, [rule_id], "changed")


async def _check_new_place(
    change: Change, problems: Problems, draft: rule_columns.Draft, changed: dict[str, Any], after: dict[str, Any]
) -> None:
    """Only what changes is held against the pool: the pool may have changed since the rule was made."""
    if "pool_id" not in changed and "storage_duration" not in changed:
        return
    if after["pool_id"] is None or after["storage_duration"] is None:
        return
    if draft.pool is None:
        draft.pool = await problems.pool(
            change.db, after["pool_id"], f"{rule_columns.PREFIX}.pool_id", scopes.EVERYTHING
        )
    await _check_places(change, problems, draft, after)


def _told(changed: dict[str, Any]) -> str:
    keys = list(dict.fromkeys(rule_columns.key_of(name) for name in changed))
    status = f" Status {changed['status']}." if "status" in changed else ""
    return f"Changed: {', '.join(keys)}.{status}"


async def set_status(change: Change, wanted: list[RuleStatusChange]) -> str:
    """Stop or start these rules, all or none; a sentence. NotFound names missing ids."""
    problems = Problems()
    statuses = _statuses(problems, wanted)
    problems.raise_any()
    rows = await _own(change, statuses)
    change.row_ids.extend(statuses)
    change.before = [{key: row[key] for key in ("id", "name", "status")} for row in rows]
    changed = [row["id"] for row in rows if statuses[row["id"]] != row["status"]]
    await change.db.execute(_STATUS, changed, [statuses[rule_id] for rule_id in changed])
    for status in RuleStatus.labels():
        await rule_log.note(change, [one for one in changed if statuses[one] == status], "status", f"Status {status}.")
    await rule_log.tell(change, changed, "changed")
    return f"The status of {len(statuses)} rules was set; {len(changed)} had another one."


def _statuses(problems: Problems, wanted: list[RuleStatusChange]) -> dict[int, str]:
    if len(wanted) > MOST_STATUSES:
        raise Invalid(fields={"data": f"must be a list of at most {MOST_STATUSES} items."})
    statuses: dict[int, str] = {}
    for number, one in enumerate(wanted):
        status = problems.label(RuleStatus, one.status, f"data.{number}.status")
        if one.id in statuses:
            problems.add(f"data.{number}.id", "is given more than once.")
        statuses[one.id] = status
    return statuses


async def _own(change: Change, ids: dict[int, str]) -> list[Any]:
    """The rules, locked; NotFound names those that the caller may not see, Forbidden those that are not his."""
    writable = scopes.clients(change.principal, "og.id", write=True)
    visible = scopes.clients(change.principal, "og.id")
    statement = _OWN.format(writable=writable.numbered(2), visible=visible.numbered(2 + len(writable.values)))
    rows = await change.db.fetch(statement, sorted(ids), *writable.values, *visible.values)
    missing = sorted(ids.keys() - {row["id"] for row in rows})
    if missing:
        raise NotFound(f"No such rules in the global schedule: {_join(missing)}.", ids=missing)
    foreign = [row["id"] for row in rows if not row["writable"]]
    if foreign:
        raise Forbidden(f"Rules of clients of other groups can only be looked at: {_join(foreign)}.")
    return list(rows)


async def delete(change: Change, ids: Sequence[int]) -> None:
    """Delete rules. Their copies stay, and so do tasks that they made."""
    await _delete(change, ids, "")


async def delete_of_clients(change: Change, client_ids: Sequence[int]) -> None:
    """Delete the rules of clients that are being deleted."""
    ids = [row["id"] for row in await change.db.fetch(_OF_CLIENTS, list(client_ids))]
    await _delete(change, ids, "The client was deleted.")


async def _delete(change: Change, ids: Sequence[int], why: str) -> None:
    await rule_log.note(change, ids, "deleted", why)
    await rule_log.tell(change, ids, "deleted")
    await change.db.execute(_DELETE, list(ids))


async def extensions(change: Change, resource_type: str, rule_id: int | None) -> tasks.Extensions:
    """Parameters of backups, with the values of a rule that the caller may see; NotFound."""
    if rule_id is None:
        return tasks.backup_extensions(resource_type)
    limit = scopes.clients(change.principal, "og.id")
    row = await change.db.fetchrow(_VALUES + f"({limit.numbered(2)})", rule_id, *limit.values)
    if row is None:
        raise NotFound(f"There is no rule {rule_id}.", ids=[rule_id])
    if row["resource_type"].casefold() != resource_type.casefold():
        raise Invalid(fields={"resource_type": f"the rule {rule_id} backs up the type {row['resource_type']}."})
    return tasks.backup_extensions(resource_type, row["module_parameters"], row["common_parameters"])


def _join(ids: Sequence[int]) -> str:
    return ", ".join(map(str, ids))
