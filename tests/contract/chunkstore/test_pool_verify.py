"""Verification: each group once, whatever the windows; damage by file and by place; an index that is wrong is not trusted."""

from __future__ import annotations

import errno
from collections import Counter
from collections.abc import Mapping

import pytest

from rubackup.chunkstore import pack, verify
from rubackup.chunkstore.backends.base import Backend
from rubackup.chunkstore.backends.oserrors import translated
from rubackup.chunkstore.index import Place as Spot
from rubackup.chunkstore.pool import Pool, VerifyResult
from rubackup.domain.errors import Busy, StorageFault
from support.chunkstore import Client, Place, begin, noise, record_id, restore

TREE = {"/home/big": noise(200_000), "/home/small": noise(3_000, 2), "/text": b"text " * 300}


class Reads:
    """A backend that counts the long reads of each place, and can have bad sectors."""

    def __init__(self, inner: Backend) -> None:
        self._inner = inner
        self.seen: Counter[tuple[str, int, int]] = Counter()
        self.bad: set[int] = set()

    def __getattr__(self, name: str):
        return getattr(self._inner, name)

    def read(self, name: str, offset: int, length: int) -> bytes:
        """As the inner one, or as a disk does that cannot read the place."""
        self.seen[name, offset, length] += 1
        if offset in self.bad and name.endswith(".pack"):
            with translated(self.label, name):
                raise OSError(errno.EIO, "Input/output error")
        return self._inner.read(name, offset, length)


def _verify(pool: Pool, number: int = 1) -> VerifyResult:
    return pool.verify(record_id(number), lambda *_: None, lambda: None)


def _pack(place: Place) -> str:
    return next(name for name in place.memory().files if name.endswith(".pack"))


def _counted(place: Place, client: Client, tree: Mapping[str, bytes] = TREE, *, trees: int = 1) -> tuple[Pool, Reads]:
    reads = Reads(place.memory())
    place.wrap = lambda _: reads
    pool = place.open()
    for number in range(1, trees + 1):
        client.backup(begin(pool, number), {**tree, f"/new{number}": noise(5_000, 100 + number)})
    return pool, reads


@pytest.mark.parametrize("window", [3, 7, 1000])
def test_each_group_is_read_once(place: Place, monkeypatch: pytest.MonkeyPatch, window: int) -> None:
    """Also when rows of several windows lie in it; what else it should hold is seen in its header."""
    monkeypatch.setattr(verify, "WINDOW_ROWS", window)
    pool, reads = _counted(place, Client(group_bytes=300_000), {"/big": noise(900_000)})
    extents = pack.read_extents(place.memory(), _pack(place))
    reads.seen.clear()
    result = _verify(pool)

    assert result == VerifyResult(sum(one.length for one in extents), [], [])
    assert {reads.seen[_pack(place), one.offset, one.length] for one in extents} == {1}


@pytest.mark.parametrize("window", [3, 1000])
def test_files_and_places_are_named(place: Place, monkeypatch: pytest.MonkeyPatch, window: int) -> None:
    """A damaged group is named once, by pack and offset, with every file that has a chunk in it."""
    monkeypatch.setattr(verify, "WINDOW_ROWS", window)
    pool, _ = _counted(place, Client(group_bytes=1))
    last = pack.read_extents(place.memory(), _pack(place))[-1]
    place.memory().files[_pack(place)].data[last.offset + last.length - 1] ^= 1
    result = _verify(pool)

    assert result.damaged == ["/new1"]
    assert [_pack(place) in one and f"offset {last.offset}:" in one for one in result.places] == [True]


def test_copies_that_share_a_damaged_group_are_each_judged(place: Place) -> None:
    """The second verification in a row finds what the first has found."""
    pool, _ = _counted(place, Client(group_bytes=1), trees=3)
    first = pack.read_extents(place.memory(), min(n for n in place.memory().files if n.endswith(".pack")))[0]
    for name in place.memory().files:
        if name.endswith(".pack"):
            place.memory().files[name].data[first.offset + 100] ^= 1
    damaged = [_verify(pool, number).damaged for number in (1, 2, 3)]

    assert all("/home/big" in one for one in damaged)
    assert [set(one) & {"/new1", "/new2", "/new3"} <= {f"/new{n}"} for n, one in enumerate(damaged, 1)] == [True] * 3


