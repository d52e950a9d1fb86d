"""Requests of clients about the global schedule: rules that their users ask for, or ask to have deleted."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from rubackup.api.each import each
from rubackup.api.resource import LOG, Action, Answer, Call, Outcome, Resource, Source
from rubackup.api.writes import IDS_BODY
from rubackup.domain.permissions import Permission
from rubackup.resources._adapters import limited
from rubackup.services import cron, rule_requests, scopes
from rubackup.services.change import Change


class NewRuleRequestRow(msgspec.Struct, kw_only=True):
    """A rule that a client's user asks for; approved, it becomes a rule of the global schedule that is stopped."""

    id: Annotated[int, Meta(description="Id of the request.")]
    client_id: Annotated[str, Meta(description="The client that asks, as `hostname (hwid)`.")]
    client_id_ref: Annotated[int, Meta(description="Id of the client.")]
    requested_by: Annotated[str, Meta(description="User of the client's host who asked.")]
    requested_uid: Annotated[int, Meta(description="Number of that user; 0 is root.")]
    requested_at: Annotated[datetime, Meta(description="When.")]
    comment: Annotated[str, Meta(description="What the user says about it.")]
    name: Annotated[str, Meta(description="Name of the rule.")]
    resource_type: Annotated[str, Meta(description="A name of resource_types.")]
    resource: Annotated[str, Meta(description="What to back up.")]
    backup_type: Annotated[str, Meta(description="A name of backup_types.")]
    pool_id: Annotated[str | None, Meta(description="Name of the pool that stores the copies; null: it is gone.")]
    pool_id_ref: Annotated[int | None, Meta(description="Id of that pool.")]
    storage_duration: Annotated[str, Meta(description="How long a copy is kept, an interval.")]
    priority: Annotated[int, Meta(description="Priority of the rule's tasks; higher runs first.")]
    crypto: Annotated[str, Meta(description="A name of crypto.")]
    periodic_launch: Annotated[str, Meta(description="Interval between tasks; empty: the cron fields hold.")]
    min: cron.Min
    hour: cron.Hour
    dom: cron.Dom
    mon: cron.Mon
    dow: cron.Dow


class DeleteRuleRequestRow(msgspec.Struct, kw_only=True):
    """A rule that a client's user asks to have deleted."""

    id: Annotated[int, Meta(description="Id of the request.")]
    client_id: Annotated[str, Meta(description="The client that asks, as `hostname (hwid)`.")]
    client_id_ref: Annotated[int, Meta(description="Id of the client.")]
    requested_by: Annotated[str, Meta(description="User of the client's host who asked.")]
    requested_uid: Annotated[int, Meta(description="Number of that user; 0 is root.")]
    requested_at: Annotated[datetime, Meta(description="When.")]
    comment: Annotated[str, Meta(description="What the user says about it.")]
    rule: Annotated[str, Meta(description="Name of the rule.")]
    rule_ref: Annotated[int, Meta(description="Id of the rule.")]
    resource_type: Annotated[str, Meta(description="A name of resource_types.")]
    resource: Annotated[str, Meta(description="What the rule backs up.")]
    backup_type: Annotated[str, Meta(description="A name of backup_types.")]
    status: Annotated[str, Meta(description="A name of status_of_rule.")]


_CLIENT = {
    "client_id": "c.hostname || ' (' || c.hwid || ')'", "client_id_ref": "r.client_id", "id": "r.id",
    "requested_by": "r.requested_by", "requested_uid": "r.requested_uid", "requested_at": "r.requested_at",
    "comment": "r.comment",
}  # fmt: skip
_NEW = (
    "name", "resource_type", "resource", "backup_type", "storage_duration", "priority", "crypto", "periodic_launch",
    "min", "hour", "dom", "mon", "dow",
)  # fmt: skip
_INDEXED = frozenset({"id", "client_id_ref", "requested_at"})


def _treating(function: Callable[[Change, int], Awaitable[str]]) -> Callable[[Call], Awaitable[list[Outcome]]]:
    async def run(call: Call) -> list[Outcome]:
        return await each(call, function)

    return run


def _decision(
    method: str, path: str, summary: str, function: Callable[[Change, int], Awaitable[str]], **given: Any
) -> Action:
    return Action(
        method,
        path,
        summary,
        Permission.DECIDE_REQUESTS,
        _treating(function),
        answer=Answer.EACH,
        body=IDS_BODY,
        **given,
    )


NEW_RULE_REQUESTS = Resource(
    path="new_rule_requests",
    name="New Rule Requests",
    tag="New Rule Requests",
    summary="Rules that clients ask for",
    read=Permission.READ_POLICIES,
    row=NewRuleRequestRow,
    source=Source(
        "new_rule_requests r JOIN clients c ON c.id = r.client_id LEFT JOIN pools p ON p.id = r.pool_id",
        "r.id",
        {**_CLIENT, **{one: f"r.{one}" for one in _NEW}, "pool_id": "p.pool_name", "pool_id_ref": "r.pool_id"},
        _INDEXED,
    ),
    ops=LOG,
    scope=limited(lambda principal: scopes.clients(principal, "c.group_id")),
    changeable=limited(lambda principal: scopes.clients(principal, "c.group_id", write=True)),
    actions=(
        _decision("POST", "approve", "Make the rules that were asked for", rule_requests.approve_new),
        _decision("DELETE", "decline", "Refuse the rules that were asked for", rule_requests.decline_new),
    ),
)

DELETE_RULE_REQUESTS = Resource(
    path="delete_rule_requests",
    name="Delete Rule Requests",
    tag="Delete Rule Request",
    summary="Rules that clients ask to have deleted",
    read=Permission.READ_POLICIES,
    row=DeleteRuleRequestRow,
    source=Source(
        "delete_rule_requests r JOIN clients c ON c.id = r.client_id JOIN global_schedule s ON s.id = r.rule_id",
        "r.id",
        {
            **_CLIENT, "rule": "s.name", "rule_ref": "r.rule_id", "resource_type": "s.resource_type",
            "resource": "s.resource", "backup_type": "s.backup_type", "status": "s.status",
        },
        _INDEXED | {"rule_ref"},
        lock="s",  # as a rule that is deleted takes its requests along: the rule first
    ),
    ops=LOG,
    scope=limited(lambda principal: scopes.clients(principal, "c.group_id")),
    changeable=limited(lambda principal: scopes.clients(principal, "c.group_id", write=True)),
    actions=(
        _decision("POST", "approve", "Delete the rules", rule_requests.approve_deletion),
        _decision("DELETE", "decline", "Keep the rules", rule_requests.decline_deletion, status=204),
    ),
)  # fmt: skip
