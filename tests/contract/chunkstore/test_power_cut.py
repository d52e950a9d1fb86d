"""Power cuts at points of a recorded job, and what the recorder and the disk's model promise. All of it: `scripts/power-cut`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from powercut import disk as disks
from powercut import log
from powercut.__main__ import differences, recorded
from powercut.broken import WAYS
from powercut.disk import Disk
from powercut.log import CREATED, DURABLE, FOLDER, Event, Kind
from powercut.trial import VARIANTS, explore, points

SEED = 1


@pytest.fixture(scope="module")
def recorder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The recorder as a library."""
    try:
        return log.build(tmp_path_factory.mktemp("recorder"))
    except log.NoCompiler as error:
        pytest.skip(str(error))


@pytest.fixture
def folder(quick_folder: Path, recorder: Path) -> Path:
    """A folder in memory, with the recorder."""
    (quick_folder / recorder.name).symlink_to(recorder)
    return quick_folder


def test_nothing_promised_is_lost(folder: Path) -> None:
    """At points of backup, drop and rebuild, whatever reached the disk: done restores, dropped stays away, work goes on."""
    events = recorded(folder, "tiny", SEED)
    outcome = explore(events, SEED, points(events, SEED, None), scratch=folder, states=200)

    assert outcome.failures == []
    assert sum(outcome.states.values()) > 150
    assert all(outcome.states[variant] for variant in VARIANTS)


def test_a_collection_behind_a_lost_index_keeps_what_is_done(folder: Path) -> None:
    """At every point of rebuild and collection: with nothing that was not promised, and with some of it at some points."""
    events = recorded(folder, "rebuilt", SEED)
    dropped = next(number for number, one in enumerate(events, 1) if one.path == "dropped 1")
    cuts = [cut for cut in points(events, SEED, None) if cut >= dropped]
    outcome = explore(events, SEED, cuts, ("nothing",), scratch=folder)
    more = explore(events, SEED, cuts, tuple(one for one in VARIANTS if one != "nothing"), scratch=folder, states=12)

    assert outcome.failures + more.failures == []
    assert (outcome.states["nothing"], sum(more.states.values()) > 8) == (len(cuts), True)
    assert outcome.different > 10


@pytest.mark.parametrize("way", WAYS)
def test_a_store_that_breaks_its_rules_is_noticed(folder: Path, way: str) -> None:
    """Else the test above would say nothing."""
    events = recorded(folder, "tiny", SEED, "powercut.broken", way)
    outcome = explore(events, SEED, points(events, SEED, None), scratch=folder, states=300, first_failure=True)

    assert outcome.failures


EVERY_CALL = """
import ctypes, os, sys
os.chdir(sys.argv[1])
os.mkdir("deep")
inside = os.open("deep", os.O_RDONLY)
one = os.open("one", os.O_RDWR | os.O_CREAT, 0o600, dir_fd=inside)
assert os.write(one, b"begin") + os.pwrite(one, b"pwrite", 7) + os.writev(one, [b"-a", b"-b"]) == 15
os.pwritev(one, [b"c", b"d"], 20)
os.ftruncate(one, 40)
os.posix_fallocate(one, 0, 50)
os.lseek(one, 30, 0)
os.write(os.dup(one), b"dup")
appended = os.open("deep/one", os.O_WRONLY | os.O_APPEND)
os.write(appended, b"appended")
os.truncate("deep/one", 57)
open("two", "wb", buffering=0).write(b"two")
open("two", "wb").write(b"second two")
os.link("two", "three")
os.rename("two", "deep/two")
os.rename("deep", "moved")
os.replace("three", "moved/one", dst_dir_fd=None)
os.mkdir("gone")
os.rmdir("gone")
os.symlink("moved/two", "link")
os.write(os.open("left", os.O_CREAT | os.O_WRONLY), b"left")
os.remove("left")
if os.fork() == 0:
    os.write(os.open("child", os.O_CREAT | os.O_WRONLY), b"child")
    os._exit(0)
os.wait()
os.write(one, b"of a file without a name")
libc = ctypes.CDLL(None)
native = libc.creat(b"native", 0o600)
libc.write(native, b"native", 6)
libc.pwrite64(native, b"N", 1, 0)
os.fsync(native), os.fdatasync(inside)
"""


def test_every_way_to_write_is_seen(folder: Path, recorder: Path) -> None:
    """A replay of what was logged gives the files byte for byte, from Python and from native code, over forks."""
    watch = folder / "watched"
    watch.mkdir()
    log.record([sys.executable, "-c", EVERY_CALL, str(watch)], library=recorder, watch=watch, log=folder / "log")
    events = log.read(folder / "log", watch)

    assert differences(events, watch) == []
    assert (watch / "native").read_bytes() == b"Native"
    assert [event.path for event in events if event.kind is Kind.SYNC] == ["native", "moved"]


