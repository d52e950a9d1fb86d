"""Reading ahead: in order, bounded, faster where each file costs a round trip; and where that is."""

from __future__ import annotations

import os
import threading
from contextlib import closing
from pathlib import Path

import pytest

from rubackup.client.modules.filesystem.ahead import ReadAhead
from rubackup.client.modules.filesystem.streams import FLASH, NETWORK, ONE, Streams
from rubackup.client.mounttable import MountEntry

LIMIT_SECONDS = 60


def listed(count: int, size: int = 100) -> list[tuple[bytes, os.stat_result]]:
    """A listing of files of this size."""
    return [
        (b"%04d" % number, os.stat_result((0o100644, number, 0, 1, 0, 0, size, 0, 0, 0))) for number in range(count)
    ]


def name_of(_folder: int, name: bytes, _st: os.stat_result) -> bytes:
    """What is given back for a file here."""
    return name


@pytest.mark.parametrize("streams", [1, 2, 8])
@pytest.mark.parametrize("count", [0, 1, 2, 33, 500])
def test_contents_come_in_the_order_of_the_files(streams: int, count: int) -> None:
    """However many threads read, each file's place keeps its own content."""
    with closing(ReadAhead(name_of)) as ahead:
        assert list(ahead.results(0, listed(count), streams)) == [name for name, _ in listed(count)]


@pytest.mark.parametrize(("streams", "at_once"), [(1, 1), (4, 4), (8, 8)])
def test_as_many_files_as_streams_are_on_their_way(streams: int, at_once: int) -> None:
    """With a latency for each file, as many latencies pass at a time as there are streams: no more, and no fewer."""
    lock = threading.Lock()
    together = threading.Barrier(at_once)
    running = most = 0

    def distant(_folder: int, name: bytes, _st: os.stat_result) -> bytes:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        together.wait(LIMIT_SECONDS)  # nobody comes back before all have gone out
        with lock:
            running -= 1
        return name

    with closing(ReadAhead(distant)) as ahead:
        found = list(ahead.results(0, listed(8 * streams), streams))

    assert found == [name for name, _ in listed(8 * streams)]
    assert most == at_once


def test_an_error_stands_in_the_file_s_place() -> None:
    """A file that cannot be read does not end the others, and its error is the caller's to judge."""

    def load(_folder: int, name: bytes, _st: os.stat_result) -> bytes:
        if name == b"0003":
            raise PermissionError("no")
        return name

    with closing(ReadAhead(load)) as ahead:
        found = list(ahead.results(0, listed(6), 2))

    assert isinstance(found[3], PermissionError)
    assert [one for one in found if isinstance(one, bytes)] == [name for name, _ in listed(6) if name != b"0003"]


def test_what_is_read_ahead_is_bounded() -> None:
    """However slowly results are taken, no more is read than may be held, and one file that is larger still comes."""
    loaded: list[bytes] = []

    def load(_folder: int, name: bytes, _st: os.stat_result) -> bytes:
        loaded.append(name)
        return name

    with closing(ReadAhead(load, ahead_bytes=10_000)) as ahead:
        results = ahead.results(0, listed(100, size=1000), 2)
        next(results)
        ahead._pool.submit(bool).result(LIMIT_SECONDS)  # type: ignore[union-attr]  # what was handed over is read
        assert len(loaded) <= 14
        assert list(results)[-1] == b"0099"
        assert list(ahead.results(0, listed(3, size=50_000), 2)) == [b"0000", b"0001", b"0002"]


def test_a_folder_that_is_left_early_is_not_read_any_more() -> None:
    """When the caller stops, no thread still uses the folder's descriptor."""
    running = threading.Event()

    def load(_folder: int, name: bytes, _st: os.stat_result) -> bytes:
        running.set()
        return name

    with closing(ReadAhead(load)) as ahead:
        results = ahead.results(0, listed(500), 4)
        next(results)
        assert running.wait(LIMIT_SECONDS)
        results.close()  # type: ignore[attr-defined]
        running.clear()
        ahead._pool.submit(bool).result(LIMIT_SECONDS)  # type: ignore[union-attr]
        assert not running.is_set()


@pytest.fixture
def sysfs(tmp_path: Path) -> Path:
    """A /sys/dev/block with a spinning disk 8:0 and its partition 8:1, flash 8:16, and dm over them."""
    devices = tmp_path / "devices"
    for name, rotational in (("sda", "1"), ("sdb", "0"), ("dm-0", "0"), ("dm-1", "0"), ("dm-2", "0")):
        (devices / name / "queue").mkdir(parents=True)
        (devices / name / "queue/rotational").write_text(f"{rotational}\n")
        (devices / name / "slaves").mkdir()
    (devices / "sda/sda1").mkdir()
    (devices / "dm-0/slaves/sda1").symlink_to(devices / "sda/sda1")
    (devices / "dm-1/slaves/sdb").symlink_to(devices / "sdb")
    (devices / "dm-2/slaves/dm-0").symlink_to(devices / "dm-0")
    (devices / "dm-2/slaves/dm-1").symlink_to(devices / "dm-1")
    block = tmp_path / "block"
    block.mkdir()
    for number, name in (("8:0", "sda"), ("8:1", "sda/sda1"), ("8:16", "sdb"), ("252:0", "dm-0"), ("252:1", "dm-1"),
                         ("252:2", "dm-2")):  # fmt: skip
        (block / number).symlink_to(devices / name)
    return block


@pytest.mark.parametrize(
    ("number", "streams"),
    [
        ((8, 0), ONE),
        ((8, 1), ONE),
        ((8, 16), FLASH),
        ((252, 0), ONE),
        ((252, 1), FLASH),
        ((252, 2), ONE),
        ((9, 9), ONE),
    ],
)
def test_disks(sysfs: Path, number: tuple[int, int], streams: int) -> None:
    """One stream for spinning disks, also for partitions, and below device mapper; and where nobody tells."""
    assert Streams(sysfs, list).of(os.makedev(*number)) == streams


@pytest.mark.parametrize(
    ("kind", "streams"),
    [
        ("nfs4", NETWORK),
        ("cifs", NETWORK),
        ("fuse.sshfs", NETWORK),
        ("fuse", NETWORK),
        ("ceph", NETWORK),
        ("tmpfs", ONE),
    ],
)
def test_file_systems_without_a_disk(sysfs: Path, kind: str, streams: int) -> None:
    """Many streams where each call is a round trip; one where nothing is waited for."""
    mount = MountEntry("0:42", b"/", b"/mnt", kind, b"server:/export")

    assert Streams(sysfs, lambda: [mount]).of(os.makedev(0, 42)) == streams


def test_a_real_disk_has_an_answer() -> None:
    """On this host too."""
    assert Streams().of(Path(__file__).stat().st_dev) in {ONE, FLASH, NETWORK}
