"""A pack or manifest that the disk does not give back (EIO) keeps no pool from being opened."""

from __future__ import annotations

import errno
from dataclasses import dataclass, field

import pytest

from rubackup.chunkstore import seals
from rubackup.chunkstore.backends.base import Backend
from rubackup.chunkstore.backends.faults import FaultyBackend
from rubackup.chunkstore.backends.oserrors import translated
from rubackup.domain.errors import Corrupt, StorageFault
from support.chunkstore import Client, Place, begin, noise, record_id, restore
from support.collecting import collect, packs

A, B, C = noise(60_000, 1), noise(60_000, 2), noise(60_000, 3)


@dataclass
class Sectors:
    """Files with a part that cannot be read."""

    bad: set[str] = field(default_factory=set)
    code: int = errno.EIO

    def wrap(self, backend: Backend) -> FaultyBackend:
        """A storage on this disk."""

        def script(operation: str, name: str, _done: bool) -> None:
            if operation == "read" and name in self.bad:
                with translated(backend.label, name):
                    raise OSError(self.code, "Input/output error")

        return FaultyBackend(backend, script)


@pytest.fixture
def sectors(place: Place) -> Sectors:
    """The disk of the place."""
    found = Sectors()
    place.wrap = found.wrap
    return found


def _open_pack(place: Place) -> str:
    """A pool with a record, a dropped one, and a session whose open pack a crash left; that pack."""
    pool = place.open()
    for number, data in ((1, A), (2, B)):
        Client().backup(begin(pool, number), {"/a": data})
    session, client = begin(pool, 3), Client()
    client.send(session, client.chunks(C))
    session.checkpoint()
    (name,) = (name for name in packs(place) if name.endswith(".open"))
    left = bytes(place.memory().files[name].data)
    pool.drop(record_id(2))
    place.close()
    for former in packs(place):
        if former.rpartition(".")[0] == name.rpartition(".")[0]:
            del place.memory().files[former]
    place.memory().put(name, left)
    return name


@pytest.mark.parametrize("lost", [False, True], ids=["index", "no index"])
def test_an_open_pack_with_a_bad_sector_is_left_out(place: Place, sectors: Sectors, lost: bool) -> None:
    """It is named, backups and restores go on, nothing is collected; once it can be read it is taken in."""
    name = _open_pack(place)
    if lost:
        place.lose_index()
    sectors.bad.add(name)
    pool = place.open()

    assert [problem for problem in pool.problems if name in problem and "is left out" in problem]
    assert restore(pool, record_id(1)) == {"/a": A}
    client = Client()
    client.backup(begin(pool, 4), {"/a": C})
    assert client.sent > 0
    assert restore(pool, record_id(4)) == {"/a": C}
    with pytest.raises(StorageFault, match=f"Nothing is collected: one/{name}"):
        collect(pool, unfinished=[])
    assert name in packs(place)

    sectors.bad.clear()
    pool = place.reopen()
    assert not [problem for problem in pool.problems if "is left out" in problem]
    assert collect(pool, unfinished=[]).removed_packs > 0
    assert restore(pool, record_id(4)) == {"/a": C}
    assert not [one for one in packs(place) if one.endswith(".open")]


def test_a_closed_pack_with_a_bad_sector_is_left_out_of_a_new_index(place: Place, sectors: Sectors) -> None:
    """What it holds is lost for now; the next opening asks again."""
    pool = place.open()
    Client().backup(begin(pool, 1), {"/a": A})
    (name,) = packs(place)
    Client().backup(begin(pool, 2), {"/b": B})
    place.close()
    place.lose_index()
    sectors.bad.add(name)
    pool = place.open()

    assert restore(pool, record_id(2)) == {"/b": B}
    assert pool.verify(record_id(1), lambda *_: None, lambda: None).damaged == ["/a"]
    with pytest.raises(StorageFault, match=f"Nothing is collected: one/{name}"):
        collect(pool, unfinished=[])
    sectors.bad.clear()
    pool = place.reopen()
    assert restore(pool, record_id(1)) == {"/a": A}
    assert collect(pool, unfinished=[]).problems == []


def test_a_manifest_with_a_bad_sector_is_not_listed(place: Place, sectors: Sectors) -> None:
    """It is named, and stops collections; the other records are there."""
    pool = place.open()
    for number, data in ((1, A), (2, B)):
        Client().backup(begin(pool, number), {"/a": data})
    place.close()
    place.lose_index()
    sectors.bad.add(seals.manifest_name(record_id(1)))
    pool = place.open()

    assert [record.record for record in pool.records()] == [record_id(2)]
    assert "cannot be read" in pool.problems[0]
    with pytest.raises(Corrupt, match=record_id(1)):
        collect(pool, unfinished=[])
    sectors.bad.clear()
    assert restore(place.reopen(), record_id(1)) == {"/a": A}


def test_a_folder_that_fails_as_a_whole_is_refused(place: Place, sectors: Sectors) -> None:
    """Another error than a bad sector says nothing of one file: the pool is not opened without knowing its packs."""
    sectors.bad.add(_open_pack(place))
    sectors.code = errno.ENODEV
    with pytest.raises(StorageFault):
        place.open()
