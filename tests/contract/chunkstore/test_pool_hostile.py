"""Hostile clients: possession, false chunks, manifests that lie."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rubackup.chunkstore import group
from rubackup.chunkstore.identity import chunk_id, possession_proof
from rubackup.chunkstore.manifest import EntryType, ManifestWriter, Summary
from rubackup.chunkstore.manifest import format as fmt
from rubackup.chunkstore.pool import WriteSession
from rubackup.domain.errors import Corrupt, Invalid, NotFound
from support.chunkstore import Client, Place, begin, entry, noise, record_id, restore

SECRET = noise(3_000, 7)
TREE = {"/secret": SECRET}
OTHER = "00000000000000bb"


def _victim(place: Place) -> bytes:
    """A pool in which another client stored the secret; the chunk's id."""
    Client().backup(begin(place.open(), 1), TREE)
    return chunk_id(SECRET)


def _naming(session: WriteSession, rows: list[tuple[bytes, int]], size: int = 0) -> None:
    """Seal a manifest that names these rows."""
    client = Client(owner=session.owner)
    writer = ManifestWriter(session.put_manifest, client.header(session.record))
    first = writer.add_rows(rows)
    writer.add_folder(b"/", [entry("stolen", size=size, first_row=first, rows=len(rows))])
    writer.finish(Summary(1, 0, 1, size))
    session.seal(1, 0, size)


def test_a_known_id_is_no_possession(place: Place) -> None:
    """Who only knows a chunk's id can neither name nor learn of it."""
    name = _victim(place)
    session = begin(place.opened[0], 2, owner=OTHER)

    assert session.query(name) == (b"\0", b"")
    with pytest.raises(Invalid, match=name.hex()):
        _naming(session, [(name, len(SECRET))])
    with pytest.raises(NotFound):
        place.opened[0].read(record_id(2))


def test_sharing_asks_for_a_proof(place: Place) -> None:
    """With the common table a holder proves the chunk once and then owns it, also after a restart."""
    name = _victim(place)
    session = begin(place.opened[0], 2, owner=OTHER, share=True)
    states, nonce = session.query(name)
    assert (states, len(nonce)) == (b"\2", 32)
    assert session.prove(name, possession_proof(SECRET, nonce)) == b"\1"
    _naming(session, [(name, len(SECRET))], len(SECRET))

    assert restore(place.opened[0], record_id(2)) == {"/stolen": SECRET}
    assert begin(place.reopen(), 3, owner=OTHER).query(name)[0] == b"\1"


@pytest.mark.parametrize(
    "proof",
    [
        lambda name, nonce: bytes(32),
        lambda name, nonce: name,
        possession_proof,
        lambda name, nonce: possession_proof(SECRET, bytes(32)),
        lambda name, nonce: possession_proof(SECRET[:-1], nonce),
    ],
)
def test_a_wrong_proof_gives_nothing(place: Place, proof: Callable[[bytes, bytes], bytes]) -> None:
    """Only the content under this session's nonce is a proof."""
    name = _victim(place)
    session = begin(place.opened[0], 2, owner=OTHER, share=True)
    _, nonce = session.query(name)

    assert session.prove(name, proof(name, nonce)) == b"\0"
    with pytest.raises(Invalid):
        _naming(session, [(name, len(SECRET))])


def test_a_proof_is_worth_nothing_in_another_session(place: Place) -> None:
    """Each session has its own nonce."""
    name = _victim(place)
    _, nonce = begin(place.opened[0], 2, owner=OTHER, share=True).query(name)
    session = begin(place.opened[0], 3, owner=OTHER, share=True)
    assert session.query(name)[1] != nonce

    assert session.prove(name, possession_proof(SECRET, nonce)) == b"\0"


def test_a_proof_without_sharing_gives_nothing(place: Place) -> None:
    """Where the pool does not share, even a right proof is not looked at."""
    name = _victim(place)
    session = begin(place.opened[0], 2, owner=OTHER)

    assert session.prove(name, possession_proof(SECRET, session._nonce)) == b"\0"


