"""Ciphers: known answers, tampering, keys that must not meet."""

from __future__ import annotations

import re

import pytest
from cryptography.hazmat.decrepit.ciphers.algorithms import Camellia
from cryptography.hazmat.primitives.ciphers import Cipher, modes

from rubackup.chunkstore import _botan, ciphers
from rubackup.chunkstore.ciphers import SUITES, Suite
from rubackup.domain.errors import Corrupt, Invalid
from rubackup.domain.lookups import Crypto
from support.keys import CHACHA, GCM, KEY, OTHER, running

BOTAN = pytest.mark.skipif(not _botan.has("Serpent"), reason="the host has no libbotan-2")
SALT = bytes(range(32))


def test_the_lookup_names_exactly_what_there_is_code_for() -> None:
    """What the API offers and what the store can do are one list."""
    assert Crypto.labels() == ("nocrypt", *(suite.name for suite in SUITES))


def test_openssl_brings_these_everywhere() -> None:
    """Five ciphers need nothing but the product's own libraries; they have passed their self-test."""
    assert ciphers.available()[:5] == ("aes-256-gcm", "chacha20-poly1305", "rijndael-128", "rijndael-256", "sm4-128")


@BOTAN
def test_each_cipher_of_botan_gives_its_known_answer() -> None:
    """The official vector of every block cipher holds, so all of them are offered."""
    assert ciphers.available() == tuple(suite.name for suite in SUITES)


def test_aes_gcm_gives_its_known_answer() -> None:
    """NIST's GCM specification, test case 14: a key and a nonce of zeros."""
    assert GCM.box(bytes(32)).seal(0, bytes(16), b"").hex() == (
        "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919"
    )


def test_chacha20_poly1305_gives_its_known_answer() -> None:
    """RFC 8439, appendix A.5: its nonce is the number 0x102030405060708."""
    key = bytes.fromhex("1c9240a5eb55d38af333888604f6b5f0473917c1402b80099dca5cbc207075c0")
    sealed = bytes.fromhex("64a0861575861af460f062c79be643bd")
    associated = bytes.fromhex("f33388860000000000004e91")
    opened = CHACHA.box(key)

    assert opened.seal(0x0102030405060708, b"Internet-Drafts ", associated)[:16] == sealed


def test_counter_mode_counts_as_nist_does() -> None:
    """NIST SP 800-38A, F.5.5: four blocks of AES-256 in counter mode, whose counter carries over."""
    stream = next(suite for suite in SUITES if suite.name == "rijndael-256").known
    assert stream is not None
    key = bytes.fromhex("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4")
    block = bytes.fromhex("f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff")
    plain = bytes.fromhex("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51")

    assert stream.stream(key, block, plain).hex() == (
        "601ec313775789a5b7a7f504bbf3d228f443e3ca4d62b59aca84e990cacaf5c5"
    )


@BOTAN
def test_botan_counts_as_openssl_does() -> None:
    """Camellia is in both libraries: block after block they agree, over a carry into the upper half."""
    key, block, plain = bytes(range(32)), bytes(7) + b"\1" + b"\xff" * 8, bytes(160)
    single = Cipher(Camellia(key), modes.ECB()).encryptor()
    counted = [(int.from_bytes(block, "big") + i).to_bytes(16, "big") for i in range(10)]

    assert _botan.counter_mode("Camellia-256")(key, block, plain) == single.update(b"".join(counted))


@pytest.mark.parametrize("suite", running(), ids=lambda suite: suite.name)
def test_each_byte_is_authenticated(suite: Suite) -> None:
    """No byte of text or associated data changes unseen, and neither number nor key can be another."""
    box = KEY.group_box(suite, SALT)
    sealed = box.seal(7, b"some text", b"head")

    assert box.open(7, sealed, b"head") == b"some text"
    assert len(sealed) == 9 + suite.overhead
    for place in range(len(sealed)):
        wrong = bytearray(sealed)
        wrong[place] ^= 1
        with pytest.raises(Corrupt):
            box.open(7, wrong, b"head")
    for other, number, associated in ((box, 8, b"head"), (box, 7, b"hea"), (OTHER.group_box(suite, SALT), 7, b"head")):
        with pytest.raises(Corrupt):
            other.open(number, sealed, associated)


@pytest.mark.parametrize("suite", running(), ids=lambda suite: suite.name)
def test_a_short_text_is_refused(suite: Suite) -> None:
    """What is shorter than its own sum is not read beyond its end."""
    with pytest.raises(Corrupt):
        KEY.group_box(suite, SALT).open(0, b"x", b"")


def test_what_is_derived_differs_by_purpose_salt_cipher_and_key() -> None:
    """No two uses share a key: what one shows says nothing of another."""
    sealed = {
        box.seal(0, bytes(64), b"")
        for box in (
            KEY.group_box(GCM, SALT), KEY.frame_box(GCM, SALT), KEY.group_box(GCM, bytes(32)), OTHER.group_box(GCM, SALT)
        )
    }  # fmt: skip
    ids = {key.id_key(suite) for key in (KEY, OTHER) for suite in (GCM, CHACHA)}
    seeds = {key.chunker_seed(suite) for key in (KEY, OTHER) for suite in (GCM, CHACHA)}

    assert (len(sealed), len(ids), len(seeds)) == (4, 4, 4)


def test_a_key_is_not_shown() -> None:
    """A key in a log or an error is its id."""
    assert re.fullmatch(r"MasterKey\([0-9a-f]{32}\)", repr(KEY))
    assert KEY.id != OTHER.id


def test_a_cipher_that_is_not_here_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host without the library says what it can run."""
    monkeypatch.setattr(ciphers, "available", lambda: ("aes-256-gcm",))

    with pytest.raises(Invalid, match=r"serpent-256; it can run: aes-256-gcm"):
        ciphers.usable(ciphers.by_name("serpent-256"))
