"""A record that is copied into another pool: whole, its owner's, and harmless wherever it is interrupted."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rubackup.chunkstore import _packing, group, pack
from rubackup.chunkstore.backends.faults import FaultyBackend
from rubackup.chunkstore.copying import RecordCopy
from rubackup.chunkstore.identity import chunk_id
from rubackup.chunkstore.manifest import ManifestReader
from rubackup.chunkstore.pool import Pool, SealedRecord, WriteSession
from rubackup.domain.errors import Corrupt, RubackupError, Stopped, StorageFault
from support.chunkstore import Client, Place, begin, noise, record_id, restore

TREE = {"/deep/a": noise(120_000, 1), "/deep/b": noise(40_000, 2), "/text": b"text " * 5000, "/empty": b""}
OWNER, OTHER = "00000000000000aa", "00000000000000bb"


@pytest.fixture
def target(tmp_path: Path) -> Iterator[Place]:
    """A second pool, in memory."""
    found = Place(tmp_path / "target")
    yield found
    found.close()


class Counting:
    """A source that counts the groups it gave."""

    def __init__(self, pool: Pool, record: str) -> None:
        self._session = pool.read(record)
        self.manifest_bytes = self._session.manifest_bytes
        self.given: list[bytes] = []

    def read_manifest(self, offset: int, length: int) -> bytes:
        """A range of the manifest."""
        return self._session.read_manifest(offset, length)

    def groups(self, runs: list[tuple[int, int]]) -> Iterator[bytes]:
        """The groups of these rows."""
        for data in self._session.groups(runs):
            self.given.append(data)
            yield data


def copy(
    source: Pool, number: int, session: WriteSession, check: Callable[[], None] = lambda: None, level: int | None = 3
) -> tuple[SealedRecord, Counting]:
    """The copy of a record, sealed, and what was read for it."""
    reader = Counting(source, record_id(number))
    summary = RecordCopy(reader, session, level, lambda *_: None, check).run()
    return session.seal(summary.files, summary.files_failed, summary.size_bytes), reader


def test_a_copy_is_the_record_under_another_name(place: Place, target: Place) -> None:
    """Every byte, every entry and all facts but record and parent are the source's."""
    source, there = place.open(), target.open()
    made = Client().backup(begin(source, 1), TREE)

    copied, _ = copy(source, 1, begin(there, 2))

    assert restore(there, record_id(2)) == TREE
    assert (copied.record, copied.parent, copied.owner) == (record_id(2), "", OWNER)
    same = ("resource", "resource_type", "backup_type", "files", "files_failed", "size_bytes")
    assert [getattr(copied, name) for name in same] == [getattr(made, name) for name in same]
    one, two = source.read(record_id(1)), there.read(record_id(2))
    old = ManifestReader(one.read_manifest, one.manifest_bytes)
    new = ManifestReader(two.read_manifest, two.manifest_bytes)
    assert list(old.folders()) == list(new.folders())
    assert old.rows(0, old.row_count) == new.rows(0, new.row_count)
    assert target.reopen().problems == []


def test_a_copy_names_the_parents_copy(place: Place, target: Place) -> None:
    """Where the target holds the parent's copy the new header names it, though the header's length changes."""
    source, there = place.open(), target.open()
    Client().backup(begin(source, 1), TREE)
    copy(source, 1, begin(there, 2))

    copied, _ = copy(source, 1, begin(there, 3, parent=record_id(2)))

    assert copied.parent == record_id(2)
    assert restore(there, record_id(3)) == TREE


def test_groups_go_over_as_they_are_stored(place: Place, target: Place) -> None:
    """What belongs to the record wholly is not compressed anew, whatever the target's compression."""
    source, there = place.open(), target.open()
    Client(level=1).backup(begin(source, 1), TREE)

    _, read = copy(source, 1, begin(there, 2), level=None)

    stored = b"".join(bytes(file.data) for file in target.memory().files.values())
    assert len(read.given) > 1
    assert all(data in stored for data in read.given)


