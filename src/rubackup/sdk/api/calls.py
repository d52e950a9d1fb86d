"""Calls that stand alone. Made by scripts/generate-client from docs/openapi.json. Do not edit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NotRequired, TypedDict

from rubackup.sdk.caller import Answer, Family, Page, Stream


class ClientDevice(TypedDict):
    """A block device of a live client."""

    client_hwid: str
    """The client that was asked."""
    name: str
    """The kernel's name, such as sda1."""
    path: str
    """Its node, such as /dev/sda1 or /dev/volumes/home."""
    type: str
    """disk, part, lvm, loop, crypt, raid, rom, ram or dm."""
    size_bytes: int
    """Size in bytes."""
    filesystem: str
    """Type of the file system of what is in use; empty: not known."""
    mount_points: list[str]
    """Where it is mounted; empty: nowhere."""
    read_only: bool
    """Whether it cannot be written."""


class ClientResource(TypedDict):
    """Something that a module of a live client can back up."""

    resource: str
    """As `resource` of a backup takes it."""
    kind: str
    """What it is; for File system the type of the file system."""
    size_bytes: int | None
    """Size in bytes; null: not known."""
    used_bytes: int | None
    """Bytes in use; null: not known."""


class CopyEntryRow(TypedDict):
    """An entry of a folder of a copy."""

    path: str
    """Absolute path; bytes that are no UTF-8, and a backslash that would read as an escape, are escaped."""
    type: str
    """file, folder, symlink, fifo, socket, char or block."""
    size_bytes: int
    """Size of a file in bytes."""
    mode: int
    """Permission bits."""
    uid: int
    """Number of the owner."""
    gid: int
    """Number of the owner's group."""
    user: str
    """Name of the owner, where the host knew one."""
    group: str
    """Name of the owner's group, where the host knew one."""
    mtime_ns: int
    """Last change of the contents, nanoseconds since 1970."""
    target: str
    """Where a symlink points."""


class DeviceQuery(TypedDict):
    """Whose block devices are wanted."""

    client_hwid: str
    """Hardware id of the client: 16 hex digits."""
    path: NotRequired[str]
    """/dev/, a folder below it or one device."""


class EndingCertificate(TypedDict):
    """A certificate that somebody has to renew by hand."""

    name: str
    """APP_HOST of an API on a host of its own."""
    ends_at: str
    """When its certificate ends."""


class ExpiredRule(TypedDict):
    """A rule of the global schedule whose validity has ended."""

    id: int
    """Id of the rule."""
    name: str
    """Name of the rule."""
    client: str
    """Its client as `hostname (hwid)`."""
    status: str
    """A name of status_of_rule."""
    validity_end_period: str
    """When its validity ended."""


class ExpiredStrategy(TypedDict):
    """A strategy that does not act any more."""

    id: int
    """Id of the strategy."""
    name: str
    """Name of the strategy."""
    status: str
    """A name of status_of_rule; run: it was not stopped, its time is over."""
    validity_end_period: str
    """When it ended."""


class Hello(TypedDict):
    """The system as it introduces itself."""

    product: str
    """Name of the product."""
    package_version: str
    """Version of the API."""
    timezone: str
    """Zone of instants that are written without one."""
    server_time: str
    """Now, by the service database's clock."""
    service_mode: bool
    """Whether background work and new tasks are stopped."""
    servers: list[Server]
    """The servers that this installation has had."""


class LiveEntry(TypedDict):
    """An entry of a live folder."""

    client_hwid: str
    """The client that was asked."""
    path: str
    """The folder that was asked for."""
    name: str
    """Name of the entry; bytes that are no UTF-8 are escaped."""
    is_folder: bool
    """Whether it is a folder."""
    size_bytes: int
    """Size of a file in bytes."""


class LiveFolder(TypedDict):
    """A folder of a live client."""

    client_hwid: str
    """Hardware id of the client: 16 hex digits."""
    path: str
    """Absolute path of the folder."""


class LogLine(TypedDict):
    """A line of a task's log."""

    id: int
    """Number of the line."""
    task_id: int
    """Number of the task."""
    at: str
    """When it was written."""
    source: str
    """Who wrote it: server, client or media."""
    level: str
    """info, warning or error."""
    text: str
    """What happened."""


class RequestState(TypedDict):
    """A request of a client that waits for a decision."""

    id: int
    """Id of the request."""
    client: str
    """The client as `hostname (hwid)`."""
    rule: str
    """Name of the rule."""
    resource: str
    """What the rule backs up."""
    requested_by: str
    """User of the client's host who asked."""
    requested_at: str
    """When."""


class ResourceQuery(TypedDict):
    """Which module of which client is asked."""

    client_hwid: str
    """Hardware id of the client: 16 hex digits."""
    resource_type: str
    """A name of resource_types that the client can back up."""
    secret_method: NotRequired[int]
    """Where the module finds its secrets; 0, the client's own configuration, is what is served."""


class Server(TypedDict):
    """A RuBackup server."""

    hostname: str
    """Host name."""
    hwid: str
    """Hardware id: 64 hex digits."""
    package_version: str
    """Version that runs there."""
    started_at: str
    """When it was started."""
    is_leader: bool
    """Whether it hands out the tasks."""