@pytest.mark.parametrize(
    "blind",
    [
        "import mmap; f = open('f', 'r+b'); mmap.mmap(f.fileno(), 4)",
        "import os; os.sendfile(os.open('f', os.O_RDWR), os.open('/etc/passwd', 0), 0, 4)",
        "import os; os.rename('/proc/self/cwd/../outside', 'f')",
    ],
)
def test_what_cannot_be_recorded_is_refused(folder: Path, recorder: Path, blind: str) -> None:
    """A shared mapping, a copy within the kernel or a file from outside ends the replay: it would not be the truth."""
    watch = folder / "watched"
    watch.mkdir()
    (folder / "outside").touch()
    begin = f"import os; os.chdir({str(watch)!r}); open('f', 'wb').write(b'1234')\n"
    log.record([sys.executable, "-c", begin + blind], library=recorder, watch=watch, log=folder / "log")

    with pytest.raises(ValueError, match="cannot be recorded"):
        differences(log.read(folder / "log", watch), watch)


def test_a_missing_compiler_is_said(folder: Path) -> None:
    """The script ends with a sentence that names what is missing."""
    environment = {**os.environ, "PATH": "/nowhere", "CC": "cc", "PYTHONPATH": str(Path(log.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "-m", "powercut"], env=environment, capture_output=True, text=True, check=False
    )

    assert done.returncode == 2
    assert "there is no `cc`" in done.stderr


def event(kind: Kind, path: str, *, inode: int = 1, flags: int = 0, at: int = 0, data: bytes = b"", target: str = ""):
    """An event as the log has it."""
    return Event(kind, flags, inode, at, 0, 1, path, target, data)


def disk(*events: Event) -> Disk:
    """The disk after these."""
    found = Disk()
    for one in events:
        found.apply(one)
    return found


MADE = event(Kind.OPEN, "a", flags=CREATED)
WRITTEN = event(Kind.WRITE, "a", data=b"one")
SYNCED = event(Kind.SYNC, "a")
NAMED = event(Kind.SYNC, "", flags=FOLDER)
MOVED = event(Kind.RENAME, "a", target="b")


@pytest.mark.parametrize(
    ("events", "left"),
    [
        ([MADE, WRITTEN], {}),
        ([MADE, WRITTEN, SYNCED], {}),
        ([MADE, WRITTEN, NAMED], {"a": b""}),
        ([MADE, WRITTEN, SYNCED, NAMED], {"a": b"one"}),
        ([MADE, WRITTEN, SYNCED, NAMED, MOVED], {"a": b"one"}),
        ([MADE, WRITTEN, SYNCED, MOVED, NAMED], {"b": b"one"}),
        ([MADE, WRITTEN, SYNCED, NAMED, event(Kind.UNLINK, "a")], {"a": b"one"}),
        ([MADE, WRITTEN, SYNCED, NAMED, event(Kind.TRUNCATE, "a", at=1)], {"a": b"one"}),
        ([MADE, NAMED, event(Kind.WRITE, "a", flags=DURABLE, at=2, data=b"x")], {"a": b""}),
        ([MADE, event(Kind.WRITE, "a", flags=DURABLE, at=2, data=b"x"), NAMED], {"a": b"\0\0x"}),
        ([MADE, WRITTEN, event(Kind.SYNC_ALL, "")], {"a": b"one"}),
    ],
)
def test_only_what_was_synced_is_sure(events: list[Event], left: dict[str, bytes]) -> None:
    """Content by fsync of the file, a name by fsync of its folder, a write through O_DSYNC when it has returned."""
    assert disk(*events).image(disks.nothing) == left


def test_what_was_not_synced_may_be_there_in_any_combination() -> None:
    """Each write and each name by itself; a write may have left zeros; the order among those that are there stays."""
    made = disk(MADE, NAMED, WRITTEN, event(Kind.WRITE, "a", at=3, data=b"two"), MOVED)
    found = {tuple(made.image(disks.Some(str(seed))).items()) for seed in range(300)}

    contents = (b"", b"one", b"onetwo", b"\0\0\0two", b"\0\0\0", b"one\0\0\0", b"\0\0\0\0\0\0")
    assert found == {((name, content),) for name in "ab" for content in contents}


def test_a_write_is_torn_at_sectors() -> None:
    """From nothing of it to all but its last sector."""
    made = disk(MADE, NAMED, event(Kind.WRITE, "a", at=100, data=b"x" * 1400))
    keeps = [disks.torn(made, str(seed)) for seed in range(50)]

    assert {len(made.image(keep)["a"]) for keep in keeps if keep} == {0, 512, 1024}
    assert disks.torn(disk(MADE), "1") is None