def test_what_the_target_has_is_not_read_again(place: Place, target: Place) -> None:
    """A second copy reads nothing from the source; one with something new reads only that."""
    source, there = place.open(), target.open()
    Client().backup(begin(source, 1), TREE)
    Client().backup(begin(source, 2), TREE | {"/new": noise(30_000, 7)})
    copy(source, 1, begin(there, 11))

    _, again = copy(source, 1, begin(there, 12))
    _, more = copy(source, 2, begin(there, 13))

    assert again.given == []
    assert 0 < sum(map(len, more.given)) < 60_000
    assert restore(there, record_id(13)) == TREE | {"/new": noise(30_000, 7)}


def test_what_others_stored_in_the_target_becomes_the_owners_without_being_read(place: Place, target: Place) -> None:
    """The owner showed in the source pool that it has the chunks; the copy restores, and stores nothing anew."""
    source, there = place.open(), target.open()
    Client().backup(begin(source, 1), TREE)
    Client(owner=OTHER).backup(begin(there, 5, owner=OTHER), TREE)

    copied, read = copy(source, 1, begin(there, 2))

    assert read.given == []
    assert copied.stored_bytes < 5000
    assert restore(there, record_id(2)) == TREE


@pytest.mark.parametrize("lose_index", [False, True])
def test_a_client_gets_no_chunk_that_its_record_does_not_name(place: Place, target: Place, lose_index: bool) -> None:
    """Others' chunks are left out by the source, its own loose ones on the way: the target never takes those for the owner's."""
    source, there = place.open(), target.open()
    mine, theirs, loose = noise(3000, 1), noise(3000, 2), noise(3000, 3)
    session = begin(source, 5, owner=OTHER)
    session.put_group(group.encode([(chunk_id(data), data) for data in (mine, theirs)], 1))
    Client(owner=OTHER).backup(session, {"/mine": mine, "/theirs": theirs})
    session = begin(source, 1, share=True)
    session.put_group(group.encode([(chunk_id(data), data) for data in (loose, noise(99, 4))], 1))
    Client().backup(session, {"/mine": mine, "/loose": loose})

    _, read = copy(source, 1, begin(there, 2))
    if lose_index:
        target.close()
        target.lose_index()
        there = target.open()

    assert [len(group.read_head(data).ids) for data in read.given] == [1, 2]
    ids = b"".join(chunk_id(data) for data in (mine, loose, theirs, noise(99, 4)))
    assert begin(there, 9).query(ids)[0] == bytes([1, 1, 0, 0])
    assert restore(there, record_id(2)) == {"/mine": mine, "/loose": loose}


