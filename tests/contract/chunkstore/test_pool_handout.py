"""What a reader gets beside the chunks of its record: nothing that it did not show to have."""

from __future__ import annotations

from pathlib import Path

import pytest

from rubackup.chunkstore import group, pack
from rubackup.chunkstore.copying import RecordCopy
from rubackup.chunkstore.pool import Pool
from rubackup.domain.errors import Corrupt
from support.chunkstore import Client, Place, begin, noise, record_id, restore
from support.collecting import collect
from support.keys import GCM, KEY

ALICE, BOB, EVE = "00000000000000aa", "00000000000000bb", "00000000000000cc"
KNOWN, SECRET, MORE = b"a public licence " * 50, b"what only alice has " * 90, noise(30_000, 7)
TREE = {"/known": KNOWN, "/secret": SECRET, "/more": MORE}
BOBS = {"/known": KNOWN, "/more": MORE}


def _shared(place: Place, unused: bytes = b"") -> Pool:
    """Alice stored everything in one group, behind what nothing uses; Bob, who proved it, owns a part of that."""
    pool, alice = place.open(), Client(owner=ALICE)
    session = begin(pool, 1, owner=ALICE)
    alice.send(session, alice.chunks(unused))
    alice.sent = 0
    alice.send(session, [chunk for data in TREE.values() for chunk in alice.chunks(data)])
    session.checkpoint()
    summary = alice.manifest(session, TREE)
    session.seal(summary.files, 0, summary.size_bytes)
    bob = Client(owner=BOB)
    bob.backup(begin(pool, 2, owner=BOB, share=True), BOBS)
    assert (alice.sent, bob.sent) == (1, 0)
    return pool


def _ids(*contents: bytes) -> set[bytes]:
    return {name for data in contents for name, _ in Client().chunks(data)}


def _handed(pool: Pool, record: int, runs: list[tuple[int, int]], reader: str = "") -> set[bytes]:
    found = [group.decode(data) for data in pool.read(record_id(record), reader).groups(runs)]
    for one in found:
        one.check()
    return {name for one in found for name in one.ids}


@pytest.mark.parametrize("reader", ["", BOB])
def test_a_group_of_another_client_comes_without_its_other_chunks(any_place: Place, reader: str) -> None:
    """Bob asks for one row, and gets what else is his in the group, which he may need next, and nothing of Alice's."""
    pool = _shared(any_place)
    rows = len(Client().chunks(MORE)) + 1

    assert _handed(pool, 2, [(0, 1)], reader) == _ids(KNOWN, MORE)
    assert _handed(pool, 2, [(0, rows)], reader) == _ids(KNOWN, MORE)
    assert restore(pool, record_id(2)) == BOBS


def test_a_group_goes_to_its_uploader_as_it_is_stored(place: Place) -> None:
    """Nothing is decoded for the usual case: the bytes are those that Alice sent."""
    pool = _shared(place)
    [handed] = pool.read(record_id(1), ALICE).groups([(0, 1)])

    assert handed in b"".join(bytes(file.data) for file in place.memory().files.values())
    assert restore(pool, record_id(1)) == TREE


def test_another_client_gets_the_rows_that_it_asks_for(place: Place) -> None:
    """A copy of Alice's is restored to Eve's host: her other files in the same groups do not go there."""
    pool = _shared(place)
    first = len(Client().chunks(MORE))
    names = [name for name, _ in pool.read(record_id(1))._reader.rows(0, first + 2)]

    assert all(_handed(pool, 1, [(row, 1)], EVE) == {name} for row, name in enumerate(names))
    assert _handed(pool, 1, [(0, first + 2)], EVE) == _ids(*TREE.values())


@pytest.mark.parametrize("at", [0, 50, 112], ids=["magic", "owner", "sum"])
def test_a_pack_that_lost_its_header_gives_only_what_is_owned(place: Place, at: int) -> None:
    """Who uploaded it is not known then: each reader gets its own chunks, and both restore."""
    pool = _shared(place)
    [file] = [file for name, file in place.memory().files.items() if name.startswith("packs/")]
    file.data[at] ^= 1

    assert _handed(pool, 2, [(0, 1)]) == _ids(KNOWN, MORE)
    assert (restore(pool, record_id(1)), restore(pool, record_id(2))) == (TREE, BOBS)


