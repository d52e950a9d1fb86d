"""Clients: editing, deleting, authorising. How they become known is `services.enrolment`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from rubackup.domain.lookups import ResourceType
from rubackup.services import disaster_recovery_plan, enrolment, host_log, recovery_run, scopes, strategy_rules
from rubackup.services.change import Change
from rubackup.services.fields import Problems, Ref, given, update_columns
from rubackup.services.host_log import Happened
from rubackup.services.rekeying import FINGERPRINT, REPLACE_KEY, Expected

_READ = """
SELECT c.group_id, c.lsf_flag, c.ls_pool_id, c.lrl_flag, c.storage_capacity, c.max_tasks, c.description, c.centralized_restore,
    c.client_side_backup, c.client_side_restore, c.resource_types
FROM clients c WHERE c.id = $1"""


MAX_TASKS = Meta(
    description="How many of its tasks are at work at a time; 0: as many as the client takes (PARALLEL_TASKS).",
    ge=0,
    le=100_000,
)


class ClientChange(msgspec.Struct, kw_only=True):
    """What to change of a client."""

    group_id: Annotated[Ref, Meta(description="Client group: name or id.")] | UnsetType = UNSET
    lsf_flag: (
        Annotated[
            bool,
            Meta(
                description="Whether backups that the client's own tools start go to `ls_pool`, and to no other pool."
            ),
        ]
        | UnsetType
    ) = UNSET
    ls_pool: (
        Annotated[Ref, Meta(description="Pool for backups that the client's own tools start: name or id; null: none.")]
        | UnsetType
        | None
    ) = UNSET
    lrl_flag: (
        Annotated[
            bool, Meta(description="Whether the client's own tools may see its rules and make requests about them.")
        ]
        | UnsetType
    ) = UNSET
    storage_capacity: (
        Annotated[
            int,
            Meta(description="Storage that the client's copies may take, in gigabytes; 0: no limit.", ge=0, le=2**40),
        ]
        | UnsetType
    ) = UNSET
    max_tasks: Annotated[int, MAX_TASKS] | UnsetType = UNSET
    description: Annotated[str, Meta(description="Free text.", max_length=4096)] | UnsetType = UNSET
    centralized_restore: (
        Annotated[
            bool,
            Meta(
                description="Whether restores to the client may be ordered through the API; false: only its own tools restore."
            ),
        ]
        | UnsetType
    ) = UNSET
    client_side_backup: (
        Annotated[bool, Meta(description="Whether the client's own tools may start backups.")] | UnsetType
    ) = UNSET
    client_side_restore: (
        Annotated[bool, Meta(description="Whether the client's own tools may start restores.")] | UnsetType
    ) = UNSET


class ClientIds(msgspec.Struct):
    """Clients that wait for authorisation."""

    clients_ids: Annotated[
        list[Annotated[int, Meta(ge=1)]],
        Meta(description="Ids of unauthorised clients: all of them or none.", min_length=1, max_length=1000),
    ]
    replace_key: REPLACE_KEY = False
    fingerprint: FINGERPRINT = ""


async def update(change: Change, client_id: int, wanted: ClientChange) -> None:
    """Change what is given. A client can only be moved into a group that the caller administers."""
    problems, db = Problems(), change.db
    before = await db.fetchrow(_READ, client_id)
    columns = given(
        lsf_flag=wanted.lsf_flag, lrl_flag=wanted.lrl_flag, storage_capacity=wanted.storage_capacity,
        max_tasks=wanted.max_tasks,
        description=wanted.description, centralized_restore=wanted.centralized_restore,
        client_side_backup=wanted.client_side_backup, client_side_restore=wanted.client_side_restore,
    )  # fmt: skip
    if wanted.group_id is not UNSET:
        limit = scopes.clients(change.principal, "x.id", write=True)
        group = await problems.client_group(db, wanted.group_id, "data.group_id", limit)
        columns["group_id"] = group and group["id"]
    if wanted.ls_pool is None:
        columns["ls_pool_id"] = None
    elif wanted.ls_pool is not UNSET:
        pool = await problems.pool(db, wanted.ls_pool, "data.ls_pool", scopes.storage(change.principal))
        columns["ls_pool_id"] = pool and pool["id"]
    merged = dict(before) | columns
    if merged["lsf_flag"] and merged["ls_pool_id"] is None:
        problems.add("data.ls_pool", "is required while lsf_flag is true.")
    problems.raise_any()
    await update_columns(db, "clients", client_id, columns)
    await _note_edited(change, client_id, [name for name, value in columns.items() if value != before[name]])
    await change.event("changed", "clients", client_id, client_group_id=before["group_id"])
    if merged["group_id"] != before["group_id"]:
        await change.event("changed", "clients", client_id, client_group_id=merged["group_id"])
        await host_log.move(db, client_id, merged["group_id"])


async def _note_edited(change: Change, client_id: int, names: Sequence[str]) -> None:
    if names:
        text = f"Changed: {', '.join(name.replace('ls_pool_id', 'ls_pool') for name in names)}."
        await host_log.note(change.db, "client", [client_id], Happened.EDITED, text, user=change.principal.name)


async def delete(change: Change, ids: Sequence[int]) -> None:
    """Delete clients: their certificates are revoked, they wait for authorisation again, their copies stay.

    Rules that are about them go; entries of the disaster recovery plan stay for a host that replaces them.
    """
    await strategy_rules.delete_of_clients(change, ids)
    await disaster_recovery_plan.keep_of_clients(change, ids)
    await enrolment.withdraw_clients(change, ids)


async def authorise(change: Change, wanted: ClientIds) -> tuple[list[int], list[int]]:
    """Authorise clients that wait; the ids of the clients that they become, and of the restores that this starts."""
    expected = Expected(wanted.replace_key, wanted.fingerprint)
    ids = await enrolment.authorise_clients(change, wanted.clients_ids, expected)
    return ids, await recovery_run.clients_are_back(change, ids, replaced=wanted.replace_key)


async def resource_types(change: Change, client_id: int) -> list[ResourceType]:
    """What the client said that it can back up, as far as this version serves it."""
    row = await change.db.fetchrow(_READ, client_id)
    told = {name.casefold() for name in row["resource_types"]}
    return [one for one in ResourceType if one.label.casefold() in told]
