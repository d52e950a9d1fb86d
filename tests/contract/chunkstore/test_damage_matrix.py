"""(bit flip, truncation, missing, swapped, stale) x (pack header, chunk, trailer, pack, index, manifest).

Every damage is found by opening or verification and told with the file's name, costs only what it hit, and never ends in
another error than ours.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from rubackup.chunkstore import pack
from rubackup.chunkstore._packset import PackSet
from rubackup.chunkstore.backends.memory import MemoryBackend
from rubackup.chunkstore.chunker import Chunker
from rubackup.chunkstore.identity import chunk_id
from rubackup.chunkstore.locations import folders
from rubackup.chunkstore.pack import Extent, PackHeader
from rubackup.chunkstore.pool import Pool
from rubackup.domain.errors import RubackupError
from support.chunkstore import POOL, Client, Place, begin, noise, record_id, restore

TREES = {n: {f"/own{n}/{i}": noise(5_000, 10 * n + i) for i in range(4)} for n in (1, 2, 3)}
CLIENT = Client(Chunker(8_192, 16_384, 32_768), group_bytes=5_000)
"""One chunk a file, one file a group."""
VICTIM = 2
HOUR_NS = 3_600_000_000_000
Data = bytearray


@dataclass
class Scene:
    """A pool of three records, each with a pack of its own."""

    place: Place
    packs: dict[int, str]

    @property
    def memory(self) -> MemoryBackend:
        """The one storage."""
        return self.place.memory()

    def data(self, name: str) -> Data:
        """The bytes of a file, to be damaged."""
        return self.memory.files[name].data

    @property
    def pack(self) -> Data:
        """The victim's pack."""
        return self.data(self.packs[VICTIM])

    @property
    def extents(self) -> list[Extent]:
        """Its groups."""
        return pack.read_extents(self.memory, self.packs[VICTIM])

    @property
    def index(self) -> Path:
        """The index of a pool that is closed."""
        return self.place.metadata / "index" / "data.mdb"

    def manifest(self, number: int = VICTIM) -> str:
        """Name of a manifest."""
        return f"manifests/{record_id(number)}.manifest"


@pytest.fixture
def scene(quick_folder: Path) -> Iterator[Scene]:
    """As told; an older index lies beside the index."""
    place = Place(quick_folder)
    pool = place.open()
    packs: dict[int, str] = {}
    for number, tree in TREES.items():
        if number == VICTIM:
            place.close()
            shutil.copytree(place.metadata / "index", place.folder / "older")
            pool = place.open()
        CLIENT.backup(begin(pool, number), tree)
        (packs[number],) = {n for n in place.memory().files if n.endswith(".pack")} - set(packs.values())
    yield Scene(place, packs)
    place.close()


def examine(pool: Pool) -> tuple[str, dict[int, list[str]]]:
    """All that opening and verifying say, and the damaged files of each record."""
    told, damaged = [*pool.problems, *pool.repaired], {}
    for number in TREES:
        try:
            found = pool.verify(record_id(number), lambda *_: None, lambda: None)
        except RubackupError as error:
            told.append(error.message)
            damaged[number] = ["everything"]
        else:
            told += [*found.damaged, *found.flaws]
            damaged[number] = found.damaged
    return "\n".join(told), damaged


def expect(scene: Scene, pool: Pool, named: str, lost: set[int]) -> None:
    """Something was said that names the file; only the records in `lost` have damage, and what is not damaged restores."""
    told, damaged = examine(pool)
    assert {number for number, files in damaged.items() if files} == lost
    for number, tree in TREES.items():
        try:
            assert restore(pool, record_id(number)) == tree
        except (RubackupError, KeyError) as error:  # KeyError: another chunk lies in its place
            assert number in lost
            told += str(error)
    assert named in told, told


def heal(scene: Scene, lost: set[int] = frozenset()) -> None:
    """A client that still has its files backs them up: then every record is whole again, but for lost manifests."""
    pool = scene.place.opened[-1]
    if pool.index_damaged:  # the media server opens it anew
        pool = scene.place.reopen()
    for number, tree in TREES.items():
        CLIENT.backup(begin(pool, number + 10), tree)
    pool = scene.place.reopen()
    for record in pool.records():
        number = int(record.record, 16)
        try:
            found = restore(pool, record.record)
        except RubackupError:
            assert number in lost
        else:
            assert found == TREES[number % 10]


