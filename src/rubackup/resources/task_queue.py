"""The task queue, its log, and what operators do with tasks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from rubackup.api.resource import LOG, Action, Answer, Body, Call, Created, Op, Page, Resource, Source
from rubackup.domain.permissions import Permission
from rubackup.resources._adapters import limited, queued, tasking, with_body
from rubackup.resources._examples import EXTENSIONS
from rubackup.services import global_schedule, scopes, task_control, task_info, tasks
from rubackup.services.change import Change

_HELD = "t.status IN ('Assigned', 'At_Client', 'Execution', 'Transmission')"


class TaskRow(msgspec.Struct, kw_only=True):
    """A task, with how far it is."""

    id: Annotated[int, Meta(description="Number of the task.")]
    task_type: Annotated[str, Meta(description="Backup, Restore, Verify and the like.")]
    status: Annotated[str, Meta(description="A name of task_status.")]
    priority: Annotated[int, Meta(description="Higher runs first.")]
    client: Annotated[str | None, Meta(description="The client as `hostname (hwid)`; null when it was deleted.")]
    client_ref: Annotated[int | None, Meta(description="Id of the client.")]
    media_server: Annotated[str | None, Meta(description="Host name of the media server that stores the copy.")]
    media_server_ref: Annotated[int | None, Meta(description="Id of the media server.")]
    pool: Annotated[str | None, Meta(description="Name of the pool; null when it was deleted.")]
    pool_ref: Annotated[int | None, Meta(description="Id of the pool.")]
    record: Annotated[int | None, Meta(description="The copy that the task made or works on.")]
    resource_type: Annotated[str, Meta(description="A name of resource_types.")]
    resource: Annotated[str, Meta(description="What is backed up or restored.")]
    backup_type: Annotated[str, Meta(description="A name of backup_types.")]
    crypto: Annotated[str, Meta(description="A name of crypto.")]
    storage_duration: Annotated[str | None, Meta(description="How long the copy will be kept.")]
    archiving: Annotated[bool, Meta(description="Whether the copy is marked as an archive.")]
    parameters: Annotated[
        dict[str, Any], Meta(description="Extension parameters (`module`, `common`), and where a restore goes.")
    ]
    percent: Annotated[
        int, Meta(description="Percent of the bytes that are done, rounded down; 100 when the task is done.")
    ]
    speed_bytes_per_second: Annotated[int, Meta(description="Average speed of the last seconds.")]
    eta_seconds: Annotated[int | None, Meta(description="Seconds that are left at this speed; null while unknown.")]
    files_done: Annotated[int, Meta(description="Files read or written.")]
    files_total: Annotated[int, Meta(description="Files to read or write; 0 while unknown.")]
    bytes_done: Annotated[int, Meta(description="Bytes read or written.")]
    bytes_total: Annotated[int, Meta(description="Bytes to read or write; 0 while unknown.")]
    bytes_sent: Annotated[int, Meta(description="Bytes that went over the network.")]
    message: Annotated[str, Meta(description="What there is to say about the status.")]
    blocked_on: Annotated[str | None, Meta(description="What the task waits for, as `kind:name`.")]
    attempt: Annotated[int, Meta(description="How often the task was handed to a worker.")]
    rule: Annotated[str | None, Meta(description="Name of the rule that made it; null when there is none any more.")]
    rule_ref: Annotated[int | None, Meta(description="Id of that rule, also of one that was deleted.")]
    restarted_from: Annotated[int | None, Meta(description="The task that this one repeats.")]
    created_by: Annotated[str, Meta(description="Name of the user who made the task.")]
    created_at: Annotated[datetime, Meta(description="When the task was made.")]
    started_at: Annotated[datetime | None, Meta(description="When a worker took it first.")]
    finished_at: Annotated[datetime | None, Meta(description="When it ended.")]


_OWN = (
    "id", "task_type", "status", "priority", "resource_type", "resource", "backup_type", "crypto", "archiving",
    "parameters", "message", "blocked_on", "attempt", "restarted_from", "created_by", "created_at", "started_at",
    "finished_at",
)  # fmt: skip
_PROGRESS = ("files_done", "files_total", "bytes_done", "bytes_total", "bytes_sent")
_WORK = limited(lambda principal: scopes.work(principal, "c.group_id", "t.media_server_id"))


async def _remove_by_status(call: Call) -> str:
    return await task_control.remove_by_status(call.change, call.path_value)


class ExtensionQuery(msgspec.Struct, kw_only=True):
    """Whose parameters are wanted."""

    resource_type: Annotated[str, Meta(description="A name of resource_types.")] = "File system"
    rule_id: Annotated[int, Meta(description="A rule whose values are wanted.", ge=1)] | None = None


async def _extension(call: Call) -> tasks.Extensions:
    return await global_schedule.extensions(call.change, call.query.resource_type, call.query.rule_id)


_BACKUP = {
    "data": {
        "task": {
            "resource_type": "File system", "resource": "/home/", "client": "rubackup-client (525a99154f3505a2)",
            "backup_type": "full", "pool": "Default", "crypto": "nocrypt", "priority": 100,
            "storage_duration": "1 Years", "archiving": False,
        },
        **EXTENSIONS,
    }
}  # fmt: skip

TASK_QUEUE = Resource(
    path="task_queue",
    name="Task Queue",
    tag="Task Queue",
    summary="What is done, was done and is to be done",
    read=Permission.READ_TASKS,
    write=Permission.WRITE_TASKS,
    row=TaskRow,
    source=Source(
        "task_queue t LEFT JOIN clients c ON c.id = t.client_id LEFT JOIN media_servers m ON m.id = t.media_server_id "
        "LEFT JOIN pools p ON p.id = t.pool_id LEFT JOIN task_progress g ON g.task_id = t.id "
        "LEFT JOIN global_schedule gs ON gs.id = t.rule_id",
        "t.id",
        {
            **{one: f"t.{one}" for one in _OWN},
            **{one: f"coalesce(g.{one}, 0)" for one in _PROGRESS},
            "client": "c.hostname || ' (' || c.hwid || ')'",
            "client_ref": "t.client_id",
            "media_server": "m.hostname",
            "media_server_ref": "t.media_server_id",
            "pool": "p.pool_name",
            "pool_ref": "t.pool_id",
            "record": "t.record_id",
            "rule": "gs.name",
            "rule_ref": "t.rule_id",
            "storage_duration": "t.storage_duration::text",
            "percent": "CASE WHEN t.status = 'Done' THEN 100 WHEN coalesce(g.bytes_total, 0) > 0 "
            "THEN least(floor(100.0 * g.bytes_done / g.bytes_total), 100) ELSE 0 END::bigint",
            "speed_bytes_per_second": f"CASE WHEN {_HELD} THEN coalesce(g.speed_bytes_per_second, 0) ELSE 0 END",
            "eta_seconds": f"CASE WHEN {_HELD} AND g.speed_bytes_per_second > 0 AND g.bytes_total > 0 "
            "THEN ceil(greatest(g.bytes_total - g.bytes_done, 0) / g.speed_bytes_per_second::numeric)::bigint END",
        },
        frozenset({"id", "status", "client_ref", "media_server_ref", "pool_ref", "record", "rule_ref", "created_at"}),
        descending=True,
    ),
    ops=LOG | Op.CREATE | Op.DELETE | Op.BULK_DELETE,
    scope=_WORK,
    changeable=limited(lambda principal: scopes.work(principal, "c.group_id", "t.media_server_id", write=True)),
    create=tasking(tasks.create_backup),
    create_body=Body(tasks.NewBackup, example=_BACKUP),
    delete=task_control.remove,
    actions=(
        Action(
            "DELETE", "{status}", "Remove the tasks of a status: error, killed, obsoleted (done), broken",
            Permission.WRITE_TASKS, _remove_by_status, operation_id="delete_task_queue_by_status",
            word="Which tasks: error, killed, obsoleted or broken.",
            statuses={404: "There is no task of that status"},
        ),
        Action(
            "GET", "extension", "Extension parameters of backups", Permission.READ_TASKS, _extension,
            answer=Answer.OBJECT, row=tasks.Extensions, query=ExtensionQuery, mutates=False,
        ),
    ),
)  # fmt: skip


class TaskLogRow(msgspec.Struct, kw_only=True):
    """A line of a task's log."""

    id: Annotated[int, Meta(description="Number of the line.")]
    task_id: Annotated[int, Meta(description="Number of the task.")]
    at: Annotated[datetime, Meta(description="When it was written.")]
    source: Annotated[str, Meta(description="Who wrote it: server, client or media.")]
    level: Annotated[str, Meta(description="info, warning or error.")]
    text: Annotated[str, Meta(description="What happened.")]


