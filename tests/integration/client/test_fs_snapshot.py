"""Backups that read a snapshot: the volume's, by a stand-in for LVM on real loop devices; and what fails."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rubackup.client.compare import compare_trees
from rubackup.client.lvm import Lvm
from rubackup.client.modules.filesystem.module import FileSystemModule
from rubackup.client.modules.filesystem.snapshots import Snapshots
from rubackup.domain.errors import Invalid, Stopped
from support.trees import Copies, assert_same, landed, make_rich_tree
from support.volumes import Volumes, device_mapper_problem, standing_volumes

only_root = [pytest.mark.root, pytest.mark.skipif(os.geteuid() != 0, reason="needs to be root")]


@pytest.fixture
def volumes(tmp_path: Path) -> Iterator[Volumes]:
    """A volume with a file system."""
    with standing_volumes(tmp_path) as found:
        yield found


@pytest.fixture
def copies(volumes: Volumes, tmp_path: Path) -> Copies:
    """A client whose volumes are those."""
    return copies_with(tmp_path, Lvm(volumes.tools))


def copies_with(tmp_path: Path, lvm: Lvm) -> Copies:
    """A client that mounts its snapshots below the test's folder."""
    return Copies(module=FileSystemModule(Snapshots("00000000000000aa", tmp_path / "snapshots", lvm)))


def script(path: Path, text: str) -> str:
    """A program of the host."""
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o700)
    return str(path)


def asked(**more: Any) -> dict[str, Any]:
    """Parameters of a backup from a snapshot that must not fail."""
    return {"module_parameters": {"use_snapshot": True, "ignore_errors_snapshot": False, **more}}


def mounted_below(folder: Path) -> list[str]:
    """What is mounted there."""
    lines = Path("/proc/mounts").read_text().splitlines()
    return [where for where in (line.split()[1] for line in lines) if where.startswith(f"{folder}/")]


