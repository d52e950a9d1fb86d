"""The hashes that a Block device pool records: right, durable, compared, made anew; and the pool's longest chunk."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest
from blake3 import blake3

from rubackup.chunkstore import _botan, _hash_check, _packing, group, hashes, pack
from rubackup.chunkstore.backends.base import Backend
from rubackup.chunkstore.backends.block import rebuild
from rubackup.chunkstore.backends.faults import FaultyBackend
from rubackup.chunkstore.backends.memory import MemoryBackend
from rubackup.chunkstore.copying import RecordCopy
from rubackup.chunkstore.digests import DIGESTS, DigestSpec
from rubackup.chunkstore.group import Sealer
from rubackup.chunkstore.pool import Pool, VerifyResult
from rubackup.domain.errors import Invalid, StorageFault, StorageFull
from support.chunkstore import Client, Place, begin, noise, record_id, restore
from support.collecting import SECOND_NS, collect
from support.crashes import Crash, Crasher, at_every_step, half, nothing_unsynced
from support.keys import GCM, KEY

SHA2 = DigestSpec("sha2", 256)
TREE = {"/a": noise(150_000, 1), "/b": noise(90_000, 2), "/text": b"text " * 5000}
BOTAN = pytest.mark.skipif(not _botan.has_hash("Skein-512(256)"), reason="the host has no libbotan-2")


@pytest.fixture(autouse=True)
def small_packs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Packs of a few groups."""
    monkeypatch.setattr(pack, "TARGET_BYTES", 100_000)


def verify(pool: Pool, number: int = 1) -> VerifyResult:
    """A verification of the whole record."""
    return pool.verify(record_id(number), lambda *_: None, lambda: None)


def recorded(backend: Backend) -> dict[bytes, bytes]:
    """What is recorded, by chunk: every pack has its file, and nothing else has one."""
    names = {item.name for item in backend.list("packs")}
    packs = {name for name in names if name.endswith(".pack")}
    assert names - packs == {name.replace(".pack", ".hashes") for name in packs}
    found: dict[bytes, bytes] = {}
    for name in packs:
        told = hashes.read(backend, bytes.fromhex(Path(name).stem))
        extents = pack.read_extents(backend, name)
        assert set(told.spans) == {extent.offset for extent in extents}
        for extent, head in pack.read_heads(backend, name, extents):
            each, digests = told.spec.bits // 8, told.of(extent.offset) or b""
            if not head.cipher:
                assert len(digests) == each * len(head.ids)
            found.update((one, digests[i * each : (i + 1) * each]) for i, one in enumerate(head.ids))
    return found


def expected(tree: dict[str, bytes], digest: Callable[[bytes], bytes]) -> dict[bytes, bytes]:
    """The right hash of every chunk."""
    return {name: digest(bytes(data)) for content in tree.values() for name, data in Client().chunks(content)}


