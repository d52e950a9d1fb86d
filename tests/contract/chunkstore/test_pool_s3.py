"""A whole pool in a bucket: nothing that a lost request, a crash or a lost media server does may cost a record."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from rubackup.chunkstore import seals
from rubackup.chunkstore.backends.faults import FaultyBackend
from rubackup.chunkstore.backends.s3.backend import S3Backend
from rubackup.chunkstore.backends.s3.retry import Patience
from rubackup.chunkstore.pool import Pool
from rubackup.domain.errors import Conflict, RubackupError, StorageFault
from support import buckets
from support.chunkstore import Client, Place, begin, noise, record_id, restore
from support.collecting import AT_ONCE, collect, damaged, sweep
from support.s3server import S3Server

EACH = int(os.environ.get("S3_EACH_STEP", "7"))
"""Every so many requests are tried: `scripts/nightly cloud` tries each."""
NO_PATIENCE = Patience(total_seconds=0)
SECOND_NS = 1_000_000_000
TREE = {"/a": noise(90_000, 1), "/d/b": noise(50_000, 2), "/empty": b""}


class Bucketed(Place):
    """A pool in the server's bucket; each opening is that of a new process."""

    server: S3Server
    spool: Path
    more: dict

    def open(self) -> Pool:
        self.backends["one"] = buckets.backend(self.server, self.spool, **self.more)
        return super().open()

    @property
    def backend(self) -> S3Backend:
        return self.backends["one"]

    def spooled(self) -> list[str]:
        return sorted(path.name for path in self.spool.rglob("*.open"))


@pytest.fixture
def bucketed(s3: S3Server, quick_folder: Path) -> Iterator[Bucketed]:
    place = bucketed_place(s3, quick_folder)
    yield place
    place.close()


def bucketed_place(s3: S3Server, folder: Path, **more) -> Bucketed:
    place = Bucketed(folder / "pool")
    place.folder.mkdir(parents=True)
    place.server, place.spool, place.more = s3, folder / "spool", more
    return place


def tree_of(number: int) -> dict[str, bytes]:
    """Something old and something new."""
    return {**TREE, f"/new{number}": noise(30_000, 100 + number)}


def test_a_pool_lives_in_a_bucket(bucketed: Bucketed, s3: S3Server) -> None:
    """Backup, restore, verification, deletion, collection, and an index that is lost."""
    pool = bucketed.open()
    Client().backup(begin(pool, 1), TREE)
    second = Client().backup(begin(pool, 2, parent=record_id(1)), tree_of(2))
    assert second.stored_bytes < 60_000
    pool.lock(record_id(2), bucketed.now_ns + SECOND_NS)
    pool.drop(record_id(1))
    collect(pool)
    pool = bucketed.reopen()
    assert [one.record for one in pool.records()] == [record_id(2)]
    assert restore(pool, record_id(2)) == tree_of(2)
    assert damaged(pool, record_id(2)) == []
    bucketed.close()
    bucketed.lose_index()
    pool = bucketed.open()

    assert pool.problems == []
    assert restore(pool, record_id(2)) == tree_of(2)
    assert pool.locked_until_ns(record_id(2)) == bucketed.now_ns + SECOND_NS
    assert bucketed.spooled() == []
    assert pool.usage().problem == ""
    bucketed.set_clock(2 * SECOND_NS)
    pool.drop(record_id(2))
    collect(pool)
    assert [name for name in s3.names() if name.endswith((".pack", ".manifest"))] == []


@pytest.mark.parametrize("what", ["before", "after", "500 before", "503 after"])
def test_a_backup_survives_the_loss_of_any_request(bucketed: Bucketed, s3: S3Server, what: str) -> None:
    """Lost before or after its effect: the backup succeeds, and nothing is there twice."""
    pool = bucketed.open()
    for number in count(1):  # quick enough for all
        lost = lose_one(s3, number, what)
        Client().backup(begin(pool, number), {"/new": noise(70_000, number)})
        s3.script = None
        if not lost:
            break
    packs = [name for name in s3.names() if name.endswith(".pack")]

    assert number > 5
    assert len(packs) == len(pool.records()) == number
    assert bucketed.spooled() == []
    pool = bucketed.reopen()
    assert pool.problems == []
    assert not s3.bucket().uploads
    for one in range(1, number + 1):
        assert restore(pool, record_id(one)) == {"/new": noise(70_000, one)}


