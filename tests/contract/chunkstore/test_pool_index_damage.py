"""A damaged index costs no copy and no more than a restart, whatever its pages say: LMDB follows them in memory."""

from __future__ import annotations

import struct
import subprocess
import sys
from pathlib import Path

import lmdb
import pytest

from rubackup.chunkstore import _index_check
from rubackup.domain.errors import Corrupt, NotFound, StorageFault
from support.chunkstore import Client, Place, begin, noise, record_id, restore
from support.collecting import collect

PAGE = 4096
TREE = {"/home/big": noise(200_000), "/text": b"text " * 300}


def _closed_pool(place: Place) -> Path:
    """The file of the index of a closed pool with one record."""
    Client().backup(begin(place.open(), 1), TREE)
    place.close()
    return place.metadata / "index" / "data.mdb"


def _make_deadly(file: Path) -> None:
    """Let the first row of each of the last leaves lie behind the end of the file, where the kernel has nothing to map.

    A page of LMDB begins with its number 8, 2 bytes, its flags 2 (2: a leaf), where its free room begins 2 and ends 2;
    then come the places of its rows, 2 bytes each.
    """
    data = bytearray(file.read_bytes())
    end = len(data)
    for page in range(max(2 * PAGE, end - 15 * PAGE), end, PAGE):
        number, flags = struct.unpack_from("<Q2xH", data, page)
        if (number, flags) == (page // PAGE, 2):
            struct.pack_into("<H", data, page + 16, 0xFFF0)
    file.write_bytes(data)


def _damaged_aside(place: Place) -> list[Path]:
    return list(place.metadata.glob("index.damaged-*"))


def test_an_index_that_kills_its_reader_is_rebuilt(place: Place) -> None:
    """After the process died with the index open, another one reads it first; it dies too, and this one lives."""
    file = _closed_pool(place)
    _make_deadly(file)
    (place.metadata / "index.open").touch()
    pool = place.open()

    assert len(_damaged_aside(place)) == 1
    assert pool.problems == []
    assert restore(pool, record_id(1)) == TREE


def test_what_kills_a_reader_is_told_by_the_pages(place: Place) -> None:
    """LMDB really dies of it by a signal; the check, which looks at the pages first, does not."""
    file = _closed_pool(place)
    _make_deadly(file)
    reading = "import lmdb, sys\nenv = lmdb.open(sys.argv[1], max_dbs=32)\n" + "".join(
        f"with env.begin() as txn: list(txn.cursor(env.open_db({name!r}.encode(), create=False)))\n"
        for name in ("chunks", "records", "packs")
    )
    child = subprocess.run([sys.executable, "-c", reading, str(file.parent)], capture_output=True, check=False)

    assert child.returncode < 0
    assert "has a node at" in _index_check.check(file.parent)


def test_what_kills_the_check_costs_an_index(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever it dies of."""
    _closed_pool(place)
    (place.metadata / "index.open").touch()
    dying = tmp_path / "dying"
    dying.write_text("#!/bin/sh\nkill -BUS $$\n")
    dying.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(dying))
    pool = place.open()

    assert len(_damaged_aside(place)) == 1
    assert restore(pool, record_id(1)) == TREE


def test_a_writer_is_not_killed_by_pages_that_no_reader_meets(place: Place) -> None:
    """The list of free pages tells of more rows than it has: the next that is written into it is moved by the length of none.

    Each of the first two pages holds its transaction 8 bytes from 144 on, and the root of that list 8 bytes from 80 on.
    """
    file = _closed_pool(place)
    data = bytearray(file.read_bytes())
    newest = max((0, PAGE), key=lambda at: struct.unpack_from("<Q", data, at + 144))
    root = struct.unpack_from("<Q", data, newest + 80)[0] * PAGE
    flags, lower = struct.unpack_from("<HH", data, root + 10)
    assert flags == 2
    struct.pack_into("<H", data, root + 12, lower ^ 0x100)
    file.write_bytes(data)
    (place.metadata / "index.open").touch()
    pool = place.open()
    Client().backup(begin(pool, 2), TREE)

    assert len(_damaged_aside(place)) == 1
    assert restore(pool, record_id(1)) == TREE == restore(pool, record_id(2))


def test_an_index_that_is_whole_is_kept_after_a_crash(place: Place) -> None:
    """It is read once; nothing is rebuilt, and nothing of it changes."""
    file = _closed_pool(place)
    before = file.read_bytes()
    assert _index_check.check(file.parent) == ""
    assert file.read_bytes() == before
    (place.metadata / "index.open").touch()
    pool = place.open()

    assert _damaged_aside(place) == []
    assert (place.metadata / "index.open").exists()
    assert restore(pool, record_id(1)) == TREE


def test_an_index_that_was_closed_in_order_is_not_read(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Opening a large pool takes no longer for it."""
    _closed_pool(place)
    assert not (place.metadata / "index.open").exists()
    monkeypatch.setattr(sys, "executable", "/nonexistent")

    assert restore(place.open(), record_id(1)) == TREE


def test_a_check_that_cannot_be_made_is_no_damage(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a verdict the pool is not opened, and its index is neither used nor thrown away."""
    file = _closed_pool(place)
    (place.metadata / "index.open").touch()
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(StorageFault, match="could not be checked"):
        place.open()

    assert file.exists()
    assert _damaged_aside(place) == []


def test_flips_are_told_or_harmless(place: Place) -> None:
    """A value of another length, a key out of order, and a page that is none are found by reading."""
    file = _closed_pool(place)
    whole = file.read_bytes()
    name = Client().chunks(TREE["/home/big"])[0][0]
    found = []
    for at, xor in ((-8, 4), (0, 0x80)):
        data = bytearray(whole)
        place_of = data.find(name)
        while place_of >= 0:
            data[place_of + at] ^= xor
            place_of = data.find(name, place_of + 1)
        file.write_bytes(data)
        found.append(_index_check.check(file.parent))

    assert "has a node at" in found[0]
    assert found[1].endswith("do not ascend")


@pytest.mark.parametrize(
    ("table", "key", "value"),
    [
        ("packs", b"\xff" * 3, bytes(41)),
        ("condemned", b"\xff" * 3, bytes(9)),
        ("condemned", bytes(4), b""),
        ("condemned", b"\0\0\0\1", bytes(17)),
    ],
)
def test_a_row_of_an_impossible_length_costs_an_index(place: Place, table: str, key: bytes, value: bytes) -> None:
    """Such rows are met when the index is opened."""
    file = _closed_pool(place)
    with lmdb.open(str(file.parent), max_dbs=32, map_size=1 << 30) as env, env.begin(write=True) as txn:
        txn.put(key, value or b"x", db=env.open_db(table.encode(), txn, create=False))
    pool = place.open()

    assert len(_damaged_aside(place)) == 1
    assert restore(pool, record_id(1)) == TREE


@pytest.mark.parametrize(("key", "value"), [(b"\x01" * 7, bytes(24)), (b"\x01" * 32, bytes(23))])
def test_a_chunk_of_an_impossible_length_stops_a_collection(place: Place, key: bytes, value: bytes) -> None:
    """And costs an index."""
    file = _closed_pool(place)
    with lmdb.open(str(file.parent), max_dbs=32, map_size=1 << 30) as env, env.begin(write=True) as txn:
        txn.put(key, value, db=env.open_db(b"chunks", txn, create=False))
    wrong = f"a key of {len(key)} bytes" if len(key) != 32 else f"a value of {len(value)} bytes"
    assert _index_check.check(file.parent) == f"chunks: {wrong}"
    pool = place.open()
    with pytest.raises(Corrupt, match="cannot be read"):
        collect(pool, unfinished=[])

    assert pool.index_damaged
    assert collect(place.reopen(), unfinished=[]).removed_packs == 0


def test_a_record_under_another_name_costs_an_index(place: Place) -> None:
    """A bit that flipped in the id of a record is no lost record: the opening that meets it fills another index at once."""
    file = _closed_pool(place)
    key = bytes.fromhex(record_id(1))
    with lmdb.open(str(file.parent), max_dbs=32, map_size=1 << 30) as env, env.begin(write=True) as txn:
        records = env.open_db(b"records", txn, create=False)
        row = txn.get(key, db=records).replace(record_id(1).encode(), b" " + record_id(1)[1:].encode())
        txn.put(key, row, db=records)
    assert "names ' 00" in _index_check.check(file.parent)
    pool = place.open()

    assert pool.problems == []
    assert len(_damaged_aside(place)) == 1
    assert restore(pool, record_id(1)) == TREE


def test_a_record_that_the_index_forgot_is_no_lost_record(place: Place) -> None:
    """Its manifest is there; the index is called wrong, and the next opening lists the record again."""
    pool = place.open()
    Client().backup(begin(pool, 1), TREE)
    pool._index.delete_record(record_id(1))
    with pytest.raises(Corrupt, match="does not know it"):
        pool.sealed(record_id(1))

    assert pool.index_damaged
    assert restore(place.reopen(), record_id(1)) == TREE


def test_a_record_that_is_not_there_is_no_fault_of_the_index(place: Place) -> None:
    """Neither is one that was dropped, nor one whose manifest nobody can read."""
    pool = place.open()
    for number in (1, 2):
        Client().backup(begin(pool, number), TREE)
    pool.drop(record_id(1))
    pool._index.delete_record(record_id(2))
    backend = pool._storages.all[0].backend
    backend.delete(f"manifests/{record_id(2)}.manifest")
    backend.put(f"manifests/{record_id(2)}.manifest", b"nothing that has a seal")
    for number in (1, 2, 3):
        with pytest.raises(NotFound):
            pool.sealed(record_id(number))

    assert not pool.index_damaged


def test_a_manifest_that_cannot_be_listed_is_no_fault_of_the_index(place: Place) -> None:
    """Its seal is whole, its content is not: another index would know it as little, so none is filled again and again."""
    pool = place.open()
    for number in (1, 2):
        Client().backup(begin(pool, number), TREE)
    backend, name = pool._storages.all[0].backend, f"manifests/{record_id(1)}.manifest"
    data = bytearray(backend.read(name, 0, backend.size(name)))
    data[150:214] = bytes(64)
    backend.delete(name)
    backend.put(name, bytes(data))
    pool._index.delete_record(record_id(1))
    for _ in range(2):
        pool = place.reopen()
        assert len([told for told in pool.problems if "is damaged" in told]) == 1
        with pytest.raises(NotFound):
            pool.sealed(record_id(1))
        assert not pool.index_damaged

    assert _damaged_aside(place) == []
    assert restore(pool, record_id(2)) == TREE


def test_few_damaged_indexes_are_kept(place: Place) -> None:
    """They would fill the disk of the metadata."""
    for _ in range(5):
        file = _closed_pool(place) if not list(place.metadata.glob("index")) else place.metadata / "index" / "data.mdb"
        file.write_bytes(b"no index")
        (place.metadata / "index.open").touch()
        place.open()
        place.close()

    assert len(_damaged_aside(place)) == 3
    assert restore(place.open(), record_id(1)) == TREE