def test_a_missing_pack_is_one_place(place: Place) -> None:
    """Every file is lost; the report names the pack, not each of its groups."""
    pool, _ = _counted(place, Client(group_bytes=1))
    name = _pack(place)
    del place.memory().files[name]
    result = _verify(pool)

    assert set(result.damaged) == {*TREE, "/new1"}
    assert result.places == [f"Pack one/{name} is missing."]


def test_a_sector_that_cannot_be_read_is_damage(place: Place) -> None:
    """It costs the files that lie there; the rest is verified, and the next backup sends what was lost."""
    pool, reads = _counted(place, Client(group_bytes=1))
    last = pack.read_extents(place.memory(), _pack(place))[-1]
    reads.bad.add(last.offset)
    result = _verify(pool)
    reads.bad.clear()
    client = Client(group_bytes=1)
    client.backup(begin(pool, 2), {"/new1": noise(5_000, 101)})

    assert result.damaged == ["/new1"]
    assert "Input/output error" in result.places[0]
    assert client.sent == 1


def test_a_disk_that_is_gone_is_no_damage(place: Place) -> None:
    """Without its marker a storage is not mounted: nothing is said about the copy."""
    pool, _ = _counted(place, Client())
    place.memory().files.clear()

    with pytest.raises(StorageFault):
        _verify(pool)


@pytest.mark.parametrize("wrong", ["pack", "offset", "length", "other group"])
def test_an_index_that_points_astray_is_rebuilt(place: Place, wrong: str) -> None:
    """LMDB's pages carry no sums. The packs say that the index is wrong; the next opening fills another."""
    pool, _ = _counted(place, Client(group_bytes=1))
    index = pool._index
    found = {name: Spot.decode(value) for name, value in index.places([n for n, _ in _rows(pool)]).items()}
    (name, place_of), (_, other) = sorted(found.items(), key=lambda item: item[1].offset)[1:3]
    changed = {
        "pack": place_of._replace(pack=77),
        "offset": place_of._replace(offset=place_of.offset ^ 1),
        "length": place_of._replace(group_bytes=place_of.group_bytes ^ 4),
        "other group": place_of._replace(offset=other.offset, group_bytes=other.group_bytes),
    }[wrong]
    index._env.write(lambda txn: txn.put(name, changed.encode(), db=index._db["chunks"]))
    result = _verify(pool)

    assert result.damaged
    assert pool.index_damaged
    assert not index._bad, "the packs are not to blame"
    healed = place.reopen()
    assert _verify(healed).damaged == []
    assert restore(healed, record_id(1)) == TREE | {"/new1": noise(5_000, 101)}


def _rows(pool: Pool) -> list[tuple[bytes, int]]:
    reader = pool._stored(pool._row(record_id(1))).reader()
    return reader.rows(0, reader.row_count)


def test_a_wrong_length_in_the_index_hurts_no_copy(place: Place) -> None:
    """A verification sees it and finds the copy whole; a session that would be refused asks for another attempt."""
    pool, _ = _counted(place, Client(group_bytes=1))
    index, name = pool._index, Client().chunks(noise(5_000, 101))[0][0]
    spot = Spot.decode(index.places([name])[name])
    index._env.write(lambda txn: txn.put(name, spot._replace(chunk_bytes=7).encode(), db=index._db["chunks"]))
    with pytest.raises(Busy):
        Client().backup(begin(pool, 5), {"/same": noise(5_000, 101)})
    assert pool.index_damaged
    result = _verify(pool)

    assert result == VerifyResult(result.bytes_read, [], [])
    Client().backup(begin(place.reopen(), 6), {"/same": noise(5_000, 101)})
    assert restore(place.opened[0], record_id(6)) == {"/same": noise(5_000, 101)}


def test_a_chunk_that_nobody_knows_is_named(place: Place) -> None:
    """An index without a row for it: its files are damaged, and there is no place to name but the chunk."""
    pool, _ = _counted(place, Client(group_bytes=1))
    name = Client().chunks(noise(5_000, 101))[0][0]
    pool._index._env.write(lambda txn: txn.delete(name, db=pool._index._db["chunks"]))
    result = _verify(pool)

    assert result.damaged == ["/new1"]
    assert result.places == [f"The pool does not know 1 chunks of the copy; the first is {name.hex()}."]


def test_an_index_that_was_just_rebuilt_is_kept(place: Place) -> None:
    """A pack whose groups contradict each other does not make the pool rebuild its index again and again."""
    _counted(place, Client(group_bytes=1))
    place.close()
    place.lose_index()
    pool = place.open()
    pool._index.suspect("Something is odd.")

    assert not pool.index_damaged