@pytest.mark.usefixtures("volumes")
class TestSnapshots:
    """What a snapshot gives."""

    pytestmark = only_root

    def test_the_copy_is_of_the_moment(self, volumes: Volumes, copies: Copies, tmp_path: Path) -> None:
        """What changes after the snapshot is not in the copy; names are those of the live folder; nothing stays behind."""
        data = volumes.point / "data"
        data.mkdir()
        (data / "file").write_text("before")
        after = script(tmp_path / "after", f"echo late > {data}/file; touch {data}/new; echo thawed")
        before = script(tmp_path / "before", f'echo "$RUBACKUP_RESOURCE"; echo frozen > {data}/frozen')

        copies.backup(data, **asked(script_before_snapshot=before, script_after_snapshot=after, snapshot_size=25))
        copies.restore(data, tmp_path / "target")

        found = landed(tmp_path / "target", data)
        assert {path.name: path.read_text().strip() for path in found.iterdir()} == {
            "file": "before", "frozen": "frozen",
        }  # fmt: skip
        assert volumes.names() == ["home"]
        assert mounted_below(tmp_path / "snapshots") == []
        assert list((tmp_path / "snapshots" / "00000000000000aa").iterdir()) == []
        assert copies.pool.reader("full").header.created_ns < (data / "new").stat().st_mtime_ns
        assert "25%ORIGIN" in volumes.calls()[0]
        log = copies.watch.texts("info")
        assert {f"script_before_snapshot: {data}", "script_after_snapshot: thawed"} <= set(log)

    def test_everything_comes_back(self, volumes: Volumes, copies: Copies, tmp_path: Path) -> None:
        """A tree read from a snapshot is what the live one is, in all that a copy records."""
        source = volumes.point / "source"
        make_rich_tree(source)

        copies.backup(source, **asked(snapshot_type="lvm"))
        copies.restore(source, tmp_path / "target")

        assert_same(source, landed(tmp_path / "target", source))
        assert copies.told() == []

    def test_a_mount_point_is_the_resource(self, volumes: Volumes, copies: Copies, tmp_path: Path) -> None:
        """The root of the file system has its own metadata in the copy, and a single file works too."""
        (volumes.point / "file").write_text("x")
        volumes.point.chmod(0o1771)

        copies.backup(volumes.point, **asked())
        copies.restore(volumes.point, tmp_path / "target")
        copies.backup(volumes.point / "file", "one", **asked())
        copies.restore(volumes.point / "file", tmp_path / "single", record="one")

        found = landed(tmp_path / "target", volumes.point)
        assert stat.S_IMODE(found.stat().st_mode) == 0o1771
        assert compare_trees(volumes.point, found).differences == []
        assert landed(tmp_path / "single", volumes.point / "file").read_text() == "x"

    def test_other_file_systems_below_are_read_live(self, volumes: Volumes, copies: Copies, tmp_path: Path) -> None:
        """The snapshot has an empty folder there: the log names it, the copy has what is mounted, with its mode."""
        inner = volumes.point / "data" / "inner"
        inner.mkdir(parents=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=0710", "none", inner], check=True)
        (inner / "deep").mkdir()
        (inner / "deep" / "file").write_text("of another file system")

        copies.backup(volumes.point / "data", **asked())
        copies.restore(volumes.point / "data", tmp_path / "target")

        found = landed(tmp_path / "target", inner)
        assert (found / "deep" / "file").read_text() == "of another file system"
        assert stat.S_IMODE(found.stat().st_mode) == 0o710
        (line,) = copies.watch.texts("warning")
        assert line.startswith(str(inner))

    def test_links_above_the_resource_are_followed(self, volumes: Volumes, copies: Copies, tmp_path: Path) -> None:
        """The copy has the names that were asked for."""
        (volumes.point / "data").mkdir()
        (volumes.point / "data" / "file").write_text("x")
        (tmp_path / "way").symlink_to(volumes.point)

        copies.backup(tmp_path / "way" / "data", **asked())
        copies.restore(tmp_path / "way" / "data", tmp_path / "target")

        assert (landed(tmp_path / "target", tmp_path / "way" / "data") / "file").read_text() == "x"

    def test_an_incremental_takes_over_what_is_unchanged(
        self, volumes: Volumes, copies: Copies, tmp_path: Path
    ) -> None:
        """Two snapshots are the same files to it, although they are different devices."""
        (volumes.point / "file").write_bytes(os.urandom(10_000))
        later = time.time_ns() + 60 * 10**9  # what was just written counts as old then
        copies.module = FileSystemModule(
            Snapshots("a" * 16, tmp_path / "snapshots", Lvm(volumes.tools), now_ns=lambda: later)
        )
        copies.backup(volumes.point, "one", **asked())
        copies.backup(volumes.point, "two", "one", **asked())

        assert copies.channel is not None
        assert copies.channel.queried == 0

    def test_a_snapshot_that_ran_full_makes_no_copy(self, volumes: Volumes, copies: Copies) -> None:
        """What was read is worth nothing: the task ends with a sentence that names snapshot_size."""
        volumes.set("overflow")

        with pytest.raises(Invalid, match="snapshot_size"):
            copies.backup(volumes.point, **asked())

        assert copies.pool.manifests == {}
        assert volumes.names() == ["home"]

    def test_a_stopped_task_leaves_no_snapshot(self, volumes: Volumes, copies: Copies, tmp_path: Path) -> None:
        """Killing the task removes it."""
        (volumes.point / "file").write_bytes(bytes(100_000))
        copies.watch.stop_after = 0

        with pytest.raises(Stopped):
            copies.backup(volumes.point, **asked())

        assert volumes.names() == ["home"]
        assert mounted_below(tmp_path / "snapshots") == []

    def test_the_next_start_removes_what_a_killed_process_left(self, volumes: Volumes, tmp_path: Path) -> None:
        """Mounts and volumes with this client's tag go; those of other clients stay."""
        mine, other = (Snapshots(hwid, tmp_path / "snapshots", Lvm(volumes.tools)) for hwid in ("a" * 16, "b" * 16))
        resource = os.fsencode(volumes.point)
        for snapshots in (mine, other):
            place = snapshots.locate(resource)
            snapshots.mount(place, snapshots.take(place, uuid.uuid4().hex, 10))

        Snapshots("a" * 16, tmp_path / "snapshots", Lvm(volumes.tools)).clean_up()

        assert len(volumes.names()) == 2
        (left,) = mounted_below(tmp_path / "snapshots")
        assert f"/{'b' * 16}/" in left

    def test_snapshots_are_no_part_of_a_live_copy(self, volumes: Volumes, copies: Copies, tmp_path: Path) -> None:
        """A backup of the whole host does not go into a snapshot that another task reads just now."""
        snapshots = Snapshots("a" * 16, tmp_path / "snapshots", Lvm(volumes.tools))
        place = snapshots.locate(os.fsencode(volumes.point))
        (volumes.point / "file").write_text("x")
        taken = snapshots.take(place, uuid.uuid4().hex, 10)
        snapshots.mount(place, taken)

        copies.backup(tmp_path)
        offered = [found.resource for found in copies.module.resources()]
        snapshots.remove(taken)

        names = [entry.name for _, entries in copies.pool.reader("full").folders() for entry in entries]
        assert names.count(b"file") == 1
        assert str(volumes.point) in offered
        assert not [path for path in offered if path.startswith(f"{tmp_path}/snapshots")]

    @pytest.mark.parametrize("tool", ["lvs", "lvcreate"])
    def test_a_failure_reads_the_live_folder_or_ends_the_task(
        self, volumes: Volumes, copies: Copies, tmp_path: Path, tool: str
    ) -> None:
        """ignore_errors_snapshot decides; script_error_snapshot runs either way, and nothing stays behind."""
        (volumes.point / "file").write_text("x")
        volumes.set(f"fail-{tool}")
        told = tmp_path / "told"
        error = script(tmp_path / "error", f"echo $RUBACKUP_SCRIPT >> {told}")

        with pytest.raises(Invalid, match="no luck today"):
            copies.backup(volumes.point, **asked(script_error_snapshot=error))
        copies.backup(volumes.point, **asked(script_error_snapshot=error, ignore_errors_snapshot=True))

        assert told.read_text().split() == ["script_error_snapshot"] * 2
        assert "live folder is read" in copies.watch.texts("warning")[-1]
        assert volumes.names() == ["home"]

    def test_a_snapshot_that_cannot_be_mounted_goes_at_once(
        self, volumes: Volumes, copies: Copies, tmp_path: Path
    ) -> None:
        """Before the script that hears of the failure runs, and before the live folder is read."""
        (tmp_path / "snapshots").write_text("no folder")
        (volumes.point / "file").write_text("x")
        error = script(tmp_path / "error", f"cat {volumes.state}/volumes.json")

        asking = asked(script_error_snapshot=error, ignore_errors_snapshot=True)
        copies.backup(volumes.point, **asking)

        heard = [line for line in copies.watch.texts("info") if line.startswith("script_error_snapshot: {")]
        assert [f"{volumes.group}/home" in line and "rubackup_full" not in line for line in heard] == [True]
        assert "full" in copies.pool.manifests

    def test_a_failed_script_before_is_a_failed_snapshot(
        self, volumes: Volumes, copies: Copies, tmp_path: Path
    ) -> None:
        """No snapshot is taken then; a failed script afterwards is an error in the log alone."""
        bad = script(tmp_path / "bad", "echo not today; exit 3")

        with pytest.raises(Invalid, match="script_before_snapshot"):
            copies.backup(volumes.point, **asked(script_before_snapshot=bad))
        copies.backup(volumes.point, **asked(script_after_snapshot=bad))

        assert len(volumes.calls()) == 1
        assert copies.watch.texts("error")[-1] == f"script_after_snapshot {bad} ended with status 3."


def test_a_folder_without_a_volume_is_read_live_or_not_at_all(tmp_path: Path) -> None:
    """With the host's own tools, or without any: the reason stands in the log, the script runs, the flag decides."""
    source, told = tmp_path / "source", tmp_path / "told"
    source.mkdir()
    (source / "file").write_text("x")
    error = script(tmp_path / "error", f"echo ran >> {told}")
    copies = copies_with(tmp_path, Lvm())

    with pytest.raises(Invalid, match="The snapshot failed"):
        copies.backup(source, **asked(script_error_snapshot=error))
    assert copies.pool.manifests == {}
    copies.backup(source, **asked(script_error_snapshot=error, ignore_errors_snapshot=True))
    copies.restore(source, tmp_path / "target")

    assert told.read_text() == "ran\nran\n"
    assert_same(source, landed(tmp_path / "target", source))
    assert [line for line in copies.watch.texts("error") if line.startswith("The snapshot failed")]


def test_scripts_are_not_run_without_a_snapshot(tmp_path: Path) -> None:
    """Nothing fails either: they belong to the snapshot."""
    (tmp_path / "source").mkdir()
    copies = Copies()

    copies.backup(tmp_path / "source", module_parameters={"script_before_snapshot": "/no/such/program"})

    assert copies.told() == []


def test_wrong_parameters_end_the_task(tmp_path: Path) -> None:
    """An order with a parameter that the module does not know, or a wrong value, is refused by name."""
    for wrong in ({"snapshot_type": "zfs"}, {"no_such": 1}, {"script_before_snapshot": "relative"}):
        with pytest.raises(Invalid, match=next(iter(wrong))):
            Copies().backup(tmp_path, module_parameters=wrong)


@pytest.mark.root
def test_a_real_volume(tmp_path: Path) -> None:
    """With LVM itself, where the kernel has a device mapper: the copy is of the moment, and the snapshot goes."""
    if problem := device_mapper_problem():
        pytest.skip(problem)
    group, image, point = f"rbtest{uuid.uuid4().hex[:8]}", tmp_path / "image", tmp_path / "point"
    with image.open("wb") as file:
        file.truncate(128 << 20)
    loop = subprocess.run(["losetup", "-f", "--show", image], check=True, capture_output=True, text=True).stdout.strip()
    try:
        for command in (
            ["pvcreate", "--yes", loop], ["vgcreate", "--yes", group, loop],
            ["lvcreate", "--yes", "--size", "48m", "--name", "home", group], ["mkfs.ext4", "-q", f"/dev/{group}/home"],
        ):  # fmt: skip
            subprocess.run(command, check=True)
        point.mkdir()
        subprocess.run(["mount", f"/dev/{group}/home", point], check=True)
        (point / "file").write_text("before")
        after = script(tmp_path / "after", f"echo late > {point}/file")
        copies = copies_with(tmp_path, Lvm())

        copies.backup(point, **asked(script_after_snapshot=after, snapshot_size=20))
        copies.restore(point, tmp_path / "target")

        assert (landed(tmp_path / "target", point) / "file").read_text() == "before"
        assert [volume.name for volume in Lvm().volumes(group)] == ["home"]
    finally:
        subprocess.run(["umount", point], check=False)
        subprocess.run(["vgremove", "--yes", "--force", group], check=False)
        subprocess.run(["losetup", "--detach", loop], check=False)


def test_numeric_owner_records_numbers_alone(tmp_path: Path) -> None:
    """Without names in the copy a restore goes by number, whatever names the target host has."""
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "file").write_text("x")
    copies = Copies()

    copies.backup(tmp_path / "source", "named")
    copies.backup(tmp_path / "source", "numbered", module_parameters={"numeric_owner": True})

    def owners(record: str) -> set[tuple[str, str]]:
        blocks = copies.pool.reader(record).folders()
        return {(entry.user, entry.group) for _, entries in blocks for entry in entries}

    assert owners("numbered") == {("", "")}
    assert ("", "") not in owners("named") or os.geteuid() != 0


def test_the_volumes_table_is_read_as_lvm_writes_it(tmp_path: Path) -> None:
    """Names, device numbers, tags and the overflow flag come from lvs' own report."""
    row = {
        "vg_name": "vg", "lv_name": "lv", "lv_kernel_major": "253", "lv_kernel_minor": "7", "segtype": "thin",
        "lv_tags": "a,b", "lv_snapshot_invalid": "1",
    }  # fmt: skip
    script(tmp_path / "lvs", f"cat <<'END'\n{json.dumps({'report': [{'lv': [row]}]})}\nEND")
    script(tmp_path / "lvcreate", "echo broken >&2; exit 5")
    lvm = Lvm(str(tmp_path))

    (volume,) = lvm.volumes()

    assert (volume.label, volume.device, volume.tags, volume.is_overflowed) == ("vg/lv", "253:7", ("a", "b"), True)
    assert lvm.at("253:7") == volume
    assert lvm.at("253:8") is None
    with pytest.raises(Invalid, match="status 5: broken"):
        lvm.snapshot(volume, "name", 10, "tag")
    with pytest.raises(Invalid, match="no lvremove: install lvm2"):
        lvm.remove(volume)
