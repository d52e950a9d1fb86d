"""One storage of a pool is lost: what lies in the others is served, the rest is named, and comes back with the storage."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from rubackup.chunkstore import pack
from rubackup.chunkstore.backends.base import Backend
from rubackup.chunkstore.backends.faults import FaultyBackend
from rubackup.chunkstore.backends.memory import MemoryBackend
from rubackup.chunkstore.locations import folders
from rubackup.chunkstore.pool import Pool
from rubackup.domain.errors import Conflict, RubackupError, StorageFault
from support.chunkstore import POOL, Client, Place, begin, noise, record_id, restore

FIRST = {f"/first{i}": noise(40_000, i) for i in range(5)}
SECOND = {f"/second{i}": noise(40_000, 100 + i) for i in range(5)}
BOTH = FIRST | SECOND


def nothing(*_: object) -> None:
    """No progress, no check."""


def lose(place: Place, name: str) -> dict:
    """The storage's disk is unmounted; what was on it."""
    files = dict(place.memory(name).files)
    place.memory(name).files.clear()
    return files


@pytest.fixture
def pool(place: Place) -> Pool:
    """Record 1 lies in storage one, record 2 in two, and record 3 needs both."""
    place.storages = ["one"]
    Client().backup(begin(place.open(), 1), FIRST)
    place.memory("one").capacity_bytes = 0
    place.storages = ["one", "two"]
    opened = place.reopen()
    Client().backup(begin(opened, 2), SECOND)
    Client().backup(begin(opened, 3), BOTH)
    return opened


def unavailable(pool: Pool) -> list[str]:
    """The records that cannot be restored now, asked for in pages."""
    found, after = [], ""
    while True:
        page, after = pool.list_unavailable(after, 2)
        found += page
        if not after:
            return found


def check_without(pool: Pool, lost: str) -> None:
    """Everything that does not need the lost storage works, the rest says what it needs."""
    alone, gone = (1, 2) if lost == "two" else (2, 1)
    tree = FIRST if lost == "two" else SECOND
    assert len(pool.records()) >= 3
    assert unavailable(pool) == [record_id(one) for one in sorted((gone, 3))]
    assert pool.unavailable(record_id(alone)) == ""
    assert restore(pool, record_id(alone)) == tree
    assert pool.verify(record_id(alone), nothing, lambda: None).damaged == []
    for one in (gone, 3):
        assert lost in pool.unavailable(record_id(one))
        with pytest.raises(RubackupError):
            restore(pool, record_id(one))
    with pytest.raises(StorageFault, match=lost):
        pool.collect(nothing, lambda: None)
    with pytest.raises(StorageFault):
        pool.drop(record_id(gone))
    assert [fill.path for fill in pool.fills() if fill.problem] == [lost]


@pytest.mark.parametrize("start", [False, True])
@pytest.mark.parametrize("lost", ["one", "two"])
def test_the_others_serve_and_what_is_lost_comes_back(place: Place, pool: Pool, lost: str, start: bool) -> None:
    """Noticed while the pool is open, or at a start; the same storage back again makes every record whole."""
    place.memory("one").capacity_bytes = 1 << 40
    if start:
        place.close()
    files = lose(place, lost)
    pool = place.open() if start else pool
    pool.look()

    check_without(pool, lost)
    Client().backup(begin(pool, 4), {"/new": noise(40_000, 500)})
    assert restore(pool, record_id(4)) == {"/new": noise(40_000, 500)}
    assert not place.memory(lost).files

    place.memory(lost).files.update(files)
    pool.look()
    assert pool.away() == []
    assert unavailable(pool) == []
    for number, tree in {1: FIRST, 2: SECOND, 3: BOTH}.items():
        assert restore(pool, record_id(number)) == tree
        assert pool.verify(record_id(number), nothing, lambda: None).damaged == []
    pool.collect(nothing, lambda: None)
    pool.drop(record_id(1))


