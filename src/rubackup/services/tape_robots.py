"""What a robot says of itself and its elements, asked now."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from rubackup.services import scopes
from rubackup.services.change import Change
from rubackup.services.fields import Problems, Ref
from rubackup.services.ports import Hosts, TapeElement
from rubackup.services.tape_fields import MEDIA_SERVER, is_sg_path


class RobotQuestion(msgspec.Struct, kw_only=True):
    """Which robot is to be asked."""

    media_server: Annotated[Ref, MEDIA_SERVER]
    medium_changer_sg_path: Annotated[str, Meta(description="Node of the robot, such as /dev/sg4.", max_length=255)]


class Robot(msgspec.Struct, frozen=True, kw_only=True):
    """A robot."""

    scsi_path: Annotated[str, Meta(description="SCSI address as `[host:channel:target:lun]`.")]
    device: Annotated[str, Meta(description="Generic device node.")]
    vendor: Annotated[str, Meta(description="Vendor.")]
    product: Annotated[str, Meta(description="Product.")]
    revision: Annotated[str, Meta(description="Version of its firmware.")]
    serial: Annotated[str, Meta(description="Serial number; empty when it does not tell one.")]


class RobotElement(msgspec.Struct, frozen=True, kw_only=True):
    """A place for a cartridge, as the robot tells it."""

    element_address: Annotated[int, Meta(description="Address of the element.")]
    is_full: Annotated[bool, Meta(description="Whether a cartridge is there.")]
    volume_tag: Annotated[str, Meta(description="Its label; empty when it has no readable one.")]
    accessible: Annotated[bool, Meta(description="Whether the robot can reach it.")]
    source_element: Annotated[int | None, Meta(description="Where the cartridge came from, if the robot knows.")]
    identifier: Annotated[str, Meta(description="What the robot calls a drive, with its serial number; else empty.")]
    problem: Annotated[str, Meta(description="What is wrong with it, as a SCSI sense code; empty when nothing is.")]


class RobotInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A robot with all its elements."""

    medium_changer: Annotated[Robot, Meta(description="The robot.")]
    slots: Annotated[list[RobotElement], Meta(description="Slots.")]
    import_export: Annotated[list[RobotElement], Meta(description="Slots through which cartridges come and go.")]
    tape_drives: Annotated[list[RobotElement], Meta(description="Drives.")]
    pickers: Annotated[list[RobotElement], Meta(description="Grippers of the robot.")]


async def robot_media_server(change: Change, wanted: RobotQuestion) -> str:
    """Hwid of the media server whose robot is to be asked; the caller must be allowed to change it."""
    problems = Problems()
    limit = scopes.storage(change.principal, "x.id", write=True)
    row = await problems.media_server(change.db, wanted.media_server, "data.media_server", limit)
    if not is_sg_path(wanted.medium_changer_sg_path):
        problems.add("data.medium_changer_sg_path", "must be a generic SCSI node such as /dev/sg4.")
    problems.raise_any()
    hwid: str = row["hwid"]
    return hwid


async def robot_info(hosts: Hosts, hwid: str, node: str) -> RobotInfo:
    """Ask a robot for its elements: NotFound without one, Busy and Unavailable with the reason when it does not tell."""
    robot, elements = await hosts.tape_elements(hwid, node)

    def of(kind: str) -> list[RobotElement]:
        return [_element(element) for element in elements if element.kind == kind]

    return RobotInfo(
        medium_changer=Robot(
            scsi_path=robot.scsi_path, device=robot.device, vendor=robot.vendor, product=robot.product,
            revision=robot.revision, serial=robot.serial,
        ),
        slots=of("slot"), import_export=of("import_export"), tape_drives=of("drive"), pickers=of("picker"),
    )  # fmt: skip


def _element(element: TapeElement) -> RobotElement:
    return RobotElement(
        element_address=element.address, is_full=element.full, volume_tag=element.volume_tag,
        accessible=element.accessible, source_element=element.source, identifier=element.identifier,
        problem=element.problem,
    )  # fmt: skip
