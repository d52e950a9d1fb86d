"""Encrypted sessions beside clear ones: spaces that never meet, what the server checks, recovery, copies."""

from __future__ import annotations

import pytest

from rubackup.chunkstore import group, pack
from rubackup.chunkstore.copying import RecordCopy
from rubackup.chunkstore.group import Sealer
from rubackup.chunkstore.identity import chunk_id, possession_proof
from rubackup.chunkstore.pool import Pool, SealedRecord, WriteSession
from rubackup.domain.errors import Corrupt, Invalid
from support.chunkstore import Client, Place, Tree, begin, noise, record_id, restore
from support.collecting import collect
from support.keys import CHACHA, GCM, KEY, OTHER, Held

HELD = Held(KEY)
TREE: Tree = {"/a": noise(40_000, 1), "/b/c": b"small", "/b/d": noise(70_000, 2)}
ALICE, BOB = "00000000000000aa", "00000000000000bb"
GCM_KEY = {"crypto": GCM.name, "key_id": KEY.id.hex()}
SECRET = b"what bob has in clear" * 100


def _client(owner: str = ALICE, key=KEY, suite=GCM) -> Client:
    return Client(owner=owner, sealer=Sealer(key, suite))


def _backup(pool: Pool, number: int, tree: Tree = TREE, *, client: Client | None = None, **more) -> SealedRecord:
    client = client or _client()
    return client.backup(begin(pool, number, owner=client.owner, **{**GCM_KEY, **more}), tree)


def _verify(pool: Pool, number: int, *, contents: bool = True) -> list[str]:
    return pool.verify(record_id(number), lambda *_: None, lambda: None, contents=contents).damaged


def test_an_encrypted_record_is_sealed_and_restored(any_place: Place) -> None:
    """With its key it restores byte for byte; the row says how it is encrypted, also after a restart."""
    sealed = _backup(any_place.open(), 1)
    pool = any_place.reopen()

    assert (sealed.crypto, sealed.key_id) == ("aes-256-gcm", KEY.id.hex())
    assert pool.sealed(record_id(1)) == sealed
    assert restore(pool, record_id(1), HELD) == TREE
    assert (pool.read(record_id(1)).crypto, pool.read(record_id(1)).key_id) == (sealed.crypto, sealed.key_id)


def test_nothing_stored_shows_contents(place: Place) -> None:
    """No stored file holds a piece of what was copied, nor an id that a holder of the content could compute."""
    _backup(place.open(), 1)
    stored = b"".join(bytes(file.data) for file in place.memory().files.values())

    assert TREE["/a"][100:132] not in stored
    assert b"small" not in stored
    assert chunk_id(b"small") not in stored


def test_what_was_sent_is_not_sent_again(place: Place) -> None:
    """Encrypted data dedups within one client, over sessions."""
    pool, first, second = place.open(), _client(), _client()
    _backup(pool, 1, client=first)
    _backup(pool, 2, client=second)

    assert (first.sent > 0, second.sent) == (True, 0)
    assert restore(pool, record_id(2), HELD) == TREE


@pytest.mark.parametrize(
    ("client", "session"),
    [
        (_client(BOB), {**GCM_KEY, "owner": BOB}),
        (_client(key=OTHER), {"crypto": GCM.name, "key_id": OTHER.id.hex()}),
        (_client(suite=CHACHA), {"crypto": CHACHA.name, "key_id": KEY.id.hex()}),
        (Client(), {"crypto": "", "key_id": ""}),
    ],
    ids=["owner", "key", "cipher", "clear"],
)
def test_nobody_else_is_told_of_it(place: Place, client: Client, session: dict[str, str]) -> None:
    """Another owner, even with the same key, another key, another cipher and a clear copy all send it anew."""
    pool, alice = place.open(), _client()
    _backup(pool, 1, client=alice)
    client.backup(begin(pool, 2, **{"owner": client.owner, "share": True, **session}), TREE)

    assert client.sent == alice.sent


def test_an_id_of_somebody_else_cannot_be_poisoned(place: Place) -> None:
    """A hostile client puts garbage under the id of a clear chunk: only its own space has it.

    Bob, who backs the content up in clear, is asked for it, and reads his own.
    """
    pool = place.open()
    mallory = begin(pool, 1, owner=ALICE, **GCM_KEY)
    mallory.put_group(group.encode([(Client().chunks(SECRET)[0][0], b"garbage")], 1, Sealer(KEY, GCM)))
    mallory.checkpoint()

    bob = Client(owner=BOB)
    bob.backup(begin(pool, 2, owner=BOB, share=True), {"/secret": SECRET})
    place.close()
    place.lose_index()

    assert bob.sent == 1
    assert restore(place.open(), record_id(2)) == {"/secret": SECRET}