def mended(scene: Scene) -> None:
    """Verification and two collections leave nothing that is damaged, and nothing that a lost index would bring back."""
    pool = scene.place.opened[-1]
    for record in pool.records():
        seal_anew(pool, record.record)
    for _ in range(2):
        assert pool.collect(lambda *_: None, lambda: None).problems == []
        scene.place.now_ns += HOUR_NS
    for lost in (False, True):
        scene.place.close()
        if lost:
            scene.place.lose_index()
        pool = scene.place.open()
        assert pool.problems == []
        for record in pool.records():
            found = pool.verify(record.record, lambda *_: None, lambda: None)
            assert (found.damaged, found.flaws) == ([], [])
            assert restore(pool, record.record) == TREES[int(record.record, 16) % 10]


def seal_anew(pool: Pool, record: str) -> None:
    """As the media server does after a verification."""
    if pool.verify(record, lambda *_: None, lambda: None).seal:
        pool.repair_seal(record)


# --- packs ---


def flip_header(scene: Scene) -> None:
    scene.pack[50] ^= 1


def cut_in_header(scene: Scene) -> None:
    del scene.pack[100:]


def no_header(scene: Scene) -> None:
    del scene.pack[: pack.HEADER_BYTES]


def header_of_another(scene: Scene) -> None:
    scene.pack[: pack.HEADER_BYTES] = scene.data(scene.packs[1])[: pack.HEADER_BYTES]


def header_before_it_was_written(scene: Scene) -> None:
    scene.pack[: pack.HEADER_BYTES] = bytes(pack.HEADER_BYTES)


def flip_chunk(scene: Scene) -> None:
    scene.pack[scene.extents[1].offset + 500] ^= 1


def cut_in_chunk(scene: Scene) -> None:
    del scene.pack[scene.extents[1].offset + 500 :]


def no_chunk(scene: Scene) -> None:
    one = scene.extents[1]
    del scene.pack[one.offset : one.offset + one.length]


def groups_exchanged(scene: Scene) -> None:
    one, two = scene.extents[0], scene.extents[1]
    end = two.offset + two.length
    scene.pack[one.offset : end] = scene.pack[two.offset : end] + scene.pack[one.offset : two.offset]


def chunk_before_it_was_written(scene: Scene) -> None:
    one = scene.extents[1]
    scene.pack[one.offset : one.offset + one.length] = bytes(one.length)


def flip_trailer(scene: Scene) -> None:
    scene.pack[-60] ^= 1


def cut_in_trailer(scene: Scene) -> None:
    del scene.pack[-30:]


def no_trailer(scene: Scene) -> None:
    del scene.pack[scene.extents[-1].offset + scene.extents[-1].length :]


def trailer_of_another(scene: Scene) -> None:
    no_trailer(scene)
    other = scene.data(scene.packs[1])
    last = pack.read_extents(scene.memory, scene.packs[1])[-1]
    scene.pack.extend(other[last.offset + last.length :])


def trailer_of_an_earlier_end(scene: Scene) -> None:
    extents = scene.extents
    head = bytes(scene.pack[: pack.HEADER_BYTES])
    no_trailer(scene)
    scene.pack.extend(pack.trailer(head, extents[:1], len(scene.pack)))


def no_pack(scene: Scene) -> None:
    del scene.memory.files[scene.packs[VICTIM]]


def packs_exchanged(scene: Scene) -> None:
    files = scene.memory.files
    one, two = scene.packs[VICTIM], scene.packs[3]
    files[one], files[two] = files[two], files[one]


def older_pack(scene: Scene) -> None:
    head, one = bytes(scene.pack[: pack.HEADER_BYTES]), scene.extents[0]
    del scene.pack[one.offset + one.length :]
    scene.pack.extend(pack.trailer(head, [one], len(scene.pack)))


WHOLE: set[int] = set()
PACKS: dict[Callable[[Scene], None], set[int]] = {
    flip_header: WHOLE,
    cut_in_header: {VICTIM},
    no_header: {VICTIM},
    header_of_another: WHOLE,
    header_before_it_was_written: WHOLE,
    flip_chunk: {VICTIM},
    cut_in_chunk: {VICTIM},
    no_chunk: {VICTIM},
    groups_exchanged: {VICTIM},
    chunk_before_it_was_written: {VICTIM},
    flip_trailer: WHOLE,
    cut_in_trailer: WHOLE,
    no_trailer: WHOLE,
    trailer_of_another: WHOLE,
    trailer_of_an_earlier_end: WHOLE,
    no_pack: {VICTIM},
    packs_exchanged: {VICTIM, 3},
    older_pack: {VICTIM},
}


