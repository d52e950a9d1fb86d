"""What a device carries and what uses it, told from its bytes and from the kernel's own files."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from rubackup.chunkstore import pack
from rubackup.chunkstore.backends.block import BlockBackend, format_device
from rubackup.domain.errors import Invalid
from rubackup.media import devices, signatures
from rubackup.media.devices import Kernel, check_device
from rubackup.media.signatures import KIB, signature

SIZE = 8 * 1024 * KIB


def told(parts: dict[int, bytes], size: int = SIZE) -> str:
    """The signature of a device of zeros with these parts in it."""
    content = bytearray(size)
    for offset, part in parts.items():
        content[offset : offset + len(part)] = part
    return signature(lambda offset, length: bytes(content[offset : offset + length]), size)


@pytest.mark.parametrize(
    ("parts", "name"),
    [
        ({KIB + 56: b"\x53\xef"}, "ext2"),
        ({KIB + 56: b"\x53\xef", KIB + 92: struct.pack("<I", 4)}, "ext3"),
        ({KIB + 56: b"\x53\xef", KIB + 92: struct.pack("<II", 4, 0x40)}, "ext4"),
        ({0: b"XFSB"}, "XFS"),
        ({64 * KIB + 64: b"_BHRfS_M"}, "Btrfs"),
        ({4086: b"SWAPSPACE2"}, "swap"),
        ({64 * KIB - 10: b"SWAPSPACE2"}, "swap"),
        ({512: b"LABELONE"}, "LVM"),
        ({0: b"LUKS\xba\xbe\x00\x02"}, "LUKS"),
        ({82: b"FAT32   ", 510: b"\x55\xaa"}, "FAT"),
        ({54: b"FAT16   ", 510: b"\x55\xaa"}, "FAT"),
        ({3: b"NTFS    ", 510: b"\x55\xaa"}, "NTFS"),
        ({32 * KIB + 1: b"CD001"}, "ISO 9660"),
        ({128 * KIB + 4 * KIB: struct.pack("<Q", 0x00BAB10C)}, "ZFS"),
        ({SIZE - 128 * KIB: struct.pack(">Q", 0x00BAB10C)}, "ZFS"),
        ({4 * KIB: struct.pack("<I", 0xA92B4EFC)}, "RAID"),
        ({SIZE - 8 * KIB: struct.pack("<I", 0xA92B4EFC)}, "RAID"),
        ({SIZE - 64 * KIB: struct.pack("<I", 0xA92B4EFC)}, "RAID"),
        ({512: b"EFI PART", 510: b"\x55\xaa", 450: b"\xee"}, "GPT"),
        ({4 * KIB: b"EFI PART"}, "GPT"),
        ({SIZE - 512: b"EFI PART"}, "GPT"),
        ({510: b"\x55\xaa", 446: b"\x80", 450: b"\x83"}, "MBR"),
        ({510: b"\x55\xaa"}, "boot sector"),
        ({0: pack.MAGIC}, "RuBackup"),
        ({0: b"rubackup pool 0 "}, "RuBackup"),
    ],
)
def test_what_a_device_carries_is_named(parts: dict[int, bytes], name: str) -> None:
    """Each format by its own magic number."""
    assert name in told(parts)


@pytest.mark.parametrize("size", [0, 1, 511, 512, 4096, 65536, 300 * KIB, SIZE])
def test_an_empty_device_of_any_size_carries_nothing(size: int) -> None:
    """Zeros are nothing known, and places beyond the end are not read."""
    assert told({}, size) == ""


def test_a_magic_number_elsewhere_means_nothing() -> None:
    """A file system's image within other data is not the device's own."""
    assert told({12345: b"XFSB", 7 * KIB: b"EFI PART", 99: b"\x53\xef"}) == ""


@pytest.mark.parametrize(
    ("command", "name"),
    [(["mkfs.ext4", "-q", "-F"], "ext4"), (["mke2fs", "-q", "-F", "-t", "ext2"], "ext2"), (["mkswap"], "swap")],
)
def test_what_real_tools_make_is_recognised(tmp_path: Path, command: list[str], name: str) -> None:
    """The numbers above are those that the tools write."""
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    image = tmp_path / "image"
    with image.open("wb") as file:
        file.truncate(SIZE)
    subprocess.run([*command, str(image)], check=True, capture_output=True)

    assert name in check_device(str(image)).signature


def test_a_file_is_looked_at_and_left_as_it_was(tmp_path: Path) -> None:
    """Size and real path are told; not a byte nor a time of change is touched."""
    file, link = tmp_path / "file", tmp_path / "link"
    file.write_bytes(b"XFSB" + bytes(100))
    link.symlink_to(file)
    before = file.stat()

    found = check_device(str(link))

    assert (found.real_path, found.disk, found.kind) == (str(file), str(file), "file")
    assert (found.size_bytes, found.signature, found.in_use) == (104, "an XFS file system", "")
    assert (file.stat().st_mtime_ns, file.read_bytes()[:4]) == (before.st_mtime_ns, b"XFSB")


def test_what_is_neither_device_nor_file_is_refused(tmp_path: Path) -> None:
    """A folder, a pipe (without waiting for a writer), a character device, nothing at all, a relative path."""
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe", "/dev/null"):
        with pytest.raises(Invalid, match="neither a block device nor a file"):
            check_device(str(path))
    with pytest.raises(Invalid, match="No such file"):
        check_device(str(tmp_path / "missing"))
    for path in ("relative", "", "/a\0b"):
        with pytest.raises(Invalid, match="absolute path"):
            check_device(path)


def test_a_hard_link_is_the_same_file(tmp_path: Path) -> None:
    """By whatever name; a copy with the same bytes is another one, and so is one that is gone."""
    first, second, copy = (tmp_path / name for name in ("first", "second", "copy"))
    for file in (first, copy):
        file.write_bytes(bytes(4096))
    second.hardlink_to(first)
    taken = [(str(tmp_path / "gone"), str(tmp_path / "gone")), (str(first), str(first))]

    assert check_device(str(second), taken).same_as == str(first)
    assert check_device(str(first), taken).same_as == str(first)
    assert check_device(str(copy), taken).same_as == ""


@pytest.fixture
def kernel(tmp_path: Path) -> Kernel:
    """A kernel that knows the disk sdb (8:16) with the partition sdb1 (8:17), and one mount elsewhere."""
    disk = tmp_path / "sys" / "devices" / "sdb"
    for folder, number in ((disk, "8:16"), (disk / "sdb1", "8:17")):
        (folder / "holders").mkdir(parents=True)
        (folder / "dev").write_text(f"{number}\n")
        links = tmp_path / "sys" / "dev" / "block"
        links.mkdir(parents=True, exist_ok=True)
        (links / number).symlink_to(folder)
    (disk / "sdb1" / "partition").write_text("1\n")
    (disk / "queue").mkdir()
    (tmp_path / "proc" / "self").mkdir(parents=True)
    (tmp_path / "proc" / "self" / "mountinfo").write_text("36 35 8:1 / / rw shared:1 - ext4 /dev/sda1 rw\n")
    (tmp_path / "proc" / "swaps").write_text("Filename\tType\tSize\n")
    return Kernel(tmp_path / "proc", tmp_path / "sys")


def use(kernel: Kernel, name: str = "sdb", number: str = "8:16") -> str:
    """What uses the device."""
    return devices.device_use(f"/dev/{name}", number, kernel)


def test_a_device_that_nothing_uses_is_free(kernel: Kernel) -> None:
    """Mounts of other devices do not count; a device that the kernel does not list is free, too."""
    assert use(kernel) == use(kernel, "sdb1", "8:17") == use(kernel, "sdz", "65:0") == ""


def test_a_mounted_device_names_the_place(kernel: Kernel) -> None:
    """Blanks in the place are shown as such; a mounted partition makes its disk used."""
    with (kernel.proc / "self" / "mountinfo").open("a") as file:
        file.write("37 35 8:17 / /mnt/two\\040words rw - ext4 /dev/sdb1 rw\n")

    assert use(kernel, "sdb1", "8:17") == "mounted at /mnt/two words"
    assert use(kernel) == "sdb1 is mounted at /mnt/two words"


def test_swap_space_is_used(kernel: Kernel) -> None:
    """On the device or on a partition of it."""
    (kernel.proc / "swaps").write_text("Filename\tType\tSize\n/dev/sdb1   partition\t1\t0\t-2\n")

    assert use(kernel) == use(kernel, "sdb1", "8:17") == "used as swap space"


def test_what_holds_a_device_is_named(kernel: Kernel) -> None:
    """A mapped volume over a partition holds the disk as well."""
    (kernel.sys / "devices" / "sdb" / "sdb1" / "holders" / "dm-0").mkdir()

    assert use(kernel) == use(kernel, "sdb1", "8:17") == "held by dm-0"


def test_a_partition_tells_its_disk(kernel: Kernel) -> None:
    """A whole disk is its own."""
    assert devices.disk_of("/dev/sdb1", "8:17", kernel) == "/dev/sdb"
    assert devices.disk_of("/dev/sdb", "8:16", kernel) == "/dev/sdb"
    assert devices.disk_of("/dev/dm-9", "253:9", kernel) == "/dev/dm-9"


def test_a_loop_device_tells_the_file_behind_it(kernel: Kernel) -> None:
    """So the file and the device are not taken for two."""
    folder = kernel.sys / "devices" / "loop3" / "loop"
    folder.mkdir(parents=True)
    (folder / "backing_file").write_text("/srv/image\n")
    (kernel.sys / "dev" / "block" / "7:3").symlink_to(folder.parent)

    assert devices.disk_of("/dev/loop3", "7:3", kernel) == "/srv/image"


def test_a_file_behind_a_loop_device_is_used(kernel: Kernel, tmp_path: Path) -> None:
    """And so is a swap file."""
    file = tmp_path / "image"
    file.write_bytes(bytes(512))
    loop = kernel.sys / "block" / "loop3" / "loop"
    loop.mkdir(parents=True)
    (loop / "backing_file").write_text(f"{file}\n")
    assert check_device(str(file), kernel=kernel).in_use == "held by loop3"

    (kernel.proc / "swaps").write_text(f"Filename\tType\tSize\n{file} file 1 0 -2\n")
    assert check_device(str(file), kernel=kernel).in_use == "used as swap space"


def test_a_storage_of_a_pool_is_known(tmp_path: Path, kernel: Kernel) -> None:
    """A device that a pool keeps its data on is not formatted unasked; one that was only made ready counts as nothing."""
    path = tmp_path / "device"
    format_device(path, size_bytes=1 << 20)
    before = check_device(str(path), kernel=kernel)
    backend = BlockBackend.open(path)
    backend.put("pool", f"rubackup pool 0 {'a' * 32} {'b' * 32}\n".encode())
    backend.close()
    after = check_device(str(path), kernel=kernel)
    with path.open("r+b") as file:
        file.seek(64 << 10)
        file.write(bytes(128 << 10))
    damaged = check_device(str(path), kernel=kernel)

    assert (before.signature, before.pool) == ("", "")
    assert (after.signature, after.pool) == ("data of RuBackup", "a" * 32)
    assert (damaged.signature, damaged.pool) == ("data of RuBackup", "")


def test_every_magic_number_stands_where_it_is_read_whole() -> None:
    """None begins before the device, none is empty."""
    assert all(magic.offset >= 0 and magic.value and magic.name for magic in signatures.MAGICS)
