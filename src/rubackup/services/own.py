"""What a client may see and do of its own, asked by the tools of its user.

The client is that of the connection's certificate; every statement here is held to it. What its tools may do
its administrator decides by the client's flags. Rows of other clients do not exist.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec

from rubackup.catalog.database import Connection, Database
from rubackup.domain.errors import Conflict, Forbidden, Invalid, NotFound, Refused
from rubackup.domain.identity import client_label
from rubackup.domain.lookups import TaskStatus
from rubackup.domain.permissions import Principal, Role
from rubackup.domain.tasks import FINAL
from rubackup.services import admission, own_rules, repository, restores, tasks
from rubackup.services.change import Change, changing, write_audit
from rubackup.services.fields import Row
from rubackup.services.ports import Hosts

UNFINISHED_LIMIT = 100
"""Tasks of a client that have not ended, beyond which its own tools start no more."""
PAGE_LIMIT = 500
METHOD = "TOOL"
"""What stands in the audit where calls of the API have their HTTP method."""

_CLIENT = """
SELECT c.id, c.hwid, c.hostname, c.group_id, g.name AS group_name, c.description, c.client_side_backup,
    c.client_side_restore, c.centralized_restore, c.lrl_flag, c.lsf_flag, ls.pool_name AS ls_pool, c.storage_capacity
FROM clients c JOIN client_groups g ON g.id = c.group_id LEFT JOIN pools ls ON ls.id = c.ls_pool_id
WHERE c.hwid = $1"""
_LOCK = "SELECT 1 FROM clients WHERE hwid = $1 FOR NO KEY UPDATE"
_WAITING = """
SELECT (SELECT count(*) FROM new_rule_requests WHERE client_id = $1)
     + (SELECT count(*) FROM delete_rule_requests WHERE client_id = $1)"""
_UNFINISHED = """
SELECT count(*) FROM (
    SELECT 1 FROM task_queue WHERE client_id = $1 AND status <> ALL ($2::text[]) LIMIT $3
) t"""
_HAS_COPIES = """
SELECT EXISTS (SELECT 1 FROM repository r JOIN pools p ON p.id = r.pool_id WHERE r.client_id = $1 AND p.pool_name = $2)"""
_COPY = "SELECT r.rule_id, r.strategy_id FROM repository r WHERE r.id = $1 AND r.client_id = $2"
_COPIES = """
SELECT r.id, coalesce(r.parent_id, 0) AS parent, coalesce(r.rule_id, 0) AS rule, r.resource_type, r.resource,
    r.backup_type, p.pool_name AS pool, r.crypto, r.size_bytes, r.files, r.files_failed, r.created_at, r.store_until,
    r.verification_status
FROM repository r JOIN pools p ON p.id = r.pool_id
WHERE r.client_id = $1 AND ($2 = '' OR r.resource = $2) AND ($3 = 0 OR r.id < $3) ORDER BY r.id DESC LIMIT $4"""
_TASKS = """
SELECT t.id, t.task_type, t.resource_type, t.resource, t.backup_type, t.status, coalesce(t.record_id, 0) AS record,
    t.created_by, t.created_at, t.finished_at, coalesce(p.bytes_done, 0) AS bytes_done,
    coalesce(p.bytes_total, 0) AS bytes_total, t.message
FROM task_queue t LEFT JOIN task_progress p ON p.task_id = t.id
WHERE t.client_id = $1 AND ($2 = 0 OR t.id = $2) AND ($3 = 0 OR t.id < $3) ORDER BY t.id DESC LIMIT $4"""
_USER = re.compile(r"[\w.@$\\-]{1,64}")
_FINAL = [status.label for status in TaskStatus if status in FINAL]

S = TypeVar("S", bound=msgspec.Struct)


@dataclass(frozen=True)
class Tool:
    """Who asks: the client by its certificate, and the user of that host as the client's process names him."""

    hwid: str
    serial: str
    key: str
    address: str = ""
    user: str = ""
    uid: int = -1

    @property
    def role(self) -> str:
        """The kind of its certificate."""
        return "client"

    @property
    def named(self) -> str:
        """The user; one whose name is not a plain one by its number."""
        return self.user if _USER.fullmatch(self.user) else f"uid {self.uid}"


