"""What a device carries, told from a few bytes at known places. Nothing is written and no library is asked.

The places are those of the formats' own documents; a format is named only where its magic number stands.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Final, NamedTuple

from rubackup.chunkstore import pack
from rubackup.chunkstore.backends.block import layout
from rubackup.chunkstore.manifest import format as manifest

Read = Callable[[int, int], bytes]
"""`(offset, length)`: the bytes there, fewer beyond the end."""

KIB: Final = 1024
SECTOR: Final = 512
_OURS = "data of RuBackup"


class Magic(NamedTuple):
    """A constant at a fixed place."""

    name: str
    offset: int
    value: bytes


MAGICS: Final = (
    Magic(_OURS, 0, pack.MAGIC),
    Magic(_OURS, 0, manifest.MAGIC),
    Magic(_OURS, 0, b"rubackup pool "),
    Magic(_OURS, 0, layout.MAGIC),
    Magic("a LUKS volume", 0, b"LUKS\xba\xbe"),
    Magic("an XFS file system", 0, b"XFSB"),
    Magic("a Btrfs file system", 64 * KIB + 64, b"_BHRfS_M"),
    Magic("an NTFS file system", 3, b"NTFS    "),
    Magic("an exFAT file system", 3, b"EXFAT   "),
    Magic("a FAT file system", 54, b"FAT12   "),
    Magic("a FAT file system", 54, b"FAT16   "),
    Magic("a FAT file system", 82, b"FAT32   "),
    Magic("an F2FS file system", 1 * KIB, b"\x10\x20\xf5\xf2"),
    Magic("a SquashFS file system", 0, b"hsqs"),
    Magic("a ReiserFS file system", 64 * KIB + 52, b"ReIsEr"),
    Magic("an ISO 9660 file system", 32 * KIB + 1, b"CD001"),
    Magic("a UDF file system", 32 * KIB + 1, b"BEA01"),
    Magic("a Ceph BlueStore device", 0, b"bluestore block device"),
    Magic("a bcache device", 4 * KIB + 24, bytes.fromhex("c68573f64e1a45ca8265f57f48ba6d81")),
    Magic("a member of a Linux RAID array", 0, b"\xfc\x4e\x2b\xa9"),  # version 1.1
    Magic("a member of a Linux RAID array", 4 * KIB, b"\xfc\x4e\x2b\xa9"),  # version 1.2
    *(Magic("an LVM physical volume", sector * SECTOR, b"LABELONE") for sector in range(4)),
    *(
        Magic("swap space", page - 10, word)
        for page in (4 * KIB, 8 * KIB, 16 * KIB, 32 * KIB, 64 * KIB)
        for word in (b"SWAPSPACE2", b"SWAP-SPACE")
    ),
)
_RAID = b"\xfc\x4e\x2b\xa9"
_UBERBLOCKS = (b"\x0c\xb1\xba\x00\0\0\0\0", b"\0\0\0\0\x00\xba\xb1\x0c")
_LABEL = 256 * KIB


def signature(read: Read, size_bytes: int) -> str:
    """What the device carries, with its article; '' when nothing known is there."""
    for magic in MAGICS:
        if read(magic.offset, len(magic.value)) == magic.value:
            return magic.name
    return _ext(read) or _raid_at_end(read, size_bytes) or _zfs(read, size_bytes) or _partitions(read, size_bytes)


def _ext(read: Read) -> str:
    block = read(KIB, 128)
    if block[56:58] != b"\x53\xef" or len(block) < 104:
        return ""
    compatible, incompatible = struct.unpack_from("<II", block, 92)
    if incompatible & 0x2C0:  # extents, 64 bit, flexible block groups
        return "an ext4 file system"
    return "an ext3 file system" if compatible & 0x4 else "an ext2 file system"


def _raid_at_end(read: Read, size_bytes: int) -> str:
    """Version 1.0 lies 8 to 12 KiB before the end, version 0.90 in the last whole 64 KiB."""
    sectors = size_bytes // SECTOR
    places = (((sectors - 16) & ~7) * SECTOR, (size_bytes & ~(64 * KIB - 1)) - 64 * KIB)
    found = any(place >= 0 and read(place, 4) in {_RAID, _RAID[::-1]} for place in places)
    return "a member of a Linux RAID array" if found else ""


def _zfs(read: Read, size_bytes: int) -> str:
    """Two labels at each end; in their upper half lie uberblocks, one each KiB at the closest."""
    end = size_bytes - size_bytes % _LABEL
    for label in (0, _LABEL, end - 2 * _LABEL, end - _LABEL):
        if label < 0:
            continue
        blocks = read(label + 128 * KIB, 128 * KIB)
        if any(blocks[at : at + 8] in _UBERBLOCKS for at in range(0, len(blocks), KIB)):
            return "a member of a ZFS pool"
    return ""


def _partitions(read: Read, size_bytes: int) -> str:
    """A partition table; a boot sector without partitions is one of its own."""
    for place in (SECTOR, 4 * KIB, size_bytes - SECTOR, size_bytes - 4 * KIB):
        if place > 0 and read(place, 8) == b"EFI PART":
            return "a GPT partition table"
    sector = read(0, SECTOR)
    if sector[510:] != b"\x55\xaa":
        return ""
    entries = [sector[at : at + 16] for at in range(446, 510, 16)]
    used = [entry for entry in entries if entry[4] != 0]
    plausible = all(entry[0] in {0x00, 0x80} for entry in entries)
    return "an MBR partition table" if used and plausible else "a boot sector"
