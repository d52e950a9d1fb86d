"""Encrypted groups: what is in clear, what is authenticated, numbers that never repeat."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from blake3 import blake3
from hypothesis import given, settings
from hypothesis import strategies as st

from rubackup.chunkstore import ciphers, group
from rubackup.chunkstore._groups import _HEAD_BYTES
from rubackup.chunkstore.ciphers import Suite
from rubackup.chunkstore.group import Sealer
from rubackup.domain.errors import Conflict, Corrupt
from support.chunkstore import noise
from support.keys import GCM, KEY, OTHER, Held, running

DATA = [b"first chunk" * 20, noise(700), b"x"]
HELD = Held(KEY)


def _sealed(data: list[bytes] = DATA, suite: Suite = GCM, level: int | None = 1) -> bytes:
    sealer = Sealer(KEY, suite)
    return group.encode([(sealer.identify(one), one) for one in data], level, sealer)


def _with_right_sums(data: bytearray) -> bytes:
    """What a hostile server makes of a group that it changed: its sums hold."""
    head_bytes = len(data) - int.from_bytes(data[16:20], "little")
    data[20:52] = blake3(data[head_bytes:]).digest()
    data[52:84] = blake3(data[:52]).update(data[84:head_bytes]).digest()
    return bytes(data)


@pytest.mark.parametrize("suite", running(), ids=lambda suite: suite.name)
@pytest.mark.parametrize("level", [None, 1])
def test_what_was_encrypted_is_opened(suite: Suite, level: int | None) -> None:
    """Chunks come back with their key, and their ids are right."""
    found = group.open_group(_sealed(suite=suite, level=level), HELD)
    found.check()

    assert [bytes(found.chunk(i)) for i in range(len(DATA))] == DATA


def test_the_server_sees_ids_lengths_and_sums() -> None:
    """Without a key a group can be stored, checked and found again, but not read."""
    data = _sealed()
    head = group.check_stored(data)

    assert (head.lengths, head.cipher, head.key_id) == ([len(one) for one in DATA], GCM.number, KEY.id)
    assert head.total_bytes == len(data) == group.stored_length(data[: group.HEAD_BYTES])
    assert DATA[1][:32] not in data
    with pytest.raises(Corrupt, match="encrypted"):
        group.decode(data)
    with pytest.raises(Conflict, match=KEY.id.hex()):
        group.open_group(data, None)
    with pytest.raises(Conflict, match=KEY.id.hex()):
        group.open_group(data, Held(OTHER))


def test_ids_are_keyed() -> None:
    """Who has a file and not the key cannot tell whether it is in the pool."""
    head = group.read_head(_sealed())

    assert not {blake3(one).digest() for one in DATA}.intersection(head.ids)


@settings(max_examples=150, deadline=None)
@given(st.integers(0), st.integers(1, 255))
def test_a_damaged_byte_of_an_encrypted_group_is_found_without_a_key(place: int, flip: int) -> None:
    """The server's sums cover every byte."""
    damaged = bytearray(_sealed())
    damaged[place % len(damaged)] ^= flip

    with pytest.raises(Corrupt):
        group.check_stored(damaged)


@pytest.mark.parametrize(
    "place", [*range(5, 20), *range(84, 84 + 56), 84 + 56, 84 + 56 + 32, 84 + 56 + 36 * 2, -1, -20]
)
def test_a_byte_that_a_hostile_server_changed_is_found(place: int) -> None:
    """With right sums around it, a changed header, extension, row or payload is still refused with the key."""
    data = bytearray(_sealed())
    data[place] ^= 1

    with pytest.raises((Corrupt, Conflict)):
        group.open_group(_with_right_sums(data), HELD)


def test_a_clear_group_under_keyed_ids_is_not_believed() -> None:
    """A server cannot give content of its own for an encrypted chunk."""
    name = Sealer(KEY, GCM).identify(b"secret")
    found = group.open_group(group.encode([(name, b"forged")], 1), HELD)

    assert found.wrong() == [0]


def test_numbers_never_repeat_across_threads() -> None:
    """However many compressors share a session, each group has a number of its own."""
    sealer = Sealer(KEY, GCM)
    with ThreadPoolExecutor(8) as pool:
        used = Counter(pool.map(lambda _: sealer.next(), range(5000)))

    assert max(used.values()) == 1
    assert len({salt for salt, _ in used}) == 1


def test_a_salt_is_not_used_for_ever() -> None:
    """After 2^31 groups another salt is taken, and numbers begin anew."""
    sealer = Sealer(KEY, GCM, first=group.SALT_GROUPS - 1)
    (old, last), (new, first), (same, second) = sealer.next(), sealer.next(), sealer.next()

    assert (last, first, second) == (group.SALT_GROUPS - 1, 0, 1)
    assert old != new == same


def test_sessions_have_salts_of_their_own() -> None:
    """Two sessions of one key never meet in a number."""
    assert Sealer(KEY, GCM).next()[0] != Sealer(KEY, GCM).next()[0]


def test_an_unknown_cipher_is_refused() -> None:
    """A number that stands for no cipher is no header of a group."""
    data = bytearray(_sealed())
    data[6] = max(suite.number for suite in ciphers.SUITES) + 1

    with pytest.raises(Corrupt):
        group.read_head(_with_right_sums(data))


def test_the_longest_header_is_read_whole() -> None:
    """Who reads headers alone reads enough for extension and rows of the fullest encrypted group."""
    data = _sealed([number.to_bytes(2, "big") for number in range(group.MAX_CHUNKS)])

    assert len(group.read_head(data[:_HEAD_BYTES]).ids) == group.MAX_CHUNKS
