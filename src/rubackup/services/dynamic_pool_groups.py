"""Dynamic pool groups: pools among which tasks are spread by load, within limits. 0 is no limit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from rubackup.domain.errors import Conflict
from rubackup.domain.names import NAME
from rubackup.domain.permissions import Principal
from rubackup.services import pool_names, scopes
from rubackup.services.change import Change
from rubackup.services.fields import given, update_columns
from rubackup.services.scopes import EVERYTHING, NOTHING, Limit

_INSERT = """
INSERT INTO dynamic_pool_groups (name, max_pool_tasks, max_media_server_tasks, max_cpu_usage,
    max_in_block_operations, max_out_block_operations, calculation_period, description)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (name) DO NOTHING RETURNING id"""
_NAMED = "SELECT 1 FROM dynamic_pool_groups g WHERE g.name = $2 AND g.id <> $1"
_USED = """
SELECT g.name, string_agg(p.pool_name, ', ' ORDER BY p.pool_name) AS pools
FROM dynamic_pool_groups g JOIN dynamic_pool_groups_records r ON r.group_id = g.id JOIN pools p ON p.id = r.pool_id
WHERE g.id = ANY ($1::bigint[]) GROUP BY g.id ORDER BY g.id"""
_RULES = """
SELECT g.name AS group_name, string_agg(s.id::text, ', ' ORDER BY s.id) AS rules
FROM dynamic_pool_groups g JOIN global_schedule s ON s.pool_group_id = g.id WHERE g.id = ANY ($1::bigint[])
GROUP BY g.id ORDER BY g.id"""
_POOLS = """
SELECT 1 FROM dynamic_pool_groups_records r JOIN pools o ON o.id = r.pool_id
WHERE r.group_id = {group}"""
_SERVERS = """
SELECT DISTINCT o.media_server_id FROM dynamic_pool_groups_records r JOIN pools o ON o.id = r.pool_id
WHERE r.group_id = $1 ORDER BY 1"""

_NAME = Meta(description="Name of the group; unique.", min_length=1, max_length=128, pattern=NAME)
_POOL_TASKS = Meta(description="Tasks at work on a pool, from which on it gets no other; 0: any.", ge=0, le=100_000)
_MEDIA_TASKS = Meta(
    description="Tasks at work on a pool's media server, from which on the pool gets no other; 0: any.",
    ge=0,
    le=100_000,
)
_CPU = Meta(
    description="Load of the media server's processors in percent, from which on it gets no task; 0: any.", ge=0, le=100
)
_IN = Meta(
    description="Blocks of 1 KiB a second read from the media server's disks, from which on it gets no task; 0: any.",
    ge=0,
    le=10**9,
)
_OUT = Meta(
    description="Blocks of 1 KiB a second written to the media server's disks, from which on it gets no task; 0: any.",
    ge=0,
    le=10**9,
)
_PERIOD = Meta(description="Over how many seconds load and blocks are averaged.", ge=1, le=3600)
_DESCRIPTION = Meta(description="Free text.", max_length=4096)


class NewDynamicGroup(msgspec.Struct, kw_only=True):
    """A dynamic pool group to be made."""

    name: Annotated[str, _NAME]
    max_pool_tasks: Annotated[int, _POOL_TASKS] = 0
    max_media_server_tasks: Annotated[int, _MEDIA_TASKS] = 0
    max_cpu_usage: Annotated[int, _CPU] = 0
    max_in_block_operations: Annotated[int, _IN] = 0
    max_out_block_operations: Annotated[int, _OUT] = 0
    calculation_period: Annotated[int, _PERIOD] = 10
    description: Annotated[str, _DESCRIPTION] = ""


class DynamicGroupChange(msgspec.Struct, kw_only=True):
    """What to change of a dynamic pool group."""

    name: Annotated[str, _NAME] | UnsetType = UNSET
    max_pool_tasks: Annotated[int, _POOL_TASKS] | UnsetType = UNSET
    max_media_server_tasks: Annotated[int, _MEDIA_TASKS] | UnsetType = UNSET
    max_cpu_usage: Annotated[int, _CPU] | UnsetType = UNSET
    max_in_block_operations: Annotated[int, _IN] | UnsetType = UNSET
    max_out_block_operations: Annotated[int, _OUT] | UnsetType = UNSET
    calculation_period: Annotated[int, _PERIOD] | UnsetType = UNSET
    description: Annotated[str, _DESCRIPTION] | UnsetType = UNSET


def visible(principal: Principal, group: str) -> Limit:
    """Groups without pools, which are nobody's yet, and those with a pool that the caller may see.

    `group` is the column with the group's id.
    """
    own = scopes.storage(principal, "o.media_server_id")
    if own in (EVERYTHING, NOTHING):
        return own
    pools = _POOLS.format(group=group)
    return Limit(f"(NOT EXISTS ({pools}) OR EXISTS ({pools} AND {own.sql}))", own.values)


def changeable(principal: Principal, group: str) -> Limit:
    """Groups of which every pool is the caller's to change."""
    own = scopes.storage(principal, "o.media_server_id", write=True)
    if own in (EVERYTHING, NOTHING):
        return own
    return Limit(f"NOT EXISTS ({_POOLS.format(group=group)} AND NOT ({own.sql}))", own.values)


async def create(change: Change, new: NewDynamicGroup) -> int:
    """A new group; the id. Conflict when the name is taken."""
    await pool_names.refuse_of_pool(change.db, new.name)
    group_id: int | None = await change.db.fetchval(
        _INSERT, new.name, new.max_pool_tasks, new.max_media_server_tasks, new.max_cpu_usage,
        new.max_in_block_operations, new.max_out_block_operations, new.calculation_period, new.description,
    )  # fmt: skip
    if group_id is None:
        raise _taken(new.name)
    await change.event("created", "dynamic_pool_groups", group_id)
    return group_id


async def update(change: Change, group_id: int, wanted: DynamicGroupChange) -> None:
    """Change what is given; Conflict when the name is taken."""
    columns = given(**{name: getattr(wanted, name) for name in wanted.__struct_fields__})
    if "name" in columns:
        await pool_names.refuse_of_pool(change.db, columns["name"])
        if await change.db.fetchval(_NAMED, group_id, columns["name"]):
            raise _taken(columns["name"])
    await update_columns(change.db, "dynamic_pool_groups", group_id, columns)
    await _tell_changed(change, group_id)


async def delete(change: Change, ids: Sequence[int]) -> None:
    """Delete groups without pools and rules; Conflict names the others and what they have."""
    used = await change.db.fetch(_USED, list(ids))
    if used:
        raise Conflict(" ".join(f"Dynamic pool group {row['name']} has pools: {row['pools']}." for row in used))
    if rules := await change.db.fetch(_RULES, list(ids)):
        named = (f"Dynamic pool group {row['group_name']} is used by rules: {row['rules']}." for row in rules)
        raise Conflict(" ".join(named))
    await change.db.execute("DELETE FROM dynamic_pool_groups WHERE id = ANY ($1::bigint[])", list(ids))
    for group_id in ids:
        await change.event("deleted", "dynamic_pool_groups", group_id)


async def _tell_changed(change: Change, group_id: int) -> None:
    """An event for each media server that has a pool in the group, so that its maintainers hear of it."""
    servers = [row["media_server_id"] for row in await change.db.fetch(_SERVERS, group_id)]
    for media_server_id in servers or [None]:
        await change.event("changed", "dynamic_pool_groups", group_id, media_server_id=media_server_id)


def _taken(name: str) -> Conflict:
    return Conflict(f"A dynamic pool group with the name {name} exists already.")
