"""Tape devices of live media servers: of this machine over the API, of a kernel with a virtual library directly."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from rubackup.media.tape.sysfs import scan
from support.system import System

GUEST = Path(__file__).parents[1] / "support" / "uml"
NEEDED = ("linux.uml", "tgtd", "tgtimg", "iscsid", "iscsiadm")
"""Debian: user-mode-linux tgt open-iscsi."""


def test_a_media_server_tells_its_devices(system: System) -> None:
    """From API over server to the media server and back: what the kernel of this machine knows, honestly nothing."""
    media = system.media_server()
    data = system.call("GET", "/tape_libraries/candidates", media_server=media, mode="manual")["data"]

    found = scan(Path("/"))
    assert sorted(d["device"] for key in data for d in data[key]) == sorted(device.device for device in found)


def test_a_robot_that_is_not_there_is_not_found(system: System) -> None:
    """The media server's own refusal arrives as 404."""
    media = system.media_server()
    body = {"data": {"media_server": media, "medium_changer_sg_path": "/dev/sg999"}}

    answer = system.call("POST", "/tape_libraries/candidates/info", body, status=404)
    assert "has no robot at /dev/sg999" in answer["message"]


@pytest.mark.skipif(any(shutil.which(name) is None for name in NEEDED), reason="needs " + ", ".join(NEEDED))
def test_a_kernels_robot_is_asked_through_its_node(tmp_path: Path) -> None:
    """Real sysfs, real /dev/sg, real sense data: a virtual library over iSCSI in a user-mode-linux guest."""
    answer = subprocess.run(
        [
            "linux.uml", "mem=1G", "root=/dev/root", "rootfstype=hostfs", "rootflags=/", "ro", "quiet",
            f"init={GUEST}/init.sh", f"run={GUEST}/tape.sh", f"python={sys.executable}", "con=null", "con0=null,fd:1",
            "con1=null,fd:1", "ssl=null",
        ],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", timeout=240, check=False,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "TMPDIR": "/dev/shm", "HOME": str(tmp_path)},
    )  # fmt: skip
    lines = [line.rpartition("=FOUND=")[2] for line in answer.stdout.splitlines() if "=FOUND=" in line]
    assert lines, answer.stdout[-3000:]
    found = json.loads(lines[0])

    assert [(d["kind"], d["scsi_path"], d["device"], d["tape_device"], d["serial"]) for d in found["devices"]] == [
        ("tape_drive", "[0:0:0:1]", "/dev/sg1", "/dev/nst0", "10WT000001"),
        ("tape_drive", "[0:0:0:2]", "/dev/sg2", "/dev/nst1", "10WT000002"),
        ("medium_changer", "[0:0:0:3]", "/dev/sg3", "", "VTL0001"),
    ]
    tags = {e["address"]: e["volume_tag"] for e in found["elements"] if e["full"]}
    assert tags == {1024: "RB10001L9", 1025: "RB10002L9"}
    assert len(found["elements"]) == 12
    assert "/dev/sg1 refused READ ELEMENT STATUS: illegal request (5/" in found["refusal"]
