"""Task Queue. Made by scripts/generate-client from docs/openapi.json. Do not edit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal, NotRequired, TypedDict

from rubackup.sdk.api._shared import Extension, Extensions, Ids
from rubackup.sdk.caller import Answer, Family, Page, segment


class BackupTask(TypedDict):
    """What to back up, where to, and for how long."""

    resource_type: str
    """A name of resource_types that the client can back up."""
    resource: str
    """What to back up; for File system an absolute path."""
    client: int | str
    """The client: `hostname (hwid)` or id."""
    backup_type: str
    """A name of backup_types."""
    pool: int | str
    """Pool that stores the copy: name or id; or the name of a dynamic pool group, which chooses it."""
    crypto: str
    """A name of crypto."""
    priority: int
    """Higher runs first."""
    storage_duration: str
    """How long the copy is kept, such as '1 Years'."""
    archiving: bool
    """Whether the copy is an archive: it stands by itself, later copies never build on it, and it is deleted only when it is named."""


class NewBackup(TypedDict):
    """An urgent backup."""

    task: BackupTask
    """The backup."""
    module_extensions: NotRequired[Extension]
    """Parameters of the resource type's module."""
    common_modules_extensions: NotRequired[Extension]
    """Parameters that every module knows."""


class TaskRow(TypedDict):
    """A task, with how far it is."""

    id: int
    """Number of the task."""
    task_type: str
    """Backup, Restore, Verify and the like."""
    status: str
    """A name of task_status."""
    priority: int
    """Higher runs first."""
    client: str | None
    """The client as `hostname (hwid)`; null when it was deleted."""
    client_ref: int | None
    """Id of the client."""
    media_server: str | None
    """Host name of the media server that stores the copy."""
    media_server_ref: int | None
    """Id of the media server."""
    pool: str | None
    """Name of the pool; null when it was deleted."""
    pool_ref: int | None
    """Id of the pool."""
    record: int | None
    """The copy that the task made or works on."""
    resource_type: str
    """A name of resource_types."""
    resource: str
    """What is backed up or restored."""
    backup_type: str
    """A name of backup_types."""
    crypto: str
    """A name of crypto."""
    storage_duration: str | None
    """How long the copy will be kept."""
    archiving: bool
    """Whether the copy is marked as an archive."""
    parameters: dict[str, Any]
    """Extension parameters (`module`, `common`), and where a restore goes."""
    percent: int
    """Percent of the bytes that are done, rounded down; 100 when the task is done."""
    speed_bytes_per_second: int
    """Average speed of the last seconds."""
    eta_seconds: int | None
    """Seconds that are left at this speed; null while unknown."""
    files_done: int
    """Files read or written."""
    files_total: int
    """Files to read or write; 0 while unknown."""
    bytes_done: int
    """Bytes read or written."""
    bytes_total: int
    """Bytes to read or write; 0 while unknown."""
    bytes_sent: int
    """Bytes that went over the network."""
    message: str
    """What there is to say about the status."""
    blocked_on: str | None
    """What the task waits for, as `kind:name`."""
    attempt: int
    """How often the task was handed to a worker."""
    rule: str | None
    """Name of the rule that made it; null when there is none any more."""
    rule_ref: int | None
    """Id of that rule, also of one that was deleted."""
    restarted_from: int | None
    """The task that this one repeats."""
    created_by: str
    """Name of the user who made the task."""
    created_at: str
    """When the task was made."""
    started_at: str | None
    """When a worker took it first."""
    finished_at: str | None
    """When it ended."""


ListColumn = Literal[
    "id", "task_type", "status", "priority", "client", "client_ref", "media_server", "media_server_ref", "pool",
    "pool_ref", "record", "resource_type", "resource", "backup_type", "crypto", "storage_duration", "archiving",
    "percent", "speed_bytes_per_second", "eta_seconds", "files_done", "files_total", "bytes_done", "bytes_total",
    "bytes_sent", "message", "blocked_on", "attempt", "rule", "rule_ref", "restarted_from", "created_by",
    "created_at", "started_at", "finished_at",
]  # fmt: skip


class TaskQueue(Family):
    """Task Queue."""

    def list(
        self,
        *,
        page: int | None = None,
        limit: int | None = None,
        sort_by: ListColumn | None = None,
        sort_order: Literal["asc", "desc"] | None = None,
        filter_data: str | Sequence[str] | None = None,
        cursor: str | None = None,
    ) -> Answer[Page[TaskRow]]:
        """List: Task Queue. Permission: See the task queue and the task log."""
        return self._call(
            "GET",
            "/task_queue",
            query={
                "page": page,
                "limit": limit,
                "sort_by": sort_by,
                "sort_order": sort_order,
                "filter_data": filter_data,
                "cursor": cursor,
            },
        )

    def all(
        self,
        *,
        sort_by: ListColumn | None = None,
        sort_order: Literal["asc", "desc"] | None = None,
        filter_data: str | Sequence[str] | None = None,
    ) -> Iterator[TaskRow]:
        """Every row, page by page behind a cursor."""
        return self._rows("/task_queue", {"sort_by": sort_by, "sort_order": sort_order, "filter_data": filter_data})

    def create(self, data: NewBackup, *, idempotency_key: str | None = None) -> Answer[dict[str, Any]]:
        """Create: Task Queue. Permission: Create, pause, continue, kill, restart and remove tasks."""
        return self._call("POST", "/task_queue", body={"data": data}, idempotency_key=idempotency_key, repeatable=True)

    def delete_many(
        self, body: Ids, *, if_match: str | None = None, idempotency_key: str | None = None
    ) -> Answer[dict[str, Any]]:
        """Delete several, all or none: Task Queue. Permission: Create, pause, continue, kill, restart and remove tasks."""
        return self._call(
            "DELETE", "/task_queue", body=body, if_match=if_match, idempotency_key=idempotency_key, repeatable=True
        )

    def read(self, row_id: int) -> Answer[TaskRow]:
        """Read one: Task Queue. Permission: See the task queue and the task log."""
        return self._call("GET", f"/task_queue/{segment(row_id)}")

    def delete(
        self, row_id: int, *, if_match: str | None = None, idempotency_key: str | None = None
    ) -> Answer[dict[str, Any]]:
        """Delete one: Task Queue. Permission: Create, pause, continue, kill, restart and remove tasks."""
        return self._call(
            "DELETE",
            f"/task_queue/{segment(row_id)}",
            if_match=if_match,
            idempotency_key=idempotency_key,
            repeatable=True,
        )

    def delete_by_status(self, status: str, *, idempotency_key: str | None = None) -> Answer[dict[str, Any]]:
        """Remove the tasks of a status: error, killed, obsoleted (done), broken. Permission: Create, pause, continue, kill, restart and remove tasks."""
        return self._call("DELETE", f"/task_queue/{segment(status)}", idempotency_key=idempotency_key, repeatable=True)

    def extension(self, *, resource_type: str | None = None, rule_id: int | None = None) -> Answer[Extensions]:
        """Extension parameters of backups. Permission: See the task queue and the task log."""
        return self._call("GET", "/task_queue/extension", query={"resource_type": resource_type, "rule_id": rule_id})