def test_uploading_a_known_chunk_stores_nothing_but_gives_it(place: Place) -> None:
    """Who sends the content holds it; it is not stored twice."""
    name = _victim(place)
    session = begin(place.opened[0], 2, owner=OTHER)
    session.put_group(group.encode([(name, SECRET)], 1))
    before = place.opened[0].usage().used_bytes
    session.checkpoint()
    _naming(session, [(name, len(SECRET))], len(SECRET))

    assert place.opened[0].usage().used_bytes - before < 2000
    assert begin(place.reopen(), 3, owner=OTHER).query(name)[0] == b"\1"


def test_a_parent_of_another_client_is_not_shown(place: Place) -> None:
    """A session reads only its own client's manifests."""
    _victim(place)
    session = begin(place.opened[0], 2, owner=OTHER, parent=record_id(1))

    assert session.parent_bytes == 0
    with pytest.raises(Invalid):
        session.read_parent(0, 10)


def test_a_false_chunk_is_refused_and_not_stored(place: Place) -> None:
    """A group whose content is not what its ids say is Corrupt; the session can go on."""
    session = begin(place.open(), 1)
    with pytest.raises(Corrupt):
        session.put_group(group.encode([(chunk_id(b"a"), b"b")], 1))
    with pytest.raises(Corrupt):
        session.put_group(b"garbage")

    assert session.query(chunk_id(b"a"))[0] == b"\0"
    Client().backup(session, TREE)
    assert restore(place.opened[0], record_id(1)) == TREE


@pytest.mark.parametrize("ids", [b"x", bytes(33), bytes(32 * 70_000)])
def test_a_malformed_question_is_invalid(place: Place, ids: bytes) -> None:
    """Ids have 32 bytes, and there is a limit."""
    session = begin(place.open(), 1)

    with pytest.raises(Invalid):
        session.query(ids)
    with pytest.raises(Invalid):
        session.prove(ids, ids)


def _sealed_with(place: Place, data: bytes, summary: tuple[int, int, int] = (0, 0, 0)) -> None:
    session = begin(place.opened[0] if place.opened else place.open(), 1)
    for i in range(0, len(data), 1 << 20):
        session.put_manifest(data[i : i + (1 << 20)])
    session.seal(*summary)


def _manifest(record: str = record_id(1), owner: str = "00000000000000aa", parent: str = "") -> bytes:
    parts: list[bytes] = []
    header = Client(owner=owner).header(record, parent)
    writer = ManifestWriter(parts.append, header)
    writer.add_folder(b"/", [entry("a")])
    writer.finish(Summary(1, 0, 1, 0))
    return b"".join(parts)


@pytest.mark.parametrize(
    ("data", "summary"),
    [
        (b"", (0, 0, 0)),
        (b"RBMANIF\0", (0, 0, 0)),
        (b"x" * 100_000, (0, 0, 0)),
        (_manifest(record_id(2)), (1, 0, 0)),
        (_manifest(owner=OTHER), (1, 0, 0)),
        (_manifest(parent=record_id(8)), (1, 0, 0)),
        (_manifest(), (2, 0, 0)),
        (_manifest() + b"x", (1, 0, 0)),
        (_manifest()[:-1], (1, 0, 0)),
        (_manifest() * 2, (1, 0, 0)),
    ],
)
def test_a_manifest_that_is_not_the_records_is_refused(
    place: Place, data: bytes, summary: tuple[int, int, int]
) -> None:
    """Nothing is sealed that is not whole, or of another record, client or parent."""
    with pytest.raises(Invalid):
        _sealed_with(place, data, summary)
    assert place.opened[0].records() == []
    assert not [name for name in place.memory().files if name.startswith("manifests/")]


class Forger:
    """Writes frames with right sums and any content."""

    def __init__(self) -> None:
        self.parts = [fmt.MAGIC]
        self.frame(b"H", fmt.encoder.encode(Client().header(record_id(1))))

    @property
    def at(self) -> int:
        """Offset of the next frame."""
        return sum(map(len, self.parts))

    def frame(self, kind: bytes, raw: bytes, items: int = 0, number: int = 0) -> tuple[int, int]:
        """Add a frame; its offset and length."""
        at = self.at
        self.parts.append(fmt.pack_frame(kind, raw, count=items, number=number, level=None))
        return at, len(self.parts[-1])

    def block(self, runs: list, number: int = 0) -> tuple[int, int]:
        """Add a block of entries."""
        return self.frame(b"E", fmt.encoder.encode(runs), len(runs), number)

    def index(self, rows: list, level: int = 0) -> tuple[int, int]:
        """Add a frame of the index."""
        return self.frame(b"I", fmt.encoder.encode(rows), len(rows), level)

    def end(self, root: tuple[int, int], levels: int = 1, entries: int = 1, blocks: int = 1, rows: int = 0) -> bytes:
        """Everything, with a trailer."""
        trailer = fmt.Trailer(Summary(), rows, 0, blocks, entries, self.at, *root, levels)
        at, _ = self.frame(b"T", fmt.encoder.encode(trailer))
        return b"".join([*self.parts, fmt.FOOTER.pack(at, fmt.END)])


