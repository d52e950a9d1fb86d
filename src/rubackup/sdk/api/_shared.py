"""What several families take or give. Made by scripts/generate-client from docs/openapi.json. Do not edit."""

from __future__ import annotations

from typing import NotRequired, TypedDict


class DriveCandidate(TypedDict):
    """A tape drive that no library uses."""

    id: int
    """Number to name it by; the same as long as its serial number is the same."""
    scsi_path: str
    """SCSI address as `[host:channel:target:lun]`."""
    device: str
    """Generic device node, such as /dev/sg1."""
    tape_device: str
    """Tape node, such as /dev/nst0; empty without the tape driver."""
    vendor: str
    """Vendor."""
    product: str
    """Product."""
    revision: str
    """Version of its firmware."""
    serial: str
    """Serial number; empty when it does not tell one."""


class Extension(TypedDict):
    """Parameters of a module, or of all modules."""

    parameters: NotRequired[dict[str, bool | int | str]]
    """By name; GET the family's `extension` for what there is."""


class Extensions(TypedDict):
    """What both extension objects may hold for a resource type."""

    resource_type: str
    """A name of resource_types."""
    module_extensions: list[ParameterRow]
    """Parameters of the resource type's module."""
    common_modules_extensions: list[ParameterRow]
    """Parameters that every module knows."""


class Ids(TypedDict):
    """The body of a bulk delete."""

    ids: list[int]
    """Ids of the rows to delete: all of them or none."""


class LookupRow(TypedDict):
    """One entry of a lookup table."""

    id: int
    """Number of the entry in its table, from 1."""
    name: str
    """What other resources write in their fields."""
    description: str
    """What the entry means."""


class ParameterRow(TypedDict):
    """A parameter that an extension object may hold."""

    name: str
    """Name of the parameter."""
    type: str
    """boolean, integer or string."""
    default: bool | int | str
    """What holds when the parameter is left out."""
    value: bool | int | str
    """What the rule that was named says; the default without one."""
    minimum: int | None
    """Least value of an integer."""
    maximum: int | None
    """Greatest value of an integer."""
    choices: list[str] | None
    """What a string may be; null: anything that is described."""
    changeable: bool
    """Whether this version takes another value than the default."""
    description: str
    """What the parameter does."""
