"""Requests of clients about the global schedule: a client's user asks, an administrator decides.

A client can never make or delete a rule itself. A request that was decided is gone; the audit keeps what it said.
"""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from rubackup.catalog.database import Connection, Database
from rubackup.domain.errors import Conflict, Invalid, NotFound
from rubackup.domain.lookups import BackupType, Crypto, ResourceType
from rubackup.domain.permissions import Permission
from rubackup.services import cron, own, own_rules, scopes, tasks
from rubackup.services.change import Change
from rubackup.services.fields import Problems, Row
from rubackup.services.ports import Hosts

WAITING_LIMIT = 50
"""Requests of one client that may wait at a time."""

_CLIENT = "SELECT id, hwid, hostname, group_id, resource_types, ciphers FROM clients WHERE id = $1"
_OWN_WAITING = """
SELECT r.id, 'new' AS kind, r.name, r.resource, 0 AS rule, r.requested_by, r.requested_at, r.comment
FROM new_rule_requests r WHERE r.client_id = $1
UNION ALL
SELECT r.id, 'delete', s.name, s.resource, s.id, r.requested_by, r.requested_at, r.comment
FROM delete_rule_requests r JOIN global_schedule s ON s.id = r.rule_id WHERE r.client_id = $1
ORDER BY requested_at, kind, id"""
_NEW = """
INSERT INTO new_rule_requests (client_id, requested_by, requested_uid, comment, name, resource_type, resource,
    backup_type, pool_id, storage_duration, priority, crypto, periodic_launch, min, hour, dom, mon, dow)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18) RETURNING id"""
_DELETE = """
INSERT INTO delete_rule_requests (client_id, rule_id, requested_by, requested_uid, comment)
VALUES ($1, $2, $3, $4, $5) ON CONFLICT (rule_id) DO NOTHING RETURNING id"""
_READ_NEW = """
SELECT r.*, c.group_id FROM new_rule_requests r JOIN clients c ON c.id = r.client_id WHERE r.id = $1"""
_READ_DELETION = """
SELECT r.*, c.group_id FROM delete_rule_requests r JOIN clients c ON c.id = r.client_id WHERE r.id = $1"""
_STATE_NEW = """
SELECT r.id, c.hostname || ' (' || c.hwid || ')' AS client, r.name AS rule, r.resource, r.requested_by, r.requested_at
FROM new_rule_requests r JOIN clients c ON c.id = r.client_id WHERE {limit} ORDER BY r.id LIMIT 1000"""
_STATE_DELETIONS = """
SELECT r.id, c.hostname || ' (' || c.hwid || ')' AS client, s.name AS rule, s.resource, r.requested_by, r.requested_at
FROM delete_rule_requests r JOIN clients c ON c.id = r.client_id JOIN global_schedule s ON s.id = r.rule_id
WHERE {limit} ORDER BY r.id LIMIT 1000"""

_CRON = Meta(max_length=100)


class WantedRule(msgspec.Struct, kw_only=True):
    """A rule that a client's user asks for; `pool` '' is the client's `ls_pool`, a cron field '' is any."""

    name: Annotated[str, Meta(min_length=1, max_length=128)]
    resource_type: Annotated[str, Meta(max_length=100)]
    resource: Annotated[str, Meta(min_length=1, max_length=32768)]
    backup_type: Annotated[str, Meta(max_length=100)]
    pool: Annotated[str, Meta(max_length=256)]
    storage_duration: Annotated[str, Meta(max_length=100)]
    priority: Annotated[int, Meta(ge=1, le=1000)]
    crypto: Annotated[str, Meta(max_length=100)]
    min: Annotated[str, _CRON]
    hour: Annotated[str, _CRON]
    dom: Annotated[str, _CRON]
    mon: Annotated[str, _CRON]
    dow: Annotated[str, _CRON]
    periodic_launch: Annotated[str, Meta(max_length=100)]
    comment: Annotated[str, Meta(max_length=1024)] = ""


