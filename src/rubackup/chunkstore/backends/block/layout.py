"""What lies where on a device: superblock and geometry. Byte table: `docs/design/pools.md`, Block devices."""

from __future__ import annotations

import os
import struct
from typing import Final, NamedTuple

from blake3 import blake3

from rubackup.domain.errors import Corrupt, Invalid

BLOCK: Final = 4096
"""Everything is written in whole blocks: of any page cache no page is read before it is overwritten."""
MAGIC: Final = b"RBBLOCK\0"
VERSION: Final = 1
MIN_BYTES: Final = 1 << 20
DIRECTORY_START: Final = 64 << 10
_MAX_HALF: Final = 2 << 30
_SMALL_DEVICE: Final = 64 << 20
_SUPER = struct.Struct("<8sII16sQQQQQ16sQ")
_SUM_BYTES: Final = 32


class Superblock(NamedTuple):
    """What is known of a device before its directory is read."""

    uuid: bytes
    size_bytes: int
    half_bytes: int
    """Length of each half of the directory."""
    data_start: int
    data_blocks: int
    generation: int
    """Rises with each checkpoint; odd ones lie in the second half."""
    epoch: bytes
    """Random, of this checkpoint: records of any other one do not count."""
    damaged: int = 0
    """1 when names were lost: where their files lie is not known, so nothing new is written until `rebuild`."""

    @property
    def half_start(self) -> int:
        """Where the half that counts begins."""
        return DIRECTORY_START + self.half_bytes * (self.generation & 1)

    @property
    def half_blocks(self) -> int:
        """Length of a half."""
        return self.half_bytes // BLOCK

    @property
    def places(self) -> tuple[int, int]:
        """Where the two copies of the superblock lie."""
        return 0, self.size_bytes - BLOCK

    def next(self) -> Superblock:
        """That of the next checkpoint."""
        return self._replace(generation=self.generation + 1, epoch=os.urandom(16))


def design(size_bytes: int) -> Superblock:
    """A new layout for a device of this size; Invalid when it is too small."""
    size_bytes -= size_bytes % BLOCK
    if size_bytes < MIN_BYTES:
        raise Invalid(f"A device for a pool has at least {MIN_BYTES} bytes.")
    half = min(max(size_bytes >> 12, 1 << 20), size_bytes >> 4, _MAX_HALF)
    half -= half % BLOCK
    start = DIRECTORY_START + 2 * half
    if size_bytes >= _SMALL_DEVICE:
        start += -start % (1 << 20)
    blocks = (size_bytes - BLOCK - start) // BLOCK
    return Superblock(os.urandom(16), size_bytes, half, start, blocks, 1, os.urandom(16))


def encode(block: Superblock) -> bytes:
    """The superblock's 4 KiB."""
    data = _SUPER.pack(
        MAGIC, VERSION, BLOCK, block.uuid, block.size_bytes, block.half_bytes, block.data_start, block.data_blocks,
        block.generation, block.epoch, block.damaged,
    )  # fmt: skip
    return (data + blake3(data).digest()).ljust(BLOCK, b"\0")


def parse(data: bytes) -> Superblock:
    """The superblock in these bytes; Corrupt when it is damaged, or none."""
    if len(data) < _SUPER.size + _SUM_BYTES or data[: len(MAGIC)] != MAGIC:
        raise Corrupt("There is no superblock.")
    front = data[: _SUPER.size]
    if blake3(front).digest() != data[_SUPER.size : _SUPER.size + _SUM_BYTES]:
        raise Corrupt("The superblock is damaged.")
    _, version, block, *rest = _SUPER.unpack(front)
    if (version, block) != (VERSION, BLOCK):
        raise Corrupt(f"The superblock has version {version}; this program knows {VERSION}.")
    found = Superblock(*rest)
    end = found.data_start + found.data_blocks * BLOCK
    half = found.half_bytes
    aligned = not (found.size_bytes % BLOCK or half % BLOCK or found.data_start % BLOCK)
    if not aligned or not BLOCK <= half <= _MAX_HALF or not DIRECTORY_START + 2 * half <= found.data_start < end:
        raise Corrupt("The superblock makes no sense.")
    if end > found.size_bytes - BLOCK or found.damaged > 1:
        raise Corrupt("The superblock makes no sense.")
    return found
