"""What a media server finds of robots and drives: a tree as sysfs makes it, read by the real code."""

from __future__ import annotations

import ctypes
import threading
from pathlib import Path

import pytest

from rubackup.domain.errors import Busy, Conflict, Invalid, NotFound, Unavailable
from rubackup.media.tape.host import TapeHost
from rubackup.media.tape.scsi import SgHeader, SgTransport
from rubackup.media.tape.sysfs import scan
from rubackup.wire.messages import AskElements
from support.robots import Place, Robot
from support.sysfs import ScsiTree

ROBOT = AskElements(device="/dev/sg4", scsi_path="[8:0:0:3]", serial="VTL0001")


@pytest.fixture
def tree(tmp_path: Path) -> ScsiTree:
    """A robot, two drives, a disk."""
    found = ScsiTree(tmp_path)
    found.add("sg4", "8:0:0:3", 8, "STK", "L700", "0104", serial=b"VTL0001")
    found.add("sg5", "8:0:0:2", 1, "IBM", "ULT3580-TD9", "P370", serial=b"10WT000002", node="nst1")
    found.add("sg6", "8:0:0:1", 1, "IBM", "ULT3580-TD9", "P370", serial=b"10WT000001", node="nst0")
    found.add("sg0", "0:0:0:0", 0, "ATA", "DISK", "1", serial=b"D")
    return found


def test_robots_and_drives_are_found_by_their_type(tree):
    """In the order of their addresses, with node, serial number and tape node; a disk is none."""
    found = scan(tree.root)

    assert [(d.kind, d.scsi_path, d.device, d.tape_device, d.serial) for d in found] == [
        ("tape_drive", "[8:0:0:1]", "/dev/sg6", "/dev/nst0", "10WT000001"),
        ("tape_drive", "[8:0:0:2]", "/dev/sg5", "/dev/nst1", "10WT000002"),
        ("medium_changer", "[8:0:0:3]", "/dev/sg4", "", "VTL0001"),
    ]
    assert (found[2].vendor, found[2].product, found[2].revision) == ("STK", "L700", "0104")


def test_a_host_without_scsi_devices_has_none(tmp_path):
    """No sysfs class, or an empty one: an empty list."""
    assert scan(tmp_path) == []
    (tmp_path / "sys/class/scsi_generic").mkdir(parents=True)
    assert scan(tmp_path) == []


def test_this_hosts_own_sysfs_can_be_read():
    """Whatever the machine has, scanning it ends well."""
    assert isinstance(scan(Path("/")), list)


@pytest.mark.parametrize("page", [None, b"", b"\x08\x80", b"\x08\x83\x00\x04ABCD", b"\x08\x80\xff\xffSN1"])
def test_an_odd_serial_page_is_no_reason_to_miss_the_device(tree, page):
    """Missing, short, another page, a length beyond its end: the device is told all the same."""
    tree.add("sg7", "9:0:0:0", 8, "X", "Y", "1", page=page)

    assert [d.serial for d in scan(tree.root) if d.device == "/dev/sg7"] == [
        "SN1" if page and len(page) > 6 and page[1] == 0x80 else ""
    ]


def test_names_of_devices_cannot_smuggle_control_characters(tree):
    """What cannot be shown becomes a space."""
    tree.add("sg7", "9:0:0:0", 8, "A\x1b[2JB", "P" * 500, "\xff", serial=b"S\0N")
    device = next(d for d in scan(tree.root) if d.device == "/dev/sg7")

    assert (device.vendor, device.revision, device.serial) == ("A [2JB", "", "S N")
    assert len(device.product) == 64


def test_a_robot_is_asked_through_its_node(tree):
    """The answer names the robot and its elements."""
    opened = []

    def open_device(path: str) -> Robot:
        opened.append(path)
        return Robot({1: Place(1), 2: Place(2, "RB10001L9")})

    answer = TapeHost(tree.root, open_device).elements(ROBOT)

    assert opened == [f"{tree.root}/dev/sg4"]
    assert answer.robot.serial == "VTL0001"
    assert [e.volume_tag for e in answer.elements] == ["", "RB10001L9"]


@pytest.mark.parametrize("device", ["/dev/sda", "/dev/sg4/../sda", "sg4", "/dev/sg", "/etc/passwd", ""])
def test_only_generic_nodes_are_looked_at(tree, device):
    """Nothing else is ever opened."""
    with pytest.raises(Invalid):
        TapeHost(tree.root, never).elements(AskElements(device=device))


def never(path: str) -> Robot:
    """Opening it would be a mistake."""
    raise AssertionError(path)


@pytest.mark.parametrize("device", ["/dev/sg5", "/dev/sg0", "/dev/sg99"])
def test_only_robots_are_opened(tree, device):
    """A drive, a disk, nothing: not found, and the robots that there are are named."""
    with pytest.raises(NotFound, match="its robots: /dev/sg4"):
        TapeHost(tree.root, never).elements(AskElements(device=device))


@pytest.mark.parametrize("wrong", [{"serial": "OTHER"}, {"scsi_path": "[1:0:0:0]"}])
def test_another_robot_at_the_node_is_found_out(tree, wrong):
    """Nodes are renumbered at boot: address and serial number tell."""
    order = AskElements(device="/dev/sg4", **wrong)
    with pytest.raises(Conflict, match=next(iter(wrong.values())).strip("[]")):
        TapeHost(tree.root, never).elements(order)


def test_a_robot_is_asked_by_one_at_a_time(tree):
    """The second is told that it is busy; afterwards it can be asked again."""
    inside, on = threading.Event(), threading.Event()

    class Slow(Robot):
        def execute(self, cdb, length, seconds):
            inside.set()
            assert on.wait(60)
            return super().execute(cdb, length, seconds)

    host = TapeHost(tree.root, lambda _path: Slow({1: Place(1)}))
    first = threading.Thread(target=host.elements, args=(ROBOT,))
    first.start()
    assert inside.wait(60)
    with pytest.raises(Busy):
        host.elements(ROBOT)
    on.set()
    first.join(60)
    assert len(host.elements(ROBOT).elements) == 1


def test_what_is_no_scsi_device_is_refused_before_it_is_asked(tree):
    """A missing node is not found; a file that only looks like one is no device."""
    with pytest.raises(NotFound):
        TapeHost(tree.root).elements(ROBOT)
    (tree.root / "dev").mkdir()
    (tree.root / "dev/sg4").write_bytes(b"")
    with pytest.raises(Unavailable, match="no SCSI generic device"):
        TapeHost(tree.root).elements(ROBOT)
    with pytest.raises(Unavailable, match="no SCSI generic device"):
        SgTransport("/dev/null")


def test_the_header_is_the_kernels():
    """`struct sg_io_hdr` has 88 bytes on 64 bit, with the fields where the kernel looks for them."""
    if ctypes.sizeof(ctypes.c_void_p) != 8:
        pytest.skip("the offsets are those of 64 bit")
    offsets = {name: getattr(SgHeader, name).offset for name, _ in SgHeader._fields_}

    assert ctypes.sizeof(SgHeader) == 88
    assert (offsets["dxferp"], offsets["timeout"], offsets["status"], offsets["resid"]) == (16, 40, 64, 72)
