"""The global configuration and the service mode."""

from __future__ import annotations

import msgspec

from rubackup.api.resource import Action, Answer, Body, Call, Resource
from rubackup.domain.permissions import Permission
from rubackup.resources._adapters import with_body
from rubackup.services import global_configuration

"""The guide's whole body; a call gives only what it wants to change."""


async def _read(call: Call) -> msgspec.Struct:
    return await global_configuration.read(call.change.db)


GLOBAL_CONFIGURATION = Resource(
    path="global_configuration",
    name="Global Configuration",
    tag="Global Configuration",
    summary="What holds for the whole system",
    read=Permission.READ_CONFIGURATION,
    actions=(
        Action(
            "GET", "", "Every key with its value", Permission.READ_CONFIGURATION, _read, answer=Answer.OBJECT,
            row=global_configuration.Configuration, mutates=False, operation_id="read_global_configuration",
        ),
        Action(
            "PATCH", "", "Change what is given", Permission.WRITE_CONFIGURATION,
            with_body(global_configuration.update), operation_id="update_global_configuration",
            body=Body(
                global_configuration.ConfigurationChange, example={"data": global_configuration.EXAMPLE}
            ),
            message=global_configuration.UPDATED,
        ),
        Action(
            "PATCH", "service_mode", "Switch the service mode", Permission.WRITE_CONFIGURATION,
            with_body(global_configuration.set_service_mode), operation_id="service_mode",
            body=Body(global_configuration.ServiceMode, wrapper=None, example={"service_mode": False}),
        ),
    ),
)  # fmt: skip
