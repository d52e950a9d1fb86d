"""Pools that stand in for others, and pools among which tasks are spread."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from rubackup.api.resource import CRUD, EVERYTHING, LOG, Body, Clause, Op, Resource, Source
from rubackup.domain.permissions import Permission, Principal
from rubackup.resources._adapters import limited, making
from rubackup.services import dynamic_pool_groups, dynamic_pool_groups_records, pool_substitution, scopes


class PoolSubstitutionRow(msgspec.Struct, kw_only=True):
    """A pool and a pool that takes its place."""

    id: Annotated[int, Meta(description="Id of the substitution; lower ones are tried first.")]
    pool: Annotated[str, Meta(description="Pool whose place is taken.")]
    pool_ref: Annotated[int, Meta(description="Id of that pool.")]
    substitution: Annotated[str, Meta(description="Pool of the same type that takes it.")]
    substitution_ref: Annotated[int, Meta(description="Id of that pool.")]
    created_at: Annotated[datetime, Meta(description="When it was made.")]


def _both(principal: Principal, *, write: bool = False) -> Clause:
    """Both pools must be the caller's."""
    one = scopes.storage(principal, "p.media_server_id", write=write)
    other = scopes.storage(principal, "o.media_server_id", write=write)
    if one == scopes.EVERYTHING == other:
        return EVERYTHING
    return Clause(f"({one.sql}) AND ({other.sql})", one.values + other.values)


POOL_SUBSTITUTION = Resource(
    path="pool_substitution",
    name="Pool Substitution",
    tag="Pool Substitution",
    summary="Pools that take the place of pools that cannot be used",
    read=Permission.READ_STORAGE,
    write=Permission.WRITE_STORAGE,
    row=PoolSubstitutionRow,
    source=Source(
        "pool_substitutions s JOIN pools p ON p.id = s.pool_id JOIN pools o ON o.id = s.substitution_id",
        "s.id",
        {
            "id": "s.id",
            "pool": "p.pool_name",
            "pool_ref": "s.pool_id",
            "substitution": "o.pool_name",
            "substitution_ref": "s.substitution_id",
            "created_at": "s.created_at",
        },
        frozenset({"id", "pool_ref", "substitution_ref"}),
    ),
    ops=LOG | Op.CREATE | Op.DELETE | Op.BULK_DELETE,
    scope=_both,
    changeable=lambda principal: _both(principal, write=True),
    create=making(pool_substitution.create),
    create_body=Body(
        pool_substitution.NewSubstitution, example={"data": {"pool": "Default", "substitution": "Default2"}}
    ),
    delete=pool_substitution.delete,
)


class DynamicPoolGroupRow(msgspec.Struct, kw_only=True):
    """A group of pools among which tasks are spread. A limit of 0 is none."""

    id: Annotated[int, Meta(description="Id of the group.")]
    name: Annotated[str, Meta(description="Name of the group.")]
    max_pool_tasks: Annotated[int, Meta(description="Unfinished tasks that a pool may have to get another one.")]
    max_media_server_tasks: Annotated[
        int, Meta(description="Unfinished tasks that a pool's media server may have to get another one.")
    ]
    max_cpu_usage: Annotated[int, Meta(description="Load of its processors in percent up to which it gets tasks.")]
    max_in_block_operations: Annotated[int, Meta(description="Blocks a second that it may read to get a task.")]
    max_out_block_operations: Annotated[int, Meta(description="Blocks a second that it may write to get a task.")]
    calculation_period: Annotated[int, Meta(description="Over how many seconds load and blocks are averaged.")]
    description: Annotated[str, Meta(description="Free text.")]
    created_at: Annotated[datetime, Meta(description="When it was made.")]


