"""A restore fetches, decodes and writes at the same time; what it makes is the same, and so is what it leaves."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rubackup.client.modules.filesystem import fill, write
from rubackup.client.modules.filesystem.batch import Batch
from rubackup.client.modules.filesystem.pipeline import Pipeline
from rubackup.domain.errors import SystemFault
from support.channels import MemoryRestore
from support.trees import Copies, assert_same, landed, make_rich_tree

NEEDS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Ten folders with files."""
    folder = tmp_path / "source"
    for number in range(10):
        (folder / str(number)).mkdir(parents=True)
        for file in range(12):
            (folder / str(number) / str(file)).write_bytes(os.urandom(20_000))
    return folder


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """Where copies are restored."""
    return tmp_path / "target"


@pytest.fixture
def copies(source: Path) -> Copies:
    """A copy of the tree."""
    copies = Copies()
    copies.backup(source)
    return copies


@pytest.mark.parametrize("workers", [1, 3])
def test_many_small_batches(
    copies: Copies, source: Path, target: Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    """However batches and threads fall, the tree is the same, and each group comes once."""
    monkeypatch.setattr(write, "BATCH_BYTES", 100_000)
    channels: list[MemoryRestore] = []
    copies.restore(source, target, change=channels.append, common_parameters={"worker_parallelism": workers})

    assert_same(source, landed(target, source))
    assert channels[0].sent == len(copies.pool.groups) > 2


def test_one_file_reads_one_group_and_little_of_the_manifest(tmp_path: Path, target: Path) -> None:
    """One file of many costs its group, and of the manifest a few blocks on the way to it."""
    source = tmp_path / "many"
    for number in range(60):
        (source / f"{number:03}").mkdir(parents=True)
        for file in range(50):
            (source / f"{number:03}" / os.urandom(100).hex()).write_bytes(b"%d %d" % (number, file) * 800)
    name = sorted(path.name for path in (source / "011").iterdir())[33]
    copies = Copies()
    copies.backup(source)
    channels: list[MemoryRestore] = []
    copies.restore(source, target, paths=[f"{source}/011/{name}"], change=channels.append)

    assert len(copies.pool.groups) > 3
    assert channels[0].sent == 1
    assert channels[0].manifest_read < 0.9 * len(copies.pool.manifests["full"])


def test_one_folder_reads_little_of_the_manifest(tmp_path: Path, target: Path) -> None:
    """A chosen folder is looked up with all below it; the rest of the manifest is not read."""
    source = tmp_path / "many"
    for number in range(160):
        (source / f"{number:03}" / "below").mkdir(parents=True)
        for _ in range(50):
            (source / f"{number:03}" / "below" / os.urandom(100).hex()).touch()
    copies = Copies()
    copies.backup(source)
    channels: list[MemoryRestore] = []
    done = copies.restore(source, target, paths=[f"{source}/037"], change=channels.append)

    assert done.files == 50
    assert_same(source / "037", landed(target, source) / "037")
    assert channels[0].manifest_read < 0.3 * len(copies.pool.manifests["full"])


def test_chosen_folders_side_by_side(tmp_path: Path, target: Path) -> None:
    """Folders and files whose names sort between a folder and what is below it, one in the other, in any order."""
    source = tmp_path / "rich"
    make_rich_tree(source)
    (source / "a" / "d" / "e").mkdir(parents=True)
    (source / "a" / "d" / "e" / "f").write_text("f")
    (source / "a-c" / "g").mkdir(parents=True)
    (source / "a-c" / "h").write_text("h")
    copies = Copies()
    copies.backup(source)
    chosen = ["locked", "a", "a-b", "a-c/g", "a/d/e", "a/d/e/f", "empty folder"]
    done = copies.restore(source, target, paths=[f"{source}/{name}" for name in chosen])

    assert (done.files_failed, copies.told()) == (0, [])
    for name in ("locked", "a", "a-b", "a-c/g", "empty folder"):
        assert_same(source / name, landed(target, source) / name)
    there = {path.name for path in landed(target, source).iterdir()}
    assert there == {"locked", "a", "a-b", "a-c", "empty folder"}
    assert [path.name for path in (landed(target, source) / "a-c").iterdir()] == ["g"]


def test_one_folder_reads_only_its_groups(copies: Copies, source: Path, target: Path) -> None:
    """A chosen folder costs the groups that hold its chunks, each once."""
    channels: list[MemoryRestore] = []
    copies.restore(source, target, paths=[f"{source}/4"], change=channels.append)

    assert_same(source / "4", landed(target, source) / "4")
    assert channels[0].sent <= 2 < len(copies.pool.groups)


def test_an_unexpected_error_of_a_thread_ends_the_task(
    copies: Copies, source: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a thread did not expect is raised by the restore, not swallowed."""

    def fail(*_: Any) -> Any:
        raise ZeroDivisionError

    monkeypatch.setattr(fill, "gather", fail)

    with pytest.raises(ZeroDivisionError):
        copies.restore(source, target)


def test_a_threshold_leaves_one_batch_in_memory(
    copies: Copies, source: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over its `memory_threshold` a restore goes on without reading ahead; with room it reads ahead."""
    monkeypatch.setattr(write, "BATCH_BYTES", 100_000)
    monkeypatch.setattr(write, "LEAST_BATCH_BYTES", 100_000)
    started: list[int] = []
    ahead: list[int] = []
    start, finish = Pipeline.start, Pipeline.finish

    def starting(self: Pipeline, batch: Batch) -> None:
        started.append(id(batch))
        ahead.append(len(started))
        start(self, batch)

    def finishing(self: Pipeline, batch: Batch, tick: Any) -> None:
        finish(self, batch, tick)
        started.remove(id(batch))

    monkeypatch.setattr(Pipeline, "start", starting)
    monkeypatch.setattr(Pipeline, "finish", finishing)
    copies.restore(source, target / "tight", common_parameters={"memory_threshold": 1})
    assert max(ahead) == 1
    copies.restore(source, target / "free")

    assert max(ahead) > 1
    assert_same(source, landed(target / "tight", source))


def test_a_threshold_that_may_not_be_exceeded_ends_the_task(copies: Copies, source: Path, target: Path) -> None:
    """With `deny_memory_exceed` the task ends with both figures, and leaves no half file."""
    with pytest.raises(SystemFault, match="may not exceed memory_threshold, 1 MiB"):
        copies.restore(source, target, common_parameters={"memory_threshold": 1, "deny_memory_exceed": True})

    assert [path for path in target.rglob("*") if path.is_file()] == []


@pytest.fixture
def umask() -> Iterator[None]:
    """A process whose new files only their owner may use."""
    before = os.umask(0o077)
    yield
    os.umask(before)


@pytest.mark.usefixtures("umask")
def test_modes_do_not_depend_on_the_umask(tmp_path: Path, target: Path) -> None:
    """Modes are those of the copy, with bits that the process' umask takes away, and special ones."""
    source = tmp_path / "modes"
    source.mkdir()
    for mode in (0o600, 0o644, 0o777, 0o000, 0o4755, 0o2640, 0o400):
        (source / f"{mode:o}").touch()
        (source / f"{mode:o}").chmod(mode)
    copies = Copies()
    copies.backup(source)
    copies.restore(source, target)

    assert_same(source, landed(target, source))


@NEEDS_ROOT
def test_owners_do_not_depend_on_the_destination(tmp_path: Path, target: Path) -> None:
    """Below a folder that gives its group to what is made in it, groups are still those of the copy."""
    source = tmp_path / "owners"
    (source / "below").mkdir(parents=True)
    for number in range(3):
        (source / "below" / f"root {number}").touch()
        (source / "below" / f"other {number}").touch()
        os.chown(source / "below" / f"other {number}", 4711, 4712)
    copies = Copies()
    copies.backup(source)
    target.mkdir()
    os.chown(target, 0, 4713)
    target.chmod(0o2775)
    copies.restore(source, target)

    assert_same(source, landed(target, source))
    assert (landed(target, source) / "below" / "other 2").stat().st_gid == 4712


KILLED = textwrap.dedent("""
    import os, pickle, signal, sys
    from rubackup.client.modules.filesystem import fill
    from rubackup.client.modules.filesystem.module import FileSystemModule
    from rubackup.client.ports import RestoreJob
    from support.channels import MemoryPool, RecordingWatch
    source, target, pool, overwrite = sys.argv[1:]
    write, write_segments, calls = os.write, fill.write_segments, []
    def half(fd):
        calls.append(fd)
        if len(calls) == 30:
            write(fd, bytes(10_000))
            os.kill(os.getpid(), signal.SIGKILL)
    os.write = lambda fd, data: half(fd) or write(fd, data)
    fill.write_segments = lambda fd, segments: half(fd) or write_segments(fd, segments)
    with open(pool, "rb") as file:
        pool = pickle.load(file)
    job = RestoreJob("full", "hwid", source, target, overwrite=overwrite, task_id=7)
    FileSystemModule().restore(job, pool.read("full"), RecordingWatch())
""")


@pytest.mark.parametrize("overwrite", ["if_changed", "never"])
def test_a_killed_restore_is_set_right_by_the_next(
    copies: Copies, source: Path, target: Path, tmp_path: Path, overwrite: str
) -> None:
    """A file that was half written under its own name is written again; where nothing is replaced there is none."""
    import pickle

    (tmp_path / "pool").write_bytes(pickle.dumps(copies.pool))
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-c", KILLED, str(source), str(target), str(tmp_path / "pool"), overwrite]
    process = subprocess.run(command, check=False, env=environment, capture_output=True)
    assert process.returncode == -9, process.stderr
    halves = [path for path in landed(target, source).rglob("*") if path.is_file() and path.stat().st_size == 10_000]
    assert halves
    assert all(path.name.startswith(".rubackup-") == (overwrite == "never") for path in halves)

    copies.restore(source, target, overwrite=overwrite, task_id=7)

    if overwrite == "never":  # folders that exist keep their metadata, too: those of the killed attempt
        for path in source.rglob("*/*"):
            assert (landed(target, source) / path.relative_to(source)).read_bytes() == path.read_bytes()
        assert not list(target.rglob(".rubackup-*"))
    else:
        assert_same(source, landed(target, source))


def test_a_rich_tree_over_itself(tmp_path: Path, target: Path) -> None:
    """Restored into nothing, over itself, and with everything replaced, the tree is the same."""
    source = tmp_path / "rich"
    make_rich_tree(source)
    copies = Copies()
    copies.backup(source)
    for overwrite in ("if_changed", "if_changed", "always"):
        done = copies.restore(source, target, overwrite=overwrite)
        assert (done.files_failed, copies.told()) == (0, [])
        assert_same(source, landed(target, source))
    assert stat.S_ISFIFO((landed(target, source) / "fifo").stat().st_mode)
