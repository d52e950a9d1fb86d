"""From the keys of a rule's body to the columns of its row, and everything that is wrong with them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rubackup.catalog.database import Connection
from rubackup.domain import names, parameters
from rubackup.domain.lookups import BackupType, Crypto, Lookup, ResourceType, RuleStatus
from rubackup.services import cron, policy_fields, scopes, tasks
from rubackup.services.change import Change
from rubackup.services.fields import Problems, Ref, Row
from rubackup.services.user_groups import NOBODY

PREFIX = "data.global_schedule"
_AS_IT_IS = (
    "name", "storage_capacity", "priority", "validity_start_period", "validity_end_period", "verify_flag",
    "move_copy_flag", "auto_delete_obsoleted_copy_flag", "client_delete_flag", "second_copy_flag", *policy_fields.KEEPS,
)  # fmt: skip
_LABELS: Mapping[str, type[Lookup]] = {
    "resource_type": ResourceType, "backup_type": BackupType, "crypto": Crypto, "status": RuleStatus,
}  # fmt: skip
_INTERVALS = (
    "periodic_launch",
    "verify_interval",
    "storage_duration",
    "move_copy_while",
    "second_copy_while",
    "second_copy_duration",
)
GROUPS = (
    "inform_when_obsoleted_copy", "notify_normal", "notify_exception", "notify_rule_validity", "notify_verify",
    "notify_end_storage_capacity",
)  # fmt: skip
"""Keys that name a user group; the columns end in `_group_id` and are null for Nobody."""
_ADDRESSES = tuple(f"{name}_cc" for name in GROUPS if name.startswith("notify"))
_SCRIPTS = ("notify_normal_script", "notify_exception_script", "restore_script")
_POOLS = ("move_copy_pool", "second_copy_pool")
_COLUMNS = {name: f"{name}_group_id" for name in GROUPS} | {name: f"{name}_id" for name in _POOLS}
_KEYS = {column: key for key, column in _COLUMNS.items()} | {
    "pool_group_id": "pool_id", "client_group_id": "client_id", "module_parameters": "module_extensions", "common_parameters": "common_modules_extensions",
}  # fmt: skip
_AS_POSTGRESQL_READS = re.compile(
    r"\d{1,6} ?(sec|secs|second|seconds|min|mins|minute|minutes|hour|hours|day|days|week|weeks|mon|mons|month|months"
    r"|yr|yrs|year|years)",
    re.IGNORECASE | re.ASCII,
)


@dataclass
class Draft:
    """What a body says of a row, and the rows that its names stand for."""

    columns: dict[str, Any] = field(default_factory=dict)
    client: Row = None
    pool: Row = None


def key_of(column: str) -> str:
    """The key of the body that a column holds."""
    return _KEYS.get(column, column)


def interval(problems: Problems, text: str, where: str) -> str | None:
    """An interval as it was written where PostgreSQL reads the same in it, else normalised; None after a note."""
    normal = problems.interval(text, where)
    return text.strip() if normal and _AS_POSTGRESQL_READS.fullmatch(text.strip()) else normal


def script(problems: Problems, text: str, where: str) -> str:
    """The path of a program as it was written; '' after a note."""
    parts = text.split("/")
    if text and (not text.startswith("/") or ".." in parts or not parts[-1] or names.has_unseen(text)):
        problems.add(where, "must be the absolute path of a program, without '..' and control characters, or empty.")
        return ""
    return text


async def draft(change: Change, problems: Problems, given: Mapping[str, Any]) -> Draft:
    """The columns of what is given; problems are noted under the keys' dotted names."""
    made = Draft({name: given[name] for name in _AS_IT_IS if name in given})
    for name, value in given.items():
        where = f"{PREFIX}.{name}"
        if name in _LABELS:
            made.columns[name] = problems.label(_LABELS[name], value, where)
        elif name in _INTERVALS:
            made.columns[name] = _interval(problems, name, value, where)
        elif name in cron.FIELDS:
            made.columns[name] = cron.check(problems, name, value, where)
        elif name in _ADDRESSES:
            made.columns[name] = policy_fields.addresses(problems, value, where)
        elif name in _SCRIPTS:
            made.columns[name] = script(problems, value, where)
        elif name == "resource":
            made.columns[name] = problems.folder(value, where)
    await _names(change, problems, given, made)
    return made


