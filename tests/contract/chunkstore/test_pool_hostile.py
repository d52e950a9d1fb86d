"""Hostile clients: possession, false chunks, manifests that lie."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rubackup.chunkstore import group
from rubackup.chunkstore.identity import chunk_id, possession_proof
from rubackup.chunkstore.manifest import ManifestWriter, Summary, runs
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
        self.frame(b"H", fmt.encode_header(Client().header(record_id(1))))
        self.segments: list[tuple[int, int, int]] = []

    @property
    def at(self) -> int:
        """Offset of the next frame."""
        return sum(map(len, self.parts))

    def frame(self, kind: bytes, raw: bytes, items: int = 0, number: int = 0) -> tuple[int, int]:
        """Add a frame; its offset and length."""
        at = self.at
        self.parts.append(fmt.pack_frame(kind, raw, count=items, number=number, level=None))
        return at, len(self.parts[-1])

    def entries(self, raw: bytes, items: int = 1) -> tuple[int, int]:
        """Add a segment without rows."""
        at = self.frame(b"E", raw, items)
        self.segments.append((*at, items))
        return at

    def table(self, **changes: int) -> None:
        """Add the table of segments."""
        rows = [
            fmt.SegmentRow(at, 0, 0, 0, items, length)._replace(**changes)  # type: ignore[arg-type]
            for at, length, items in self.segments
        ]
        self.frame(b"S", b"".join(fmt.SEGMENT.pack(*row) for row in rows), len(rows))

    def index(self, rows: list, level: int = 0) -> tuple[int, int]:
        """Add a frame of the index."""
        return self.frame(b"I", fmt.encoder.encode(rows), len(rows), level)

    def end(self, root: tuple[int, int], levels: int = 1, entries: int = 1, segments: int = 1, rows: int = 0) -> bytes:
        """Everything, with a trailer."""
        segments_at = self.segments[0][0] + self.segments[0][1] if self.segments else 0
        trailer = fmt.Trailer(Summary(), rows, 0, segments, entries, segments_at, *root, levels)
        at, _ = self.frame(b"T", fmt.encoder.encode(trailer))
        return b"".join([*self.parts, fmt.FOOTER.pack(at, fmt.END)])


def _run(path: bytes = b"/", names: bytes = b"a", **changes: int) -> bytes:
    """A run of one file as it is stored, with any of its numbers changed."""
    told = {
        "first": 0, "count": 1, "rows": 0, "newest": 2, "device": 4, "size": 0, "files": 1, "zero": 0,
        "mode": 0o100644, "file_size": 0, "own_rows": 0, **changes,
    }  # fmt: skip
    extras = b"" if "hard" not in changes else runs.Extras(hardlinks={told["hard"]: b"../../etc/shadow"}).encode()
    head = runs.HEAD.pack(
        len(path), told["first"], told["count"], len(names), len(extras), told["rows"], told["newest"], told["device"],
        told["size"], told["files"], told["zero"],
    )  # fmt: skip
    one = runs.STAT.pack(told["mode"], 0, 0, 1, 3, told["file_size"], 1, 2, 0) + told["own_rows"].to_bytes(4, "little")
    return head + path + one * (told["count"] > 0) + names + extras


def _one_run(raw: bytes, path: bytes = b"/", name: bytes = b"a", first: int = 0, items: int = 1) -> bytes:
    forger = Forger()
    at = forger.entries(raw, items)
    forger.table()
    return forger.end(forger.index([[path, first, name, *at, 0, 0]]), entries=items)


def _index(rows: Callable[[tuple[int, int]], list], levels: int = 1, level: int = 0, **table: int) -> bytes:
    forger = Forger()
    at = forger.entries(_run())
    forger.table(**table)
    return forger.end(forger.index(rows(at), level), levels)


def test_the_forger_can_write_a_right_manifest(place: Place) -> None:
    """Else the refusals below would say nothing."""
    _sealed_with(place, _one_run(_run()))

    assert len(place.opened[0].records()) == 1


def _folders(*paths: bytes) -> bytes:
    """The root with one file, and these folders."""
    raw = b"".join(_run(path) for path in (b"/", *paths))
    return _one_run(raw, items=1 + len(paths))


def test_folders_below_folders_are_sealed(place: Place) -> None:
    """What a walk gives is taken."""
    _sealed_with(place, _folders(b"/a", b"/a/b", b"/a/b/c", b"/a/d", b"/e"))

    assert len(place.opened[0].records()) == 1


@pytest.mark.parametrize(
    "data",
    [
        _folders(b"//a"),
        _folders(b"a"),
        _folders(b"/a", b"/a//b"),
        _folders(b"/a", b"/a/.."),
        _folders(b"/a", b"/a/"),
        _folders(b"/a", b"/a/b", b"/a/b/../c"),
        _folders(b"/a", b"/b/c"),
        _folders(b"/a", b"/a"),
        _folders(b"/b", b"/a"),
        _folders(b"/" + b"a" * 5000),
        _one_run(_run(names=b".."), name=b".."),
        _one_run(_run(names=b"a/b"), name=b"a/b"),
        _one_run(_run(names=b""), name=b""),
        _one_run(_run(names=b"a\0b")),
        _one_run(_run(names=b"x" * 5000), name=b"x" * 5000),
        _one_run(_run(file_size=2**63, size=2**63)),
        _one_run(_run(size=1)),
        _one_run(_run(files=0)),
        _one_run(_run(newest=3)),
        _one_run(_run(zero=1)),
        _one_run(_run(own_rows=1)),
        _one_run(_run(rows=1)),
        _one_run(_run(rows=1, own_rows=1)),
        _one_run(_run(mode=0o40755, files=0, rows=1, own_rows=1)),
        _one_run(_run(mode=0o170644, files=1)),
        _one_run(_run(mode=0o1100644)),
        _one_run(_run(hard=0)),
        _one_run(_run(hard=1)),
        _one_run(_run(count=0)),
        _one_run(_run(count=2**32 - 1)),
        _one_run(_run()[:-1]),
        _one_run(_run() + b"x"),
        _one_run(_run(), items=2),
        _one_run(_run() * 2, items=2),
        _one_run(b"", items=0),
        _one_run(_run(b"/etc"), b"/etc"),
        _one_run(_run(b"/../etc"), b"/../etc"),
        _one_run(_run(b"etc"), b"etc"),
        _one_run(_run(first=5), first=5),
        _index(lambda at: [[b"/", 0, b"b", *at, 0, 0]]),
        _index(lambda at: [[b"/", 0, b"a", at[0] + 1, at[1], 0, 0]]),
        _index(lambda at: [[b"/", 0, b"a", *at, 0, 0]] * 2),
        _index(lambda at: []),
        _index(lambda at: [[b"/", 0, b"a", *at, 0, 0]], levels=0),
        _index(lambda at: [[b"/", 0, b"a", *at, 0, 0]], levels=9),
        _index(lambda at: [[b"/", 0, b"a", *at, 0, 0]], level=1),
        _index(lambda at: [[b"/", 0, b"a", *at, 0, 0]], level=2**60),
        _index(lambda at: [[b"/", 0, b"a", *at, 0, 0]], offset=9),
        _index(lambda at: [[b"/", 0, b"a", *at, 0, 0]], first_row=1),
        _index(lambda at: [[b"/", 0, b"a", *at, 0, 0]], entries=2),
        _index(lambda at: [[b"/", 0, b"a", *at, 0, 0]], reserved=1),
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


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(place_in=st.integers(0), flip=st.integers(1, 255), cut=st.booleans())
def test_a_damaged_manifest_is_never_sealed(place: Place, place_in: int, flip: int, cut: bool) -> None:
    """Any changed byte or missing end is Invalid, never another error."""
    data = bytearray(_manifest())
    data[place_in % len(data)] ^= flip
    session = begin(place.opened[0] if place.opened else place.open(), 1)
    session.put_manifest(bytes(data[: place_in % len(data)] if cut else data) or b"x")

    with pytest.raises(Invalid):
        session.seal(1, 0, 0)
