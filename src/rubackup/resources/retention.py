"""Retention: how it is, and what it would do. What it does stands in the repository's log."""

from __future__ import annotations

from rubackup.api.resource import Action, Answer, Body, Call, Page, Resource
from rubackup.domain.permissions import Permission
from rubackup.resources._adapters import with_body
from rubackup.services import retention_simulation, retention_state
from rubackup.services.retention_simulation import Foreseen, Simulation, SimulationQuery


async def _simulate(call: Call) -> Page:
    change = call.change
    rows, total = await retention_simulation.simulate(change.db, change.principal, call.body, call.query, call.zone)
    return Page(list(rows), total, call.query.page, call.query.limit)


async def _state(call: Call) -> retention_state.RetentionState:
    return await retention_state.read(call.change.db)


RETENTION = Resource(
    path="retention",
    name="Retention",
    tag="Retention",
    summary="What becomes of copies by time",
    read=Permission.READ_RECORDS,
    actions=(
        Action(
            "GET", "", "Whether retention acts, and since when not", Permission.READ_RECORDS, _state,
            answer=Answer.OBJECT, row=retention_state.RetentionState, mutates=False, operation_id="get_retention",
        ),
        Action(
            "POST", "simulation", "What would be deleted, moved or copied, when and why, without doing it",
            Permission.READ_RECORDS, _simulate, answer=Answer.LIST, row=Foreseen, query=SimulationQuery, mutates=False,
            body=Body(
                Simulation,
                example={
                    "data": {
                        "period": "90 days", "actions": ["delete", "move"], "rule_id": 1,
                        "policy": {"auto_delete_obsoleted_copy_flag": True, "keep_daily": 7, "keep_monthly": 12},
                    }
                },
            ),
        ),
        Action(
            "POST", "acknowledgement", "Say that the clock is right: retention goes on",
            Permission.WRITE_CONFIGURATION, with_body(retention_state.acknowledge), status=200,
            body=Body(retention_state.Acknowledgement, example={"data": {"clock_is_right": True}}),
            statuses={409: "Retention is not suspended"},
        ),
    ),
)  # fmt: skip
