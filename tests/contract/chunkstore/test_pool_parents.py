"""Segments taken over from a parent's manifest: right only as long as the parent is whole, and never a way in."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from rubackup.chunkstore import _early_check, write
from rubackup.chunkstore._wholeness import PackSet
from rubackup.chunkstore.index import Index
from rubackup.chunkstore.manifest import ManifestReader, ManifestWriter, Summary
from rubackup.chunkstore.pool import Pool, WriteSession
from rubackup.domain.errors import Corrupt, Invalid
from support.chunkstore import Client, Place, begin, entry, noise, record_id, restore

FOLDERS = 40
ENTRIES = 60
OTHER = "00000000000000bb"


@dataclass
class Counting:
    """Counts the chunks that an index is asked for."""

    asked: int = 0

    def over(self, pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
        """From now on."""
        real = pool._index.lookup

        def lookup(ids: set[bytes], space: bytes = b"", *, condemned: bool = False) -> dict[bytes, bytes]:
            self.asked += len(ids)
            return real(ids, space, condemned=condemned)

        monkeypatch.setattr(pool._index, "lookup", lookup)


def _tree() -> dict[str, bytes]:
    return {f"/d{f:02}/file{e:03}": noise(100, f * 1000 + e) for f in range(FOLDERS) for e in range(ENTRIES)}


def _again(session: WriteSession, parts: list[tuple[int, int]] | None = None) -> None:
    """Seal a manifest that is made of segments of the parent, all of them if not told otherwise."""
    reader = ManifestReader(session.read_parent, session.parent_bytes)
    taken = parts if parts is not None else [(0, reader.segment_count)]
    writer = ManifestWriter(session.put_manifest, Client(owner=session.owner).header(session.record, session.parent))
    found = list(reader.runs())
    for first, count in taken:
        session.copy_parent(first, count)
        for number, row, runs in found[first : first + count]:
            assert number >= first
            writer.copy_segment(row, runs[0], runs[-1])
    summary = reader.summary
    writer.finish(summary)
    session.seal(summary.files, summary.files_failed, summary.size_bytes)


@pytest.fixture(autouse=True)
def early(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also these manifests, which are short, are checked while they arrive; those of other tests when they are whole."""
    monkeypatch.setattr(write, "WORTH_BYTES", 0)


@pytest.fixture
def pool(place: Place) -> Pool:
    """A pool with record 1."""
    opened = place.open()
    Client().backup(begin(opened, 1), _tree())
    return opened


