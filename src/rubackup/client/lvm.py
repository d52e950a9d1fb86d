"""Logical volumes of this host: finding the one under a mount, snapshots of it. Uses the tools of LVM 2."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from rubackup.client.programs import ENVIRONMENT
from rubackup.domain.errors import Invalid

SECONDS = 120.0
"""A tool that takes longer has met a device that hangs."""
_FIELDS = "vg_name,lv_name,lv_kernel_major,lv_kernel_minor,segtype,lv_tags,lv_snapshot_invalid"
_THIN = "thin"


@dataclass(frozen=True)
class Volume:
    """A logical volume."""

    group: str
    name: str
    device: str
    """`major:minor`; `-1:-1` while it is not active."""
    segment_type: str
    tags: tuple[str, ...]
    is_overflowed: bool
    """A snapshot that ran full: what it held is lost."""

    @property
    def label(self) -> str:
        """As LVM writes it."""
        return f"{self.group}/{self.name}"

    @property
    def node(self) -> str:
        """Its device node."""
        return f"/dev/{self.label}"


class Lvm:
    """Runs the tools, which it looks for in `path`."""

    def __init__(self, path: str = ENVIRONMENT["PATH"]) -> None:
        self._path = path

    @property
    def is_installed(self) -> bool:
        """Whether this host has the tools."""
        return shutil.which("lvs", path=self._path) is not None

    def volumes(self, *selection: str) -> list[Volume]:
        """Every volume, or those that are selected by a name, `group/name`, or `@tag`."""
        text = self._run("lvs", "--reportformat", "json", "--binary", "--options", _FIELDS, *selection)
        try:
            rows: list[dict[str, Any]] = msgspec.json.decode(text)["report"][0]["lv"]
            return [_volume(row) for row in rows]
        except (msgspec.DecodeError, LookupError, TypeError) as error:
            raise Invalid(f"lvs said what cannot be read: {text[:200]!r}.") from error

    def at(self, device: str) -> Volume | None:
        """The volume with this `major:minor`."""
        return next((volume for volume in self.volumes() if volume.device == device), None)

    def snapshot(self, origin: Volume, name: str, percent: int, tag: str) -> Volume:
        """A new snapshot; a thin volume needs no room for it."""
        size = ["--setactivationskip", "n"] if origin.segment_type == _THIN else ["--extents", f"{percent}%ORIGIN"]
        self._run("lvcreate", "--yes", "--snapshot", "--name", name, "--addtag", tag, *size, origin.label)
        return self.volumes(f"{origin.group}/{name}")[0]

    def remove(self, volume: Volume) -> None:
        """Remove a snapshot."""
        self._run("lvremove", "--yes", "--force", volume.label)

    def _run(self, tool: str, *arguments: str) -> str:
        program = shutil.which(tool, path=self._path)
        if program is None:
            raise Invalid(f"The host has no {tool}: install lvm2.")
        return run_tool([program, *arguments])


def run_tool(command: Sequence[str]) -> str:
    """What a tool of the system wrote; Invalid with its last words when it failed."""
    name = command[0].rpartition("/")[2]
    try:
        result = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=SECONDS,
            check=False,
            env={**ENVIRONMENT, "LVM_SUPPRESS_FD_WARNINGS": "1"},
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Invalid(f"{name} failed: {error}.") from error
    if result.returncode:
        words = (result.stderr or result.stdout).decode("utf-8", "backslashreplace").split("\n")
        said = "; ".join(word.strip() for word in words if word.strip())[-500:]
        raise Invalid(f"{name} ended with status {result.returncode}: {said}")
    return result.stdout.decode("utf-8", "backslashreplace")


def _volume(row: dict[str, Any]) -> Volume:
    return Volume(
        group=row["vg_name"],
        name=row["lv_name"],
        device=f"{row['lv_kernel_major']}:{row['lv_kernel_minor']}",
        segment_type=row["segtype"],
        tags=tuple(tag for tag in row["lv_tags"].split(",") if tag),
        is_overflowed=row["lv_snapshot_invalid"] == "1",
    )