@pytest.mark.parametrize(
    ("spec", "digest"),
    [
        (SHA2, lambda data: hashlib.sha256(data).digest()),
        (DigestSpec("sha2", 512), lambda data: hashlib.sha512(data).digest()),
        (DigestSpec("sha1", 160), lambda data: hashlib.sha1(data).digest()),
        (DigestSpec("blake2b", 256), lambda data: hashlib.blake2b(data, digest_size=32).digest()),
        (DigestSpec("blake2b", 512), lambda data: hashlib.blake2b(data).digest()),
        *[
            pytest.param(
                DigestSpec(name, bits),
                lambda data, botan=botan, bits=bits: _botan.digest(botan, bits // 8, data),
                marks=BOTAN,
            )
            for name, bits, botan in (
                ("skein", 256, "Skein-512(256)"),
                ("skein", 512, "Skein-512(512)"),
                ("streebog", 256, "Streebog-256"),
                ("streebog", 512, "Streebog-512"),
            )
        ],
    ],
)
def test_every_chunk_has_its_hash(place: Place, spec: DigestSpec, digest: Callable[[bytes], bytes]) -> None:
    """Of what is stored, by each algorithm; a verification finds nothing."""
    place.digest = spec
    pool = place.open()
    Client().backup(begin(pool, 1), TREE)

    assert recorded(place.memory()) == expected(TREE, digest)
    result = verify(pool)
    assert (result.damaged, result.places, result.flaws, result.mended) == ([], [], [], [])
    assert len(DIGESTS) == 9


def test_a_host_that_cannot_run_it_says_what_is_missing(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pool is not opened, and its folder not locked."""
    place.digest = DigestSpec("skein", 256)
    monkeypatch.setattr("rubackup.chunkstore.digests.available", lambda: (("sha2", 256),))
    with pytest.raises(Invalid, match=r"skein with 256 bit, which needs libbotan-2\.so\.19; it can run: sha2 256"):
        place.open()
    place.digest = SHA2
    assert place.open().problems == []


def test_a_pool_without_a_hash_has_no_such_files(any_place: Place) -> None:
    """Nothing is written beside its packs."""
    pool = any_place.open()
    Client().backup(begin(pool, 1), TREE)

    assert {Path(item.name).suffix for item in pool._storages.all[0].backend.list("packs")} == {".pack"}


def test_hashes_live_with_their_packs(any_place: Place) -> None:
    """On each kind of storage: restart, a lost index, deletion, collection."""
    any_place.digest = SHA2
    pool = any_place.open()
    for number, tree in ((1, TREE), (2, {"/a": TREE["/a"], "/new": noise(80_000, 7)})):
        Client().backup(begin(pool, number), tree)
    any_place.close()
    any_place.lose_index()
    pool = any_place.open()
    assert pool.problems == []
    backend = pool._storages.all[0].backend
    used = pool._storages.all[0].used_bytes
    assert used == sum(item.size_bytes for folder in ("packs", "manifests") for item in backend.list(folder))
    pool.drop(record_id(1))
    collect(pool)
    any_place.now_ns += 3600 * SECOND_NS
    collect(pool)

    assert set(recorded(backend)) >= {name for name, _ in Client().chunks(noise(80_000, 7))}
    assert (verify(pool, 2).damaged, verify(pool, 2).mended) == ([], [])
    pool.drop(record_id(2))
    collect(pool)
    any_place.now_ns += 3600 * SECOND_NS
    collect(pool)
    assert list(backend.list("packs")) == []
    assert pool._storages.all[0].used_bytes == sum(item.size_bytes for item in backend.list("manifests")) - sum(
        item.size_bytes for item in backend.list("manifests") if item.name.endswith(".tombstone")
    )


@pytest.mark.parametrize("zeroing", [False, True])
def test_compaction_records_what_it_moves(place: Place, zeroing: bool) -> None:
    """The new pack has the hashes of the groups that are left, computed anew; the old one's go with it."""
    place.digest = SHA2
    pool = place.open()
    client = Client(group_bytes=4096)
    kept = {"/c": noise(60_000, 3)}
    client.backup(begin(pool, 1), {"/a": noise(60_000, 1), **kept, "/z": noise(60_000, 4)})
    client.backup(begin(pool, 2), kept)
    before = {item.name for item in place.memory().list("packs")}
    pool.drop(record_id(1))

    assert collect(pool, zeroing=zeroing).moved_bytes > 0
    assert not before & {item.name for item in place.memory().list("packs")}
    right = expected(kept, lambda data: hashlib.sha256(data).digest())
    assert right.items() <= recorded(place.memory()).items()
    assert verify(pool, 2).mended == []


def change(backend: MemoryBackend, act: Callable[[bytearray], object], suffix: str = ".hashes") -> list[str]:
    """Change the first file with this suffix."""
    name = min(name for name in backend.files if name.endswith(suffix))
    act(backend.files[name].data)
    return [name]


def flip(data: bytearray) -> None:
    """One bit in the middle."""
    data[len(data) // 2] ^= 1


@pytest.mark.parametrize(
    "act", [flip, bytearray.clear, lambda data: data.extend(b"x" * 9)], ids=["bit", "empty", "long"]
)
def test_a_damaged_file_is_made_anew(place: Place, act: Callable[[bytearray], object]) -> None:
    """The verification names it, no file of the copy is damaged, and the next one finds nothing."""
    place.digest = SHA2
    pool = place.open()
    Client().backup(begin(pool, 1), TREE)
    before = recorded(place.memory())
    (name,) = change(place.memory(), act)
    result = verify(pool)

    assert (result.damaged, result.places, result.flaws) == ([], [], [])
    assert [text for text in result.mended if name in text and "made anew" in text] == result.mended != []
    assert recorded(place.memory()) == before
    assert verify(pool).mended == []


def test_a_missing_file_is_made_at_the_next_opening(place: Place) -> None:
    """And by a verification, when one comes first."""
    place.digest = SHA2
    pool = place.open()
    Client().backup(begin(pool, 1), TREE)
    before = recorded(place.memory())

    def lose() -> None:
        for name in [name for name in place.memory().files if name.endswith(".hashes")]:
            del place.memory().files[name]

    lose()
    pool = place.reopen()
    assert recorded(place.memory()) == before
    assert pool.problems == []
    lose()
    result = verify(pool)
    assert all("is missing. They were made anew." in text for text in result.mended)
    assert recorded(place.memory()) == before


def test_files_that_were_swapped_are_made_anew(place: Place) -> None:
    """Each names its pack."""
    place.digest = SHA2
    pool = place.open()
    Client().backup(begin(pool, 1), TREE)
    before = recorded(place.memory())
    files = place.memory().files
    one, two, *_ = sorted(name for name in files if name.endswith(".hashes"))
    files[one], files[two] = files[two], files[one]
    result = verify(pool)

    assert len(result.mended) == 2
    assert "it is that of pack" in result.mended[0]
    assert recorded(place.memory()) == before


def test_a_pack_that_lies_in_another_storage_too_is_no_flaw(place: Place) -> None:
    """Somebody copied the folder, and the pack that the index names was lost: the copy is whole, as it was without hashes."""
    place.digest, place.storages = SHA2, ["one", "two"]
    pool = place.open()
    Client().backup(begin(pool, 1), {"/a": noise(50_000, 1)})
    one, two = place.memory(), place.memory("two")
    (name,) = [name for name in one.files if name.endswith(".pack")]
    for suffix in (".pack", ".hashes"):
        two.files[name.replace(".pack", suffix)] = one.files.pop(name.replace(".pack", suffix))
    result = verify(pool)

    assert (result.damaged, result.flaws, result.mended) == ([], [], [])


def test_what_cannot_be_made_anew_is_a_flaw(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without room."""
    place.digest = SHA2
    pool = place.open()
    Client().backup(begin(pool, 1), TREE)
    change(place.memory(), flip)

    def full(*_: object) -> None:
        raise StorageFull("There is no room left.")

    monkeypatch.setattr(MemoryBackend, "put", full)
    result = verify(pool)

    assert result.mended == result.damaged == []
    assert "could not be made anew: There is no room left." in result.flaws[0]


def test_a_wrong_hash_is_damage(place: Place) -> None:
    """A file of hashes whose sum is right, with another hash in it: the chunk's file is named, and the next backup heals it."""
    place.digest = SHA2
    pool = place.open()
    Client(group_bytes=4096).backup(begin(pool, 1), TREE)

    def other(data: bytearray) -> None:
        data[-40] ^= 1  # in the last hash
        data[-32:] = blake3(data[:-32]).digest()

    (name,) = change(place.memory(), other)
    result = verify(pool)

    assert len(result.damaged) == 1
    assert "1 chunks have another hash than was recorded" in result.places[0]
    assert name.replace(".hashes", ".pack") in result.places[0]
    again = Client()
    again.backup(begin(pool, 2), TREE)
    assert again.sent > 0
    assert verify(pool, 2).damaged == []


def test_a_damaged_group_is_damage_as_ever(place: Place) -> None:
    """Its hashes are not blamed."""
    place.digest = SHA2
    pool = place.open()
    Client().backup(begin(pool, 1), TREE)
    change(place.memory(), flip, ".pack")
    result = verify(pool)

    assert result.damaged
    assert result.mended == []


def test_only_few_files_are_held(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A verification of many packs reads each file once or more, and finds the same."""
    monkeypatch.setattr(_hash_check, "HELD_BYTES", 100)
    place.digest = SHA2
    pool = place.open()
    Client(group_bytes=4096).backup(begin(pool, 1), TREE)
    change(place.memory(), flip)

    assert len(verify(pool).mended) == 1


def test_many_small_chunks_end_a_pack(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their hashes need more room than they do, and memory is bounded."""
    monkeypatch.setattr(hashes, "FULL_BYTES", 10_000)
    monkeypatch.setattr(pack, "TARGET_BYTES", 32 << 20)
    place.digest = DigestSpec("sha2", 512)
    pool = place.open()
    tree = {f"/{number}": number.to_bytes(4, "big") for number in range(2_000)}
    Client(group_bytes=400).backup(begin(pool, 1), tree)

    lengths = [item.size_bytes for item in place.memory().list("packs") if item.name.endswith(".hashes")]
    assert len(lengths) > 10
    assert max(lengths) < 20_000
    assert verify(pool).mended == []


def test_encrypted_chunks_have_none(place: Place) -> None:
    """The media server cannot see them; their packs are not asked again at each opening."""
    place.digest = SHA2
    pool = place.open()
    session = begin(pool, 1, crypto="aes-256-gcm", key_id=KEY.id.hex())
    Client(sealer=Sealer(KEY, GCM)).backup(session, TREE)

    assert set(recorded(place.memory()).values()) == {b""}
    assert (verify(pool).damaged, verify(pool).mended) == ([], [])
    reads: list[str] = []

    def note(operation: str, name: str, done: bool) -> None:
        if operation == "read" and name.endswith(".pack"):
            reads.append(name)

    place.wrap = lambda backend: FaultyBackend(backend, note)
    place.reopen()
    assert reads == []


def test_a_metafile_brings_hashes_back(place: Place) -> None:
    """They are among the files of a device."""
    path = place.make_device()
    place.digest = SHA2
    pool = place.open()
    Client().backup(begin(pool, 1), TREE)
    before = recorded(pool._storages.all[0].backend)
    metafile = pool._storages.all[0].backend.metafile()
    place.close()
    with path.open("r+b") as file:
        file.write(noise(4096))
    rebuild(path, metafile)
    pool = place.open()
    assert recorded(pool._storages.all[0].backend) == before
    place.close()
    rebuild(path)
    pool = place.open()

    assert recorded(pool._storages.all[0].backend) == before
    assert verify(pool).mended == []


# --- crashes ---


def _run(place: Place, step: int, survivors: Callable[[MemoryBackend], MemoryBackend]) -> Crasher:
    """A backup and a collection that moves groups, crashed at a step, unless they came to their end before."""
    place.digest = SHA2
    pool = place.open()
    client = Client(group_bytes=4096)
    client.backup(begin(pool, 1), {"/c": noise(60_000, 3)})
    client.backup(begin(pool, 5), {"/a": noise(60_000, 1), "/c": noise(60_000, 3), "/d": noise(30_000, 4)})
    place.close()
    crasher = Crasher(place, step, survivors)

    def in_packs(operation: str, name: str, done: bool) -> None:
        if name.startswith("packs/") or crasher.crashed:
            crasher(operation, name, done)

    place.wrap = lambda backend: FaultyBackend(backend, in_packs)
    with crasher.watching():
        pool = place.open()
        Client().backup(begin(pool, 2), {"/new": noise(120_000, 5), "/text": b"text " * 5000})
        crasher.promised.append(record_id(2))
        pool.drop(record_id(5))
        collect(pool, zeroing=True)
    return crasher


@pytest.mark.parametrize(("survivors", "lose_index"), [(nothing_unsynced, False), (half, True)])
def test_a_crash_at_any_step_leaves_hashes_that_are_made_good(
    quick_folder: Path, monkeypatch: pytest.MonkeyPatch, survivors: Callable, lose_index: bool
) -> None:
    """After the next opening each pack has its file, and each file its pack."""
    monkeypatch.setattr(_packing, "CLOSING", 0)
    crashes = 0
    for crashed, crasher in at_every_step(quick_folder, _run, survivors, lose_index=lose_index):
        pool = crashed.open()
        assert {*crasher.promised} <= {record.record for record in pool.records()}
        for record in pool.records():
            result = pool.verify(record.record, lambda *_: None, lambda: None)
            assert (result.damaged, result.flaws, result.mended) == ([], [], [])
        collect(pool)
        pool = crashed.reopen()
        assert pool.problems == []
        collect(pool)
        recorded(crashed.memory())
        crashed.close()
        crashes += 1

    assert crashes > 40


def test_a_process_that_ends_at_any_step_on_a_device(quick_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same on a block device, whose directory names both files."""
    monkeypatch.setattr(_packing, "CLOSING", 0)
    ends = 0
    for step in count():
        place = Place(quick_folder / str(step), digest=SHA2)
        place.folder.mkdir()
        place.make_device(size_bytes=4 << 20)
        left = step

        def script(operation: str, name: str, done: bool) -> None:
            nonlocal left
            if operation != "read" and name.startswith("packs/"):
                left -= 1
                if left < 0:
                    raise Crash

        place.wrap = lambda backend, script=script: FaultyBackend(backend, script)
        try:
            Client().backup(begin(place.open(), 1), TREE)
        except Crash:
            ends += 1
        finished = left >= 0
        for pool in place.opened:
            try:
                pool.close()
            except Crash:
                pool._index.close()
                pool._backends.keep(())
                os.close(pool._lock_file)
        place.opened.clear()
        place.wrap = lambda backend: backend
        pool = place.open()
        client = Client()
        client.backup(begin(pool, 2), TREE)
        assert pool.problems == []
        assert (verify(pool, 2).damaged, verify(pool, 2).mended) == ([], [])
        assert recorded(pool._storages.all[0].backend).keys() >= expected(TREE, bytes).keys()
        place.close()
        shutil.rmtree(place.folder)
        if finished:
            break

    assert ends > 20


def test_a_full_storage_costs_no_chunk(place: Place) -> None:
    """The pack is whole, its hashes find no room: it is told to the index all the same, and a verification makes them."""
    place.digest = SHA2
    no_room = True

    def script(operation: str, name: str, done: bool) -> None:
        if no_room and operation == "put" and name.endswith(".hashes"):
            raise StorageFull("There is no room left in one.")

    place.wrap = lambda backend: FaultyBackend(backend, script)
    pool = place.open()
    with pytest.raises(StorageFull):
        Client().backup(begin(pool, 1), TREE)
    with pytest.raises(StorageFull):
        Client().backup(begin(pool, 2), {"/more": noise(200_000, 9)})
    no_room = False
    client = Client()
    client.backup(begin(pool, 3), TREE)

    assert verify(pool, 3).damaged == []
    recorded(place.memory())


def test_a_compaction_without_room_for_hashes_leaves_all_as_it_was(place: Place) -> None:
    """It says so; no half of a new pack stays, and the next one moves the groups."""
    place.digest = SHA2
    fails = False

    def script(operation: str, name: str, done: bool) -> None:
        if fails and operation == "put" and name.endswith(".hashes"):
            raise StorageFull("There is no room left in one.")

    place.wrap = lambda backend: FaultyBackend(backend, script)
    pool = place.open()
    client, kept = Client(group_bytes=4096), {"/c": noise(60_000, 3)}
    client.backup(begin(pool, 1), {"/a": noise(60_000, 1), **kept, "/z": noise(60_000, 4)})
    client.backup(begin(pool, 2), kept)
    pool.drop(record_id(1))
    fails = True
    before = {item.name for item in place.memory().list("packs")}
    result = collect(pool)

    assert "Packs could not be emptied: There is no room left in one." in result.problems
    assert {item.name for item in place.memory().list("packs")} <= before
    fails = False
    assert collect(pool).moved_bytes > 0
    assert (verify(pool, 2).damaged, verify(pool, 2).mended) == ([], [])
    recorded(place.memory())


@pytest.mark.parametrize("where", ["group", "trailer"])
def test_a_sector_that_cannot_be_read_costs_only_its_hashes(place: Place, where: str) -> None:
    """When a file is made anew: the pack counts as before, and what is whole of it has its hashes."""
    place.digest = SHA2
    pool = place.open()
    Client().backup(begin(pool, 1), {"/a": noise(80_000, 1)})
    (name,) = [name for name in place.memory().files if name.endswith(".pack")]
    del place.memory().files[name.replace(".pack", ".hashes")]
    size = place.memory().size(name)
    bad = size - 10 if where == "trailer" else pack.read_extents(place.memory(), name)[0].offset + 200

    class Bad(FaultyBackend):
        def read(self, file: str, offset: int, length: int) -> bytes:
            if file == name and offset <= bad < offset + length:
                raise StorageFault(f"{file}: Input/output error.") from OSError(errno.EIO, "Input/output error")
            return super().read(file, offset, length)

    place.wrap = lambda backend: Bad(backend, lambda *_: None)
    pool = place.reopen()
    client = Client()
    client.backup(begin(pool, 2), {"/a": noise(80_000, 1)})

    assert client.sent == 0
    assert len(pool.problems) == (where == "trailer")
    assert all("could not be made" in text for text in pool.problems)


# --- the longest chunk ---


def test_a_longer_chunk_than_a_block_is_refused(place: Place) -> None:
    """The rule is enforced, encrypted or not; one that is as long is taken."""
    place.block_bytes = 16_384
    pool = place.open()
    sealer = Sealer(KEY, GCM)
    for number, session, identify, how in (
        (1, begin(pool, 1), lambda data: blake3(data).digest(), None),
        (2, begin(pool, 2, crypto="aes-256-gcm", key_id=KEY.id.hex()), sealer.identify, sealer),
    ):
        data = noise(16_384, number)
        session.put_group(group.encode([(identify(data), data)], 1, how))
        data = noise(16_385, number)
        with pytest.raises(Invalid, match=r"at most 16384 bytes, its block_size; one of 16385 bytes came"):
            session.put_group(group.encode([(identify(data), data)], 1, how))
        session.abort()

    assert pool.usage().chunks == 2


def test_a_copy_between_alike_pools_keeps_chunks_and_gets_hashes(place: Place, tmp_path: Path) -> None:
    """Groups go over as they are."""
    place.digest, place.block_bytes = SHA2, 16_384
    target = Place(tmp_path / "target", digest=SHA2, block_bytes=16_384)
    source, there = place.open(), target.open()
    Client().backup(begin(source, 1), TREE)
    session = begin(there, 2)
    summary = RecordCopy(source.read(record_id(1)), session, 3, lambda *_: None, lambda: None).run()
    session.seal(summary.files, summary.files_failed, summary.size_bytes)

    assert restore(there, record_id(2)) == TREE
    assert recorded(target.memory()) == recorded(place.memory())
    target.close()