def test_a_copy_made_of_its_parents_segments_restores_without_it(
    place: Place, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It names the same files and chunks, no chunk is looked up, and it stays whole when the parent is dropped."""
    counting = Counting()
    counting.over(pool, monkeypatch)
    session = begin(pool, 2, parent=record_id(1))
    _again(session)
    assert counting.asked == 0
    assert ManifestReader(session._parent_manifest.read, session.parent_bytes).segment_count > 2  # type: ignore[union-attr]

    pool.drop(record_id(1))

    assert restore(pool, record_id(2)) == _tree()
    assert restore(place.reopen(), record_id(2)) == _tree()


def test_a_chain_of_takeovers(place: Place, pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also a copy made of segments is a parent, and an index that was rebuilt knows its packs."""
    _again(begin(pool, 2, parent=record_id(1)))
    place.close()
    place.lose_index()
    pool = place.open()
    counting = Counting()
    counting.over(pool, monkeypatch)
    _again(begin(pool, 3, parent=record_id(2)))
    assert not counting.asked
    counting.asked = 0
    _again(begin(pool, 4, parent=record_id(2)))
    _again(begin(pool, 5, parent=record_id(4)))

    assert counting.asked == 0
    assert restore(pool, record_id(5)) == _tree()


def test_a_parent_dropped_meanwhile_is_looked_up(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was taken from it is checked chunk by chunk when the record is sealed."""
    session = begin(pool, 2, parent=record_id(1))
    reader = ManifestReader(session.read_parent, session.parent_bytes)
    found = list(reader.runs())
    writer = ManifestWriter(session.put_manifest, Client().header(session.record, session.parent))
    session.copy_parent(0, len(found))
    for _, row, runs in found:
        writer.copy_segment(row, runs[0], runs[-1])
    writer.finish(reader.summary)
    pool.drop(record_id(1))
    counting = Counting()
    counting.over(pool, monkeypatch)
    session.seal(reader.summary.files, 0, reader.summary.size_bytes)

    assert counting.asked == FOLDERS * ENTRIES
    assert restore(pool, record_id(2)) == _tree()


def test_a_parent_dropped_while_it_is_sealed(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even at the last moment: the record is not published on the word of a parent that is gone."""
    session = begin(pool, 2, parent=record_id(1))
    counting = Counting()
    counting.over(pool, monkeypatch)
    real = session._manifest_sum.digest

    class Sum:
        """Drops the parent when the checks are done."""

        def update(self, data: bytes) -> None:
            session_sum.update(data)

        def digest(self) -> bytes:
            pool.drop(record_id(1))
            return real()

    session_sum = session._manifest_sum
    monkeypatch.setattr(session, "_manifest_sum", Sum())
    _again(session)

    assert counting.asked == FOLDERS * ENTRIES
    assert restore(pool, record_id(2)) == _tree()


def _packs(place: Place) -> list[str]:
    return [name for name in place.memory().files if name.endswith(".pack")]


def test_a_parent_that_lost_a_pack_is_not_used(place: Place, pool: Pool) -> None:
    """Before the session begins: there is no parent."""
    place.memory().delete(_packs(place)[0])

    assert begin(pool, 2, parent=record_id(1)).parent_bytes == 0


def test_a_pack_lost_meanwhile_is_noticed(place: Place, pool: Pool) -> None:
    """After it began: the record is refused when it is sealed."""
    session = begin(pool, 2, parent=record_id(1))
    place.memory().delete(_packs(place)[0])

    with pytest.raises((Corrupt, Invalid)):
        _again(session)
    assert [one.record for one in pool.records()] == [record_id(1)]


def test_a_damaged_group_that_was_healed(pool: Pool) -> None:
    """A parent with a damaged group is not used, until its chunks lie elsewhere, too."""
    index: Index = pool._index
    row = next(iter(index.packs()))
    spot = next(iter(index.places({name for name, _ in _rows(pool)}).values()))
    index.mark_bad(row.number, int.from_bytes(spot[4:8], "little"))
    assert begin(pool, 2, parent=record_id(1)).parent_bytes == 0
    Client().backup(begin(pool, 3), _tree())
    _again(begin(pool, 4, parent=record_id(1)))

    assert restore(pool, record_id(4)) == _tree()


def _rows(pool: Pool) -> list[tuple[bytes, int]]:
    session = pool.read(record_id(1))
    reader = ManifestReader(session.read_manifest, session.manifest_bytes)
    return reader.rows(0, reader.row_count)


@pytest.mark.parametrize("parts", [[(0, 10**6)], [(0, 0)], [(-1, 1)], [(1, 1), (0, 1)], [(0, 2), (1, 1)], [(10**9, 1)]])
def test_segments_that_cannot_be_taken(pool: Pool, parts: list[tuple[int, int]]) -> None:
    """What the parent does not have is Invalid, and so is what was taken before."""
    session = begin(pool, 2, parent=record_id(1))

    def take() -> None:
        for first, count in parts:
            session.copy_parent(first, count)

    with pytest.raises(Invalid):
        take()


def test_there_is_nothing_to_take_without_a_parent(pool: Pool) -> None:
    """Also not from another client's record."""
    session = begin(pool, 2, owner=OTHER, parent=record_id(1))

    with pytest.raises(Invalid):
        session.copy_parent(0, 1)


def test_taken_segments_must_stand_in_order(pool: Pool) -> None:
    """A manifest that begins with the parent's second segment is refused, as any other out of order."""
    with pytest.raises(Invalid):
        _again(begin(pool, 2, parent=record_id(1)), [(1, 1)])


def test_own_rows_beside_taken_ones_are_looked_up(pool: Pool) -> None:
    """Taking segments over does not let a client name chunks that it never showed."""
    session = begin(pool, 2, parent=record_id(1))
    reader = ManifestReader(session.read_parent, session.parent_bytes)
    writer = ManifestWriter(session.put_manifest, Client().header(session.record, session.parent))
    session.copy_parent(0, reader.segment_count)
    for _, row, runs in reader.runs():
        writer.copy_segment(row, runs[0], runs[-1])
    first = writer.add_rows([(b"x" * 32, 7)])
    writer.add_folder(b"/z", [entry("stolen", size=7, first_row=first, rows=1)])
    writer.finish(Summary())

    with pytest.raises(Invalid, match="did not show"):
        session.seal(0, 0, 0)


def test_more_new_rows_than_may_wait(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The early check waits with them until the record is sealed; none is forgotten."""
    monkeypatch.setattr(_early_check, "_WAITING", 1)
    counting = Counting()
    counting.over(pool, monkeypatch)
    new = {f"/n{f:03}/file{e:03}": b"%d %d" % (f, e) for f in range(60) for e in range(60)}
    session = begin(pool, 2, parent=record_id(1))
    Client().backup(session, new)

    assert counting.asked >= 2 * len(new)
    assert restore(pool, record_id(2)) == new


def test_a_session_that_ends_ends_its_early_check(pool: Pool) -> None:
    """Also while that waits for more of the manifest."""
    session = begin(pool, 2, parent=record_id(1))
    session.copy_parent(0, 1)
    early = session._early
    assert early is not None
    session.abort()

    assert not early._thread.is_alive()


@pytest.mark.parametrize("numbers", [[], [0], [1, 2, 9], [7, 8, 100_000, 4_000_000]])
def test_sets_of_packs_are_kept(numbers: list[int]) -> None:
    """What is encoded is decoded; sets are joined; what is no set is Corrupt."""
    packs = PackSet(numbers)
    other = PackSet([3])
    other.merge(packs)

    assert list(PackSet.decode(packs.encode())) == numbers
    assert list(other) == sorted({*numbers, 3})
    with pytest.raises(Corrupt):
        PackSet.decode(b"\2" + packs.encode()[1:])
    with pytest.raises(Corrupt):
        PackSet.decode(packs.encode()[:3])
