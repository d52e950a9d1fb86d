"""What live clients have: block devices, and resources that a module can back up. Asked through the servers."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated

import msgspec
from msgspec import Meta

from rubackup.domain.errors import Invalid
from rubackup.domain.lookups import ResourceType
from rubackup.services import scopes
from rubackup.services.change import Change
from rubackup.services.fields import Problems
from rubackup.services.ports import Hosts

CLIENTS_AT_ONCE = 20
_KNOWN = "SELECT x.hwid, x.resource_types FROM clients x WHERE x.hwid = ANY ($1::text[]) AND ({limit})"
_HWID = Meta(description="Hardware id of the client: 16 hex digits.", max_length=16)


class DeviceQuery(msgspec.Struct, kw_only=True):
    """Whose block devices are wanted."""

    client_hwid: Annotated[str, _HWID]
    path: Annotated[str, Meta(description="/dev/, a folder below it or one device.", min_length=1, max_length=4096)] = (
        "/dev/"
    )


class ClientDevice(msgspec.Struct, frozen=True, kw_only=True):
    """A block device of a live client."""

    client_hwid: Annotated[str, Meta(description="The client that was asked.")]
    name: Annotated[str, Meta(description="The kernel's name, such as sda1.")]
    path: Annotated[str, Meta(description="Its node, such as /dev/sda1 or /dev/volumes/home.")]
    type: Annotated[str, Meta(description="disk, part, lvm, loop, crypt, raid, rom, ram or dm.")]
    size_bytes: Annotated[int, Meta(description="Size in bytes.")]
    filesystem: Annotated[str, Meta(description="Type of the file system of what is in use; empty: not known.")]
    mount_points: Annotated[list[str], Meta(description="Where it is mounted; empty: nowhere.")]
    read_only: Annotated[bool, Meta(description="Whether it cannot be written.")]


class ResourceQuery(msgspec.Struct, kw_only=True):
    """Which module of which client is asked."""

    client_hwid: Annotated[str, _HWID]
    resource_type: Annotated[str, Meta(description="A name of resource_types that the client can back up.")]
    secret_method: Annotated[
        int,
        Meta(description="Where the module finds its secrets; 0, the client's own configuration, is what is served."),
    ] = 0


class ClientResource(msgspec.Struct, frozen=True, kw_only=True):
    """Something that a module of a live client can back up."""

    resource: Annotated[str, Meta(description="As `resource` of a backup takes it.")]
    kind: Annotated[str, Meta(description="What it is; for File system the type of the file system.")]
    size_bytes: Annotated[int | None, Meta(description="Size in bytes; null: not known.")]
    used_bytes: Annotated[int | None, Meta(description="Bytes in use; null: not known.")]


async def checked_devices(change: Change, wanted: Sequence[DeviceQuery]) -> list[tuple[str, str]]:
    """Hardware id and path of each question; Invalid names unknown clients and paths outside /dev."""
    problems = Problems()
    if len(wanted) > CLIENTS_AT_ONCE:
        problems.add("data", f"may have at most {CLIENTS_AT_ONCE} items.")
    hwids = [one.client_hwid.lower() for one in wanted]
    known = await _known(change, hwids)
    asked = []
    for number, one in enumerate(wanted):
        path = problems.folder(one.path, f"data.{number}.path")
        if path and path != "/dev" and not path.startswith("/dev/"):
            problems.add(f"data.{number}.path", "must be /dev/ or lie below it.")
        if hwids[number] not in known:
            problems.add(f"data.{number}.client_hwid", "unknown client.")
        asked.append((hwids[number], path))
    problems.raise_any()
    return asked


async def list_devices(hosts: Hosts, asked: Sequence[tuple[str, str]]) -> list[ClientDevice]:
    """The devices of all questions, in their order; asks hosts, so no connection should be held meanwhile.

    Invalid names paths that are not there, Unavailable the client that does not answer.
    """
    listed = await asyncio.gather(*(_devices(hosts, n, hwid, path) for n, (hwid, path) in enumerate(asked)))
    return [device for devices in listed for device in devices]


async def _devices(hosts: Hosts, number: int, hwid: str, path: str) -> list[ClientDevice]:
    try:
        found = await hosts.list_block_devices(hwid, path)
    except Invalid as error:
        raise Invalid(fields={f"data.{number}.path": error.message}) from error
    return [ClientDevice(client_hwid=hwid, **msgspec.structs.asdict(device)) for device in found]


async def checked_resources(change: Change, wanted: ResourceQuery) -> tuple[str, str]:
    """Hardware id and resource type; Invalid names an unknown client, a module that it lacks, another secret method."""
    problems = Problems()
    hwid = wanted.client_hwid.lower()
    known = await _known(change, [hwid])
    found = ResourceType.by_label(wanted.resource_type)
    if hwid not in known:
        problems.add("data.client_hwid", "unknown client.")
    elif found is None or (known[hwid] and found.label not in known[hwid]):
        has = ", ".join(known[hwid] or ResourceType.labels())
        problems.add("data.resource_type", f"the client has no module for it; it has: {has}.")
    if wanted.secret_method:
        problems.add(
            "data.secret_method", "must be 0: modules take what they need from the client's own configuration only."
        )
    problems.raise_any()
    assert found is not None
    return hwid, found.label


async def list_resources(hosts: Hosts, hwid: str, resource_type: str) -> list[ClientResource]:
    """What the module can back up; Invalid when the client lacks it, Unavailable when it does not answer."""
    found = await hosts.list_resources(hwid, resource_type, 0)
    return [ClientResource(**msgspec.structs.asdict(one)) for one in found]


async def _known(change: Change, hwids: Sequence[str]) -> dict[str, list[str]]:
    """The resource types of those clients that the caller may browse."""
    limit = scopes.clients(change.principal, write=True)
    rows = await change.db.fetch(_KNOWN.format(limit=limit.numbered(2)), list(hwids), *limit.values)
    return {row["hwid"]: row["resource_types"] for row in rows}
