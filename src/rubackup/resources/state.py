"""What a console shows first: the servers, and what waits for an administrator."""

from __future__ import annotations

from datetime import datetime

from rubackup.api.resource import Action, Answer, Call, Resource
from rubackup.domain.permissions import Permission
from rubackup.services import state


async def _hello(call: Call) -> state.Hello:
    zone = call.zone or datetime.now().astimezone().tzinfo
    return await state.hello(call.change, str(zone))


async def _state(call: Call) -> state.State:
    return await state.state(call.change)


SERVER_HELLO = Resource(
    path="server_hello",
    name="Server Hello",
    tag="Server Hello",
    summary="Versions and servers",
    read=Permission.READ_LOOKUPS,
    actions=(
        Action(
            "GET", "", "Versions, servers, clock and mode", Permission.READ_LOOKUPS, _hello, answer=Answer.OBJECT,
            row=state.Hello, mutates=False, operation_id="server_hello",
        ),
    ),
)  # fmt: skip
SERVER_STATE = Resource(
    path="server_state",
    name="Server State",
    tag="Server State",
    summary="What waits for somebody",
    read=Permission.READ_STATE,
    actions=(
        Action(
            "GET", "", "Hosts and requests that wait, rules and strategies that have expired, tasks that have not ended",
            Permission.READ_STATE, _state,
            answer=Answer.OBJECT, row=state.State, mutates=False, operation_id="server_state",
        ),
    ),
)  # fmt: skip