@pytest.mark.parametrize("what", ["before", "after"])
def test_a_collection_survives_the_loss_of_any_request(bucketed: Bucketed, s3: S3Server, what: str) -> None:
    """Of deleting, emptying and removing packs: what is needed stays, what is not goes."""
    pool = bucketed.open()
    kept = {"/kept": noise(20_000, 7)}
    Client().backup(begin(pool, 1000), kept)
    for number in count(1, EACH):
        Client().backup(begin(pool, number), {**kept, "/gone": noise(90_000, number), "/stays": noise(10_000, number)})
        Client().backup(begin(pool, 2000), {"/stays": noise(10_000, number)})
        lost = lose_one(s3, number, what)
        pool.drop(record_id(number))
        result = collect(pool)
        s3.script = None
        assert result.problems == []
        assert restore(pool, record_id(1000)) == kept
        assert restore(pool, record_id(2000)) == {"/stays": noise(10_000, number)}
        pool.drop(record_id(2000))
        bucketed.reopen().tidy(lambda: None)
        pool = bucketed.opened[0]
        (tombstone,) = [name for name in s3.names() if name.endswith(f"{record_id(2000)}.tombstone")]
        del s3.bucket().keys[tombstone]  # so that the number can be used again
        if not lost:
            break
    collect(pool)

    assert number > 10
    assert len([name for name in s3.names() if name.endswith(".pack")]) == 1
    assert restore(bucketed.reopen(), record_id(1000)) == kept


def lose_one(s3: S3Server, number: int, what: str) -> list[str]:
    """Let the request of this number, from now, be lost; what was."""
    first, lost = len(s3.log), []

    def script(at: int, method: str, key: str) -> str | None:
        if at - first == number - 1:
            lost.append(f"{method} {key}")
            return what
        return None

    s3.script = script
    return lost


@pytest.mark.parametrize("what", ["before", "after"])
def test_an_outage_at_any_request_costs_one_backup_at_most(s3: S3Server, quick_folder: Path, what: str) -> None:
    """It fails with one sentence; the next backup in the same process succeeds, and so does one after a restart."""
    bucketed = bucketed_place(s3, quick_folder, patience=NO_PATIENCE)
    pool = bucketed.open()
    client, failures, done = Client(), [], {}
    for number in count(1):
        tree = {"/new": noise(70_000, number)}
        first = len(s3.log)
        s3.script = lambda at, *_, first=first, number=number: what if at - first >= number - 1 else None
        session = None
        try:
            session = begin(pool, number)
            client.backup(session, tree)
        except StorageFault as error:
            failures.append(error.message)
            s3.script = None
            if session:
                session.abort()
        else:
            done[number] = tree
            break
        after = 1000 + number
        done[after] = tree
        client.backup(begin(pool, after), tree)
    s3.script = None
    pool = bucketed.reopen()

    assert len(failures) > 5
    assert all("did not answer" in text for text in failures)
    assert pool.problems == []
    assert {record_id(number) for number in done} <= {one.record for one in pool.records()}
    for one in pool.records():
        assert damaged(pool, one.record) == []
    for number, tree in done.items():
        assert restore(pool, record_id(number)) == tree
    assert bucketed.spooled() == []
    client.backup(begin(pool, 5000), TREE)
    bucketed.close()


class Crash(Exception):
    """The media server is gone."""