TASK_LOG = Resource(
    path="task_log",
    name="Task Log",
    tag="Task Log",
    summary="What happened in tasks",
    read=Permission.READ_TASKS,
    row=TaskLogRow,
    source=Source(
        "task_log l LEFT JOIN task_queue t ON t.id = l.task_id LEFT JOIN clients c ON c.id = t.client_id", "l.id",
        {one: f"l.{one}" for one in ("id", "task_id", "at", "source", "level", "text")},
        frozenset({"id", "task_id"}), descending=True,
    ),
    ops=LOG,
    scope=_WORK,
)  # fmt: skip


def _info(path: str, name: str, summary: str, sources: Sequence[str]) -> Resource:
    async def run(call: Call) -> Page:
        items, total = await task_info.lines(call.change, call.query, sources)
        return Page(items, total, call.query.page, call.query.limit)

    return Resource(
        path=path,
        name=name,
        tag=name,
        summary=summary,
        read=Permission.READ_TASKS,
        actions=(
            Action(
                "GET", "", f"{summary}, oldest line first", Permission.READ_TASKS, run, answer=Answer.LIST,
                row=task_info.LogLine, query=task_info.TaskInfoQuery, mutates=False, operation_id=path,
            ),
        ),
    )  # fmt: skip


CLIENT_TASK_INFO = _info("client_task_info", "Client Task Info", "What a task's client logged", task_info.CLIENT)
SERVER_TASK_INFO = _info("server_task_info", "Server Task Info", "What the servers logged of a task", task_info.SERVERS)