class OwnBackup(msgspec.Struct, kw_only=True):
    """A backup that a client starts by itself."""

    resource_type: str
    resource: str
    backup_type: str
    pool: str
    storage_duration: str
    crypto: str


class OwnRestore(msgspec.Struct, kw_only=True):
    """A restore that a client starts by itself, to itself."""

    record: int
    destination: str
    in_place: bool
    paths: list[str]
    overwrite: str


async def client_of(db: Connection, tool: Tool) -> Row:
    """The client that asks; Refused when it is not authorised, or not any more."""
    await admission.require(db, tool)
    row = await db.fetchrow(_CLIENT, tool.hwid)
    if row is None:  # deleted in this moment
        raise Refused("This client is not authorised.")
    return row


def principal_of(client: Row, tool: Tool) -> Principal:
    """The client as the caller of a service: it may do what an administrator of its group may.

    That is more than it may: whoever passes it on has checked that the rows are the client's own.
    """
    name = f"{tool.named} at {client_label(client['hostname'], client['hwid'])}"
    groups = (client["group_id"],)
    return Principal(0, name, frozenset({Role.ADMINISTRATOR}), client_group_ids=groups, address=tool.address)


@contextlib.asynccontextmanager
async def acting(
    database: Database, hosts: Hosts, tool: Tool, verb: str, resource: str
) -> AsyncIterator[tuple[Change, Row]]:
    """A change by a client's own tool and the client, whose row is locked; audited like calls of the API.

    What is raised as Forbidden is audited as a refused attempt.
    """
    async with database.connection() as db:
        principal = principal_of(await client_of(db, tool), tool)
    try:
        async with changing(database, principal, hosts, method=METHOD, path=verb, resource=resource) as change:
            await change.db.execute(_LOCK, tool.hwid)
            yield change, await client_of(change.db, tool)
    except Forbidden as error:
        async with database.transaction() as db:
            await write_audit(
                db, principal, method=METHOD, path=verb, resource=resource, outcome=f"refused: {error.message}"
            )
        raise


def require(client: Row, flag: str, what: str) -> None:
    """Forbidden unless the client's administrator has set the flag."""
    if not client[flag]:
        raise Forbidden(f"The administrator does not allow this client's own tools to {what} ({flag}).")


async def waiting(db: Connection, client: Row) -> int:
    """How many requests of the client wait for an administrator."""
    found: int = await db.fetchval(_WAITING, client["id"])
    return found


# --- reading ---


async def read(database: Database, tool: Tool) -> tuple[Row, int]:
    """The client, and how many of its requests wait."""
    async with database.connection() as db:
        client = await client_of(db, tool)
        return client, await waiting(db, client)


async def copies(database: Database, tool: Tool, resource: str, before: int, limit: int) -> tuple[list[Row], bool]:
    """Copies of the client, newest first, of one resource unless it is ''; and whether there are older ones."""
    limit = max(1, min(limit, PAGE_LIMIT))
    async with database.connection() as db:
        client = await client_of(db, tool)
        rows = list(await db.fetch(_COPIES, client["id"], resource, before, limit + 1))
    return rows[:limit], len(rows) > limit


async def own_tasks(database: Database, tool: Tool, task: int, before: int, limit: int) -> tuple[list[Row], bool]:
    """Tasks of the client, newest first, and whether there are older ones; with `task` that one alone, NotFound."""
    limit = max(1, min(limit, PAGE_LIMIT))
    async with database.connection() as db:
        client = await client_of(db, tool)
        rows = list(await db.fetch(_TASKS, client["id"], task, before, limit + 1))
    if task and not rows:
        raise NotFound(f"There is no task {task} of this client.")
    return rows[:limit], len(rows) > limit


# --- doing ---


