"""Records of a pool: written, read, listed, dropped."""

from __future__ import annotations

import pytest

from rubackup.domain.errors import Busy, Conflict, Fenced, Invalid, NotFound
from support.chunkstore import Client, Place, begin, noise, record_id, restore

TREE = {"/etc/passwd": b"root", "/home/u/big": noise(300_000), "/home/u/empty": b"", "/home/u/text": b"text " * 9_000}


def test_a_backup_restores_as_it_was(any_place: Place) -> None:
    """What was backed up comes back, also after the pool was opened again."""
    pool = any_place.open()
    sealed = Client().backup(begin(pool, 1), TREE)

    assert (sealed.files, sealed.size_bytes) == (4, sum(map(len, TREE.values())))
    assert restore(pool, record_id(1)) == TREE
    assert restore(any_place.reopen(), record_id(1)) == TREE
    assert any_place.opened[0].records() == [sealed]


def test_an_unchanged_backup_sends_nothing(place: Place) -> None:
    """The second copy of the same data sends no group, and its manifest may take over the parent's rows."""
    pool = place.open()
    client = Client()
    first = client.backup(begin(pool, 1), TREE)
    session = begin(pool, 2, parent=record_id(1))
    second = client.backup(session, TREE)

    assert client.sent == 0
    assert session.parent_bytes > 0
    assert second.stored_bytes < first.stored_bytes / 10
    assert restore(pool, record_id(2)) == TREE


def test_a_lost_index_is_rebuilt(any_place: Place) -> None:
    """Packs and manifests alone give back places, owners, records and fences."""
    pool = any_place.open()
    client = Client()
    client.backup(begin(pool, 1, fence=7), TREE)
    before = pool.usage()
    any_place.close()
    any_place.lose_index()
    pool = any_place.open()

    assert restore(pool, record_id(1)) == TREE
    assert pool.usage().chunks == before.chunks
    with pytest.raises((Fenced, Conflict)):
        begin(pool, 1, fence=6, record=record_id(3))
    client.backup(begin(pool, 2), TREE)
    assert client.sent == 0


@pytest.mark.parametrize("damage", ["cut", "garbage", "empty", "other pool"])
def test_an_unreadable_index_is_rebuilt(place: Place, damage: str) -> None:
    """An index that cannot be used is set aside, whatever is wrong with it."""
    Client().backup(begin(place.open(), 1), TREE)
    place.close()
    file = place.metadata / "index" / "data.mdb"
    data = file.read_bytes()
    changed = {"cut": data[: len(data) // 2], "garbage": b"x" * len(data), "empty": b"", "other pool": None}[damage]
    if changed is None:
        changed = data.replace(bytes.fromhex("0123456789abcdef0123456789abcdef"), bytes(16))
    file.write_bytes(changed)

    assert restore(place.open(), record_id(1)) == TREE


def test_a_dropped_record_is_gone_for_good(any_place: Place) -> None:
    """Dropping is idempotent, survives, and its id is never used again."""
    pool = any_place.open()
    Client().backup(begin(pool, 1), TREE)
    Client().backup(begin(pool, 2), TREE)
    pool.drop(record_id(1))
    pool.drop(record_id(1))
    pool.drop(record_id(9))
    pool = any_place.reopen()

    assert [sealed.record for sealed in pool.records()] == [record_id(2)]
    with pytest.raises(NotFound):
        pool.read(record_id(1))
    with pytest.raises(Conflict):
        begin(pool, 1, fence=2)
    assert restore(pool, record_id(2)) == TREE


def test_a_record_dropped_while_it_is_written_is_not_sealed(place: Place) -> None:
    """A tombstone wins over a seal that comes later."""
    pool = place.open()
    session = begin(pool, 1)
    pool.drop(record_id(1))

    with pytest.raises(Conflict):
        Client().backup(session, TREE)
    assert pool.records() == []


def test_an_older_fence_is_refused_also_after_a_restart(place: Place) -> None:
    """Fences are durable and only rise."""
    pool = place.open()
    begin(pool, 1, fence=5)
    with pytest.raises(Fenced):
        begin(pool, 1, fence=4, record=record_id(2))
    with pytest.raises(Fenced):
        begin(place.reopen(), 1, fence=4, record=record_id(2))


def test_a_new_fence_ends_the_older_session(place: Place) -> None:
    """Two workers never write for one task; what the first sent is kept for the second."""
    pool = place.open()
    client = Client()
    older = begin(pool, 1, fence=1)
    client.send(older, client.chunks(TREE["/home/u/big"]))
    newer = begin(pool, 1, fence=2, record=record_id(2))

    with pytest.raises(Fenced):
        older.checkpoint()
    with pytest.raises(Fenced):
        older.seal(0, 0, 0)
    client.sent = 0
    client.send(newer, client.chunks(TREE["/home/u/big"]))
    assert client.sent == 0


def test_two_sessions_at_once_do_not_disturb_each_other(place: Place) -> None:
    """Interleaved sessions with the same and other data both restore."""
    pool = place.open()
    one, two = Client(), Client(owner="00000000000000bb")
    first, second = begin(pool, 1), begin(pool, 2, owner=two.owner)
    other = {"/x": noise(100_000, 5), "/home/u/big": TREE["/home/u/big"]}
    for left, right in zip([*TREE.values()], [*other.values()] * 2, strict=True):
        one.send(first, one.chunks(left))
        two.send(second, two.chunks(right))
    one.backup(first, TREE)
    two.backup(second, other)

    assert restore(pool, record_id(1)) == TREE
    assert restore(place.reopen(), record_id(2)) == other


def test_sealing_again_gives_the_same_answer(place: Place) -> None:
    """A client that lost the answer may ask again; after that nothing can be sent."""
    session = begin(place.open(), 1)
    sealed = Client().backup(session, TREE)

    assert session.seal(0, 0, 0) == sealed
    with pytest.raises(Invalid):
        session.put_manifest(b"more")


def test_a_second_process_is_refused(place: Place) -> None:
    """One process serves a pool."""
    place.open()

    with pytest.raises(Busy):
        place.open()


def test_the_index_grows_past_its_first_map(place: Place) -> None:
    """A map that is too small is enlarged, and nothing is lost."""
    place.map_bytes = 64 << 10
    pool = place.open()
    tree = {f"/f{i:05}": f"content {i}".encode() for i in range(4000)}
    client = Client(group_bytes=20_000)
    session = begin(pool, 1)
    client.send(session, [chunk for data in tree.values() for chunk in client.chunks(data)])
    client.backup(session, tree)

    assert restore(pool, record_id(1)) == tree
    assert pool.usage().chunks == 4000


@pytest.mark.parametrize("lose_index", [False, True])
def test_a_manifest_beside_its_tombstone_is_removed(place: Place, lose_index: bool) -> None:
    """A crash between the two steps of a drop is finished at the next opening."""
    Client().backup(begin(place.open(), 1), TREE)
    place.close()
    place.memory().put(f"manifests/{record_id(1)}.tombstone", b"")
    if lose_index:
        place.lose_index()

    assert place.open().records() == []
    assert [name for name in place.memory().files if name.startswith("manifests/")] == [
        f"manifests/{record_id(1)}.tombstone"
    ]
