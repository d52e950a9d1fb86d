"""Real block devices: loop devices over files, as far as the host lets root make them."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from rubackup.domain.errors import Invalid
from rubackup.media.devices import check_device

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("losetup"), reason="only root makes loop devices"),
]
SIZE = 16 << 20


@pytest.fixture
def device(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A loop device and the file behind it."""
    image = tmp_path / "image"
    image.write_bytes(bytes(SIZE))
    made = subprocess.run(["losetup", "-f", "--show", str(image)], capture_output=True, text=True, check=False)
    if made.returncode:
        pytest.skip(f"no loop device can be made here: {made.stderr.strip()}")
    yield made.stdout.strip(), image
    subprocess.run(["losetup", "-d", made.stdout.strip()], check=True)


def test_an_empty_device_is_free_and_its_file_is_not(device: tuple[str, Path]) -> None:
    """The file behind it is what the device lies on; the kernel uses that."""
    name, image = device

    found = check_device(name)

    assert (found.kind, found.size_bytes, found.signature, found.in_use) == ("block device", SIZE, "", "")
    assert found.disk == str(image)
    assert check_device(str(image)).in_use == f"held by {Path(name).name}"


def test_a_mounted_device_is_in_use(device: tuple[str, Path], tmp_path: Path) -> None:
    """Its file system and its place are named; afterwards it is free."""
    name, _ = device
    if shutil.which("mkfs.ext4") is None:
        pytest.skip("mkfs.ext4 is not installed")
    subprocess.run(["mkfs.ext4", "-q", name], check=True, capture_output=True)
    place = tmp_path / "place"
    place.mkdir()
    mounted = subprocess.run(["mount", name, str(place)], capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"nothing can be mounted here: {mounted.stderr.strip()}")
    try:
        assert check_device(name).in_use == f"mounted at {place}"
    finally:
        subprocess.run(["umount", str(place)], check=True)
    found = check_device(name)
    assert (found.signature, found.in_use) == ("an ext4 file system", "")


def test_what_the_kernel_holds_for_another_reason_is_in_use(device: tuple[str, Path]) -> None:
    """Whoever claimed the device alone is not in /proc, but the kernel knows."""
    name, _ = device
    claim = os.open(name, os.O_RDWR | os.O_EXCL)
    try:
        assert check_device(name).in_use == "held by the kernel"
    finally:
        os.close(claim)
    assert check_device(name).in_use == ""


def test_a_device_is_the_same_by_every_node(device: tuple[str, Path], tmp_path: Path) -> None:
    """Another node of it, its file, and another name of its file: whichever of them was taken first."""
    name, image = device
    node, link = tmp_path / "node", tmp_path / "link"
    os.mknod(node, 0o600 | stat.S_IFBLK, Path(name).stat().st_rdev)
    link.hardlink_to(image)

    try:
        assert check_device(str(node), [(name, str(image))]).same_as == name
    except Invalid as error:
        pytest.skip(f"nodes cannot be opened here: {error}")
    assert check_device(name, [(str(node), str(image))]).same_as == str(node)
    assert check_device(name, [(str(link), str(link))]).same_as == str(link)
    assert check_device(str(link), [(name, str(image))]).same_as == name
