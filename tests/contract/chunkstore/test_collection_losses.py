"""Chunks that are truly lost do not stop a pool's collection: when no pack has them, the rest is collected."""

from __future__ import annotations

import errno
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from rubackup.chunkstore import pack
from rubackup.chunkstore.backends.faults import FaultyBackend
from rubackup.chunkstore.backends.oserrors import translated
from rubackup.chunkstore.pool import Pool
from rubackup.domain.errors import Conflict, Corrupt, RubackupError, StorageFault
from support.chunkstore import Client, Place, begin, noise, record_id, restore
from support.collecting import collect, packs

A, B, C, D = (noise(60_000, seed) for seed in (1, 2, 3, 4))


@dataclass
class Loss:
    """A pool with a new index, whose record 1 has lost its chunks, and record 3 was dropped."""

    place: Place
    pool: Pool
    kept: str
    """The pack of record 2."""
    dropped: str
    """The pack of record 3."""
    gone: bytes
    """What the pack of record 1 was."""

    def data(self, name: str) -> bytearray:
        """A file's."""
        return self.place.memory().files[name].data


@pytest.fixture
def loss(place: Place) -> Loss:
    """One pack was deleted, and then the index."""
    pool, made = place.open(), list[str]()
    for number, data in ((1, A), (2, B), (3, C)):
        Client().backup(begin(pool, number), {"/a": data})
        made += [name for name in packs(place) if name not in made]
    pool.drop(record_id(3))
    place.close()
    place.lose_index()
    gone = bytes(place.memory().files.pop(made[0]).data)
    pool = place.open()
    pool._index._trusted_until = 0.0
    return Loss(place, pool, made[1], made[2], gone)


def refused(pool: Pool, error: type[RubackupError], match: str) -> None:
    """Nothing is changed, and the reason is named."""
    with pytest.raises(error, match=match):
        collect(pool, unfinished=[])
    assert pool.condemned_packs == 0


def test_the_rest_is_collected(loss: Loss) -> None:
    """The damaged record is named, nothing of the others goes, and the index is not rebuilt again and again."""
    loss.place.memory().put("packs/ab/notes.pack", b"somebody's")
    result = collect(loss.pool, unfinished=[])

    assert (result.damaged, result.removed_packs) == ([record_id(1)], 1)
    assert f"Record {record_id(1)} of / of client" in result.problems[0]
    assert packs(loss.place) == sorted([loss.kept, "packs/ab/notes.pack"])
    assert not loss.pool.index_damaged
    assert restore(loss.pool, record_id(2)) == {"/a": B}
    assert collect(loss.pool, unfinished=[]).damaged == [record_id(1)]


def test_what_is_sent_again_heals_it(loss: Loss) -> None:
    """The next collection names nothing."""
    collect(loss.pool, unfinished=[])
    Client().backup(begin(loss.pool, 4), {"/a": A})
    result = collect(loss.pool, unfinished=[])

    assert (result.damaged, result.problems) == ([], [])
    assert restore(loss.pool, record_id(1)) == {"/a": A}


def test_what_a_running_backup_sends_is_waited_for(loss: Loss) -> None:
    """Nobody can call it lost."""
    session, client = begin(loss.pool, 4), Client()
    client.send(session, client.chunks(A))
    refused(loss.pool, Conflict, "being sent again")
    summary = client.manifest(session, {"/a": A})
    session.seal(summary.files, summary.files_failed, summary.size_bytes)
    assert collect(loss.pool, unfinished=[]).damaged == []


def _cut_both_ends(data: bytearray) -> None:
    data[:50] = bytes(50)
    del data[-2000:]


def _rot_inside_without_a_trailer(data: bytearray) -> None:
    data[pack.HEADER_BYTES + 5] ^= 1
    data[-1] ^= 1


@pytest.mark.parametrize("harm", [_cut_both_ends, _rot_inside_without_a_trailer])
def test_a_pack_that_cannot_be_asked_stops_it(loss: Loss, harm: Callable[[bytearray], None]) -> None:
    """What it holds, nobody knows; it is named."""
    harm(loss.data(loss.kept))
    refused(loss.pool, Corrupt, f"{loss.kept} cannot be asked")


def test_a_pack_that_is_missing_stops_it(loss: Loss) -> None:
    """It may be away, and hold what is lost. A new index says that it is gone."""
    loss.place.memory().files.pop(loss.kept)
    refused(loss.pool, Corrupt, "is missing")
    loss.place.close()
    loss.place.lose_index()

    assert collect(loss.place.open(), unfinished=[]).damaged == [record_id(1), record_id(2)]


def test_a_bad_sector_stops_it(loss: Loss) -> None:
    """In the table of any pack."""

    def script(operation: str, name: str, _done: bool) -> None:
        if operation == "read" and name == loss.kept:
            with translated("one", name):
                raise OSError(errno.EIO, "Input/output error")

    storage = loss.pool._storages.all[0]
    storage.backend = FaultyBackend(storage.backend, script)
    refused(loss.pool, StorageFault, f"{loss.kept} cannot be asked")


def test_a_storage_that_is_away_stops_it(loss: Loss) -> None:
    """It may hold what is lost."""
    loss.pool._roster.join(b"9" * 16, "/away")
    refused(loss.pool, StorageFault, "/away")


def test_a_pack_that_comes_back_is_found(loss: Loss) -> None:
    """Somebody copied it into its place while the pool is open: the index does not know it, so it is rebuilt."""
    name = f"packs/{loss.gone[32:33].hex()}/{loss.gone[32:48].hex()}.pack"
    loss.place.memory().put(name, loss.gone)
    refused(loss.pool, Corrupt, "holds chunks that copies need")
    assert loss.pool.index_damaged
    pool = loss.place.reopen()

    assert collect(pool, unfinished=[]).damaged == []
    assert restore(pool, record_id(1)) == {"/a": A}


@pytest.mark.parametrize("end", [10, -1], ids=["header", "trailer"])
def test_a_pack_with_a_damaged_end_can_be_asked(loss: Loss, end: int) -> None:
    """Its groups follow one another up to its trailer, so nothing else is in it."""
    loss.data(loss.kept)[end] ^= 1
    result = collect(loss.pool, unfinished=[])

    assert result.damaged == [record_id(1)]
    assert restore(loss.pool, record_id(2)) == {"/a": B}


def test_a_pack_with_a_damaged_group_stays(place: Place) -> None:
    """Its bytes may be all that is left of what is lost, though nobody needs the rest."""
    pool = place.open()
    client = Client(group_bytes=1)
    client.backup(begin(pool, 1), {"/a": A[:3000], "/b": D[:3000]})
    client.backup(begin(pool, 2), {"/b": D[:3000]})
    (name,) = packs(place)
    client.backup(begin(pool, 3), {"/c": C})
    pool.drop(record_id(2))
    pool.drop(record_id(3))
    place.close()
    place.lose_index()
    place.memory().files[name].data[pack.HEADER_BYTES + 60] ^= 1  # the head of the first group: its ids cannot be read
    pool = place.open()
    result = collect(pool, unfinished=[])

    assert (result.damaged, result.removed_packs) == ([record_id(1)], 1)
    assert packs(place) == [name]


def test_more_than_can_be_held_is_refused(loss: Loss, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hostile manifest, or a pool that is lost as a whole, takes no more memory than that."""
    monkeypatch.setattr("rubackup.chunkstore.gc.weigh.MOST_LOST", 2)
    refused(loss.pool, Corrupt, "more than 2 chunks")
