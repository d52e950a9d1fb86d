"""The file of hashes beside a pack: its bytes, and that nothing damaged is taken for whole."""

from __future__ import annotations

import hashlib
import struct

import pytest
from blake3 import blake3

from rubackup.chunkstore import group, hashes
from rubackup.chunkstore.backends.memory import MemoryBackend
from rubackup.chunkstore.digests import DigestSpec
from rubackup.chunkstore.group import Sealer
from rubackup.chunkstore.hashes import Gathered, Hashes, hashes_name
from rubackup.chunkstore.identity import chunk_id
from rubackup.domain.errors import Conflict, Corrupt, NotFound
from support.keys import GCM, KEY

PACK = bytes(range(16))
SHA1 = Hashes(DigestSpec("sha1", 160))
CHUNKS = [b"one", b"two", b"three"]


def made(backend: MemoryBackend | None = None) -> bytes:
    """A file of two groups, the first encrypted."""
    backend = backend or MemoryBackend()
    gathered = Gathered()
    gathered.add(900, b"".join(hashlib.sha1(data).digest() for data in CHUNKS))
    gathered.add(144, b"")
    SHA1.write(backend, PACK, gathered)
    assert backend.size(hashes_name(PACK)) == gathered.size_bytes
    return backend.read(hashes_name(PACK), 0, gathered.size_bytes)


def test_its_bytes_are_those_of_the_table() -> None:
    """Written down once more, by hand."""
    front = b"RBHASH\0\0" + b"\1\0" + struct.pack("<H", 20) + b"sha1".ljust(16, b"\0") + PACK + struct.pack("<II", 2, 3)
    rows = struct.pack("<IIII", 144, 0, 900, 3)
    whole = front + rows + b"".join(hashlib.sha1(data).digest() for data in CHUNKS)

    assert made() == whole + blake3(whole).digest()
    assert hashes_name(PACK) == "packs/00/000102030405060708090a0b0c0d0e0f.hashes"


def test_it_gives_what_was_recorded() -> None:
    """By the offset of the group."""
    found = hashes.parse(made(), PACK)

    assert found.spec == DigestSpec("sha1", 160)
    assert found.of(900) == b"".join(hashlib.sha1(data).digest() for data in CHUNKS)
    assert (found.of(144), found.of(145)) == (b"", None)


def test_every_flipped_bit_and_every_length_is_noticed() -> None:
    """Corrupt, and nothing else."""
    data = made()
    for at in range(len(data)):
        broken = bytearray(data)
        broken[at] ^= 1 << at % 8
        for bad in (bytes(broken), data[:at]):
            with pytest.raises(Corrupt):
                hashes.parse(bad, PACK)
    with pytest.raises(Corrupt):
        hashes.parse(data + b"x", PACK)


@pytest.mark.parametrize(
    ("at", "value"),
    [(0, b"X"), (8, b"\2"), (10, b"\0\0"), (10, b"\x15\0"), (44, b"\1"), (48, b"\2"), (44, b"\xff\xff\xff\xff"), (56, b"\1"), (60, b"\x90\0\0\0")],
)  # fmt: skip
def test_a_right_sum_does_not_make_it_right(at: int, value: bytes) -> None:
    """Somebody wrote it so: magic, version, lengths, counts, an offset twice."""
    data = bytearray(made()[:-32])
    data[at : at + len(value)] = value
    if at == 60:
        data[60:64] = data[52:56]

    with pytest.raises(Corrupt):
        hashes.parse(bytes(data) + blake3(data).digest(), PACK)


def test_the_file_of_another_pack_or_hash_is_refused() -> None:
    """The message says which."""
    backend = MemoryBackend()
    data = made(backend)
    with pytest.raises(Corrupt, match=PACK.hex()):
        hashes.parse(data, bytes(16))
    with pytest.raises(Corrupt, match="sha1 of 160 bit"):
        Hashes(DigestSpec("sha2", 256)).read(backend, PACK)
    with pytest.raises(NotFound):
        SHA1.read(backend, bytes(16))
    with pytest.raises(Conflict):
        made(backend)
    assert hashes.recorded_spec(backend) == SHA1.spec
    assert hashes.is_of(data, hashes_name(PACK))
    assert not hashes.is_of(data, hashes_name(bytes(16)))


def test_a_giant_file_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is bounded, whatever lies there."""
    backend = MemoryBackend()
    backend.put(hashes_name(PACK), bytes(hashes.MAX_BYTES + 1))
    monkeypatch.setattr(backend, "read", lambda *_: pytest.fail("it was read"))

    with pytest.raises(Corrupt, match="it cannot have"):
        SHA1.read(backend, PACK)
    assert hashes.recorded_spec(backend) is None


def test_what_is_hashed_of_a_stored_group() -> None:
    """Every chunk in clear; nothing of an encrypted group; Corrupt where an id is false."""
    clear = group.encode([(chunk_id(data), data) for data in CHUNKS], 1)
    sealer = Sealer(KEY, GCM)
    sealed = group.encode([(sealer.identify(data), data) for data in CHUNKS], 1, sealer)

    assert SHA1.of_stored(clear) == b"".join(hashlib.sha1(data).digest() for data in CHUNKS)
    assert SHA1.of_stored(sealed) == b""
    with pytest.raises(Corrupt):
        SHA1.of_stored(group.encode([(chunk_id(b"x"), b"y")], 1))
    chunks = group.decode(clear)
    right = SHA1.of(chunks)
    assert SHA1.differing(chunks, right) == []
    assert SHA1.differing(chunks, right[:40] + bytes(20)) == [2]
    with pytest.raises(Corrupt):
        SHA1.differing(chunks, right[:-1])
