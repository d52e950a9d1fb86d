"""Makes a device ready, opens it, and rebuilds its directory from a metafile and from the packs that it carries."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Final, Protocol

from rubackup.chunkstore.backends.block import layout
from rubackup.chunkstore.backends.block.device import Device, FileDevice
from rubackup.chunkstore.backends.block.directory import Directory, Loaded, load
from rubackup.chunkstore.backends.block.journal import write_checkpoint, write_superblock
from rubackup.chunkstore.backends.block.layout import BLOCK, Superblock
from rubackup.chunkstore.backends.block.records import Read
from rubackup.chunkstore.backends.block.rescue import adopt, rescue
from rubackup.chunkstore.backends.block.space import gaps
from rubackup.domain.errors import Conflict, Corrupt, StorageFault

log = logging.getLogger(__name__)
_WIPED_BYTES: Final = 1 << 20
"""At both ends, where other programs look for what is theirs."""


# --- format ---


def format_device(path: Path, *, overwrite: bool = False, size_bytes: int = 0) -> None:
    """Make the device at this path an empty storage; all that it carried is lost.

    Conflict when it carries a storage already, unless `overwrite`. With `size_bytes` a file that does not exist is made.
    Whether it carries anything else is for the caller to ask (`media.signatures`).
    """
    if size_bytes and not path.exists():
        with path.open("xb") as file:
            os.posix_fallocate(file.fileno(), 0, size_bytes)
    device = FileDevice(path)
    try:
        format_on(device, overwrite=overwrite)
    finally:
        device.close()


def format_on(device: Device, *, overwrite: bool = False) -> None:
    """As `format_device`, on an open device."""
    block = layout.design(device.size_bytes)
    if not overwrite and any(device.read(at, len(layout.MAGIC)) == layout.MAGIC for at in block.places):
        raise Conflict(f"The device {device.label} carries a storage of a pool already.")
    for place in block.places:  # of no use to anybody from here on, until it is ready
        device.write(place, bytes(BLOCK))
    end = block.size_bytes - BLOCK
    for begin, stop in ((BLOCK, layout.DIRECTORY_START), (max(block.data_start, end - _WIPED_BYTES), end)):
        device.write(begin, bytes(stop - begin))
    device.sync()
    write_checkpoint(device, block, Directory())
    device.sync()
    write_superblock(device, block)


# --- open ---


class Readable(Protocol):
    """What reading a directory takes."""

    label: str
    size_bytes: int

    def read(self, offset: int, length: int) -> bytes:
        """Exactly these bytes; StorageFault."""


def superblocks(device: Readable) -> tuple[list[Superblock], list[str]]:
    """The copies that are whole, the newest first, and what is wrong with the others."""
    found: list[Superblock] = []
    wrong: list[str] = []
    for place in (0, device.size_bytes - device.size_bytes % BLOCK - BLOCK):
        try:
            block = layout.parse(device.read(place, BLOCK))
            if block.size_bytes != device.size_bytes - device.size_bytes % BLOCK:
                raise Corrupt(f"It is of a device with {block.size_bytes} bytes; this one has {device.size_bytes}.")
            found.append(block)
        except (Corrupt, StorageFault) as error:
            wrong.append(f"at byte {place}: {error.message}")
    return sorted(found, key=lambda one: -one.generation), wrong


def opened(device: Device) -> tuple[Superblock, Loaded]:
    """Superblock and directory of a device; one copy of the superblock that is damaged is written anew."""
    # What a process that was killed left in the kernel's cache is seen here, and must be durable before it is built upon.
    device.sync()
    found, wrong = superblocks(device)
    if not found:
        raise StorageFault(
            f"The device {device.label} carries no storage of a pool, or both of its superblocks are damaged ({'; '.join(wrong)}).",
            device=device.label,
        )
    block = found[0]
    if any(one.uuid != block.uuid for one in found):
        raise StorageFault(f"The superblocks of the device {device.label} are of two devices.", device=device.label)
    loaded = load(_half(device, block), block, device.label)
    if wrong or found[-1] != block:
        log.warning(
            "a superblock of the device %s is written anew; %s", device.label, "; ".join(wrong) or "it was older"
        )
        write_superblock(device, block)
    return block, loaded


class _Peeked:
    """As much of a device as is needed to read it."""

    label = "that is looked at"

    def __init__(self, read: Read, size_bytes: int) -> None:
        self._read, self.size_bytes = read, size_bytes

    def read(self, offset: int, length: int) -> bytes:
        """What is there."""
        data = self._read(offset, length)
        if len(data) < length:
            raise StorageFault("The device ends too early.")
        return data


def peek(read: Read, size_bytes: int, name: str) -> tuple[int, bytes]:
    """How many files a storage has, and a small one of them (b'' when it is not there). Nothing is written.

    -1 files when superblocks or directory are damaged.
    """
    device = _Peeked(read, size_bytes)
    try:
        found, _ = superblocks(device)
        if not found:
            return -1, b""
        loaded = load(_half(device, found[0]), found[0], device.label)
        directory = loaded.directory
        if loaded.problems:
            return -1, b""
        entry = directory.get(name)
        if entry is None or not entry.extents:
            return len(directory), b""
        start = found[0].data_start + entry.extents[0][0] * BLOCK
        return len(directory), device.read(start, min(entry.size_bytes, BLOCK))
    except (Corrupt, StorageFault):
        return -1, b""


def identity(read: Read, size_bytes: int) -> bytes:
    """The uuid of a device; b'' when both of its superblocks are damaged."""
    found, _ = superblocks(_Peeked(read, size_bytes))
    return found[0].uuid if found else b""


def _half(device: Readable, block: Superblock) -> Read:
    def read(offset: int, length: int) -> bytes:
        length = min(length, block.half_bytes - offset)
        try:
            return device.read(block.half_start + offset, length)
        except StorageFault:  # a sector that cannot be read costs the records in it
            return b"".join(
                _readable(device, block.half_start + at, offset + length - at)
                for at in range(offset, offset + length, BLOCK)
            )

    return read


def _readable(device: Readable, offset: int, length: int) -> bytes:
    length = min(length, BLOCK)
    try:
        return device.read(offset, length)
    except StorageFault:
        return bytes(length)


# --- rebuild ---


def rebuild(path: Path, metafile: bytes = b"", *, scan: bool = True) -> list[str]:
    """Make the directory anew, from what is left of it, then the metafile, then the packs that lie in no file.

    Conflict when the metafile is of another device. Sentences tell what was found; the device is writable again. Without superblocks a metafile
    is needed. Names that were deleted after the metafile was made may come back, if their blocks were not used since.
    """
    device = FileDevice(path)
    try:
        return rebuild_on(device, metafile, scan=scan)
    finally:
        device.close()


def rebuild_on(device: Device, metafile: bytes = b"", *, scan: bool = True) -> list[str]:
    """As `rebuild`, on an open device."""
    device.sync()
    saved = parse_metafile(metafile) if metafile else None
    found, _ = superblocks(device)
    if not found and saved is None:
        raise StorageFault(f"Both superblocks of the device {device.label} are damaged: rebuilding needs its metafile.")
    block = found[0] if found else saved[0] if saved else layout.design(device.size_bytes)
    if saved and (saved[0].uuid, saved[0].size_bytes) != (block.uuid, block.size_bytes):
        raise Conflict(f"The metafile is of another device than {device.label}.")
    if block.size_bytes > device.size_bytes:
        raise Conflict(f"The device {device.label} is smaller than that of the metafile.")
    directory, told = Directory(), []
    if found:
        try:
            directory = load(_half(device, block), block, device.label).directory
        except Corrupt as error:
            told.append(error.message)
    told.append(f"{len(directory)} files were in the directory")
    if saved:
        told.append(f"{adopt(device, block, directory, saved[1])} came from the metafile")
    if scan:
        told.append(f"{rescue(device, block, directory)} packs were found in blocks of no file")
    if gaps(directory.extents(), block.data_blocks)[1]:
        raise Corrupt(f"Files of the device {device.label} lie over one another; it can only be read.")
    generation = max(block.generation, saved[0].generation if saved else 0)
    new = block._replace(generation=generation, damaged=0).next()
    write_checkpoint(device, new, directory)
    device.sync()
    write_superblock(device, new)
    return told


def parse_metafile(metafile: bytes) -> tuple[Superblock, Directory]:
    """What a metafile tells; Corrupt when anything of it is damaged."""
    block = layout.parse(metafile[:BLOCK])
    blocks = min(block.half_blocks, len(metafile) // BLOCK - 1)
    loaded = load(lambda at, length: metafile[BLOCK + at : BLOCK + at + length], block, "in the metafile", blocks)
    if loaded.problems:
        raise Corrupt(f"The metafile is damaged: {'; '.join(loaded.problems)}.")
    return block, loaded.directory