def _order(path: str, name: str, summary: str, run: Callable[[Change, Any], Awaitable[str]]) -> Resource:
    return Resource(
        path=path,
        name=name,
        tag=name,
        summary=summary,
        read=Permission.READ_TASKS,
        actions=(
            Action(
                "POST", "", summary, Permission.WRITE_TASKS, with_body(run), operation_id=path,
                body=Body(task_control.TaskNumber, example={"data": {"task_id": 1}}),
                statuses={400: "A task with such a status does not allow this"},
            ),
        ),
    )  # fmt: skip


KILL_TASK = _order("kill_task", "Kill Task", "End a task", task_control.kill)
PAUSE_TASK = _order("put_task_on_pause", "Pause Task", "Stop a task at its last checkpoint", task_control.pause)
CONTINUE_TASK = _order("continue_task_working", "Continue Task Working", "Let a paused task go on", task_control.resume)


async def _restart(call: Call) -> Created:
    return queued(await task_control.restart(call.change, call.body))


RESTART_TASK = Resource(
    path="restart_task",
    name="Restart Task",
    tag="Restart Task",
    summary="Do again what ended tasks did",
    read=Permission.READ_TASKS,
    actions=(
        Action(
            "POST", "", "Make new tasks that do the same as ended ones", Permission.WRITE_TASKS, _restart,
            answer=Answer.TASKS, body=Body(task_control.TaskNumbers, example={"data": {"tasks_ids": [1]}}),
            statuses={400: "A task with such a status cannot be restarted"}, operation_id="restart_task",
        ),
    ),
)  # fmt: skip