def _one_entry(one: object, path: bytes = b"/", first: int = 0) -> bytes:
    forger = Forger()
    at = forger.block([[path, first, [one]]])
    name = getattr(one, "name", b"a")
    return forger.end(forger.index([[path, first, name, *at]]))


def _index(rows: Callable[[tuple[int, int]], list], levels: int = 1, level: int = 0) -> bytes:
    forger = Forger()
    at = forger.block([[b"/", 0, [entry("a")]]])
    return forger.end(forger.index(rows(at), level), levels)


def test_the_forger_can_write_a_right_manifest(place: Place) -> None:
    """Else the refusals below would say nothing."""
    _sealed_with(place, _one_entry(entry("a")))

    assert len(place.opened[0].records()) == 1


@pytest.mark.parametrize(
    "data",
    [
        _one_entry(entry("..")),
        _one_entry(entry("a/b")),
        _one_entry(entry("a", size=-1)),
        _one_entry(entry("a", rows=1)),
        _one_entry(entry("a", first_row=2**63, rows=2**63)),
        _one_entry(entry("a", kind=EntryType.FOLDER, rows=1)),
        _one_entry(entry("a", hardlink=b"../../etc/shadow")),
        _one_entry(msgspec.structs.replace(entry("a"), type=99)),
        _one_entry(msgspec.structs.replace(entry("a"), mode=0o1000000)),
        _one_entry([b"a"]),
        _one_entry({"a": 1}),
        _one_entry(entry("a"), b"/etc"),
        _one_entry(entry("a"), b"/../etc"),
        _one_entry(entry("a"), b"etc"),
        _one_entry(entry("a"), first=5),
        _index(lambda at: [[b"/", 0, b"b", *at]]),
        _index(lambda at: [[b"/", 0, b"a", at[0] + 1, at[1]]]),
        _index(lambda at: [[b"/", 0, b"a", *at]] * 2),
        _index(lambda at: []),
        _index(lambda at: [[b"/", 0, b"a", *at]], levels=0),
        _index(lambda at: [[b"/", 0, b"a", *at]], levels=9),
        _index(lambda at: [[b"/", 0, b"a", *at]], level=1),
        _index(lambda at: [[b"/", 0, b"a", *at]], level=2**60),
        Forger().end((0, 0), 0, 0, 0, rows=1),
        Forger().end((8, 90), 1, 0, 0),
    ],
)
def test_a_forged_manifest_is_refused(place: Place, data: bytes) -> None:
    """Right sums do not help: names, numbers, order and index are checked."""
    with pytest.raises(Invalid):
        _sealed_with(place, data)
    assert place.opened[0].records() == []


def test_a_wrong_length_of_a_chunk_is_refused(place: Place) -> None:
    """A row must be as long as its chunk."""
    session = begin(place.open(), 1)
    session.put_group(group.encode([(chunk_id(b"data"), b"data")], 1))

    with pytest.raises(Invalid, match="length"):
        _naming(session, [(chunk_id(b"data"), 5)])


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place_in=st.integers(0), flip=st.integers(1, 255), cut=st.booleans())
def test_a_damaged_manifest_is_never_sealed(place: Place, place_in: int, flip: int, cut: bool) -> None:
    """Any changed byte or missing end is Invalid, never another error."""
    data = bytearray(_manifest())
    data[place_in % len(data)] ^= flip
    session = begin(place.opened[0] if place.opened else place.open(), 1)
    session.put_manifest(bytes(data[: place_in % len(data)] if cut else data) or b"x")

    with pytest.raises(Invalid):
        session.seal(1, 0, 0)
