"""The disaster recovery plan: what is restored where when a client is lost."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from rubackup.api.resource import CRUD, Action, Answer, Body, Call, Later, Resource, Source
from rubackup.domain.permissions import Permission
from rubackup.resources._adapters import limited, making
from rubackup.services import disaster_recovery_plan, recovery_check, scopes


class RecoveryPlanRow(msgspec.Struct, kw_only=True):
    """An entry of the disaster recovery plan."""

    id: Annotated[int, Meta(description="Id of the entry.")]
    client: Annotated[str, Meta(description="The client that is recovered, as `hostname (hwid)`.")]
    client_ref: Annotated[int | None, Meta(description="Id of the client; null while it is not authorised.")]
    resource_type: Annotated[str, Meta(description="A name of resource_types.")]
    resource: Annotated[str, Meta(description="What is restored; empty: every resource of the type that has copies.")]
    restore_destination: Annotated[str, Meta(description="Folder to restore below; empty: where files were.")]
    autorun: Annotated[bool, Meta(description="Whether it is restored when the client is authorised again.")]
    priority: Annotated[int, Meta(description="Priority of the restores; higher runs first.")]
    description: Annotated[str, Meta(description="Free text.")]
    status: Annotated[str, Meta(description="A name of disaster_recovery_record_status.")]
    checked_at: Annotated[datetime | None, Meta(description="When it was checked last.")]
    problem: Annotated[str, Meta(description="What the last check, or the last automatic restore, found missing.")]
    created_at: Annotated[datetime, Meta(description="When the entry was made.")]


_OWN = (
    "id", "resource_type", "resource", "restore_destination", "autorun", "priority", "description", "status",
    "checked_at", "problem", "created_at",
)  # fmt: skip
_GROUP = "coalesce(c.group_id, d.client_group_id)"
_EXAMPLE = {
    "data": {
        "client": "rubackup-client (525a99154f3505a2)", "resource_type": "Aerodisk AIST", "resource": "",
        "restore_destination": "", "autorun": True, "priority": 100, "description": "",
    }
}  # fmt: skip


async def _ask(call: Call) -> Later:
    assert call.id is not None
    facts = await recovery_check.facts_of(call.change, call.id)
    return Later(lambda: recovery_check.examine(call.change.hosts, facts))


async def _store(call: Call) -> recovery_check.RecoveryChecked:
    return await recovery_check.store(call.change, call.told)


DISASTER_RECOVERY_PLAN = Resource(
    path="disaster_recovery_plan",
    name="Disaster Recovery Plan",
    tag="Disaster Recovery Plan",
    summary="What is restored where when a client is lost",
    read=Permission.READ_POLICIES,
    write=Permission.WRITE_RULES,
    row=RecoveryPlanRow,
    source=Source(
        "disaster_recovery_plan d LEFT JOIN clients c ON c.id = d.client_id",
        "d.id",
        {
            **{one: f"d.{one}" for one in _OWN},
            "client": "coalesce(c.hostname, d.client_hostname) || ' (' || d.client_hwid || ')'",
            "client_ref": "d.client_id",
        },
        frozenset({"id", "client_ref"}),
    ),
    ops=CRUD,
    scope=limited(lambda principal: scopes.clients(principal, _GROUP)),
    changeable=limited(lambda principal: scopes.clients(principal, _GROUP, write=True)),
    create=making(disaster_recovery_plan.create),
    create_body=Body(disaster_recovery_plan.NewRecoveryPlan, example=_EXAMPLE),
    update=disaster_recovery_plan.update,
    update_body=Body(disaster_recovery_plan.RecoveryPlanChange, example=_EXAMPLE),
    delete=disaster_recovery_plan.delete,
    actions=(
        Action(
            "POST", "{id}/checking", "Find out whether a recovery would find what it needs", Permission.WRITE_RULES,
            _store, ask=_ask, answer=Answer.OBJECT, row=recovery_check.RecoveryChecked,
            statuses={409: "The entry was changed while it was checked"},
        ),
    ),
)  # fmt: skip