class UnwantedRule(msgspec.Struct, kw_only=True):
    """A rule that a client's user asks to have deleted."""

    rule: int
    comment: Annotated[str, Meta(max_length=1024)] = ""


# --- the client's side ---


async def own_list(database: Database, tool: own.Tool) -> tuple[list[Row], list[Row]]:
    """The client's rules, and its requests that wait; Forbidden by `lrl_flag`."""
    async with database.connection() as db:
        client = await own.client_of(db, tool)
        own.require(client, "lrl_flag", "see its rules")
        return await own_rules.rules_of(db, client["id"]), list(await db.fetch(_OWN_WAITING, client["id"]))


async def request_rule(database: Database, hosts: Hosts, tool: own.Tool, wanted: WantedRule) -> int:
    """Note that the client's user wants a rule; the request's id. Forbidden by `lrl_flag`."""
    async with own.acting(database, hosts, tool, "request-rule", "new_rule_requests") as (change, client):
        await _may_ask(change.db, client)
        columns = await _columns(change, client, wanted)
        request_id: int = await change.db.fetchval(
            _NEW, client["id"], tool.named, tool.uid, wanted.comment, *columns.values()
        )
        change.row_ids.append(request_id)
        change.after = columns | {"comment": wanted.comment}
        await change.event("created", "new_rule_requests", request_id, client_group_id=client["group_id"])
        return request_id


async def request_deletion(database: Database, hosts: Hosts, tool: own.Tool, unwanted: UnwantedRule) -> int:
    """Note that the client's user does not want a rule of this client any more; the request's id.

    Forbidden by `lrl_flag`; NotFound for a rule that is not the client's; Conflict when it was asked for already.
    """
    async with own.acting(database, hosts, tool, "request-rule-deletion", "delete_rule_requests") as (change, client):
        await _may_ask(change.db, client)
        name = await own_rules.name_of(change.db, client["id"], unwanted.rule)
        if name is None:
            raise NotFound(f"There is no rule {unwanted.rule} of this client.")
        request_id: int | None = await change.db.fetchval(
            _DELETE, client["id"], unwanted.rule, tool.named, tool.uid, unwanted.comment
        )
        if request_id is None:
            raise Conflict(f"The deletion of rule {unwanted.rule} was requested already.")
        change.row_ids.append(request_id)
        change.after = {"rule": unwanted.rule, "name": name, "comment": unwanted.comment}
        await change.event("created", "delete_rule_requests", request_id, client_group_id=client["group_id"])
        return request_id


async def _may_ask(db: Connection, client: Row) -> None:
    own.require(client, "lrl_flag", "see its rules and make requests about them")
    if await own.waiting(db, client) >= WAITING_LIMIT:
        raise Conflict(f"{WAITING_LIMIT} requests of this client wait for the administrator; no more are taken.")


async def _columns(change: Change, client: Row, wanted: WantedRule) -> dict[str, Any]:
    """The request as the catalogue takes it, in the order of the statement; Invalid names every wrong field."""
    problems, db = Problems(), change.db
    resource_type = problems.label(ResourceType, wanted.resource_type, "resource_type")
    crypto = problems.label(Crypto, wanted.crypto, "crypto")
    columns = {
        "name": problems.name(wanted.name, "name"),
        "resource_type": resource_type,
        "resource": problems.folder(wanted.resource, "resource"),
        "backup_type": problems.label(BackupType, wanted.backup_type, "backup_type"),
        "pool_id": await _pool_id(db, problems, client, wanted.pool),
        "storage_duration": problems.interval(wanted.storage_duration, "storage_duration"),
        "priority": wanted.priority,
        "crypto": crypto,
        "periodic_launch": "",
    }
    facts = await db.fetchrow(_CLIENT, client["id"])
    if resource_type:
        tasks.check_client_serves(problems, facts, resource_type, "resource_type")
    if crypto:
        tasks.check_client_encrypts(problems, facts, crypto, "crypto")
    if wanted.periodic_launch:
        columns["periodic_launch"] = problems.interval(wanted.periodic_launch, "periodic_launch")
    fields = {name: cron.check(problems, name, getattr(wanted, name) or None, name) for name in cron.FIELDS}
    if not any(fields.values()) and not wanted.periodic_launch:
        problems.add("periodic_launch", "or the cron fields must say when the rule comes due.")
    if not problems.fields:
        cron.check_whole(problems, fields, "dom")
    problems.raise_any()
    return columns | fields