@pytest.mark.parametrize("opened", ["open", "opened again", "index lost"])
@pytest.mark.parametrize("damage", PACKS, ids=lambda one: one.__name__)
def test_a_damaged_pack(scene: Scene, damage: Callable[[Scene], None], opened: str) -> None:
    """Named while the pool is open, after it was opened again, and when the index is rebuilt from what is left."""
    pool = scene.place.opened[-1]
    if opened != "open":
        scene.place.close()
    damage(scene)
    if opened == "index lost":
        scene.place.lose_index()
    if opened != "open":
        pool = scene.place.open()
    lost, named = PACKS[damage], scene.packs[VICTIM].rpartition("/")[2].removesuffix(".pack")
    if opened == "index lost":  # groups are found where they are now; of a file that is gone nobody knows the name
        lost = WHOLE if damage in {groups_exchanged, packs_exchanged} else lost
        named = f"/own{VICTIM}/" if damage in {no_pack, older_pack} else named
    if damage is groups_exchanged:  # with an index the files are named; without, nothing is wrong
        named = "" if opened == "index lost" else f"/own{VICTIM}/"

    expect(scene, pool, named, lost)
    heal(scene)
    if damage not in {packs_exchanged, header_of_another}:
        mended(scene)
        return
    # A file that says it is another pack is left alone, and named: nothing is moved out of it or removed.
    problems = scene.place.opened[-1].collect(lambda *_: None, lambda: None).problems
    assert any("has the header of pack" in one for one in problems)
    expect(scene, scene.place.opened[-1], "has the header of another pack", set())


@pytest.mark.parametrize("damage", [flip_chunk, chunk_before_it_was_written, no_chunk, groups_exchanged, older_pack])
def test_a_lost_index_does_not_bring_damage_back(scene: Scene, damage: Callable[[Scene], None]) -> None:
    """Chunks that were sent again lie in two packs; an index that is filled anew takes those that are whole."""
    pool = scene.place.opened[-1]
    damage(scene)
    examine(pool)
    heal(scene)
    for _ in range(2):
        scene.place.close()
        scene.place.lose_index()
        pool = scene.place.open()
        assert {number: files for number, files in examine(pool)[1].items() if files} == {}
        for record in pool.records():
            assert restore(pool, record.record) == TREES[int(record.record, 16) % 10]


def test_a_damaged_group_keeps_its_pack_only_while_it_is_needed(scene: Scene) -> None:
    """Its chunks were healed elsewhere: the whole groups beside it move, and a parent is known by its packs again."""
    place, pool = scene.place, scene.place.opened[-1]
    flip_chunk(scene)
    examine(pool)
    for _ in range(2):  # what is damaged and needed stays, and so does what lies beside it
        assert pool.collect(lambda *_: None, lambda: None).moved_bytes == 0
        place.now_ns += HOUR_NS
    assert scene.packs[VICTIM] in scene.memory.files
    heal(scene)
    pool = place.opened[-1]
    assert pool.collect(lambda *_: None, lambda: None).moved_bytes > 0
    place.now_ns += HOUR_NS
    assert pool.sweep(lambda: None).removed_packs == 1
    assert scene.packs[VICTIM] not in scene.memory.files
    assert pool.collect(lambda *_: None, lambda: None).moved_bytes == 0

    begin(pool, 30, parent=record_id(VICTIM)).abort()
    packs = pool._index.record_packs(record_id(VICTIM))
    assert packs is not None
    assert all(pool._index.whole_pack(number) for number in PackSet.decode(packs))


def test_a_group_that_the_index_does_not_know_keeps_its_pack_while_it_is_needed(scene: Scene) -> None:
    """The index was lost, the group's header is damaged: which chunks it holds nobody knows, but a record misses some.

    The others are collected.
    """
    scene.place.close()
    scene.pack[scene.extents[1].offset + 60] ^= 1
    scene.place.lose_index()
    pool = scene.place.open()
    for _ in range(2):
        assert pool.collect(lambda *_: None, lambda: None).damaged == [record_id(VICTIM)]
        scene.place.now_ns += HOUR_NS
    assert scene.packs[VICTIM] in scene.memory.files
    heal(scene)
    mended(scene)
    assert scene.packs[VICTIM] not in scene.memory.files


# --- manifests ---


def flip_manifest(scene: Scene) -> None:
    scene.data(scene.manifest())[200] ^= 1


def cut_manifest(scene: Scene) -> None:
    del scene.data(scene.manifest())[300:]


def no_manifest(scene: Scene) -> None:
    del scene.memory.files[scene.manifest()]


def manifests_exchanged(scene: Scene) -> None:
    files = scene.memory.files
    one, two = scene.manifest(), scene.manifest(3)
    files[one], files[two] = files[two], files[one]


def manifests_of_one_length_exchanged(scene: Scene) -> None:
    manifests_exchanged(scene)
    assert scene.memory.size(scene.manifest()) == scene.memory.size(scene.manifest(3))


