"""Restores: who may put which copy where, and the task that does it. Design section 9."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from rubackup.domain import parameters
from rubackup.domain.errors import Conflict, Forbidden
from rubackup.domain.identity import client_label
from rubackup.domain.lookups import TaskType
from rubackup.queue.ports import NewTask
from rubackup.queue.postgres import PostgresQueue
from rubackup.services import client_pools, key_holders, rule_execution, scopes, tasks, unavailable
from rubackup.services.change import Change
from rubackup.services.fields import Problems, Ref, Row
from rubackup.services.repository import note, record_of
from rubackup.services.tasks import Extension

_SHARED = """
SELECT EXISTS (SELECT 1 FROM client_groups g WHERE g.id = $1 AND g.id = $2 AND g.shared)"""
_MODULE = Meta(description="Parameters of the resource type's module.")
_COMMON = Meta(description="Parameters that every module knows.")


class RestoreTask(msgspec.Struct, kw_only=True):
    """Where a copy goes, and what of it."""

    target_client: Annotated[Ref, Meta(description="Client that writes the files: `hostname (hwid)` or id.")]
    destination_path: Annotated[
        str,
        Meta(
            description="Absolute folder below which files land at their full original path; not with data_deployment.",
            max_length=32768,
        ),
    ] = ""
    data_deployment: Annotated[bool, Meta(description="Whether files go back to where they were.")] = False
    granular_restore_files: Annotated[
        list[Annotated[str, Meta(max_length=32768)]],
        Meta(
            description='Absolute paths to restore, folders with all below; [] or [""]: everything.', max_length=100_000
        ),
    ] = []
    overwrite: Annotated[
        Literal["if_changed", "always", "never"], Meta(description="What happens to files that are there already.")
    ] = "if_changed"
    priority: Annotated[int, tasks.PRIORITY] = 100
    module_extensions: Annotated[Extension, _MODULE] = msgspec.field(default_factory=Extension)
    common_modules_extensions: Annotated[Extension, _COMMON] = msgspec.field(default_factory=Extension)


class NewRestore(msgspec.Struct, kw_only=True):
    """A restore. Extension objects may stand inside `restore_task`, as the guide prints them, or beside it."""

    restore_task: Annotated[RestoreTask, Meta(description="The restore.")]
    module_extensions: Annotated[Extension, _MODULE] = msgspec.field(default_factory=Extension)
    common_modules_extensions: Annotated[Extension, _COMMON] = msgspec.field(default_factory=Extension)


async def create(change: Change, record_id: int, new: NewRestore, *, own_tool: bool = False) -> int:
    """Queue a restore of a copy; the number of its task.

    Forbidden to another client, unless both are in one shared group or the caller may change everything.
    Conflict when only the client's own tool may restore to it, which says `own_tool`.
    """
    problems, wanted = Problems(), new.restore_task
    record = await record_of(change, record_id)
    limit = scopes.clients(change.principal, write=True)
    client = await problems.client(change.db, wanted.target_client, "data.restore_task.target_client", limit)
    if client:
        tasks.check_client_serves(problems, client, record["resource_type"], "data.restore_task.target_client")
    place = _place(problems, wanted)
    paths = _paths(problems, wanted)
    module, common = _extensions(problems, new, record["resource_type"])
    problems.raise_any()
    await check_target(change, record, client)
    if client["hwid"] != record["client_hwid"]:
        client_pools.refuse_others(record["pool_type"])
    key_holders.check_target(record, client)
    await unavailable.refuse(change.db, record_id)
    if not own_tool:
        check_centralized(client)
    await tasks.refuse_in_service_mode(change.db, record["media_hostname"] if record["local_service_mode"] else None)
    where = {**place, "paths": paths, "overwrite": wanted.overwrite, "module": module, "common": common}
    return await queue(change, record, client, where, priority=wanted.priority)


async def queue(
    change: Change, record: Row, client: Row, parameters: dict[str, Any], *, priority: int, why: str = ""
) -> int:
    """Queue the restore of a copy (a row with its `media_server_id`) to a client; the number of its task."""
    task_id = await PostgresQueue(change.db).add(
        NewTask(
            task_type=TaskType.RESTORE.label,
            executor="client",
            priority=priority,
            client_id=client["id"],
            media_server_id=record["media_server_id"],
            pool_id=record["pool_id"],
            record_id=record["id"],
            record_uuid=record["uuid"],
            resource_type=record["resource_type"],
            resource=record["resource"],
            backup_type=record["backup_type"],
            crypto=record["crypto"],
            parameters={
                **parameters,
                "target_client": client["hwid"],
                **await rule_execution.restore_scripts(change.db, record["id"]),
            },
            created_by=change.principal.name,
            reservations=tasks.record_reservations(record["id"], record["pool_id"]),
        )
    )
    text = f"To {client['hostname']} ({client['hwid']}){', ' + why if why else ''}."
    await note(change, record["id"], task_id, "restore", text)
    return task_id


def _place(problems: Problems, wanted: RestoreTask) -> dict[str, Any]:
    field = "data.restore_task.destination_path"
    if wanted.data_deployment:
        if wanted.destination_path:
            problems.add(field, "must be empty when data_deployment is true: files go back to where they were.")
        return {"destination": "", "in_place": True}
    if not wanted.destination_path:
        problems.add(field, "is required unless data_deployment is true; it must be an absolute path.")
        return {}
    return {"destination": problems.folder(wanted.destination_path, field), "in_place": False}


def _paths(problems: Problems, wanted: RestoreTask) -> list[str]:
    field = "data.restore_task.granular_restore_files"
    return [
        problems.folder(path, f"{field}.{number}")
        for number, path in enumerate(wanted.granular_restore_files)
        if path
    ]  # fmt: skip


def _extensions(problems: Problems, new: NewRestore, resource_type: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Both objects from both places; what stands inside the task wins."""
    module_table, common_table = parameters.RESTORE.get(resource_type, {}), parameters.COMMON_RESTORE
    for holder, prefix in ((new, "data"), (new.restore_task, "data.restore_task")):
        problems.fields.update(
            tasks.extension_problems(
                holder.module_extensions, holder.common_modules_extensions, module_table, common_table, prefix
            )
        )
    inner = new.restore_task
    return (
        new.module_extensions.parameters | inner.module_extensions.parameters,
        new.common_modules_extensions.parameters | inner.common_modules_extensions.parameters,
    )


async def check_target(change: Change, record: Row, client: Row) -> None:
    """Forbidden to another client than the copy's, unless both are in one shared group or the caller changes all."""
    if client["hwid"] == record["client_hwid"] or scopes.changes_all(change.principal):
        return
    if not await change.db.fetchval(_SHARED, client["group_id"], record["group_id"]):
        raise Forbidden("A copy may be restored to another client only when both are in one shared client group.")


def check_centralized(client: Row) -> None:
    """Conflict when restores to the client are its own user's matter."""
    if not client["centralized_restore"]:
        name = client_label(client["hostname"], client["hwid"])
        raise Conflict(f"The client {name} takes no centralised restores: only its own tool restores to it.")