_GROUP_OWN = (
    "id", "name", "max_pool_tasks", "max_media_server_tasks", "max_cpu_usage", "max_in_block_operations",
    "max_out_block_operations", "calculation_period", "description", "created_at",
)  # fmt: skip
_GROUP_EXAMPLE = {
    "data": {
        "name": "group_name", "max_pool_tasks": 10, "max_media_server_tasks": 10, "max_cpu_usage": 80,
        "max_in_block_operations": 0, "max_out_block_operations": 0, "calculation_period": 10, "description": "",
    }
}  # fmt: skip

DYNAMIC_POOL_GROUPS = Resource(
    path="dynamic_pool_groups",
    name="Dynamic Pool Groups",
    tag="Dynamic Pool Groups",
    summary="Groups of pools among which tasks are spread",
    read=Permission.READ_STORAGE,
    write=Permission.WRITE_STORAGE,
    row=DynamicPoolGroupRow,
    source=Source("dynamic_pool_groups g", "g.id", {one: f"g.{one}" for one in _GROUP_OWN}, frozenset({"id", "name"})),
    ops=CRUD,
    scope=limited(lambda principal: dynamic_pool_groups.visible(principal, "g.id")),
    changeable=limited(lambda principal: dynamic_pool_groups.changeable(principal, "g.id")),
    create=making(dynamic_pool_groups.create),
    create_body=Body(dynamic_pool_groups.NewDynamicGroup, example=_GROUP_EXAMPLE),
    update=dynamic_pool_groups.update,
    update_body=Body(dynamic_pool_groups.DynamicGroupChange, example=_GROUP_EXAMPLE),
    delete=dynamic_pool_groups.delete,
)


class GroupRecordRow(msgspec.Struct, kw_only=True):
    """A pool of a dynamic pool group."""

    id: Annotated[int, Meta(description="Id of the record.")]
    dynamic_pool_group: Annotated[int, Meta(description="Id of the group, as it is written.")]
    dynamic_pool_group_ref: Annotated[int, Meta(description="Id of the group.")]
    dynamic_pool_group_name: Annotated[str, Meta(description="Name of the group.")]
    pool: Annotated[str, Meta(description="Name of the pool.")]
    pool_ref: Annotated[int, Meta(description="Id of the pool.")]
    enabled: Annotated[bool, Meta(description="Whether the pool gets tasks of the group.")]
    created_at: Annotated[datetime, Meta(description="When the pool joined.")]


DYNAMIC_POOL_GROUPS_RECORDS = Resource(
    path="dynamic_pool_groups_records",
    name="Dynamic Pool Groups Records",
    tag="Dynamic Pool Groups Records",
    summary="Pools of dynamic pool groups",
    read=Permission.READ_STORAGE,
    write=Permission.WRITE_STORAGE,
    row=GroupRecordRow,
    source=Source(
        "dynamic_pool_groups_records r JOIN dynamic_pool_groups g ON g.id = r.group_id "
        "JOIN pools p ON p.id = r.pool_id",
        "r.id",
        {
            "id": "r.id",
            "dynamic_pool_group": "r.group_id",
            "dynamic_pool_group_ref": "r.group_id",
            "dynamic_pool_group_name": "g.name",
            "pool": "p.pool_name",
            "pool_ref": "r.pool_id",
            "enabled": "r.enabled",
            "created_at": "r.created_at",
        },
        frozenset({"id", "dynamic_pool_group", "dynamic_pool_group_ref", "pool_ref"}),
    ),
    ops=LOG | Op.CREATE | Op.DELETE | Op.BULK_DELETE,
    scope=limited(lambda principal: scopes.storage(principal, "p.media_server_id")),
    changeable=limited(lambda principal: scopes.storage(principal, "p.media_server_id", write=True)),
    create=making(dynamic_pool_groups_records.create),
    create_body=Body(
        dynamic_pool_groups_records.NewGroupRecord,
        example={"data": {"dynamic_pool_group": 1, "pool": "Default", "enabled": True}},
    ),
    delete=dynamic_pool_groups_records.delete,
)
