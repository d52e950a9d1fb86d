"""User groups: who is notified. Every user belongs to one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from rubackup.domain.errors import Conflict
from rubackup.domain.names import NAME
from rubackup.services import backup_strategies, reports
from rubackup.services.change import Change
from rubackup.services.fields import given, update_columns

NOBODY = "Nobody"
"""The group that stands for no notification; it cannot be renamed or deleted."""

_INSERT = """
INSERT INTO user_groups (name, description) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING RETURNING id"""
_IN_USE = """
SELECT g.name, g.name = $2 AS fixed FROM user_groups g WHERE g.id = ANY ($1::bigint[])
AND (g.name = $2 OR EXISTS (SELECT 1 FROM users u WHERE u.group_id = g.id)
    OR EXISTS (SELECT 1 FROM global_schedule s WHERE g.id IN (
        s.inform_when_obsoleted_copy_group_id, s.notify_normal_group_id, s.notify_exception_group_id,
        s.notify_rule_validity_group_id, s.notify_verify_group_id, s.notify_end_storage_capacity_group_id))
) ORDER BY g.id"""


class NewUserGroup(msgspec.Struct, kw_only=True):
    """A user group to be made."""

    groupname: Annotated[
        str, Meta(description="Name of the group; unique.", min_length=1, max_length=128, pattern=NAME)
    ]
    description: Annotated[str, Meta(description="Free text.", max_length=4096)] = ""


class UserGroupChange(msgspec.Struct, kw_only=True):
    """What to change of a user group."""

    groupname: (
        Annotated[str, Meta(description="Name of the group; unique.", min_length=1, max_length=128, pattern=NAME)]
        | UnsetType
    ) = UNSET
    description: Annotated[str, Meta(description="Free text.", max_length=4096)] | UnsetType = UNSET


async def create(change: Change, new: NewUserGroup) -> int:
    """A new group; the id. Conflict when the name is taken."""
    group_id: int | None = await change.db.fetchval(_INSERT, new.groupname, new.description)
    if group_id is None:
        raise Conflict(f"A user group with the name {new.groupname} exists already.")
    await change.event("created", "user_groups", group_id)
    return group_id


async def update(change: Change, group_id: int, wanted: UserGroupChange) -> None:
    """Change what is given; Conflict when the name is taken, and for renaming Nobody."""
    name = await change.db.fetchval("SELECT name FROM user_groups WHERE id = $1", group_id)
    if name == NOBODY and wanted.groupname not in {UNSET, NOBODY}:
        raise Conflict(f"The group {NOBODY} cannot be renamed.")
    await update_columns(
        change.db, "user_groups", group_id, given(name=wanted.groupname, description=wanted.description)
    )
    await change.event("changed", "user_groups", group_id)


async def delete(change: Change, ids: Sequence[int]) -> None:
    """Delete groups without users that nothing else names; Conflict names the others, and Nobody."""
    used = await change.db.fetch(_IN_USE, list(ids), NOBODY)
    if used:
        names = ", ".join(row["name"] for row in used)
        raise Conflict(f"User groups with users, those that rules tell, and {NOBODY} cannot be deleted: {names}.")
    await backup_strategies.refuse_user_groups(change.db, ids)
    await reports.refuse_user_groups(change.db, ids)
    await change.db.execute("DELETE FROM user_groups WHERE id = ANY ($1::bigint[])", list(ids))
    for group_id in ids:
        await change.event("deleted", "user_groups", group_id)