async def _pool_id(db: Connection, problems: Problems, client: Row, named: str) -> int | None:
    name = named or (client["ls_pool"] if client["lsf_flag"] else None)
    if not name:
        problems.add("pool", "is required, as no pool is set for this client's own copies (lsf_flag).")
        return None
    pool = await problems.pool(db, name, "pool", scopes.EVERYTHING)
    return pool["id"] if pool else None


# --- the administrator's side ---


async def approve_new(change: Change, request_id: int) -> str:
    """Make the rule that was asked for, stopped; a sentence. The request stays when the rule cannot be made."""
    request = await _waiting(change, _READ_NEW, request_id)
    if request["pool_id"] is None:
        raise Conflict("The pool that was asked for is gone.")
    try:
        rule_id = await own_rules.create(change, request)
    except Invalid as error:
        raise Conflict(f"The rule cannot be made. {error.message}") from error
    await _decided(change, "new_rule_requests", request)
    return f"Rule {rule_id} was created; its status is wait."


async def decline_new(change: Change, request_id: int) -> str:
    """Refuse the rule that was asked for; a sentence."""
    await _decided(change, "new_rule_requests", await _waiting(change, _READ_NEW, request_id))
    return "Declined."


async def approve_deletion(change: Change, request_id: int) -> str:
    """Delete the rule, and its request with it; a sentence. Its copies stay. The rule is locked (`Source.lock`)."""
    request = await _waiting(change, _READ_DELETION, request_id)
    await own_rules.delete(change, request["rule_id"])
    await _decided(change, "delete_rule_requests", request)
    return f"Rule {request['rule_id']} was deleted."


async def decline_deletion(change: Change, request_id: int) -> str:
    """Keep the rule; a sentence."""
    await _decided(change, "delete_rule_requests", await _waiting(change, _READ_DELETION, request_id))
    return "Declined."


async def _waiting(change: Change, statement: str, request_id: int) -> Row:
    row = await change.db.fetchrow(statement, request_id)
    if row is None:
        raise NotFound(f"The request {request_id} does not wait any more.", ids=[request_id])
    return row


async def _decided(change: Change, family: str, request: Row) -> None:
    await change.db.execute(f"DELETE FROM {family} WHERE id = $1", request["id"])  # noqa: S608 - one of two names
    await change.event("deleted", family, request["id"], client_group_id=request["group_id"])


class RequestState(msgspec.Struct, frozen=True, kw_only=True):
    """A request of a client that waits for a decision."""

    id: Annotated[int, Meta(description="Id of the request.")]
    client: Annotated[str, Meta(description="The client as `hostname (hwid)`.")]
    rule: Annotated[str, Meta(description="Name of the rule.")]
    resource: Annotated[str, Meta(description="What the rule backs up.")]
    requested_by: Annotated[str, Meta(description="User of the client's host who asked.")]
    requested_at: Annotated[dt.datetime, Meta(description="When.")]


async def waiting(change: Change) -> tuple[list[RequestState], list[RequestState]]:
    """Requests for rules and for deletions of rules, oldest first, as far as the caller may see them."""
    if not change.principal.may(Permission.READ_POLICIES):
        return [], []
    limit = scopes.clients(change.principal, "c.group_id")
    new, deletions = [
        [RequestState(**row) for row in await change.db.fetch(one.format(limit=limit.numbered(1)), *limit.values)]
        for one in (_STATE_NEW, _STATE_DELETIONS)
    ]
    return new, deletions
