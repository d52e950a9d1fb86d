"""Client groups: what administrators administer, and within which copies may be shared."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from rubackup.domain.errors import Conflict
from rubackup.domain.names import NAME
from rubackup.services.change import Change
from rubackup.services.fields import given, update_columns

NO_GROUP = "No group"
"""Where clients land that nobody put elsewhere; it cannot be renamed or deleted."""

_INSERT = """
INSERT INTO client_groups (name, shared, clustered, description, launch_attempts_limit)
VALUES ($1, $2, $3, $4, $5) ON CONFLICT (name) DO NOTHING RETURNING id"""
_IN_USE = """
SELECT g.name FROM client_groups g WHERE g.id = ANY ($1::bigint[])
AND (g.name = $2 OR EXISTS (SELECT 1 FROM clients c WHERE c.group_id = g.id)
    OR EXISTS (SELECT 1 FROM administrators a WHERE a.client_group_id = g.id)
    OR EXISTS (SELECT 1 FROM global_schedule s WHERE s.client_group_id = g.id)) ORDER BY g.id"""

_NAME = Meta(description="Name of the group; unique.", min_length=1, max_length=128, pattern=NAME)
_SHARED = Meta(description="Whether copies of one client may be restored to another of the group.")
_CLUSTERED = Meta(description="Whether the clients are nodes of one cluster.")
_DESCRIPTION = Meta(description="Free text.", max_length=4096)
_ATTEMPTS = Meta(description="How often a task of a client is tried.", ge=1, le=1000)


class NewClientGroup(msgspec.Struct, kw_only=True):
    """A client group to be made."""

    name: Annotated[str, _NAME]
    shared: Annotated[bool, _SHARED] = False
    clustered: Annotated[bool, _CLUSTERED] = False
    description: Annotated[str, _DESCRIPTION] = ""
    launch_attempts_limit: Annotated[int, _ATTEMPTS] = 1


class ClientGroupChange(msgspec.Struct, kw_only=True):
    """What to change of a client group."""

    name: Annotated[str, _NAME] | UnsetType = UNSET
    shared: Annotated[bool, _SHARED] | UnsetType = UNSET
    clustered: Annotated[bool, _CLUSTERED] | UnsetType = UNSET
    description: Annotated[str, _DESCRIPTION] | UnsetType = UNSET
    launch_attempts_limit: Annotated[int, _ATTEMPTS] | UnsetType = UNSET


async def create(change: Change, new: NewClientGroup) -> int:
    """A new group; the id. Conflict when the name is taken."""
    group_id: int | None = await change.db.fetchval(
        _INSERT, new.name, new.shared, new.clustered, new.description, new.launch_attempts_limit
    )
    if group_id is None:
        raise Conflict(f"A client group with the name {new.name} exists already.")
    await change.event("created", "client_groups", group_id, client_group_id=group_id)
    return group_id


async def update(change: Change, group_id: int, wanted: ClientGroupChange) -> None:
    """Change what is given; Conflict when the name is taken, and for renaming No group."""
    name = await change.db.fetchval("SELECT name FROM client_groups WHERE id = $1", group_id)
    if name == NO_GROUP and wanted.name not in {UNSET, NO_GROUP}:
        raise Conflict(f"The group {NO_GROUP} cannot be renamed.")
    columns = given(
        name=wanted.name, shared=wanted.shared, clustered=wanted.clustered, description=wanted.description,
        launch_attempts_limit=wanted.launch_attempts_limit,
    )  # fmt: skip
    await update_columns(change.db, "client_groups", group_id, columns)
    await change.event("changed", "client_groups", group_id, client_group_id=group_id)


async def delete(change: Change, ids: Sequence[int]) -> None:
    """Delete groups without clients, administrators and rules; Conflict names the others, and No group."""
    used = await change.db.fetch(_IN_USE, list(ids), NO_GROUP)
    if used:
        names = ", ".join(row["name"] for row in used)
        raise Conflict(
            f"Client groups with clients, administrators or rules, and {NO_GROUP}, cannot be deleted: {names}."
        )
    await change.db.execute("DELETE FROM client_groups WHERE id = ANY ($1::bigint[])", list(ids))
    for group_id in ids:
        await change.event("deleted", "client_groups", group_id, client_group_id=group_id)
