"""The disaster recovery plan: what is restored where, and in which order, when a client is lost.

How an entry is checked is `services.recovery_check`, what happens when its client comes back `services.recovery_run`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from rubackup.domain.errors import Invalid
from rubackup.domain.identity import parse_client_label
from rubackup.domain.lookups import DisasterRecoveryStatus, ResourceType
from rubackup.services import policy_fields, scopes
from rubackup.services.change import Change
from rubackup.services.fields import Problems, Ref, Row, given, update_columns
from rubackup.services.tasks import PRIORITY, check_client_serves

FAMILY = "disaster_recovery_plan"
_INSERT = """
INSERT INTO disaster_recovery_plan (client_id, client_hostname, client_hwid, client_group_id, resource_type, resource,
    restore_destination, autorun, priority, description)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) RETURNING id"""
_READ = """
SELECT d.*, coalesce(c.group_id, d.client_group_id) AS group_id
FROM disaster_recovery_plan d LEFT JOIN clients c ON c.id = d.client_id WHERE d.id = $1"""
_DELETE = """
WITH gone AS (DELETE FROM disaster_recovery_plan WHERE id = ANY ($1::bigint[]) RETURNING id, client_id, client_group_id)
SELECT g.id, coalesce(c.group_id, g.client_group_id) AS group_id FROM gone g LEFT JOIN clients c ON c.id = g.client_id
ORDER BY g.id"""
_KEEP = """
UPDATE disaster_recovery_plan d SET client_hostname = c.hostname, client_group_id = c.group_id
FROM clients c WHERE c.id = d.client_id AND c.id = ANY ($1::bigint[])"""
_UNCHECKED = {"status": DisasterRecoveryStatus.NOT_CHECKED.label, "checked_at": None, "problem": ""}
_CHECKED = frozenset({"client_hwid", "resource_type", "resource", "restore_destination"})
"""What a check is about: when one of these changes, the last check says nothing any more."""

_CLIENT = Meta(description="The client that is recovered: `hostname (hwid)` or id.")
_TYPE = Meta(description="A name of resource_types.")
_RESOURCE = Meta(
    description="What is restored, as its copies name it; empty: every resource of the type that the client has copies of.",
    max_length=32768,
)
_DESTINATION = Meta(
    description="Absolute folder below which files land at their full original path; empty: where they were.",
    max_length=32768,
)
_AUTORUN = Meta(
    description="Whether the restore is queued by itself when a host is authorised again under the client's hardware id."
)
_DESCRIPTION = Meta(description="Free text.", max_length=4096)


class NewRecoveryPlan(msgspec.Struct, kw_only=True):
    """An entry of the plan to be made."""

    client: Annotated[Ref, _CLIENT]
    resource_type: Annotated[str, _TYPE]
    resource: Annotated[str, _RESOURCE] = ""
    restore_destination: Annotated[str, _DESTINATION] = ""
    autorun: Annotated[bool, _AUTORUN] = False
    priority: Annotated[int, PRIORITY] = 100
    description: Annotated[str, _DESCRIPTION] = ""


class RecoveryPlanChange(msgspec.Struct, kw_only=True):
    """What to change of an entry."""

    client: Annotated[Ref, _CLIENT] | UnsetType = UNSET
    resource_type: Annotated[str, _TYPE] | UnsetType = UNSET
    resource: Annotated[str, _RESOURCE] | UnsetType = UNSET
    restore_destination: Annotated[str, _DESTINATION] | UnsetType = UNSET
    autorun: Annotated[bool, _AUTORUN] | UnsetType = UNSET
    priority: Annotated[int, PRIORITY] | UnsetType = UNSET
    description: Annotated[str, _DESCRIPTION] | UnsetType = UNSET


async def create(change: Change, new: NewRecoveryPlan) -> int:
    """A new entry; the id."""
    problems = Problems()
    columns = _columns(problems, new)
    client = await _client(change, problems, new.client)
    if client and columns["resource_type"]:
        check_client_serves(problems, client, columns["resource_type"], "data.resource_type")
    problems.raise_any()
    plan_id: int = await change.db.fetchval(
        _INSERT, client["id"], client["hostname"], client["hwid"], client["group_id"], columns["resource_type"],
        columns["resource"], columns["restore_destination"], new.autorun, new.priority, new.description,
    )  # fmt: skip
    await change.event("created", FAMILY, plan_id, client_group_id=client["group_id"])
    return plan_id


async def update(change: Change, plan_id: int, wanted: RecoveryPlanChange) -> None:
    """Change what is given; an entry that is about something else now is not checked."""
    problems, before = Problems(), await change.db.fetchrow(_READ, plan_id)
    columns = _columns(problems, wanted)
    client = None
    if wanted.client is not UNSET and not _is_same(wanted.client, before):
        client = await _client(change, problems, wanted.client)
    if client:
        columns |= {f"client_{name}": client[name] for name in ("id", "hostname", "hwid")}
        columns["client_group_id"] = client["group_id"]
        served = columns.get("resource_type", before["resource_type"])
        check_client_serves(problems, client, served, "data.resource_type")
    problems.raise_any()
    if any(columns[name] != before[name] for name in _CHECKED & columns.keys()):
        columns |= _UNCHECKED
    await update_columns(change.db, FAMILY, plan_id, columns)
    for group_id in {before["group_id"], client["group_id"] if client else before["group_id"]}:
        await change.event("changed", FAMILY, plan_id, client_group_id=group_id)


async def delete(change: Change, ids: Sequence[int]) -> None:
    """Delete entries."""
    for row in await change.db.fetch(_DELETE, list(ids)):
        await change.event("deleted", FAMILY, row["id"], client_group_id=row["group_id"])


async def keep_of_clients(change: Change, clients: Sequence[int]) -> None:
    """Keep in the entries of clients that are about to be deleted what the clients are called and whose they are."""
    await change.db.execute(_KEEP, list(clients))


def _columns(problems: Problems, body: NewRecoveryPlan | RecoveryPlanChange) -> dict[str, Any]:
    columns = given(autorun=body.autorun, priority=body.priority, description=body.description)
    if body.resource_type is not UNSET:
        columns["resource_type"] = problems.label(ResourceType, body.resource_type, "data.resource_type")
    for name, text in given(resource=body.resource, restore_destination=body.restore_destination).items():
        columns[name] = policy_fields.folder_or_none(problems, text, f"data.{name}")
    return columns


async def _client(change: Change, problems: Problems, value: Ref) -> Row:
    limit = scopes.clients(change.principal, write=True)
    return await problems.client(change.db, value, "data.client", limit)


def _is_same(value: Ref, before: Row) -> bool:
    """Whether the entry names this client already, which may be deleted meanwhile."""
    if isinstance(value, int):
        return bool(value == before["client_id"])
    try:
        hostname, hwid = parse_client_label(value, "data.client")
    except Invalid:
        return False  # looking it up names what is wrong
    return bool(before["client_id"] is None and (hostname, hwid) == (before["client_hostname"], before["client_hwid"]))