def test_a_clear_chunk_is_not_possessed_through_an_encrypted_session(place: Place) -> None:
    """Neither asking nor proving nor naming it gives an encrypted session a clear chunk of somebody else."""
    pool = place.open()
    bob = Client(owner=BOB)
    bob.backup(begin(pool, 1, owner=BOB), {"/secret": SECRET})
    name = bob.chunks(SECRET)[0][0]
    mallory = begin(pool, 2, owner=ALICE, share=True, **GCM_KEY)

    assert mallory.query(name) == (b"\0", b"")
    assert mallory.prove(name, possession_proof(SECRET, bytes(32))) == b"\0"
    with pytest.raises(Invalid, match=r"did not show to have"):
        _seal_naming(mallory, bob.chunks(SECRET))


def _seal_naming(session: WriteSession, chunks: list[tuple[bytes, memoryview]]) -> None:
    """A manifest that names these chunks, sent through an encrypted session that never sent them."""
    thief = _client()
    thief.chunks = lambda data: chunks  # type: ignore[method-assign]
    summary = thief.manifest(session, {"/secret": SECRET})
    session.seal(summary.files, 0, summary.size_bytes)


@pytest.mark.parametrize(
    "sealer", [None, Sealer(OTHER, GCM), Sealer(KEY, CHACHA)], ids=["clear", "another key", "another cipher"]
)
def test_an_encrypted_session_takes_nothing_else(place: Place, sealer: Sealer | None) -> None:
    """A group in clear, of another key or of another cipher is refused, and the session goes on."""
    pool = place.open()
    session = begin(pool, 1, **GCM_KEY)
    with pytest.raises(Corrupt, match=r"not encrypted with"):
        session.put_group(group.encode([(b"n" * 32, b"data")], 1, sealer))

    assert _client().backup(session, TREE).files == 3


def test_a_clear_session_takes_no_encrypted_group(place: Place) -> None:
    """Its ids could not be checked."""
    session = begin(place.open(), 1)

    with pytest.raises(Corrupt, match="encrypted"):
        session.put_group(group.encode([(b"n" * 32, b"data")], 1, Sealer(KEY, GCM)))


@pytest.mark.parametrize(
    ("crypto", "key_id"),
    [
        ("aes-256-gcm", ""),
        ("", KEY.id.hex()),
        ("rot13", KEY.id.hex()),
        ("aes-256-gcm", "0" * 31),
        ("aes-256-gcm", "F" * 32),
    ],
)
def test_a_session_names_a_cipher_and_a_key_or_neither(place: Place, crypto: str, key_id: str) -> None:
    """Anything between is refused when the session is opened."""
    with pytest.raises(Invalid, match="key"):
        begin(place.open(), 1, crypto=crypto, key_id=key_id)


@pytest.mark.parametrize(
    ("client", "session"),
    [(_client(key=OTHER), GCM_KEY), (Client(), GCM_KEY), (_client(), {})],
    ids=["another key", "a clear manifest", "a clear session"],
)
def test_the_manifest_names_the_key_of_the_session(place: Place, client: Client, session: dict[str, str]) -> None:
    """A manifest that is of another key, or of none, is not sealed."""
    opened = begin(place.open(), 1, **session)
    summary = client.manifest(opened, {})

    with pytest.raises(Invalid, match=r"another key than the session"):
        opened.seal(summary.files, 0, summary.size_bytes)


@pytest.mark.parametrize(
    ("session", "usable"),
    [(GCM_KEY, True), ({"crypto": GCM.name, "key_id": OTHER.id.hex()}, False), ({}, False)],
    ids=["same key", "after a rotation", "in clear"],
)
def test_only_a_record_of_the_same_key_is_built_on(place: Place, session: dict[str, str], usable: bool) -> None:
    """After a rotation everything is read again: rows of the old key say nothing under the new one."""
    pool = place.open()
    _backup(pool, 1)

    assert bool(begin(pool, 2, parent=record_id(1), **session).parent_bytes) is usable


# --- verification and recovery without a key ---


def _damage(place: Place, offset: int) -> None:
    (name,) = [name for name in place.memory().files if name.endswith(".pack")]
    place.memory().files[name].data[offset] ^= 1