@pytest.mark.parametrize("lose_index", [False, True])
def test_a_spool_that_is_lost_costs_no_record(s3: S3Server, quick_folder: Path, lose_index: bool) -> None:
    """At every step of two backups the media server dies and its spool with it: what was sealed is restored."""
    for step in count(0, EACH):
        s3.reset()
        s3.bucket()
        bucketed = bucketed_place(s3, quick_folder / str(step))
        left = [step]

        def script(operation: str, name: str, done: bool, left: list[int] = left) -> None:
            if operation != "read":
                left[0] -= 1
            if left[0] < 0:
                raise Crash

        bucketed.wrap = lambda backend, script=script: FaultyBackend(backend, script)
        promised = []
        crashed = False
        try:
            pool = bucketed.open()
            one, two = begin(pool, 1), begin(pool, 2)
            Client().send(one, Client().chunks(TREE["/a"]))
            one.checkpoint()
            Client().backup(two, TREE)
            promised.append(2)
            Client().backup(one, TREE)
            promised.append(1)
        except Crash:
            crashed = True
        bucketed.wrap = lambda backend: backend
        left[0] = -1
        for one in bucketed.opened:
            one._sessions.clear()
        bucketed.close()
        shutil.rmtree(bucketed.spool, ignore_errors=True)
        if lose_index and (bucketed.metadata / "index").exists():
            bucketed.lose_index()
        pool = bucketed.open()
        for number in promised:
            assert restore(pool, record_id(number)) == TREE
        for sealed in pool.records():
            assert restore(pool, sealed.record) == TREE
        Client().backup(begin(pool, 3), TREE)
        assert restore(pool, record_id(3)) == TREE
        bucketed.close()
        shutil.rmtree(bucketed.folder)
        if not crashed:
            break
    assert step > 15


def test_no_record_needs_what_is_only_in_the_spool(bucketed: Bucketed) -> None:
    """A chunk in another session's open pack counts as unknown: it is on one disk of the media server alone."""
    pool = bucketed.open()
    one = begin(pool, 1)
    Client().send(one, Client().chunks(TREE["/a"]))
    one.checkpoint()
    assert len(bucketed.spooled()) == 1
    Client().backup(begin(pool, 2), TREE)
    shutil.rmtree(bucketed.spool)

    assert restore(pool, record_id(2)) == TREE


def test_what_an_interrupted_session_sent_is_not_sent_again(bucketed: Bucketed, s3: S3Server) -> None:
    """The spool's open packs are recovered like those of a folder."""
    pool = bucketed.open()
    session = begin(pool, 1)
    Client().send(session, Client().chunks(TREE["/a"]))
    session.checkpoint()
    copy = bucketed.folder.with_name("copy")
    shutil.copytree(bucketed.spool, copy)
    session.abort()
    bucketed.close()
    (pack,) = [name for name in s3.names() if name.endswith(".pack")]
    del s3.bucket().keys[pack]
    bucketed.lose_index()
    shutil.rmtree(bucketed.spool)
    copy.rename(bucketed.spool)
    pool = bucketed.open()
    client = Client()
    client.backup(begin(pool, 2), TREE)

    assert s3.names().count(pack) == 1
    assert client.sent == 1
    assert restore(pool, record_id(2)) == TREE


def test_what_was_sent_before_a_crash_is_not_sent_twice(bucketed: Bucketed, s3: S3Server) -> None:
    """The pack is in the bucket, and the spool still has it: it is the same pack."""
    pool = bucketed.open()
    delete = S3Backend.delete
    bucketed.backend.delete = lambda name: None if name.endswith(".open") else delete(bucketed.backend, name)
    Client().backup(begin(pool, 1), TREE)
    assert bucketed.spooled()
    pool = bucketed.reopen()

    assert pool.problems == []
    assert bucketed.spooled() == []
    assert restore(pool, record_id(1)) == TREE


# --- Object Lock ---


@pytest.fixture
def locked(s3: S3Server, quick_folder: Path) -> Iterator[Bucketed]:
    s3.reset()
    s3.bucket(locking=True)
    place = bucketed_place(s3, quick_folder, object_lock="compliance")
    place.now_ns = int(s3.now().timestamp()) * SECOND_NS
    yield place
    place.close()


