"""Urgent backups: from what an administrator asks for to a task in the queue. Design section 9."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from rubackup.catalog.database import Connection
from rubackup.domain import parameters
from rubackup.domain.errors import Conflict, Invalid
from rubackup.domain.lookups import BackupType, Crypto, ResourceType, TaskType
from rubackup.domain.pools import WRITTEN
from rubackup.queue.ports import NewTask, Reservation
from rubackup.queue.postgres import PostgresQueue
from rubackup.services import capacity, client_pools, configuration, scopes, storage_kinds
from rubackup.services.change import Change
from rubackup.services.fields import Problems, Ref, Row

_TOO_LONG = "SELECT $1::text::interval > retention_period FROM pools WHERE id = $2"
_SUBSTITUTED = "SELECT EXISTS (SELECT 1 FROM pool_substitutions WHERE pool_id = $1)"
Values = Mapping[str, bool | int | str]
"""Extension parameters by name."""
PRIORITY = Meta(description="Higher runs first.", ge=1, le=1000)


class Extension(msgspec.Struct):
    """Parameters of a module, or of all modules."""

    parameters: Annotated[
        dict[str, bool | int | str], Meta(description="By name; GET the family's `extension` for what there is.")
    ] = {}


class BackupTask(msgspec.Struct, kw_only=True):
    """What to back up, where to, and for how long."""

    resource_type: Annotated[str, Meta(description="A name of resource_types that the client can back up.")]
    resource: Annotated[
        str, Meta(description="What to back up; for File system an absolute path.", min_length=1, max_length=32768)
    ]
    client: Annotated[Ref, Meta(description="The client: `hostname (hwid)` or id.")]
    backup_type: Annotated[str, Meta(description="A name of backup_types.")]
    pool: Annotated[
        Ref,
        Meta(
            description="Pool that stores the copy: name or id; or the name of a dynamic pool group, which chooses it."
        ),
    ]
    crypto: Annotated[str, Meta(description="A name of crypto.")]
    priority: Annotated[int, PRIORITY]
    storage_duration: Annotated[str, Meta(description="How long the copy is kept, such as '1 Years'.", max_length=100)]
    archiving: Annotated[
        bool,
        Meta(
            description="Whether the copy is an archive: it stands by itself, later copies never build on it, and it is "
            "deleted only when it is named."
        ),
    ]


class NewBackup(msgspec.Struct, kw_only=True):
    """An urgent backup."""

    task: Annotated[BackupTask, Meta(description="The backup.")]
    module_extensions: Annotated[Extension, Meta(description="Parameters of the resource type's module.")] = (
        msgspec.field(default_factory=Extension)
    )
    common_modules_extensions: Annotated[Extension, Meta(description="Parameters that every module knows.")] = (
        msgspec.field(default_factory=Extension)
    )


async def create_backup(change: Change, new: NewBackup) -> int:
    """Queue an urgent backup; the number of its task."""
    problems, task = Problems(), new.task
    resource_type = problems.label(ResourceType, task.resource_type, "data.task.resource_type")
    backup_type = problems.label(BackupType, task.backup_type, "data.task.backup_type")
    crypto = problems.label(Crypto, task.crypto, "data.task.crypto")
    resource = problems.folder(task.resource, "data.task.resource")
    duration = problems.interval(task.storage_duration, "data.task.storage_duration")
    limit = scopes.clients(change.principal, write=True)
    client = await problems.client(change.db, task.client, "data.task.client", limit)
    pool = await problems.place(change.db, task.pool, "data.task.pool", scopes.storage(change.principal))
    if client and resource_type:
        check_client_serves(problems, client, resource_type, "data.task.resource_type")
    if client and crypto:
        check_client_encrypts(problems, client, crypto, "data.task.crypto")
    if pool:
        await check_pool(change.db, problems, pool, duration, "data.task.pool", "data.task.storage_duration")
    problems.fields.update(_extension_problems(new, resource_type))
    problems.raise_any()
    await refuse_place_in_service_mode(change.db, pool)
    if pool["group_id"] is None:
        await client_pools.refuse_unable(change.db, pool["id"], client["id"], scopes.clients(change.principal))
    if full := await capacity.exceeded(change.db, client["id"]):
        raise Conflict(full)
    task_id = await PostgresQueue(change.db).add(
        NewTask(
            task_type=TaskType.BACKUP.label,
            executor="client",
            priority=task.priority,
            client_id=client["id"],
            media_server_id=pool["media_server_id"],
            pool_id=pool["id"],
            pool_group_id=pool["group_id"],
            resource_type=resource_type,
            resource=resource,
            backup_type=backup_type,
            crypto=crypto,
            storage_duration=duration,
            archiving=task.archiving,
            parameters=extension_parameters(new.module_extensions, new.common_modules_extensions),
            created_by=change.principal.name,
            reservations=backup_reservations(client["id"], resource_type, resource, pool["id"]),
        )
    )
    change.row_ids.append(task_id)
    return task_id


async def check_pool(
    db: Connection, problems: Problems, pool: Row, duration: str | None, pool_field: str, duration_field: str
) -> None:
    """Note when backups cannot go into the pool, or copies cannot stay there for so long."""
    if pool["pool_type"] not in WRITTEN:
        problems.add(pool_field, f"must be a pool of one of the types {', '.join(sorted(WRITTEN))}.")
    elif not pool["storages"]:
        problems.add(pool_field, f"has no storage yet; add one to {storage_kinds.FAMILIES[pool['pool_type']]}.")
    if duration and await db.fetchval(_TOO_LONG, duration, pool["id"]):
        problems.add(duration_field, "is longer than the retention_period of the pool.")


def _extension_problems(new: NewBackup, resource_type: str) -> dict[str, str]:
    module = parameters.BACKUP.get(resource_type, {})
    return extension_problems(new.module_extensions, new.common_modules_extensions, module, parameters.COMMON_BACKUP)


def extension_problems(
    module: Extension,
    common: Extension,
    module_table: parameters.Table,
    common_table: parameters.Table,
    prefix: str = "data",
) -> dict[str, str]:
    """What is wrong with both extension objects, by dotted field name."""
    return {
        **parameters.problems(module.parameters, module_table, f"{prefix}.module_extensions.parameters"),
        **parameters.problems(common.parameters, common_table, f"{prefix}.common_modules_extensions.parameters"),
    }


def extension_parameters(module: Extension, common: Extension) -> dict[str, Any]:
    """Both as a task carries them."""
    return {"module": dict(module.parameters), "common": dict(common.parameters)}


def check_client_serves(problems: Problems, client: Row, resource_type: str, field: str) -> None:
    """Note when the client has no module for the resource type; one that never came online is not judged."""
    told = client["resource_types"]
    if told and resource_type not in told:
        problems.add(field, f"the client does not serve it; it serves: {', '.join(told)}.")


def check_client_encrypts(problems: Problems, client: Row, crypto: str, field: str) -> None:
    """Note when the client cannot run the cipher; one that never came online is not judged."""
    if client["resource_types"] and crypto != Crypto.NOCRYPT.label and crypto not in client["ciphers"]:
        can = ", ".join([Crypto.NOCRYPT.label, *client["ciphers"]])
        problems.add(field, f"the client cannot encrypt with {crypto}; it can run: {can}.")


async def refuse_in_service_mode(db: Connection, media_hostname: str | None = None) -> None:
    """Conflict while the service mode, or the local one of a media server, stops new tasks."""
    if await configuration.enabled(db, "service_mode"):
        raise Conflict("The service mode is on: there are no new tasks.")
    if media_hostname is not None:
        raise Conflict(f"The local service mode of media server {media_hostname} is on: there are no new tasks.")


async def refuse_place_in_service_mode(db: Connection, pool: Row) -> None:
    """As `refuse_in_service_mode` for where a backup goes: a pool with a substitution, and a group, may have another one."""
    busy = pool["local_service_mode"] and pool["group_id"] is None
    busy = busy and not await db.fetchval(_SUBSTITUTED, pool["id"])
    await refuse_in_service_mode(db, pool["media_hostname"] if busy else None)


def backup_reservations(client_id: int, resource_type: str, resource: str, pool_id: int) -> tuple[Reservation, ...]:
    """One backup of a resource at a time; pools are shared."""
    return (
        Reservation("resource", f"{client_id}:{resource_type}:{resource}", exclusive=True),
        Reservation("pool", str(pool_id), exclusive=False),
    )


def record_reservations(record_id: int, pool_id: int) -> tuple[Reservation, ...]:
    """Reading a copy: others may read it, too."""
    return (
        Reservation("record", str(record_id), exclusive=False),
        Reservation("pool", str(pool_id), exclusive=False),
    )


class ParameterRow(msgspec.Struct, frozen=True):
    """A parameter that an extension object may hold."""

    name: Annotated[str, Meta(description="Name of the parameter.")]
    type: Annotated[str, Meta(description="boolean, integer or string.")]
    default: Annotated[bool | int | str, Meta(description="What holds when the parameter is left out.")]
    value: Annotated[bool | int | str, Meta(description="What the rule that was named says; the default without one.")]
    minimum: Annotated[int | None, Meta(description="Least value of an integer.")]
    maximum: Annotated[int | None, Meta(description="Greatest value of an integer.")]
    choices: Annotated[list[str] | None, Meta(description="What a string may be; null: anything that is described.")]
    changeable: Annotated[bool, Meta(description="Whether this version takes another value than the default.")]
    description: Annotated[str, Meta(description="What the parameter does.")]


class Extensions(msgspec.Struct, frozen=True):
    """What both extension objects may hold for a resource type."""

    resource_type: Annotated[str, Meta(description="A name of resource_types.")]
    module_extensions: Annotated[list[ParameterRow], Meta(description="Parameters of the resource type's module.")]
    common_modules_extensions: Annotated[list[ParameterRow], Meta(description="Parameters that every module knows.")]


def backup_extensions(resource_type: str, module: Values | None = None, common: Values | None = None) -> Extensions:
    """Parameters of backups, with the values that a rule gives them; Invalid names the resource types that there are."""
    return _extensions(resource_type, parameters.BACKUP, parameters.COMMON_BACKUP, module or {}, common or {})


def restore_extensions(resource_type: str) -> Extensions:
    """Parameters of restores; Invalid names the resource types that there are."""
    return _extensions(resource_type, parameters.RESTORE, parameters.COMMON_RESTORE, {}, {})


def _extensions(
    resource_type: str, modules: Any, common: parameters.Table, module_values: Values, common_values: Values
) -> Extensions:
    found = ResourceType.by_label(resource_type)
    if found is None:
        raise Invalid(fields={"resource_type": f"must be one of: {', '.join(ResourceType.labels())}."})
    return Extensions(found.label, _rows(modules[found.label], module_values), _rows(common, common_values))


def _rows(table: parameters.Table, values: Values) -> list[ParameterRow]:
    return [
        ParameterRow(
            one.name, one.kind, one.default, values.get(one.name, one.default),
            one.minimum if one.kind == "integer" else None, one.maximum if one.kind == "integer" else None,
            list(one.choices) or None, not one.fixed, one.description,
        )
        for one in table.values()
    ]  # fmt: skip