def test_storage_is_verified_without_the_key(place: Place) -> None:
    """A flipped bit in a stored group is found by its sum, and the rows that it hits are told."""
    pool = place.open()
    _backup(pool, 1)
    before = _verify(pool, 1), _verify(pool, 1, contents=False)
    _damage(place, pack.HEADER_BYTES + 20_000)

    assert before == ([], [])
    assert [line.split()[1] for line in _verify(pool, 1)] == ["0"]


def test_a_lost_index_is_rebuilt_with_its_spaces(place: Place) -> None:
    """Encrypted and clear chunks come back where they were: both restore, and neither is sent again."""
    pool = place.open()
    _backup(pool, 1)
    Client().backup(begin(pool, 2), TREE)
    place.close()
    place.lose_index()
    pool = place.open()
    again, clear = _client(), Client()
    _backup(pool, 3, client=again)
    clear.backup(begin(pool, 4), TREE)

    assert restore(pool, record_id(1), HELD) == restore(pool, record_id(2)) == TREE
    assert (again.sent, clear.sent) == (0, 0)


def test_a_pack_that_lost_its_header_is_claimed_by_the_record(place: Place) -> None:
    """Whose encrypted chunks it holds, only the header says; the sealed record of their owner says it too."""
    _backup(place.open(), 1)
    place.close()
    place.lose_index()
    _damage(place, 60)
    pool = place.open()

    assert restore(pool, record_id(1), HELD) == TREE
    assert _verify(pool, 1) == []


# --- copying ---


def test_a_copy_keeps_the_ciphertext(place: Place, tmp_path) -> None:
    """Into another pool goes what is stored, group by group, also where only a part of a group is missing there."""
    pool, target_place = place.open(), Place(tmp_path / "target")
    _backup(pool, 1)
    target = target_place.open()
    _client().backup(begin(target, 8, **GCM_KEY), {"/b/c": b"small"})
    source = pool.read(record_id(1))
    session = begin(target, 9, crypto=source.crypto, key_id=source.key_id)
    summary = RecordCopy(source, session, 3, lambda *_: None, lambda: None).run()
    sealed = session.seal(summary.files, summary.files_failed, summary.size_bytes)
    taken = list(target.read(record_id(9)).groups([(0, 8)]))

    assert (sealed.crypto, sealed.key_id) == (GCM.name, KEY.id.hex())
    assert restore(target, record_id(9), HELD) == TREE
    assert set(source.groups([(0, 8)])) >= {data for data in taken if len(data) > 1000}
    target_place.close()


# --- garbage ---


def test_collecting_keeps_what_encrypted_records_need(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Live groups move as they are, out of packs that are mostly unused; both spaces stay whole, also in a new index."""
    monkeypatch.setattr(pack, "TARGET_BYTES", 100_000)
    pool = place.open()
    kept, gone = {"/kept": noise(30_000, 5)}, {f"/{number}": noise(60_000, number) for number in range(10, 14)}
    _backup(pool, 1, kept | gone)
    _backup(pool, 2, kept)
    Client().backup(begin(pool, 3), TREE)
    pool.drop(record_id(1))
    result = collect(pool)
    place.close()
    place.lose_index()
    pool = place.open()

    assert result.freed_bytes > 200_000
    assert restore(pool, record_id(2), HELD) == kept
    assert restore(pool, record_id(3)) == TREE
    assert (_verify(pool, 2), _verify(pool, 3)) == ([], [])


def test_a_damaged_header_and_seal_are_mended_without_the_key(place: Place) -> None:
    """A collection moves the groups into a pack of the same owner, so they stay in its space."""
    pool = place.open()
    _backup(pool, 1)
    (name,) = [name for name in place.memory().files if name.endswith(".pack")]
    place.memory().files[name].data[50] ^= 1
    place.memory().files[f"manifests/{record_id(1)}.manifest"].data[-60] ^= 1
    found = pool.verify(record_id(1), lambda *_: None, lambda: None)
    assert (found.damaged, len(found.flaws)) == ([], 2)

    pool.repair_seal(record_id(1))
    collect(pool)
    (again,) = [name for name in place.memory().files if name.endswith(".pack")]
    assert again != name
    assert pack.parse_header(place.memory().read(again, 0, pack.HEADER_BYTES)).owner == ALICE
    place.close()
    place.lose_index()
    pool = place.open()
    assert pool.problems == []
    assert pool.verify(record_id(1), lambda *_: None, lambda: None).flaws == []
    assert restore(pool, record_id(1), HELD) == TREE