def test_a_backup_of_what_is_away_sends_it_again(place: Place, pool: Pool) -> None:
    """Into a storage that is there; a record that needed the lost storage for that alone is whole again."""
    place.memory("one").capacity_bytes = 1 << 40
    lose(place, "two")
    client = Client()
    client.backup(begin(pool, 4), BOTH)

    assert client.sent > 0
    assert restore(pool, record_id(4)) == BOTH
    assert unavailable(pool) == [record_id(2), record_id(3)]  # their manifests lie there


@pytest.mark.parametrize("at", range(8))
def test_pulled_out_in_the_middle_of_a_backup(
    place: Place, pool: Pool, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    """The backup ends, or goes on elsewhere; the next one works, and no record is listed that does not restore."""
    monkeypatch.setattr(pack, "TARGET_BYTES", 60_000)
    place.memory("one").capacity_bytes = 1 << 40
    place.memory("two").capacity_bytes = 0
    tree = {f"/new{i}": noise(30_000, 900 + i) for i in range(8)}
    session, client = begin(pool, 4), Client()
    files: dict = {}
    failed = ""
    try:
        for number, data in enumerate(tree.values()):
            if number == at:
                place.memory("two").capacity_bytes = 1 << 40
                files = lose(place, "one")
                pool.look()
            client.send(session, client.chunks(data))
        summary = client.manifest(session, tree)
        session.seal(summary.files, summary.files_failed, summary.size_bytes)
    except RubackupError as error:
        failed = error.message
    assert not place.memory("one").files
    assert bool(failed) == (at > 0)  # nothing was lost of a backup that had sent nothing yet
    assert "one" in failed or not failed

    client.backup(begin(pool, 5, fence=2), tree)
    assert restore(pool, record_id(5)) == tree
    for record in pool.records():
        if not pool.unavailable(record.record):
            restore(pool, record.record)
    place.memory("one").files.update(files)
    pool.look()
    assert pool.away() == []
    for record in pool.records():
        restore(pool, record.record)
    assert not place.reopen().problems


def test_a_storage_is_not_taken_back_from_a_session_that_wrote_there(place: Place, pool: Pool) -> None:
    """Its open packs are closed only when nobody can write to them any more."""
    place.memory("one").capacity_bytes = 1 << 40
    session, client = begin(pool, 4), Client()
    client.send(session, client.chunks(noise(20_000, 77)))
    files = lose(place, "one")
    pool.look()
    place.memory("one").files.update(files)
    pool.look()
    assert pool.away() == ["one"]
    assert "wait" in pool.fills()[-1].problem

    with pytest.raises(StorageFault, match="one went away"):
        session.query(b"")
    pool.look()
    assert pool.away() == []
    assert restore(pool, record_id(1)) == FIRST


def test_a_storage_that_was_away_for_a_moment_loses_nothing(place: Place, pool: Pool) -> None:
    """Packs that were missed in that moment are known again."""
    files = lose(place, "two")
    with suppress(RubackupError):
        restore(pool, record_id(2))
    for number in [row.number for row in pool._index.packs()]:
        pool._index.mark_missing(number)
    assert not pool._storages.all[1].bound
    place.memory("two").files.update(files)
    pool.look()

    assert {pool._index.pack(number).storage for number in pool._index.missing} == {pool._storages.all[0].id}
    assert restore(pool, record_id(2)) == SECOND


def test_a_disk_that_takes_no_data_is_passed_over_until_it_does(place: Place) -> None:
    """EIO when a pack is written: the next backup goes to the next folder, and back when a probe could be written."""
    broken = {"one": False}

    def fault(operation: str, name: str, after: bool) -> None:
        if broken["one"] and operation not in {"read", "size", "list", "space"}:
            raise StorageFault(f"one/{name}: Input/output error.")

    def wrap(inner: Backend) -> Backend:
        return FaultyBackend(inner, fault) if inner.label == "one" else inner

    place.wrap = wrap
    place.storages = ["one", "two"]
    pool = place.open()
    Client().backup(begin(pool, 1), FIRST)
    broken["one"] = True
    with pytest.raises(StorageFault, match="Input/output"):
        Client().backup(begin(pool, 2), SECOND)
    Client().backup(begin(pool, 3), SECOND)
    assert restore(pool, record_id(3)) == SECOND
    assert "Input/output" in pool.fills()[0].problem
    assert restore(pool, record_id(1)) == FIRST

    broken["one"] = False
    pool.look()
    before = len(place.memory("one").files)
    Client().backup(begin(pool, 4), {"/more": noise(50_000, 4)})
    assert len(place.memory("one").files) > before
    assert [fill.problem for fill in pool.fills()] == ["", ""]
    assert not [name for name in place.memory("one").files if name.startswith("probe")]


def test_a_folder_that_moved_is_the_same_storage(place: Place, pool: Pool) -> None:
    """Given under its new path while the pool runs; the old path can be taken out."""
    place.backends["three"] = MemoryBackend("three")
    place.memory("three").files.update(lose(place, "two"))
    pool.reconfigure(folders([Path("one"), Path("two"), Path("three")]), 0, None)

    assert pool.away() == []
    assert pool.is_left_out("two")
    assert pool.needs("two") == ""
    pool.reconfigure(folders([Path("one"), Path("three")]), 0, None)
    assert restore(place_restored := pool, record_id(3)) == BOTH
    assert unavailable(place_restored) == []


def test_a_disk_that_was_replaced_by_a_copy_of_it_goes_on(place: Place, pool: Pool) -> None:
    """Another disk with the same content at the same path, while the pool runs."""
    old = place.memory("two")
    copy = MemoryBackend("two")
    copy.files.update(old.files)
    lose(place, "two")
    pool.look()
    assert pool.away() == ["two"]
    place.backends["two"] = copy
    pool.look()

    assert pool.away() == []
    assert restore(pool, record_id(3)) == BOTH


# --- a real file system that is taken away ---


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Path]:
    """An ext4 of its own, mounted."""
    if os.geteuid() != 0:
        pytest.skip("mounting takes root")
    image, point = tmp_path / "image", tmp_path / "disk"
    point.mkdir()
    with image.open("wb") as file:
        file.truncate(64 << 20)
    made = subprocess.run(["mkfs.ext4", "-q", "-F", image], capture_output=True, check=False)
    if (
        made.returncode
        or subprocess.run(["mount", "-o", "loop", image, point], capture_output=True, check=False).returncode
    ):
        pytest.skip("this host mounts no images")
    yield point
    while not subprocess.run(["umount", "-l", point], capture_output=True, check=False).returncode:
        pass


