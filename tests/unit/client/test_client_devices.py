"""Block devices and file systems of a host, out of tables as the kernel writes them."""

from __future__ import annotations

from pathlib import Path

import pytest

from rubackup.client.devices import list_block_devices
from rubackup.client.modules.filesystem.resources import file_systems
from rubackup.client.mounttable import MountEntry, mount_table
from rubackup.domain.errors import Invalid
from rubackup.wire.messages import BlockDevice

MOUNTINFO = r"""25 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
26 25 0:5 / /dev rw - devtmpfs udev rw
27 25 253:0 / /home rw - xfs /dev/mapper/my--vg-ho--me rw
28 25 8:1 /srv /exports/with\040blank rw - ext4 /dev/sda1 rw
29 25 253:0 / /home/again rw - xfs /dev/mapper/my--vg-ho--me rw
malformed
"""


class Host:
    """A made-up /sys/class/block, /proc and /dev."""

    def __init__(self, folder: Path) -> None:
        self.sys, self.proc, self.dev = folder / "sys", folder / "proc", folder / "dev"
        (self.proc / "self").mkdir(parents=True)
        (self.proc / "self/mountinfo").write_text(MOUNTINFO)
        (self.proc / "swaps").write_text("Filename Type Size Used Priority\n/dev/sda2 partition 1000 0 -2\n")
        for path in ("my-vg/ho-me", "mapper/my--vg-ho--me", "sda", "cciss/c0d0"):
            (self.dev / path).parent.mkdir(parents=True, exist_ok=True)
            (self.dev / path).touch()

    def add(self, name: str, number: str, sectors: int, **files: str) -> None:
        """A device; `files` by their names below it, `__` for a slash."""
        contents = {
            "dev": number,
            "size": str(sectors),
            "ro": "0",
            "uevent": f"DEVNAME={name.replace('!', '/')}",
            **files,
        }
        for file, text in contents.items():
            path = self.sys / name / file.replace("__", "/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text + "\n")

    def list(self, path: str = "/dev/") -> list[BlockDevice]:
        """What the client answers."""
        return list_block_devices(path, sys=self.sys, proc=self.proc, dev=self.dev).devices


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """A host with one of everything."""
    host = Host(tmp_path)
    host.add("sda", "8:0", 2048)
    host.add("sda1", "8:1", 1000, partition="1")
    host.add("sda2", "8:2", 100, partition="2")
    host.add("sr0", "11:0", 4, ro="1", device__type="5")
    host.add("dm-0", "253:0", 512, dm__name="my--vg-ho--me", dm__uuid="LVM-abc")
    host.add("dm-1", "253:1", 512, dm__name="secret", dm__uuid="CRYPT-LUKS2-abc")
    host.add("md0", "9:0", 512, md__level="raid1")
    host.add("loop0", "7:0", 8)
    host.add("loop1", "7:1", 0)
    host.add("zram0", "252:0", 8)
    host.add("cciss!c0d0", "104:0", 8)
    return host


def test_every_kind_of_device_is_told(host: Host) -> None:
    """Type, node, use; a device without a size is left out."""
    found = {one.path: one for one in host.list()}

    assert {path: one.type for path, one in found.items()} == {
        "/dev/cciss/c0d0": "disk", "/dev/loop0": "loop", "/dev/mapper/secret": "crypt", "/dev/md0": "raid",
        "/dev/my-vg/ho-me": "lvm", "/dev/sda": "disk", "/dev/sda1": "part", "/dev/sda2": "part", "/dev/sr0": "rom",
        "/dev/zram0": "ram",
    }  # fmt: skip
    assert list(found) == sorted(found)
    assert found["/dev/sda1"].size_bytes == 512_000
    assert (found["/dev/sda1"].filesystem, found["/dev/sda1"].mount_points) == ("ext4", ["/", "/exports/with blank"])
    assert (found["/dev/sda2"].filesystem, found["/dev/sda2"].mount_points) == ("swap", [])
    volume = found["/dev/my-vg/ho-me"]
    assert (volume.name, volume.filesystem, volume.mount_points) == ("dm-0", "xfs", ["/home", "/home/again"])
    assert (found["/dev/sr0"].read_only, found["/dev/sda"].read_only) == (True, False)


@pytest.mark.parametrize(
    ("path", "paths"),
    [
        ("/dev/my-vg", ["/dev/my-vg/ho-me"]), ("/dev/mapper/", ["/dev/mapper/my--vg-ho--me", "/dev/mapper/secret"]),
        ("/dev/sda", ["/dev/sda"]), ("/dev/cciss", ["/dev/cciss/c0d0"]),
    ],
)  # fmt: skip
def test_a_path_narrows_the_list(host: Host, path: str, paths: list[str]) -> None:
    """A folder takes the nodes in it, by whichever of their names; a device only itself."""
    assert [one.path for one in host.list(path)] == paths


def test_a_path_that_is_not_there_is_refused(host: Host) -> None:
    """By its name."""
    with pytest.raises(Invalid, match="/dev/nowhere"):
        host.list("/dev/nowhere")


def test_this_host_is_listed() -> None:
    """Its real /sys is understood: every node that exists is a block device, sizes are those of the kernel."""
    for one in list_block_devices("/dev/").devices:
        assert one.size_bytes == int(Path(f"/sys/class/block/{one.name}/size").read_text()) * 512
        if Path(one.path).exists():
            assert Path(one.path).is_block_device()


def entry(device: str, root: str, point: str, kind: str) -> MountEntry:
    """A row of the mount table."""
    return MountEntry(device, root.encode(), point.encode(), kind, b"source")


def test_file_systems_are_offered_once(tmp_path: Path) -> None:
    """Local ones with data of their own, at their root; those of the kernel, memory, network and snapshots are not."""
    table = [
        entry("8:1", "/srv", "/exports", "ext4"), entry("8:1", "/", "/", "ext4"), entry("0:5", "/", "/proc", "proc"),
        entry("0:6", "/", "/run", "tmpfs"), entry("0:7", "/", "/net", "nfs4"), entry("9:1", "/sub", "/var", "btrfs"),
        entry("9:9", "/", f"{tmp_path}/snap/x", "ext4"),
    ]  # fmt: skip

    found = file_systems(tmp_path / "snap", table)

    assert [(one.resource, one.kind) for one in found] == [("/", "ext4"), ("/var", "btrfs")]
    assert found[0].size_bytes > found[0].used_bytes > 0


def test_the_real_mount_table_is_read() -> None:
    """The root is mounted, and its size is known."""
    assert b"/" in {one.point for one in mount_table()}