def test_the_header_of_another_pack_does_not_count(place: Place) -> None:
    """Bob's own pack and Alice's with their headers swapped: that makes him no uploader of hers."""
    pool = _shared(place)
    Client(owner=BOB).backup(begin(pool, 3, owner=BOB), {"/own": noise(9_000, 9)})
    one, two = (file for name, file in place.memory().files.items() if name.startswith("packs/"))
    one.data[: pack.HEADER_BYTES], two.data[: pack.HEADER_BYTES] = (
        two.data[: pack.HEADER_BYTES], one.data[: pack.HEADER_BYTES],
    )  # fmt: skip

    assert _handed(pool, 2, [(0, 1)]) == _ids(KNOWN, MORE)


def test_it_stays_so_where_groups_moved_and_in_a_new_index(place: Place) -> None:
    """A collection moves groups into packs of the same client; a rebuilt index knows owners by headers and records."""
    pool = _shared(place, noise(300_000, 4))
    bobs, alices = pool.read(record_id(2)), pool.read(record_id(1))
    moved = collect(pool).moved_bytes
    came = [group.decode(data) for data in bobs.groups([(0, 1)])]
    [whole] = [group.decode(data) for data in alices.groups([(0, 1)])]
    place.close()
    place.lose_index()

    assert moved > 0
    assert {name for one in came for name in one.ids} == _ids(KNOWN, MORE)
    assert set(whole.ids) == _ids(*TREE.values())
    assert _handed(place.open(), 2, [(0, 1)]) == _ids(KNOWN, MORE)


def test_a_damaged_group_of_another_client_is_named(place: Place) -> None:
    """As for any reader; nothing of it is handed out."""
    pool = _shared(place)
    [file] = [file for name, file in place.memory().files.items() if name.startswith("packs/")]
    file.data[pack.HEADER_BYTES + 2000] ^= 1

    with pytest.raises(Corrupt, match=r"is damaged at offset"):
        list(pool.read(record_id(2)).groups([(0, 1)]))


def test_a_copy_in_another_pool_has_its_own_chunks_only(place: Place, tmp_path: Path) -> None:
    """Bob's copy goes to another pool and restores there; nothing of Alice's is in that pool."""
    pool, other = _shared(place), Place(tmp_path / "target")
    target = other.open()
    session = begin(target, 9, owner=BOB)
    summary = RecordCopy(pool.read(record_id(2)), session, 1, lambda *_: None, lambda: None).run()
    session.seal(summary.files, 0, summary.size_bytes)
    stored = {name for data in target.read(record_id(9)).groups([(0, 2)]) for name in group.decode(data).ids}
    restored = restore(target, record_id(9))
    other.close()

    assert (stored, restored) == (_ids(KNOWN, MORE), BOBS)


def test_an_encrypted_group_of_another_client_is_not_handed_out(place: Place) -> None:
    """An index that names one is wrong; the copy is not restored from it."""
    pool = place.open()
    how = {"crypto": GCM.name, "key_id": KEY.id.hex()}
    for number, owner in ((1, ALICE), (2, BOB)):
        Client(owner=owner, sealer=group.Sealer(KEY, GCM)).backup(begin(pool, number, owner=owner, **how), TREE)
    index = pool._index
    spaces = {owner: index.space(owner, KEY.id.hex()) for owner in (ALICE, BOB)}
    names = {name for name, _ in pool.read(record_id(2))._reader.rows(0, 3)}
    found = index.places(names, spaces[ALICE])
    index._env.write(
        lambda txn: [txn.put(name + spaces[BOB], value, db=index._db["chunks"]) for name, value in found.items()]
    )

    with pytest.raises(Corrupt, match=r"uploaded by another client"):
        list(pool.read(record_id(2)).groups([(0, 1)]))
