"""What the tools of a client's user say to the client's process, and that to the server.

The server answers for the client of the connection's certificate only: no message names another.
None deletes or overwrites stored data: `AskDeletion` asks the server, which decides. Design: `docs/design/wire.md`.
"""

from __future__ import annotations

import msgspec

from rubackup.wire.messages.base import Message


class LocalUser(msgspec.Struct, frozen=True, kw_only=True):
    """The user of the client who asks, as the kernel told the client's process; a tool's own word is overwritten."""

    name: str = ""
    uid: int = -1


class AskAgent(Message, tag="ask_agent"):
    """Ask how the client's process is. It never leaves the host."""


class AgentState(Message, tag="agent_state"):
    """The answer to AskAgent: the host, its servers and whether each is connected, the tasks at work."""

    hostname: str
    hwid: str
    package_version: str
    servers: list[tuple[str, bool]]
    tasks: list[int]


class AskOwnClient(Message, tag="ask_own_client"):
    """Ask what the server knows of this client."""


class OwnClient(Message, tag="own_client"):
    """The client as the administrator has set it up; what its tools may do. Texts are '' where there is none."""

    client: str
    group: str
    description: str
    client_side_backup: bool
    client_side_restore: bool
    centralized_restore: bool
    lrl_flag: bool
    lsf_flag: bool
    ls_pool: str
    storage_capacity: int
    """Gigabytes; 0: no limit."""
    waiting_requests: int


class AskOwnRules(Message, tag="ask_own_rules"):
    """The client's rules of the global schedule, and its requests about them that wait."""


class OwnRule(msgspec.Struct, frozen=True, kw_only=True):
    """A rule of the global schedule; `schedule` is five cron fields, or the interval of a periodic launch."""

    id: int
    name: str
    resource_type: str
    resource: str
    backup_type: str
    pool: str
    status: str
    schedule: str
    storage_duration: str
    client_delete_flag: bool


class WaitingRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request that no administrator has decided; `kind` is new (a rule) or delete (`rule`)."""

    id: int
    kind: str
    name: str
    resource: str
    rule: int
    requested_by: str
    requested_at: str
    comment: str


class OwnRules(Message, tag="own_rules"):
    """The answer to AskOwnRules."""

    rules: list[OwnRule]
    requests: list[WaitingRequest]


class RequestRule(Message, tag="request_rule"):
    """Ask the administrator for a rule of the global schedule. Cron fields are texts, '' for any."""

    name: str
    resource_type: str
    resource: str
    backup_type: str
    pool: str
    storage_duration: str
    priority: int
    crypto: str
    min: str
    hour: str
    dom: str
    mon: str
    dow: str
    periodic_launch: str
    comment: str = ""
    user: LocalUser = LocalUser()


class RequestRuleDeletion(Message, tag="request_rule_deletion"):
    """Ask the administrator to delete a rule of this client."""

    rule: int
    comment: str = ""
    user: LocalUser = LocalUser()


class Requested(Message, tag="requested"):
    """The request waits for an administrator."""

    id: int


class AskOwnCopies(Message, tag="ask_own_copies"):
    """Copies of this client, newest first, those before `before` (0: from the newest); of one resource, or '' for all."""

    resource: str = ""
    before: int = 0
    limit: int = 100


class OwnCopy(msgspec.Struct, frozen=True, kw_only=True):
    """A copy; instants are ISO 8601, '' for none; `parent` and `rule` are 0 for none."""

    id: int
    parent: int
    rule: int
    resource_type: str
    resource: str
    backup_type: str
    pool: str
    crypto: str
    size_bytes: int
    files: int
    files_failed: int
    created_at: str
    store_until: str
    verification_status: str


class OwnCopies(Message, tag="own_copies"):
    """The answer to AskOwnCopies; `more`: there are older ones."""

    copies: list[OwnCopy]
    more: bool


class AskOwnTasks(Message, tag="ask_own_tasks"):
    """Tasks of this client, newest first, those before `before` (0: from the newest); with `task` that one alone."""

    task: int = 0
    before: int = 0
    limit: int = 100


class OwnTask(msgspec.Struct, frozen=True, kw_only=True):
    """A task of this client; instants are ISO 8601, '' for none; `record` is the copy, 0 for none."""

    id: int
    task_type: str
    resource_type: str
    resource: str
    backup_type: str
    status: str
    record: int
    created_by: str
    created_at: str
    finished_at: str
    bytes_done: int
    bytes_total: int
    message: str


class OwnTasks(Message, tag="own_tasks"):
    """The answer to AskOwnTasks; `more`: there are older ones."""

    tasks: list[OwnTask]
    more: bool


class StartBackup(Message, tag="start_backup"):
    """Queue a backup of this client; pool '' is the client's `ls_pool`."""

    resource_type: str
    resource: str
    backup_type: str
    pool: str
    storage_duration: str
    crypto: str
    user: LocalUser = LocalUser()


class StartRestore(Message, tag="start_restore"):
    """Queue a restore of a copy of this client to this client; the other fields are those of RunRestore."""

    record: int
    destination: str
    in_place: bool
    paths: list[str]
    overwrite: str
    user: LocalUser = LocalUser()


class Queued(Message, tag="queued"):
    """The task waits in the queue."""

    task: int


class AskDeletion(Message, tag="ask_deletion"):
    """Ask the server to delete a copy of this client; it does if the copy's rule has `client_delete_flag`."""

    record: int
    user: LocalUser = LocalUser()


class Deleted(Message, tag="deleted"):
    """The server has deleted the copy."""

    record: int