def test_a_locked_record_is_kept_by_the_bucket_itself(locked: Bucketed, s3: S3Server) -> None:
    """Manifest and packs, the parent's too, until the date of the lock, which can only be extended."""
    pool = locked.open()
    Client().backup(begin(pool, 1), TREE)
    Client().backup(begin(pool, 2, parent=record_id(1)), tree_of(2))
    until = locked.now_ns + 3600 * SECOND_NS
    pool.lock(record_id(2), until)
    pool.lock(record_id(2), until - 1)
    kept = [name for name in s3.names() if name.endswith(".pack") or record_id(2) + ".manifest" in name]

    assert len(kept) == 3
    assert {s3.bucket().current(name).until.timestamp() for name in kept} == {until // SECOND_NS}
    with pytest.raises(Conflict, match="locked"):
        pool.drop(record_id(2))
    for name in kept:
        with pytest.raises(Conflict, match=r"keeps .* until 20"):
            locked.backend.delete(name.removeprefix("pool/one/"))
    assert restore(locked.reopen(), record_id(2)) == tree_of(2)


def test_a_collection_leaves_what_the_bucket_keeps(locked: Bucketed, s3: S3Server) -> None:
    """Neither condemned nor emptied before the date; backups may use it; then it goes, with all versions."""
    pool = locked.open()
    Client().backup(begin(pool, 1), TREE)
    until = locked.now_ns + 3600 * SECOND_NS
    pool.lock(record_id(1), until)
    # Somebody took the manifest away by other means; its packs are protected all the same.
    lock = seals.lock_name(record_id(1))
    locked.backend.delete(lock)
    kept_until = pool._kept_until_ns
    pool._kept_until_ns = lambda record: 0
    with pytest.raises(Conflict):
        pool.drop(record_id(1))  # the server refuses, too
    s3.bucket().keys["pool/one/" + seals.manifest_name(record_id(1))].clear()
    pool.drop(record_id(1))
    pool._kept_until_ns = kept_until
    result = collect(pool)

    assert (result.protected_packs, result.condemned_packs, result.removed_packs) == (1, 0, 0)
    assert result.problems == []
    client = Client()
    client.backup(begin(pool, 2), TREE)
    assert client.sent == 0
    pool.drop(record_id(2))
    locked.set_clock(3601 * SECOND_NS)
    s3.clock_ahead += s3.now() - s3.now()
    for versions in s3.bucket().keys.values():
        for one in versions:
            one.until = None
    result = collect(pool)
    assert (result.protected_packs, result.removed_packs) == (0, 1)
    assert not [name for name in s3.bucket().keys if name.endswith(".pack")]


def test_a_pack_that_others_protected_is_told_and_goes_later(locked: Bucketed, s3: S3Server) -> None:
    """A condemned pack waits until its date; when the server refuses all the same, the result says so."""
    pool = locked.open()
    Client().backup(begin(pool, 1), TREE)
    pool.drop(record_id(1))
    assert pool.collect(lambda *_: None, lambda: None).condemned_packs == 1
    (pack,) = [name for name in s3.names() if name.endswith(".pack")]
    locked.backend.capabilities.lock.protect(pack.removeprefix("pool/one/"), locked.now_ns + 60 * SECOND_NS)
    result = sweep(pool, safety=AT_ONCE)
    assert (result.protected_packs, result.waiting_packs, result.problems) == (1, 1, [])
    locked.set_clock(61 * SECOND_NS)  # ours alone: the server's says that it is kept
    result = sweep(pool, safety=AT_ONCE)

    assert "keeps" in result.problems[0]
    assert result.waiting_packs == 1
    assert pack in s3.names()
    for one in s3.bucket().keys[pack]:
        one.until = None
    assert collect(pool).removed_packs == 1


def test_what_cannot_be_protected_is_not_locked(locked: Bucketed, s3: S3Server) -> None:
    """The lock counts only when the bucket keeps all of the record."""
    pool = locked.open()
    Client().backup(begin(pool, 1), TREE)
    s3.script = lambda at, method, key: "403 before" if method == "PUT" and key.endswith(".pack") else None
    with pytest.raises(RubackupError):
        pool.lock(record_id(1), locked.now_ns + SECOND_NS * 100)
    s3.script = None

    assert pool.locked_until_ns(record_id(1)) == 0
