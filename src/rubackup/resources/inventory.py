"""What live clients have: block devices, and resources that a module can back up."""

from __future__ import annotations

from rubackup.api.resource import Action, Answer, Body, Call, Later, Page, Resource
from rubackup.domain.permissions import Permission
from rubackup.resources._adapters import whole
from rubackup.services import inventory


async def _devices(call: Call) -> Later:
    asked = await inventory.checked_devices(call.change, call.body)

    async def ask() -> Page:
        return whole(await inventory.list_devices(call.change.hosts, asked))

    return Later(ask)


async def _resources(call: Call) -> Later:
    hwid, resource_type = await inventory.checked_resources(call.change, call.body)

    async def ask() -> Page:
        return whole(await inventory.list_resources(call.change.hosts, hwid, resource_type))

    return Later(ask)


LIST_CLIENT_BLOCK_DEVICES = Resource(
    path="list_client_block_devices",
    name="List Client Block Devices",
    tag="List Client Block Devices",
    summary="Block devices of live clients",
    read=Permission.BROWSE_CLIENTS,
    actions=(
        Action(
            "POST", "", "Block devices of live clients", Permission.BROWSE_CLIENTS, _devices, answer=Answer.LIST,
            row=inventory.ClientDevice, mutates=False, operation_id="list_client_block_devices",
            body=Body(
                inventory.DeviceQuery, many=True,
                example={"data": [{"client_hwid": "525a99154f3505a2", "path": "/dev/"}]},
            ),
        ),
    ),
)  # fmt: skip

MODULE_RESOURCE_LIST = Resource(
    path="module_resource_list",
    name="Module Resource List",
    tag="Module Resource List",
    summary="What a module of a live client can back up",
    read=Permission.BROWSE_CLIENTS,
    actions=(
        Action(
            "POST", "", "Resources of a module of a live client", Permission.BROWSE_CLIENTS, _resources,
            answer=Answer.LIST, row=inventory.ClientResource, mutates=False, operation_id="module_resource_list",
            body=Body(
                inventory.ResourceQuery,
                example={
                    "data": {
                        "client_hwid": "525a99154f3505a2", "resource_type": "LVM logical volume", "secret_method": 0,
                    }
                },
            ),
        ),
    ),
)  # fmt: skip