def _interval(problems: Problems, name: str, text: str | None, where: str) -> str | None:
    if text is not None and text.strip():
        return interval(problems, text, where)
    if name == "storage_duration":
        problems.add(where, "must be an interval such as '30 min', '1 day' or '1 Years'.")
    return None


async def _names(change: Change, problems: Problems, given: Mapping[str, Any], made: Draft) -> None:
    db, storage = change.db, scopes.storage(change.principal)
    if "client_id" in given:
        await _whose(change, problems, given["client_id"], made)
    if "pool_id" in given:
        made.pool = await problems.place(db, given["pool_id"], f"{PREFIX}.pool_id", storage)
        made.columns["pool_id"] = made.pool and made.pool["id"]
        made.columns["pool_group_id"] = made.pool and made.pool["group_id"]
    for name in _POOLS:
        if given.get(name) is not None:
            pool = await problems.pool(db, given[name], f"{PREFIX}.{name}", storage)
            made.columns[f"{name}_id"] = pool and pool["id"]
        elif name in given:
            made.columns[f"{name}_id"] = None
    for name in GROUPS:
        if name in given:
            made.columns[_COLUMNS[name]] = await _group(db, problems, given[name], f"{PREFIX}.{name}")


async def _whose(change: Change, problems: Problems, value: Ref, made: Draft) -> None:
    """The client that is named, or by its name a client group: then every client that is in it counts."""
    where, found = f"{PREFIX}.client_id", Problems()
    made.client = await found.client(change.db, value, where, scopes.clients(change.principal, write=True))
    group = None
    if made.client is None and isinstance(value, str):
        limit = scopes.clients(change.principal, "x.id", write=True)
        group = await Problems().client_group(change.db, value, where, limit)
    if made.client is None and group is None:
        problems.fields.update(found.fields)
    made.columns["client_id"] = made.client and made.client["id"]
    made.columns["client_group_id"] = group and group["id"]


async def _group(db: Connection, problems: Problems, value: Ref, where: str) -> int | None:
    if value == NOBODY:
        return None
    row = await problems.user_group(db, value, where)
    return row["id"] if row and row["name"] != NOBODY else None


def check_whole(problems: Problems, row: Mapping[str, Any]) -> None:
    """Note what does not fit together in a row as it would be stored."""
    if not problems.fields.keys() & {f"{PREFIX}.{name}" for name in cron.FIELDS}:
        cron.check_whole(problems, {name: row[name] for name in cron.FIELDS}, f"{PREFIX}.dom")
    policy_fields.validity(
        problems, row["validity_start_period"], row["validity_end_period"], f"{PREFIX}.validity_end_period"
    )
    if row["verify_flag"] and row["verify_interval"] is None:
        problems.add(f"{PREFIX}.verify_interval", "is required while verify_flag is true.")
    _check_elsewhere(problems, row, "move_copy", "move_copy_while")
    _check_elsewhere(problems, row, "second_copy", "second_copy_duration")


def _check_elsewhere(problems: Problems, row: Mapping[str, Any], what: str, interval_key: str) -> None:
    if not row.get(f"{what}_flag"):
        return
    if row[interval_key] is None:
        problems.add(f"{PREFIX}.{interval_key}", f"is required while {what}_flag is true.")
    if row[f"{what}_pool_id"] is None:
        problems.add(f"{PREFIX}.{what}_pool", f"is required while {what}_flag is true.")
    elif row[f"{what}_pool_id"] == row["pool_id"]:
        problems.add(f"{PREFIX}.{what}_pool", f"must be another pool than pool_id while {what}_flag is true.")


def check_parameters(problems: Problems, module: tasks.Extension, common: tasks.Extension, resource_type: str) -> None:
    """Note what is wrong with the extension parameters of backups; without a resource type the module's are not judged."""
    table = parameters.BACKUP.get(resource_type, {})
    judged = module if resource_type else tasks.Extension()
    problems.fields.update(tasks.extension_problems(judged, common, table, parameters.COMMON_BACKUP))
