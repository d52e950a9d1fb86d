"""What a device of this host is, and whether anything uses it. Only reads: nothing is written to a device."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from msgspec.structs import replace

from rubackup.agent.folders import plain
from rubackup.chunkstore.backends.block import layout
from rubackup.chunkstore.backends.block.prepare import peek
from rubackup.chunkstore.storage import MARKER, parse_marker
from rubackup.domain.errors import Invalid
from rubackup.media.signatures import Read, signature
from rubackup.wire.messages import DeviceChecked

_MOUNTINFO_DEVICE, _MOUNTINFO_PLACE = 2, 4


@dataclass(frozen=True)
class Kernel:
    """Where the kernel tells about devices."""

    proc: Path = Path("/proc")
    sys: Path = Path("/sys")
    dev: Path = Path("/dev")


HOST = Kernel()


def check_device(path: str, taken: Sequence[tuple[str, str]] = (), kernel: Kernel = HOST) -> DeviceChecked:
    """What is there; Invalid when it is neither a block device nor a file, or cannot be read.

    `taken`: real path and disk of each device that is in a pool.
    """
    if not path.startswith("/") or "\0" in path:
        raise Invalid("must be an absolute path on the media server.")
    try:
        real = os.path.realpath(path, strict=True)
        mode = Path(real).stat().st_mode
        if not (stat.S_ISBLK(mode) or stat.S_ISREG(mode)):
            raise Invalid("is neither a block device nor a file on the media server.")
        handle = os.open(real, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW)
        try:
            found = _look(handle, real, kernel)
        finally:
            os.close(handle)
        return replace(found, same_as=_same(found, taken))
    except OSError as error:
        raise Invalid(f"cannot be read on the media server: {error.strerror}.") from error


def _look(handle: int, real: str, kernel: Kernel) -> DeviceChecked:
    found = os.fstat(handle)
    size = os.lseek(handle, 0, os.SEEK_END)

    def read(offset: int, length: int) -> bytes:
        return os.pread(handle, length, offset) if offset < size else b""

    carries, pool = carried(read, size)
    if stat.S_ISREG(found.st_mode):
        used = _file_use(real, kernel)
        return DeviceChecked(
            real_path=real, disk=real, kind="file", size_bytes=size, signature=carries, in_use=used, pool=pool
        )
    number = f"{os.major(found.st_rdev)}:{os.minor(found.st_rdev)}"
    return DeviceChecked(
        real_path=real,
        disk=disk_of(real, number, kernel),
        kind="block device",
        size_bytes=size,
        signature=carries,
        in_use=device_use(real, number, kernel) or _held(real),
        pool=pool,
    )


def carried(read: Read, size_bytes: int) -> tuple[str, str]:
    """What a device carries ('' for nothing known), and the uuid of the pool whose storage that is ('' for none).

    A storage that was made ready and has nothing in it counts as nothing: whoever asked for it was not answered.
    """
    found = signature(read, size_bytes)
    if not found or read(0, len(layout.MAGIC)) != layout.MAGIC:
        return found, ""
    names, marker = peek(read, size_bytes, MARKER)
    pool = parse_marker(marker)
    return ("" if names == 0 else found), pool[0].hex() if pool else ""


def _same(found: DeviceChecked, taken: Sequence[tuple[str, str]]) -> str:
    """The real path of a taken device that this one is, holds or lies on; partitions of one disk are apart."""
    mine, disk = _identity(found.real_path), _identity(found.disk)
    for real, whole in taken:
        other = _identity(real)
        if other is not None and other in {mine, disk}:
            return real
        if mine is not None and mine == _identity(whole):
            return real
    return ""


def _identity(path: str) -> tuple[int, ...] | None:
    """What all names of a file, and all nodes of a device, have in common; None when nothing is there."""
    try:
        found = Path(path).stat()
    except OSError:
        return None
    return (found.st_rdev,) if stat.S_ISBLK(found.st_mode) else (found.st_dev, found.st_ino)


def disk_of(real: str, number: str, kernel: Kernel) -> str:
    """The whole disk that a partition lies on, the file behind a loop device, else the device itself."""
    folder = _folder(number, kernel)
    if folder is None:
        return real
    if (folder / "partition").exists():
        return f"/dev/{folder.parent.name}"
    return next((line.strip() for line in _lines(folder / "loop" / "backing_file")), real)


def device_use(real: str, number: str, kernel: Kernel) -> str:
    """What uses the block device or a partition of it; '' when the kernel tells of nothing."""
    folder = _folder(number, kernel)
    parts = [] if folder is None else [one for one in sorted(folder.iterdir()) if (one / "partition").exists()]
    numbers = {number: ""} | {(part / "dev").read_text().strip(): f"{part.name} is " for part in parts}
    if mounted := _mounted(numbers, kernel):
        return mounted
    names = {real} | {f"/dev/{part.name}" for part in parts}
    if names & _swaps(kernel):
        return "used as swap space"
    for one in [folder, *parts] if folder is not None else []:
        holders = one / "holders"
        held = sorted(holder.name for holder in holders.iterdir()) if holders.is_dir() else []
        if held:
            return f"held by {', '.join(held)}"
    return ""


def _folder(number: str, kernel: Kernel) -> Path | None:
    folder = kernel.sys / "dev" / "block" / number
    return folder.resolve() if folder.exists() else None


def _mounted(numbers: dict[str, str], kernel: Kernel) -> str:
    for line in _lines(kernel.proc / "self" / "mountinfo"):
        words = line.split(" ")
        if words[_MOUNTINFO_DEVICE] in numbers:
            return f"{numbers[words[_MOUNTINFO_DEVICE]]}mounted at {plain(words[_MOUNTINFO_PLACE])}"
    return ""


def _swaps(kernel: Kernel) -> set[str]:
    return {plain(line.split()[0]) for line in _lines(kernel.proc / "swaps")[1:]}


def _lines(file: Path) -> list[str]:
    """The lines of a file of the kernel; none where the kernel has no such file."""
    return file.read_text(errors="surrogateescape").splitlines() if file.exists() else []


def _file_use(real: str, kernel: Kernel) -> str:
    if real in _swaps(kernel):
        return "used as swap space"
    for backing in sorted((kernel.sys / "block").glob("loop*/loop/backing_file")):
        if backing.read_text(errors="surrogateescape").strip() == real:
            return f"held by {backing.parent.parent.name}"
    return ""


def _held(real: str) -> str:
    """Whether the kernel refuses to hand the device over alone, for whatever reason it has."""
    try:
        os.close(os.open(real, os.O_RDONLY | os.O_EXCL | os.O_CLOEXEC | os.O_NONBLOCK))
    except OSError as error:
        if error.errno == errno.EBUSY:
            return "held by the kernel"
        raise
    return ""