class State(TypedDict):
    """What waits for somebody."""

    unauthorised_clients: list[WaitingHost]
    """Clients that wait for authorisation."""
    unauthorised_media_servers: list[WaitingHost]
    """Media servers that wait for authorisation."""
    expired_global_schedule_rules: list[ExpiredRule]
    """Rules whose validity has ended, the last first; at most 1,000."""
    expired_strategies: list[ExpiredStrategy]
    """Strategies whose validity has ended."""
    unfinished_tasks: list[StatusCount]
    """Tasks that have not ended, by status."""
    new_rule_requests: list[RequestState]
    """Rules that clients ask for, oldest first, at most 1,000."""
    delete_rule_requests: list[RequestState]
    """Rules that clients ask to have deleted, oldest first, at most 1,000."""
    ending_certificates: list[EndingCertificate]
    """Certificates of APIs on hosts of their own that end within 30 days."""


class StatusCount(TypedDict):
    """How many tasks have a status."""

    status: str
    """A name of task_status."""
    tasks: int
    """Number of tasks."""


class TaskNumber(TypedDict):
    """A task of the queue."""

    task_id: int
    """Number of the task."""


class TaskNumbers(TypedDict):
    """Tasks of the queue."""

    tasks_ids: list[int]
    """Numbers of the tasks: all of them or none."""


class WaitingHost(TypedDict):
    """A host that waits for authorisation."""

    id: int
    """Id of its row."""
    hostname: str
    """Host name that it told."""
    hwid: str
    """Hardware id that it told."""
    address: str
    """Address that it came from."""
    fingerprint: str
    """SHA-256 fingerprint of its key."""
    first_seen_at: str
    """When it asked first."""


class Calls(Family):
    """Calls that stand alone."""

    def client_task_info(
        self, *, task_id: int, page: int | None = None, limit: int | None = None
    ) -> Answer[Page[LogLine]]:
        """What a task's client logged, oldest line first. Permission: See the task queue and the task log."""
        return self._call("GET", "/client_task_info", query={"task_id": task_id, "page": page, "limit": limit})

    def continue_task_working(self, data: TaskNumber, *, idempotency_key: str | None = None) -> Answer[dict[str, Any]]:
        """Let a paused task go on. Permission: Create, pause, continue, kill, restart and remove tasks."""
        return self._call(
            "POST", "/continue_task_working", body={"data": data}, idempotency_key=idempotency_key, repeatable=True
        )

    def events(
        self,
        *,
        family: Sequence[str] | None = None,
        follow: Literal["no", "yes"] | None = None,
        last_event_id: str | None = None,
    ) -> Stream:
        """Follow what changes: server-sent events. Permission: Follow the event log."""
        return self._stream(
            "GET", "/events", query={"family": family, "follow": follow}, headers={"Last-Event-ID": last_event_id}
        )

    def kill_task(self, data: TaskNumber, *, idempotency_key: str | None = None) -> Answer[dict[str, Any]]:
        """End a task. Permission: Create, pause, continue, kill, restart and remove tasks."""
        return self._call("POST", "/kill_task", body={"data": data}, idempotency_key=idempotency_key, repeatable=True)

    def list_client_block_devices(self, data: Sequence[DeviceQuery]) -> Answer[Page[ClientDevice]]:
        """Block devices of live clients. Permission: List the folders, block devices and resources of a client."""
        return self._call("POST", "/list_client_block_devices", body={"data": data})

    def list_client_filesystem(self, data: Sequence[LiveFolder]) -> Answer[Page[LiveEntry]]:
        """Entries of folders of live clients. Permission: List the folders, block devices and resources of a client."""
        return self._call("POST", "/list_client_filesystem", body={"data": data})

    def module_resource_list(self, data: ResourceQuery) -> Answer[Page[ClientResource]]:
        """Resources of a module of a live client. Permission: List the folders, block devices and resources of a client."""
        return self._call("POST", "/module_resource_list", body={"data": data})

    def put_task_on_pause(self, data: TaskNumber, *, idempotency_key: str | None = None) -> Answer[dict[str, Any]]:
        """Stop a task at its last checkpoint. Permission: Create, pause, continue, kill, restart and remove tasks."""
        return self._call(
            "POST", "/put_task_on_pause", body={"data": data}, idempotency_key=idempotency_key, repeatable=True
        )

    def repository_record_file_list(
        self, *, id: int, path: str | None = None, page: int | None = None, limit: int | None = None
    ) -> Answer[Page[CopyEntryRow]]:
        """A folder of a copy. Permission: See the repository of copies."""
        return self._call(
            "GET", "/repository_record_file_list", query={"id": id, "path": path, "page": page, "limit": limit}
        )

    def restart_task(self, data: TaskNumbers, *, idempotency_key: str | None = None) -> Answer[dict[str, Any]]:
        """Make new tasks that do the same as ended ones. Permission: Create, pause, continue, kill, restart and remove tasks."""
        return self._call(
            "POST", "/restart_task", body={"data": data}, idempotency_key=idempotency_key, repeatable=True
        )

    def server_hello(self) -> Answer[Hello]:
        """Versions, servers, clock and mode. Permission: See the lookup tables."""
        return self._call("GET", "/server_hello")

    def server_state(self) -> Answer[State]:
        """Hosts and requests that wait, rules and strategies that have expired, tasks that have not ended. Permission: See the state of the application."""
        return self._call("GET", "/server_state")

    def server_task_info(
        self, *, task_id: int, page: int | None = None, limit: int | None = None
    ) -> Answer[Page[LogLine]]:
        """What the servers logged of a task, oldest line first. Permission: See the task queue and the task log."""
        return self._call("GET", "/server_task_info", query={"task_id": task_id, "page": page, "limit": limit})
