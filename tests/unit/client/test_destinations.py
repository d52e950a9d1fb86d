"""What a client says of folders to restore below."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from rubackup.client.agent import list_folder
from rubackup.client.destinations import check_destinations
from rubackup.domain.errors import Invalid
from rubackup.wire.messages import Destination


def checked(path: Path | str) -> Destination:
    """What is known of one folder."""
    (found,) = check_destinations([str(path)]).destinations
    return found


def test_the_nearest_folder_that_is_there_decides(tmp_path: Path) -> None:
    """Missing folders would be made, and none is."""
    found = checked(tmp_path / "a" / "b" / "c")

    assert (found.folder, found.problem, found.writable, found.read_only, found.pseudo) == (
        str(tmp_path), "", True, False, False,
    )  # fmt: skip
    space = os.statvfs(tmp_path)
    assert found.size_bytes == space.f_blocks * space.f_frsize
    assert 0 < found.free_bytes <= found.size_bytes
    assert list(tmp_path.iterdir()) == []


def test_a_file_on_the_way_is_a_problem(tmp_path: Path) -> None:
    """Below it nothing can be made."""
    (tmp_path / "file").touch()

    assert checked(tmp_path / "file" / "x").problem == f"{tmp_path}/file cannot be opened: not a directory."
    assert checked("relative").problem


def test_links_are_followed_as_a_restore_does(tmp_path: Path) -> None:
    """To where they lead; one that goes round ends nowhere."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "round").symlink_to("round")

    assert checked(tmp_path / "link" / "new").folder == f"{tmp_path}/real"
    assert "too many links" in checked(tmp_path / "round").problem


@pytest.mark.parametrize(("path", "kind"), [("/proc/self", "proc"), ("/sys/kernel/new", "sysfs")])
def test_file_systems_of_the_kernel_keep_no_data(path: str, kind: str) -> None:
    """Whatever the bits of their folders say."""
    found = checked(path)

    assert (found.pseudo, found.filesystem) == (True, kind)


def test_a_read_only_mount_is_told(tmp_path: Path) -> None:
    """In a mount namespace of the test's own."""
    script = (
        "import sys; from rubackup.client.destinations import check_destinations as check;"
        "found = check([sys.argv[1] + '/new']).destinations[0]; print(found.read_only, found.writable, found.folder)"
    )
    mounted = 'mount -t tmpfs -o ro none "$1" && exec "$2" -c "$3" "$1"'
    run = subprocess.run(
        ["/usr/bin/unshare", "-rm", "/bin/sh", "-c", mounted, "sh", str(tmp_path), sys.executable, script],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    if run.returncode and "unshare" in run.stderr:
        pytest.skip(f"no mount namespace: {run.stderr}")

    assert run.stdout.split() == ["True", "False", str(tmp_path)], run.stderr


def test_a_host_names_no_field_of_a_request(tmp_path: Path) -> None:
    """Who asked knows what its key is called, and puts it in front once."""
    for path in ("relative", str(tmp_path / "missing")):
        with pytest.raises(Invalid) as caught:
            list_folder(path)
        assert not caught.value.fields
        assert "data." not in caught.value.message
