"""LVM snapshots of a resource: taken, mounted read-only under a private folder, read in its place, removed.

What a process that was killed leaves behind carries a tag of this client and is removed at the
next start. The folder of snapshots itself is never part of a copy.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rubackup.client.lvm import Lvm, Volume, run_tool
from rubackup.client.modules.filesystem.mounts import KERNEL_TYPES
from rubackup.client.modules.filesystem.paths import ROOT, is_within, join, split
from rubackup.client.modules.filesystem.source import Source
from rubackup.client.mounttable import MountEntry, mount_table
from rubackup.client.programs import ENVIRONMENT
from rubackup.domain.errors import Invalid
from rubackup.domain.filenames import printable

log = logging.getLogger(__name__)

BASE = Path("/run/rubackup/snapshots")
PREFIX = "rubackup_"
OPTIONS = "ro,nosuid,nodev,noexec"
MORE_OPTIONS = {"xfs": ",nouuid"}
"""XFS does not mount the same identity twice."""
UNMOUNTABLE = frozenset({"btrfs", "zfs"})
"""They mix up a snapshot with the volume it was taken of."""


@dataclass(frozen=True)
class Place:
    """Where a resource lies."""

    resource: bytes
    """As the task names it."""
    real: bytes
    """With the links above it resolved."""
    mount: MountEntry
    volume: Volume


@dataclass
class Taken:
    """A snapshot that is there, and what of it is mounted."""

    volume: Volume
    folder: Path
    before_ns: int
    """An instant before it was taken: what changed later is not in it."""
    mounted: Path | None = None


class Snapshots:
    """Snapshots of one client; they are mounted below `base`."""

    def __init__(
        self,
        hwid: str = "client",
        base: Path = BASE,
        lvm: Lvm | None = None,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self.base = base
        self._lvm = lvm or Lvm()
        self._now_ns = now_ns
        self._folder = base / hwid
        self._tag = PREFIX + hwid

    def locate(self, resource: bytes) -> Place:
        """The volume that the resource lies on; Invalid, with the reason, when no snapshot can be taken of it."""
        folder, name = split(resource)
        real = join(os.path.realpath(folder), name) if name else ROOT
        try:
            st = os.lstat(real)
        except OSError as error:
            raise Invalid(f"{printable(resource)} cannot be read: {error.strerror}.") from error
        number = f"{os.major(st.st_dev)}:{os.minor(st.st_dev)}"
        there = [entry for entry in mount_table() if entry.device == number and is_within(real, entry.point)]
        if not there:
            raise Invalid(f"{printable(resource)} does not lie on a volume of LVM.")
        mount = max(there, key=lambda entry: len(entry.point))  # of equal ones the first: it is the same file system
        volume = self._lvm.at(number)
        if volume is None:
            source = mount.source.decode("utf-8", "backslashreplace")
            raise Invalid(f"{printable(resource)} lies on {source}, which is no volume of LVM.")
        if mount.type in UNMOUNTABLE:
            raise Invalid(f"A snapshot of a file system of type {mount.type} cannot be mounted beside it.")
        if real == mount.point and mount.root != ROOT:
            raise Invalid(f"{printable(resource)} is a bind mount; name the folder that is mounted there.")
        return Place(resource, real, mount, volume)

    def take(self, place: Place, record: str, percent: int) -> Taken:
        """A snapshot of the resource's volume."""
        before_ns = self._now_ns()
        volume = self._lvm.snapshot(place.volume, PREFIX + record, percent, self._tag)
        return Taken(volume, self._folder / record, before_ns)

    def mount(self, place: Place, taken: Taken) -> Source:
        """The resource as the snapshot has it."""
        is_point = place.real == place.mount.point
        name = split(place.real)[1] if is_point else b""
        target = taken.folder / os.fsdecode(name or b"volume")
        self.base.mkdir(mode=0o700, parents=True, exist_ok=True)
        target.mkdir(mode=0o700, parents=True)
        options = OPTIONS + MORE_OPTIONS.get(place.mount.type, "")
        taken.mounted = target
        run_tool([_tool("mount"), "-t", place.mount.type, "-o", options, taken.volume.node, str(target)])
        top = os.fsencode(target)
        if place.resource == ROOT:
            folder = top
        elif is_point:
            folder = os.fsencode(taken.folder)
        else:
            # what the mount shows of the file system, and within that the folder of the resource
            below = place.real[len(place.mount.point.rstrip(b"/")) :]
            folder = split(top + place.mount.root.rstrip(b"/") + below)[0]
        return Source(place.resource, folder, self._grafts(place), taken.before_ns, lambda: self._check(taken))

    def remove(self, taken: Taken) -> None:
        """Unmount and remove a snapshot; Invalid when that fails: the next start tries again."""
        if taken.mounted is not None and os.path.ismount(taken.mounted):
            _unmount(str(taken.mounted))
        self._lvm.remove(taken.volume)
        if taken.folder.exists():
            _remove_folders(taken.folder)

    def clean_up(self) -> None:
        """Remove what earlier processes of this client left."""
        if os.geteuid() != 0:
            return
        own = os.fsencode(self._folder)
        for entry in reversed(mount_table()):
            if entry.point != own and is_within(entry.point, own):
                _tried(partial(_unmount, os.fsdecode(entry.point)))
        if self._lvm.is_installed:
            _tried(self._remove_tagged)
        if self._folder.is_dir():
            for folder in self._folder.iterdir():
                _remove_folders(folder)

    def _remove_tagged(self) -> None:
        for volume in self._lvm.volumes(f"@{self._tag}"):
            if volume.name.startswith(PREFIX) and self._tag in volume.tags:
                log.info("removing the snapshot %s, left by an earlier process", volume.label)
                _tried(partial(self._lvm.remove, volume))

    def _check(self, taken: Taken) -> None:
        if any(volume.is_overflowed for volume in self._lvm.volumes(taken.volume.label)):
            raise Invalid("The snapshot ran full while it was read: what was copied is not whole. Raise snapshot_size.")

    def _grafts(self, place: Place) -> dict[bytes, bytes]:
        """File systems that are mounted below the resource: the snapshot has empty folders there."""
        base = os.fsencode(self.base)
        found = {}
        for entry in mount_table():
            below = is_within(entry.point, place.real) and entry.point != place.real
            if below and entry.type not in KERNEL_TYPES and not is_within(entry.point, base):
                found[place.resource.rstrip(b"/") + entry.point[len(place.real.rstrip(b"/")) :]] = entry.point
        return found


def _unmount(point: str) -> None:
    run_tool([_tool("umount"), point])


def _tried(step: Callable[[], object]) -> None:
    """What one step of cleaning up cannot do, the next start tries again."""
    try:
        step()
    except Invalid as error:
        log.warning("cleaning up after snapshots: %s", error)


def _remove_folders(folder: Path) -> None:
    """Remove a folder of empty folders: what is still mounted stays."""
    for part in (*(p for p in folder.iterdir() if p.is_dir()), folder):
        with contextlib.suppress(OSError):
            part.rmdir()


def _tool(name: str) -> str:
    program = shutil.which(name, path=ENVIRONMENT["PATH"])
    if program is None:
        raise Invalid(f"The host has no {name}.")
    return program