def _damage_packs(place: Place) -> None:
    for name, file in place.memory().files.items():
        if name.startswith("packs/"):
            file.data[len(file.data) // 2] ^= 0xFF


def test_damage_in_the_source_is_named_and_nothing_is_listed(place: Place, target: Place) -> None:
    """A record that cannot be read whole is not copied."""
    source, there = place.open(), target.open()
    Client().backup(begin(source, 1), TREE)
    _damage_packs(place)
    session = begin(there, 2)

    with pytest.raises(Corrupt, match=r"Pack one/packs/.* is damaged at offset"):
        copy(source, 1, session)
    session.abort()

    assert there.records() == []


def test_damage_that_the_target_had_is_healed(place: Place, target: Place) -> None:
    """Chunks that are stored there but damaged are found by reading back, and come from the source."""
    source, there = place.open(), target.open()
    Client().backup(begin(source, 1), TREE)
    copy(source, 1, begin(there, 2))
    _damage_packs(target)

    _, read = copy(source, 1, begin(there, 3))

    assert read.given
    assert restore(there, record_id(3)) == TREE
    assert restore(there, record_id(2)) == TREE


def test_a_stopped_copy_goes_on_where_it_was(place: Place, target: Place, tmp_path: Path) -> None:
    """After a stop nothing is listed; the next attempt reads only what is not there."""
    source, there = place.open(), target.open()
    Client(group_bytes=4096).backup(begin(source, 1), TREE)
    left = [12]

    def check() -> None:
        left[0] -= 1
        if not left[0]:
            raise Stopped

    session = begin(there, 2)
    with pytest.raises(Stopped):
        copy(source, 1, session, check)
    session.abort()
    assert there.records() == []

    _, read = copy(source, 1, begin(there, 2, fence=2, record=record_id(3)))

    _, whole = copy(source, 1, begin(Place(tmp_path / "other").open(), 2))
    assert 0 < len(read.given) < len(whole.given)
    assert restore(there, record_id(3)) == TREE


class Crash(Exception):
    """The power is gone."""


def crashed(source: Pool, place: Place, step: int, *, torn: bool) -> Place | None:
    """What a disk would hold after a crash at a step of a copy into this pool; None when the copy came to its end."""
    Client().backup(begin(place.open(), 1), {"/old": noise(50_000, 9)})
    place.close()
    survivors: list[Place] = []
    left = [step]

    def script(operation: str, name: str, done: bool) -> None:
        left[0] -= operation != "read"
        if left[0] < 0 and not survivors:
            folder = Path(f"{place.folder}-crashed")
            shutil.copytree(place.folder, folder)
            survivors.append(Place(folder))
            survivors[0].backends["one"] = place.memory().after_power_loss(torn=torn)
        if survivors:
            raise Crash

    place.wrap = lambda backend: FaultyBackend(backend, script)
    try:
        copy(source, 1, begin(place.open(), 2))
    except (Crash, RubackupError):
        assert survivors
    for pool in place.opened:
        with contextlib.suppress(Crash):
            pool.close()
        pool._index.close()
    return survivors[0] if survivors else None


@pytest.mark.parametrize("torn", [False, True])
def test_a_crash_at_any_step_loses_nothing_and_doubles_nothing(
    quick_folder: Path, monkeypatch: pytest.MonkeyPatch, torn: bool
) -> None:
    """Source and older records stay whole; what is listed is whole; the next attempt gives one good copy."""
    monkeypatch.setattr(pack, "TARGET_BYTES", 100_000)
    monkeypatch.setattr(_packing, "CLOSING", 0)  # one step after the other, so that each run has the same ones
    origin = Place(quick_folder / "origin")
    source = origin.open()
    Client().backup(begin(source, 1), TREE)
    step = 0
    while (survivor := crashed(source, Place(quick_folder / str(step)), step, torn=torn)) is not None:
        pool = survivor.open()
        listed = {one.record for one in pool.records()}
        assert {record_id(1)} <= listed <= {record_id(1), record_id(2)}
        assert all(not pool.verify(name, lambda *_: None, lambda: None).damaged for name in listed)
        copy(source, 1, begin(pool, 2, fence=2, record=record_id(3)))
        assert restore(pool, record_id(3)) == TREE
        assert not [name for name in survivor.memory().files if name.endswith(".open")]
        survivor.close()
        step += 1

    assert step > 10
    assert restore(source, record_id(1)) == TREE
    origin.close()


def test_progress_only_rises_and_ends_with_all_of_it(place: Place, target: Place) -> None:
    """Half for the way there, half for reading back."""
    source, there = place.open(), target.open()
    Client(group_bytes=8192).backup(begin(source, 1), TREE)
    seen: list[tuple[int, int, int]] = []
    session = begin(there, 2)
    RecordCopy(source.read(record_id(1)), session, 1, lambda *figures: seen.append(figures), lambda: None).run()
    session.abort()

    done, totals, written = zip(*seen, strict=True)
    size = sum(map(len, TREE.values()))
    assert len(set(done)) > 20
    assert list(done) == sorted(done)
    assert list(written) == sorted(written)
    assert (done[-1], set(totals)) == (size, {size})


def test_a_locked_record_cannot_be_dropped(any_place: Place) -> None:
    """Until its lock ends, also after a restart; a lock is only ever extended."""
    pool = any_place.open()
    Client().backup(begin(pool, 1), TREE)
    now = pool.now_ns()
    pool.lock(record_id(1), now + 10)
    pool.lock(record_id(1), now + 5)

    for _ in range(2):
        with pytest.raises(RubackupError, match="locked against deletion"):
            pool.drop(record_id(1))
        assert pool.locked_until_ns(record_id(1)) == now + 10
        pool = any_place.reopen()
        assert pool.problems == []
    pool.now_ns = lambda: now + 11
    pool.drop(record_id(1))

    assert any_place.reopen().records() == []
    assert [name for name in _files(any_place) if name.endswith(".lock")] == []


def _files(place: Place) -> list[str]:
    backend = place.opened[-1]._storages.all[0].backend
    return [item.name for item in backend.list("manifests")]


def test_a_torn_lock_keeps_what_was_durable(place: Place) -> None:
    """The row that was being added when the power went counts for nothing; the ones before hold."""
    pool = place.open()
    Client().backup(begin(pool, 1), TREE)
    pool.lock(record_id(1), pool.now_ns() + 10)
    place.memory().files[f"manifests/{record_id(1)}.lock"].data += b"torn"
    assert pool.locked_until_ns(record_id(1)) == pool.now_ns() + 10
    pool.lock(record_id(1), pool.now_ns() + 20)
    assert pool.locked_until_ns(record_id(1)) == pool.now_ns() + 20

    file = place.memory().files[f"manifests/{record_id(1)}.lock"]
    file.data[:] = b"\xff" * len(file.data)
    with pytest.raises(Corrupt, match=r"\.lock is damaged"):
        pool.drop(record_id(1))


@pytest.mark.parametrize("size", [0, 1, 39])
def test_a_lock_that_was_cut_off_keeps_the_record(place: Place, size: int) -> None:
    """Nothing of it is whole, so nobody knows until when."""
    pool = place.open()
    Client().backup(begin(pool, 1), TREE)
    pool.lock(record_id(1), pool.now_ns() + 10)
    del place.memory().files[f"manifests/{record_id(1)}.lock"].data[size:]
    with pytest.raises(Corrupt, match=r"\.lock is damaged"):
        pool.drop(record_id(1))

    assert [one.record for one in place.reopen().records()] == [record_id(1)]


def test_nothing_is_dropped_or_locked_below_a_mount_point(place: Place) -> None:
    """Without its disk the folder is empty: a tombstone or a lock there would be gone when the disk is back."""
    pool = place.open()
    Client().backup(begin(pool, 1), TREE)
    disk, place.memory().files = place.memory().files, {}
    for change in (lambda: pool.drop(record_id(1)), lambda: pool.lock(record_id(1), pool.now_ns() + 10)):
        with pytest.raises(StorageFault, match="lost its marker"):
            change()

    assert place.memory().files == {}
    place.memory().files = disk
    pool.drop(record_id(1))
    assert place.reopen().records() == []


def test_a_look_without_contents_finds_what_is_gone_but_not_what_rotted(place: Place) -> None:
    """It checks manifest, index and the packs' lengths; only a real verification hashes."""
    pool = place.open()
    Client().backup(begin(pool, 1), TREE)

    def damaged(*, contents: bool) -> list[str]:
        return pool.verify(record_id(1), lambda *_: None, lambda: None, contents=contents).damaged

    _damage_packs(place)
    assert damaged(contents=False) == []
    for name in [name for name in place.memory().files if name.startswith("packs/")]:
        del place.memory().files[name]
    assert damaged(contents=False) == ["/text", "/deep/a", "/deep/b"]