def test_an_ext4_that_is_unmounted_in_the_middle_of_a_backup(
    tmp_path: Path, mounted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`umount -l`: the backup ends with a sentence, the next one goes to the other folder, and what was there comes back."""
    monkeypatch.setattr(pack, "TARGET_BYTES", 60_000)
    places = [mounted / "pool", tmp_path / "other"]
    (mounted / "pool").mkdir()
    (tmp_path / "other").mkdir()
    pool = Pool.open(uuid=POOL, metadata=tmp_path / "metadata", storages=folders(places), reserve_bytes=0, level=1)
    try:
        client = Client()
        client.backup(begin(pool, 1), FIRST)
        session = begin(pool, 2)
        client.send(session, client.chunks(noise(100_000, 5)))
        subprocess.run(["umount", "-l", mounted], check=True)
        with pytest.raises(RubackupError, match="disk"):
            client.backup(session, SECOND)
        client.backup(begin(pool, 3), SECOND)
        assert restore(pool, record_id(3)) == SECOND
        assert unavailable(pool) == [record_id(1)]
        assert not list(mounted.rglob("*.pack"))

        subprocess.run(["mount", "-o", "loop", tmp_path / "image", mounted], check=True)
        pool.look()
        assert unavailable(pool) == []
        assert restore(pool, record_id(1)) == FIRST
        assert pool.verify(record_id(3), nothing, lambda: None).damaged == []
        with pytest.raises(Conflict):
            begin(pool, 3)
    finally:
        pool.close()
