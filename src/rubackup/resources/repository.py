"""The repository of copies: listing, keeping, verifying, restoring, deleting, and its log."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from rubackup.api.files import MEDIA
from rubackup.api.resource import LOG, Action, Answer, Body, Call, Created, Later, Op, Page, Resource, Source
from rubackup.domain.permissions import Permission
from rubackup.resources import downloads as downloading
from rubackup.resources._adapters import limited, queued, whole
from rubackup.services import copies, downloads, repository, restores, scopes, tasks
from rubackup.services.change import Change
from rubackup.services.ports import CopyEntry


class RecordRow(msgspec.Struct, kw_only=True):
    """A copy."""

    id: Annotated[int, Meta(description="Id of the copy.")]
    uuid: Annotated[str, Meta(description="The copy's name in its pool.")]
    parent_id: Annotated[int | None, Meta(description="The copy that this one builds on, while it is there.")]
    parent_uuid: Annotated[str | None, Meta(description="The parent's name in its pool.")]
    copied_from: Annotated[
        int | None,
        Meta(description="The copy that this one was copied or moved from; a moved one is not there any more."),
    ]
    chain_broken: Annotated[
        bool, Meta(description="Whether a copy that it builds on was deleted; it restores all the same.")
    ]
    rule_id: Annotated[int | None, Meta(description="The rule of the global schedule that made it.")]
    strategy_rule_id: Annotated[int | None, Meta(description="The rule of a strategy that made it.")]
    task: Annotated[int, Meta(description="Number of the task that made it.")]
    rule: Annotated[str | None, Meta(description="Name of the rule that made it; null when there is none any more.")]
    rule_ref: Annotated[int | None, Meta(description="Id of that rule, also of one that was deleted.")]
    client: Annotated[str, Meta(description="The client as `hostname (hwid)`, as it was called then.")]
    client_ref: Annotated[int | None, Meta(description="Id of the client; null when it was deleted.")]
    client_hwid: Annotated[str, Meta(description="Hardware id of the client: 16 hex digits.")]
    pool: Annotated[str, Meta(description="Name of the pool that stores it.")]
    pool_ref: Annotated[int, Meta(description="Id of the pool.")]
    media_server: Annotated[str, Meta(description="Host name of the media server that stores it.")]
    media_server_ref: Annotated[int, Meta(description="Id of the media server.")]
    resource_type: Annotated[str, Meta(description="A name of resource_types.")]
    resource: Annotated[str, Meta(description="What was backed up.")]
    backup_type: Annotated[str, Meta(description="A name of backup_types.")]
    crypto: Annotated[str, Meta(description="A name of crypto.")]
    key_id: Annotated[
        str, Meta(description="Which key of the client opens it, 32 hex digits; empty when it is in clear.")
    ]
    archiving: Annotated[bool, Meta(description="Whether it is an archive: nothing builds on it.")]
    file_list: Annotated[bool, Meta(description="Whether its files may be listed.")]
    size_bytes: Annotated[int, Meta(description="Size of what was backed up in bytes.")]
    stored_bytes: Annotated[int, Meta(description="What it added to the pool in bytes, compressed.")]
    files: Annotated[int, Meta(description="How many files and folders it holds.")]
    files_failed: Annotated[int, Meta(description="How many files could not be read; the task log names them.")]
    created_at: Annotated[datetime, Meta(description="When it was made.")]
    store_until: Annotated[datetime | None, Meta(description="When it may be deleted by itself.")]
    locked_until: Annotated[datetime | None, Meta(description="Until when nobody can delete it.")]
    verification_status: Annotated[str, Meta(description="A name of verification_status.")]
    verified_at: Annotated[datetime | None, Meta(description="When it was verified last.")]
    unavailable: Annotated[
        str,
        Meta(
            description="Folders of its pool that are away and that it needs: it cannot be read until they are back; empty: none."
        ),
    ]


_OWN = (
    "id", "parent_id", "client_hwid", "resource_type", "resource", "backup_type", "crypto", "key_id", "archiving", "file_list", "size_bytes",
    "stored_bytes", "files", "files_failed", "created_at", "store_until", "locked_until", "verification_status",
    "verified_at", "copied_from", "chain_broken", "unavailable", "rule_id", "strategy_rule_id",
)  # fmt: skip
_GROUP = "coalesce(c.group_id, r.client_group_id)"


async def _verify(call: Call) -> Created:
    assert call.id is not None
    return queued([await repository.verify(call.change, call.id)])


class TargetQuery(msgspec.Struct, kw_only=True):
    """Where a copy is to go."""

    pool: Annotated[
        str,
        Meta(
            description="The other pool, one of those that pool_list/available_for_copy_or_move lists: name or id.",
            min_length=1,
            max_length=128,
        ),
    ]


def _to_pool(function: Callable[[Change, int, str], Awaitable[int]]) -> Callable[[Call], Awaitable[Created]]:
    async def run(call: Call) -> Created:
        assert call.id is not None
        return queued([await function(call.change, call.id, call.query.pool)])

    return run


async def _restore(call: Call) -> Created:
    assert call.id is not None
    return queued([await restores.create(call.change, call.id, call.body)])


async def _dependants(call: Call) -> Page:
    return whole(await repository.dependants(call.change, call.body))


class RestoreExtensionQuery(msgspec.Struct, kw_only=True):
    """Whose parameters are wanted."""

    resource_type: Annotated[str, Meta(description="A name of resource_types.")] = "File system"


async def _extension(call: Call) -> tasks.Extensions:
    return tasks.restore_extensions(call.query.resource_type)


_RESTORE = {
    "data": {
        "restore_task": {
            "target_client": "rsafin-primary (55e05458152af100)", "destination_path": "/for_restore/",
            "data_deployment": False, "granular_restore_files": [""],
            "module_extensions": {"parameters": {"new_name": ""}},
            "common_modules_extensions": {"parameters": {"worker_parallelism": 8, "memory_threshold": 0}},
        }
    }
}  # fmt: skip

_NOT_THERE = {
    409: "The copy cannot go there: same pool, another type, no storage, too old for the pool, locked, over the "
    "client's capacity, a media server offline, service mode"
}

REPOSITORY = Resource(
    path="repository",
    name="Repository",
    tag="Repository",
    summary="The copies that there are",
    read=Permission.READ_RECORDS,
    write=Permission.WRITE_RECORDS,
    row=RecordRow,
    source=Source(
        "repository r LEFT JOIN clients c ON c.id = r.client_id LEFT JOIN pools p ON p.id = r.pool_id "
        "LEFT JOIN media_servers m ON m.id = p.media_server_id LEFT JOIN global_schedule gs ON gs.id = r.rule_id",
        "r.id",
        {
            **{one: f"r.{one}" for one in _OWN},
            "uuid": "r.uuid::text",
            "parent_uuid": "r.parent_uuid::text",
            "task": "r.task_id",
            "rule": "gs.name",
            "rule_ref": "r.rule_id",
            "client": "r.client_hostname || ' (' || r.client_hwid || ')'",
            "client_ref": "r.client_id",
            "pool": "p.pool_name",
            "pool_ref": "r.pool_id",
            "media_server": "m.hostname",
            "media_server_ref": "p.media_server_id",
        },
        frozenset(
            {"id", "created_at", "client_ref", "client_hwid", "pool_ref", "parent_id", "copied_from", "rule_ref", "strategy_rule_id"}
        ),
        descending=True,
    ),
    ops=LOG | Op.UPDATE | Op.DELETE | Op.BULK_DELETE,
    scope=limited(lambda principal: scopes.work(principal, _GROUP, "p.media_server_id")),
    changeable=limited(lambda principal: scopes.work(principal, _GROUP, "p.media_server_id", write=True)),
    update=repository.keep_until,
    update_body=Body(repository.RecordChange, example={"data": {"store_until": "2024-09-07T22:06:09.801038"}}),
    delete=repository.delete,
    actions=(
        Action(
            "POST", "{id}/restoring", "Restore a copy", Permission.RESTORE, _restore, answer=Answer.TASKS,
            body=Body(restores.NewRestore, example=_RESTORE),
        ),
        Action(
            "POST", "{id}/verification", "Read a copy again and compare every checksum", Permission.WRITE_RECORDS,
            _verify, answer=Answer.TASKS,
        ),
        Action(
            "POST", "{id}/copying", "Copy a copy into another pool", Permission.WRITE_RECORDS, _to_pool(copies.copy),
            answer=Answer.TASKS, query=TargetQuery, statuses=_NOT_THERE,
        ),
        Action(
            "POST", "{id}/moving", "Move a copy into another pool", Permission.WRITE_RECORDS, _to_pool(copies.move),
            answer=Answer.TASKS, query=TargetQuery, statuses=_NOT_THERE,
        ),
        Action(
            "GET", "{id}/file", "Download a file of a copy", Permission.RESTORE, endpoint=downloading.download,
            media=MEDIA, query=downloading.FileQuery, mutates=False, headers=downloading.HEADERS,
            statuses=downloading.STATUSES,
        ),
        Action(
            "POST", "{id}/file_link", "Make a link that opens a file of a copy for some minutes, without a login",
            Permission.RESTORE, endpoint=downloading.make_link, answer=Answer.OBJECT, row=downloads.FileLink,
            body=Body(downloads.WantedFile, example={"data": {"path": "/etc/hostname"}}), replayable=False,
            statuses={409: downloading.OWNERS},
            message="Who has the link can download the file until it expires",
        ),
        Action(
            "GET", downloading.LINKED, "Download what a link opens", None, endpoint=downloading.linked, media=MEDIA,
            query=downloading.LinkQuery, mutates=False, headers=downloading.HEADERS,
            statuses=downloading.STATUSES | {
                401: "The link was changed, or has expired", 403: "Whoever made the link may not restore any more",
            },
        ),
        Action(
            "POST", "deletion_reference_chain", "The copies that build on these", Permission.READ_RECORDS, _dependants,
            answer=Answer.LIST, row=repository.Dependant, mutates=False,
            body=Body(repository.RecordIds, wrapper=None, example={"ids": [1]}),
        ),
        Action(
            "GET", "extension", "Extension parameters of restores", Permission.READ_RECORDS, _extension,
            answer=Answer.OBJECT, row=tasks.Extensions, query=RestoreExtensionQuery, mutates=False,
        ),
    ),
)  # fmt: skip


class FileListQuery(msgspec.Struct, kw_only=True):
    """Which folder of which copy."""

    id: Annotated[int, Meta(description="Id of the copy.", ge=1)]
    path: Annotated[str, Meta(description="Absolute path of the folder.", max_length=32768)] = "/"
    page: Annotated[int, Meta(description="Page, from 1.", ge=1, le=1_000_000_000)] = 1
    limit: Annotated[int, Meta(description="Entries a page.", ge=1, le=1000)] = 50


class CopyEntryRow(msgspec.Struct, kw_only=True):
    """An entry of a folder of a copy."""

    path: Annotated[
        str,
        Meta(
            description="Absolute path; bytes that are no UTF-8, and a backslash that would read as an escape, are escaped."
        ),
    ]
    type: Annotated[str, Meta(description="file, folder, symlink, fifo, socket, char or block.")]
    size_bytes: Annotated[int, Meta(description="Size of a file in bytes.")]
    mode: Annotated[int, Meta(description="Permission bits.")]
    uid: Annotated[int, Meta(description="Number of the owner.")]
    gid: Annotated[int, Meta(description="Number of the owner's group.")]
    user: Annotated[str, Meta(description="Name of the owner, where the host knew one.")]
    group: Annotated[str, Meta(description="Name of the owner's group, where the host knew one.")]
    mtime_ns: Annotated[int, Meta(description="Last change of the contents, nanoseconds since 1970.")]
    target: Annotated[str, Meta(description="Where a symlink points.")]


def _entry(entry: CopyEntry) -> CopyEntryRow:
    return CopyEntryRow(**{name: getattr(entry, name) for name in CopyEntryRow.__struct_fields__})


async def _files(call: Call) -> Later:
    asked = call.query
    record = await repository.listable(call.change, asked.id, asked.path)

    async def ask() -> Page:
        entries, total = await repository.files(call.change.hosts, record, asked.path, asked.page, asked.limit)
        return Page([_entry(entry) for entry in entries], total, asked.page, asked.limit)

    return Later(ask)


REPOSITORY_RECORD_FILE_LIST = Resource(
    path="repository_record_file_list",
    name="Repository Record File List",
    tag="Repository Record File List",
    summary="What is in a copy",
    read=Permission.READ_RECORDS,
    actions=(
        Action(
            "GET", "", "A folder of a copy", Permission.READ_RECORDS, _files, answer=Answer.LIST, row=CopyEntryRow,
            query=FileListQuery, mutates=False, operation_id="repository_record_file_list",
            statuses={409: "The copy was made without a list of its files"},
        ),
    ),
)  # fmt: skip


class RepositoryLogRow(msgspec.Struct, kw_only=True):
    """What happened to a copy."""

    id: Annotated[int, Meta(description="Number of the line.")]
    at: Annotated[datetime, Meta(description="When it happened.")]
    record: Annotated[int, Meta(description="Id of the copy, also of one that was deleted.")]
    record_uuid: Annotated[str, Meta(description="The copy's name in its pool.")]
    task: Annotated[int | None, Meta(description="Number of the task that did it.")]
    user_name: Annotated[str, Meta(description="Name of the user who did it; empty for the system.")]
    action: Annotated[
        str,
        Meta(
            description="created, verified, verification, restore, downloaded, copying, copied, moving, moved, changed, chain (deleted with a copy that it "
            "builds on) or deleted."
        ),
    ]
    text: Annotated[str, Meta(description="What there is to say about it.")]


REPOSITORY_LOG = Resource(
    path="repository_log",
    name="Repository Log",
    tag="Repository Log",
    summary="What happened to copies",
    read=Permission.READ_RECORDS,
    row=RepositoryLogRow,
    source=Source(
        "repository_log l LEFT JOIN repository r ON r.id = l.record_id LEFT JOIN clients c ON c.id = r.client_id "
        "LEFT JOIN pools p ON p.id = l.pool_id",
        "l.id",
        {
            "id": "l.id", "at": "l.at", "record": "l.record_id", "record_uuid": "l.record_uuid::text",
            "task": "l.task_id", "user_name": "l.user_name", "action": "l.action", "text": "l.text",
        },
        frozenset({"id", "record"}),
        descending=True,
    ),
    ops=LOG,
    scope=limited(
        lambda principal: scopes.work(
            principal, "coalesce(c.group_id, r.client_group_id, l.client_group_id)", "p.media_server_id"
        )
    ),
)  # fmt: skip