def manifest_before_it_was_sealed(scene: Scene) -> None:
    data = scene.data(scene.manifest())
    del data[scene.place.opened[-1]._index.record(record_id(VICTIM)).stream_bytes :]


def flip_seal(scene: Scene) -> None:
    scene.data(scene.manifest())[-60] ^= 1


MANIFESTS: dict[Callable[[Scene], None], set[int]] = {
    flip_manifest: {VICTIM},
    cut_manifest: {VICTIM},
    no_manifest: {VICTIM},
    manifests_exchanged: {VICTIM, 3},
    manifests_of_one_length_exchanged: {VICTIM, 3},
    manifest_before_it_was_sealed: WHOLE,
    flip_seal: WHOLE,
}
WITH_THE_INDEX = {
    manifest_before_it_was_sealed: {VICTIM},
    flip_seal: {VICTIM},
    manifests_exchanged: WHOLE,
    manifests_of_one_length_exchanged: WHOLE,
}
"""Then only the seal tells what the record is, and each manifest is looked at."""


@pytest.mark.parametrize("opened", ["open", "opened again", "index lost"])
@pytest.mark.parametrize("damage", MANIFESTS, ids=lambda one: one.__name__)
def test_a_damaged_manifest(scene: Scene, damage: Callable[[Scene], None], opened: str) -> None:
    """Named by its record; no record is ever read from the manifest of another."""
    pool = scene.place.opened[-1]
    damage(scene)
    if opened != "open":
        scene.place.close()
        if opened == "index lost":
            scene.place.lose_index()
        pool = scene.place.open()

    lost = WITH_THE_INDEX.get(damage, MANIFESTS[damage]) if opened == "index lost" else MANIFESTS[damage]
    expect(scene, pool, record_id(VICTIM), lost)
    heal(scene, lost)
    for number in lost:
        scene.place.opened[-1].drop(record_id(number))
    mended(scene)


# --- the index ---


def flip_meta(scene: Scene) -> None:
    data = Data(scene.index.read_bytes())
    data[16] ^= 1
    data[4096 + 16] ^= 1
    scene.index.write_bytes(data)


def flip_place(scene: Scene) -> None:
    """The place of one chunk, in every page that names it."""
    data = Data(scene.index.read_bytes())
    name = chunk_id(CLIENT.chunks(TREES[VICTIM][f"/own{VICTIM}/0"])[0][1])
    at = data.find(name)
    assert at > 0
    while at > 0:
        data[at + 32 + 5] ^= 1
        at = data.find(name, at + 1)
    scene.index.write_bytes(data)


def cut_index(scene: Scene) -> None:
    data = scene.index.read_bytes()
    scene.index.write_bytes(data[: len(data) // 2])


def empty_index(scene: Scene) -> None:
    scene.index.write_bytes(b"")


def no_index(scene: Scene) -> None:
    scene.index.unlink()


def index_of_another_pool(scene: Scene) -> None:
    other = Place(scene.place.folder / "other")
    pool = Pool.open(uuid="f" * 32, metadata=other.metadata, storages=folders([Path("x")]), reserve_bytes=0, level=1,
                     make_backend=lambda location: MemoryBackend("x"), map_bytes=1 << 20)  # fmt: skip
    pool.close()
    shutil.copy(other.metadata / "index" / "data.mdb", scene.index)


def older_index(scene: Scene) -> None:
    shutil.copy(scene.place.folder / "older" / "data.mdb", scene.index)


INDEXES: dict[Callable[[Scene], None], set[int]] = {
    flip_meta: WHOLE,
    flip_place: {VICTIM},
    cut_index: WHOLE,
    empty_index: WHOLE,
    no_index: WHOLE,
    index_of_another_pool: WHOLE,
    older_index: WHOLE,
}


@pytest.mark.parametrize("damage", INDEXES, ids=lambda one: one.__name__)
def test_a_damaged_index(scene: Scene, damage: Callable[[Scene], None]) -> None:
    """It can be made again from the storages: nothing is lost, at the latest after one more opening and a backup."""
    scene.place.close()
    damage(scene)
    pool = scene.place.open()
    told, damaged = examine(pool)

    assert {number for number, files in damaged.items() if files} <= INDEXES[damage], told
    for number, files in damaged.items():
        if not files:
            assert restore(pool, record_id(number)) == TREES[number]
    heal(scene)
    pool = scene.place.opened[-1]
    for number, tree in TREES.items():
        assert restore(pool, record_id(number)) == tree


def test_the_header_is_one_of_ours() -> None:
    """Else the damage above would be no damage."""
    assert PackHeader(bytes.fromhex(POOL), bytes(16), "x").owner == "x"
