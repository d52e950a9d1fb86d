"""Storage that rots: found, named, never a crash, and healed by the next backup."""

from __future__ import annotations

import uuid
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rubackup.chunkstore import pack
from rubackup.chunkstore.pool import Pool
from rubackup.domain.errors import Corrupt, Invalid, RubackupError, Stopped
from support.chunkstore import Client, Place, begin, noise, record_id, restore

TREE = {"/home/big": noise(200_000), "/home/small": noise(3_000, 2), "/text": b"text " * 300}


def _pool(place: Place) -> Pool:
    pool = place.open()
    Client().backup(begin(pool, 1), TREE)
    return pool


def _pack(place: Place, number: int = 0) -> str:
    return sorted(name for name in place.memory().files if name.endswith(".pack"))[number]


def _verify(pool: Pool, number: int = 1) -> list[str]:
    return pool.verify(record_id(number), lambda *_: None, lambda: None).damaged


def test_a_whole_record_is_verified(place: Place) -> None:
    """All that is stored is read, progress ends at the total, and nothing is found."""
    pool = _pool(place)
    told: list[tuple[int, int]] = []
    result = pool.verify(record_id(1), lambda done, total: told.append((done, total)), lambda: None)

    assert result.damaged == []
    assert result.bytes_read >= 200_000
    assert told[-1] == (told[-1][1],) * 2
    assert [done for done, _ in told] == sorted(done for done, _ in told)


def test_a_verification_can_be_stopped(place: Place) -> None:
    """What `check` raises ends it."""

    def check() -> None:
        raise Stopped

    with pytest.raises(Stopped):
        _pool(place).verify(record_id(1), lambda *_: None, check)


@pytest.mark.parametrize("damage", ["flip", "cut", "gone", "empty"])
def test_damage_is_named_and_healed(place: Place, damage: str) -> None:
    """Verification names the files, reading names the pack; a new backup of the same data mends old records too."""
    pool = _pool(place)
    name = _pack(place)
    data = place.memory().files[name].data
    if damage == "flip":
        data[pack.HEADER_BYTES + 500] ^= 1
    elif damage == "gone":
        del place.memory().files[name]
    else:
        del data[len(data) // 3 if damage == "cut" else 0 :]
    damaged = _verify(pool)
    with pytest.raises(Corrupt, match=name):
        restore(pool, record_id(1))

    assert damaged
    assert set(damaged) <= set(TREE)
    client = Client()
    client.backup(begin(pool, 2), TREE)
    assert client.sent > 0
    assert _verify(pool, 1) == _verify(pool, 2) == []
    assert restore(place.reopen(), record_id(1)) == TREE


def test_damage_is_remembered(place: Place) -> None:
    """A chunk that was found damaged counts as unknown also after a restart."""
    pool = _pool(place)
    place.memory().files[_pack(place)].data[pack.HEADER_BYTES + 500] ^= 1
    _verify(pool)
    client = Client()
    client.backup(begin(place.reopen(), 2), TREE)

    assert client.sent > 0
    assert restore(place.opened[0], record_id(2)) == TREE


def test_a_missing_pack_is_noticed_at_opening(place: Place) -> None:
    """Without any verification the next backup sends what the pack held."""
    _pool(place)
    del place.memory().files[_pack(place)]
    pool = place.reopen()
    client = Client()
    client.backup(begin(pool, 2), TREE)

    assert "missing" in pool.problems[0]
    assert client.sent > 0
    assert restore(pool, record_id(1)) == TREE


def test_only_the_damaged_files_are_named(place: Place) -> None:
    """Files whose chunks lie in whole groups are not."""
    pool = place.open()
    client = Client(group_bytes=1)
    client.backup(begin(pool, 1), TREE)
    extents = pack.read_extents(place.memory(), _pack(place))
    place.memory().files[_pack(place)].data[extents[-1].offset + extents[-1].length - 1] ^= 1

    assert _verify(pool) == ["/text"]


def test_what_is_whole_is_read_around_the_damage(place: Place) -> None:
    """A damaged group raises in its place; the stream goes on behind it."""
    pool = place.open()
    Client(group_bytes=20_000).backup(begin(pool, 1), TREE)
    extents = pack.read_extents(place.memory(), _pack(place))
    place.memory().files[_pack(place)].data[extents[1].offset + 200] ^= 1
    stream = pool.read(record_id(1)).groups([(0, 10)])
    count, good, bad = len(stream), 0, 0
    while True:
        try:
            next(stream)
            good += 1
        except Corrupt:
            bad += 1
        except StopIteration:
            break

    assert (good, bad) == (count - 1, 1)


def test_a_damaged_manifest_is_named(place: Place) -> None:
    """Then there are no file names: the error names the manifest."""
    pool = _pool(place)
    file = f"manifests/{record_id(1)}.manifest"
    place.memory().files[file].data[200] ^= 1

    with pytest.raises(Corrupt, match=file):
        _verify(pool)
    del place.memory().files[file].data[100:]
    with pytest.raises(Corrupt, match=file):
        pool.read(record_id(1))


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(which=st.integers(0), at=st.integers(0), flip=st.integers(1, 255), lose_index=st.booleans())
def test_any_damaged_byte_is_survived(quick_folder: Path, which: int, at: int, flip: int, lose_index: bool) -> None:
    """Whatever byte of whatever file changes: what verification calls whole restores, and nothing crashes."""
    place = Place(quick_folder / uuid.uuid4().hex)
    Client().backup(begin(place.open(), 1), TREE)
    place.close()
    files = sorted(place.memory().files)
    data = place.memory().files[files[which % len(files)]].data
    data[at % len(data)] ^= flip
    if lose_index:
        place.lose_index()
    try:
        pool = place.open()
        damaged = _verify(pool)
    except RubackupError:
        damaged = ["everything"]
    if not damaged:
        assert restore(pool, record_id(1)) == TREE
    place.close()


def test_bounds_of_a_reading_session(place: Place) -> None:
    """Rows and ranges out of the record, or too many, are Invalid; a manifest's end cuts a read."""
    session = _pool(place).read(record_id(1))

    for runs in ([(0, 10_000)], [(-1, 2)], [(0, -1)], [(0, 1)] * (1 << 21)):
        with pytest.raises(Invalid):
            session.groups(runs)
    with pytest.raises(Invalid):
        session.read_manifest(0, 1 << 30)
    with pytest.raises(Invalid):
        session.read_manifest(-1, 10)
    assert session.read_manifest(session.manifest_bytes - 4, 100) == session.read_manifest(
        session.manifest_bytes - 4, 4
    )
    assert session.read_manifest(session.manifest_bytes + 5, 10) == b""


def test_groups_come_once_and_in_order(place: Place) -> None:
    """Each group that holds a wanted chunk is read once, whatever the order and number of the runs."""
    pool = place.open()
    Client(group_bytes=20_000).backup(begin(pool, 1), TREE)
    session = pool.read(record_id(1))
    whole = list(session.groups([(0, 20)]))
    again = session.groups([(10, 10), (0, 15), (3, 1)])

    assert len(again) == len(whole)
    assert list(again) == whole
    assert len(list(session.groups([(0, 1)]))) == 1


def test_a_sealed_record_travels_as_msgpack(place: Place) -> None:
    """What is stored of a record is its public struct."""
    sealed = _pool(place).sealed(record_id(1))

    assert msgspec.msgpack.decode(msgspec.msgpack.encode(sealed), type=type(sealed)) == sealed