async def backup(database: Database, hosts: Hosts, tool: Tool, wanted: OwnBackup) -> int:
    """Queue a backup of the client; the number of its task. Forbidden by `client_side_backup`."""
    async with acting(database, hosts, tool, "backup", "task_queue") as (change, client):
        require(client, "client_side_backup", "start backups")
        await _refuse_many(change.db, client)
        task = {
            "resource_type": wanted.resource_type, "resource": wanted.resource, "client": client["id"],
            "backup_type": wanted.backup_type, "pool": await _pool(change.db, client, wanted.pool),
            "crypto": wanted.crypto, "priority": 100, "storage_duration": wanted.storage_duration, "archiving": False,
        }  # fmt: skip
        change.after = task
        return await tasks.create_backup(change, built(tasks.NewBackup, {"task": task}))


async def _pool(db: Connection, client: Row, named: str) -> str:
    """Where a backup goes that the client starts itself.

    To `ls_pool` when the administrator has set one, else to a pool that he already uses for this
    client: a rule of the client names it, or a copy of the client lies there.
    """
    if client["lsf_flag"]:
        pool: str | None = client["ls_pool"]
        if pool is None:
            raise Conflict("The pool that was set for this client's own copies is gone (ls_pool).")
        if named not in {"", pool}:
            raise Forbidden(f"Copies that this client makes by itself go to the pool {pool} (ls_pool).")
        return pool
    if not named:
        raise Invalid(fields={"pool": "is required, as no pool is set for this client's own copies (lsf_flag)."})
    used = await db.fetchval(_HAS_COPIES, client["id"], named) or await own_rules.names_pool(db, client["id"], named)
    if not used:
        raise Forbidden(
            "A client by itself may only use a pool that holds copies of it or that a rule of it names; "
            "ask the administrator to set one (lsf_flag, ls_pool)."
        )
    return named


async def restore(database: Database, hosts: Hosts, tool: Tool, wanted: OwnRestore) -> int:
    """Queue a restore of one of the client's copies to itself; the number of its task. Forbidden by `client_side_restore`."""
    async with acting(database, hosts, tool, "restore", "repository") as (change, client):
        require(client, "client_side_restore", "start restores")
        await _refuse_many(change.db, client)
        await _own_copy(change.db, client, wanted.record)
        order = {
            "target_client": client["id"], "destination_path": wanted.destination, "data_deployment": wanted.in_place,
            "granular_restore_files": wanted.paths, "overwrite": wanted.overwrite,
        }  # fmt: skip
        change.row_ids.append(wanted.record)
        change.after = order
        new = built(restores.NewRestore, {"restore_task": order})
        return await restores.create(change, wanted.record, new, own_tool=True)


async def delete_copy(database: Database, hosts: Hosts, tool: Tool, record: int) -> None:
    """Delete one of the client's copies; Forbidden unless what made it lets the client (`client_delete_flag`)."""
    async with acting(database, hosts, tool, "delete-copy", "repository") as (change, client):
        row = await _own_copy(change.db, client, record)
        if not await own_rules.lets_client_delete(change.db, client["id"], row["rule_id"], row["strategy_id"]):
            raise Forbidden("What made this copy does not let the client delete it (client_delete_flag).")
        await repository.delete(change, [record])


async def _own_copy(db: Connection, client: Row, record: int) -> Row:
    row = await db.fetchrow(_COPY, record, client["id"])
    if row is None:
        raise NotFound(f"There is no copy {record} of this client.")
    return row


async def _refuse_many(db: Connection, client: Row) -> None:
    if await db.fetchval(_UNFINISHED, client["id"], _FINAL, UNFINISHED_LIMIT) >= UNFINISHED_LIMIT:
        raise Conflict(f"{UNFINISHED_LIMIT} tasks of this client have not ended; wait for them.")


def built(struct: type[S], values: Mapping[str, Any]) -> S:
    """A struct from what a client sent; Invalid names the first field that breaks a limit."""
    try:
        return msgspec.convert(values, struct)
    except msgspec.ValidationError as error:
        text, _, where = str(error).partition(" - at `$")
        raise Invalid(fields={where.rstrip("`").rpartition(".")[2] or "request": f"{text}."}) from error
