"""Hashes of Block device pools: the standards' own examples, and a second implementation where it is small."""

from __future__ import annotations

import hashlib
import struct

import pytest

from rubackup.chunkstore import _botan, digests
from rubackup.chunkstore.digests import DIGESTS, usable
from rubackup.domain.errors import Invalid
from rubackup.domain.lookups import HashAlgorithm
from rubackup.domain.pools import HASH_LENGTHS

BOTAN = pytest.mark.skipif(not _botan.has_hash("Skein-512(256)"), reason="the host has no libbotan-2")
M1 = b"012345678901234567890123456789012345678901234567890123456789012"
M2 = "Се ветри, Стрибожи внуци, веютъ с моря стрелами на храбрыя плъкы Игоревы".encode("cp1251")
DOWN = bytes(range(255, -1, -1))


def run(name: str, bits: int, data: bytes) -> str:
    """The hash in hex."""
    return usable(name, bits).run(data).hex()


def test_the_lookup_names_exactly_what_there_is_code_for() -> None:
    """Names, and the lengths of each."""
    assert tuple(dict.fromkeys(one.name for one in DIGESTS)) == HashAlgorithm.labels()
    for name, lengths in HASH_LENGTHS.items():
        assert tuple(one.bits for one in DIGESTS if one.name == name) == lengths


def test_five_need_nothing_of_the_host() -> None:
    """They have passed their self-test."""
    assert {("sha1", 160), ("sha2", 256), ("sha2", 512), ("blake2b", 256), ("blake2b", 512)} <= {*digests.available()}


@BOTAN
def test_with_botan_all_run() -> None:
    """Each gives its known answer, and has its length."""
    assert digests.available() == tuple((one.name, one.bits) for one in DIGESTS)
    assert all(len(one.run(b"x")) * 8 == one.bits for one in DIGESTS)


def test_what_cannot_run_is_refused() -> None:
    """The message says what can."""
    with pytest.raises(Invalid, match=r"md5 with 128 bit; it can run: sha1 160, sha2 256"):
        usable("md5", 128)


def test_one_that_gives_another_answer_is_not_offered() -> None:
    """A broken library would make copies that do not fit anybody's."""
    assert not DIGESTS[0]._replace(run=lambda data: bytes(20)).holds()
    assert not DIGESTS[0]._replace(exists=lambda: False).holds()


def test_sha_gives_the_examples_of_fips_180_4() -> None:
    """Two blocks."""
    text = b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"

    assert run("sha1", 160, text) == "84983e441c3bd26ebaae4aa1f95129e5e54670f1"
    assert run("sha2", 256, text) == "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"


@BOTAN
@pytest.mark.parametrize(
    ("data", "first", "second"),
    [
        (
            DOWN[:64],
            "45863ba3be0c4dfc27e75d358496f4ac9a736a505d9313b42b2f5eada79fc17f",
            "63861e947afb1d056aa199575ad3f8c9a3cc1780b5e5fa4cae050e989876625b",
        ),
        (
            DOWN[:128],
            "91cca510c263c4ddd010530a33073309628631f308747e1bcbaa90e451cab92e",
            "5188087af4188773a332303e6667a7a210856f742139000071f48e8ba2a5adb7",
        ),
    ],
)
def test_skein_gives_the_examples_of_its_paper(data: bytes, first: str, second: str) -> None:
    """Version 1.3, appendix C."""
    assert run("skein", 512, data) == first + second


@BOTAN
def test_streebog_gives_the_second_example_of_the_standard() -> None:
    """GOST R 34.11-2012 and RFC 6986; the first is the self-test."""
    assert run("streebog", 256, M2) == "9dd2fe4e90409e5da87f53976d7405b0c0cac628fc669a741d50063c557e8f50"
    assert run("streebog", 512, M2) == (
        "1e88e62226bfca6f9994f1f2d51569e0daf8475a3b0fe61a5300eee46d961376"
        "035fe83549ada2b8620fcd7c496ce5b33f0cb9dddc2b6460143b03dabac9fb28"
    )


@BOTAN
def test_botan_hashes_as_python_does() -> None:
    """BLAKE2b and SHA-2 are in both."""
    for data in (b"", b"abc", bytes(1_000_000)):
        assert _botan.digest("Blake2b(256)", 32, data) == hashlib.blake2b(data, digest_size=32).digest()
        assert _botan.digest("SHA-512", 64, memoryview(data)) == hashlib.sha512(data).digest()


# --- Skein in a few lines, after its paper ---

MASK = (1 << 64) - 1
ROTATIONS = (
    (46, 36, 19, 37), (33, 27, 14, 42), (17, 49, 36, 39), (44, 9, 54, 56),
    (39, 30, 34, 24), (13, 50, 10, 17), (25, 29, 39, 43), (8, 35, 56, 22),
)  # fmt: skip
CONFIG, MESSAGE, OUTPUT = 4, 48, 63


def threefish(key: list[int], tweak: tuple[int, int], block: list[int]) -> list[int]:
    """Threefish-512: 72 rounds, a subkey before each fourth."""
    keys = [*key, 0x1BD11BDAA9FC1A22]
    for word in key:
        keys[8] ^= word
    tweaks = [*tweak, tweak[0] ^ tweak[1]]
    state = list(block)
    for turn in range(73):
        if turn % 4 == 0:
            s = turn // 4
            sub = [keys[(s + i) % 9] for i in range(8)]
            sub[5] += tweaks[s % 3]
            sub[6] += tweaks[(s + 1) % 3]
            sub[7] += s
            state = [(a + b) & MASK for a, b in zip(state, sub, strict=True)]
        if turn < 72:
            mixed = []
            for pair, by in enumerate(ROTATIONS[turn % 8]):
                a, b = state[2 * pair : 2 * pair + 2]
                a = (a + b) & MASK
                mixed += [a, ((b << by | b >> (64 - by)) & MASK) ^ a]
            state = [mixed[i] for i in (2, 1, 4, 7, 6, 5, 0, 3)]
    return state


def chained(state: list[int], data: bytes, kind: int) -> list[int]:
    """Unique block iteration over the data."""
    for at in range(0, max(1, len(data)), 64):
        part, end = data[at : at + 64], min(len(data), at + 64)
        flags = kind << 56 | (at == 0) << 62 | (at + 64 >= len(data)) << 63
        words = list(struct.unpack("<8Q", part.ljust(64, b"\0")))
        state = [a ^ b for a, b in zip(threefish(state, (end, flags), words), words, strict=True)]
    return state


def skein512(bits: int, data: bytes) -> bytes:
    """Skein-512 with an output of so many bits."""
    state = chained([0] * 8, struct.pack("<4sHHQ16x", b"SHA3", 1, 0, bits), CONFIG)
    state = chained(chained(state, data, MESSAGE), bytes(8), OUTPUT)
    return struct.pack("<8Q", *state)[: bits // 8]


@BOTAN
@pytest.mark.parametrize("bits", [256, 512])
def test_skein_is_what_its_paper_says(bits: int) -> None:
    """A second implementation agrees over lengths around the size of a block."""
    for length in (0, 1, 63, 64, 65, 128, 256):
        assert run("skein", bits, DOWN[:length]) == skein512(bits, DOWN[:length]).hex()
