"""Frames of manifests, encrypted: a key of its own for each, nothing changed or moved unseen."""

from __future__ import annotations

import pytest

from rubackup.chunkstore.ciphers import Suite
from rubackup.chunkstore.frame_cipher import ManifestCipher
from rubackup.domain.errors import Corrupt
from support.keys import CHACHA, GCM, KEY, OTHER, running


@pytest.mark.parametrize("suite", running(), ids=lambda suite: suite.name)
def test_a_frame_comes_back(suite: Suite) -> None:
    """With the same key, cipher and kind."""
    cipher = ManifestCipher(KEY, suite)

    assert cipher.open(b"E", cipher.seal(b"E", b"names of files")) == b"names of files"
    assert cipher.number == suite.number


def test_equal_frames_look_different() -> None:
    """Each has a salt of its own: nobody sees that a folder has not changed."""
    cipher = ManifestCipher(KEY, GCM)

    assert len({cipher.seal(b"E", b"the same") for _ in range(50)}) == 50


def test_no_byte_changes_unseen() -> None:
    """Salt, text and sum are all authenticated, and so is the kind."""
    cipher = ManifestCipher(KEY, GCM)
    sealed = cipher.seal(b"E", b"names")
    for place in range(len(sealed)):
        wrong = bytearray(sealed)
        wrong[place] ^= 128
        with pytest.raises(Corrupt):
            cipher.open(b"E", wrong)
    with pytest.raises(Corrupt):
        cipher.open(b"I", sealed)


@pytest.mark.parametrize("other", [ManifestCipher(OTHER, GCM), ManifestCipher(KEY, CHACHA)], ids=["key", "cipher"])
def test_another_key_or_cipher_opens_nothing(other: ManifestCipher) -> None:
    """It is Corrupt, never garbage."""
    with pytest.raises(Corrupt):
        other.open(b"E", ManifestCipher(KEY, GCM).seal(b"E", b"names"))


@pytest.mark.parametrize("length", [0, 1, 32, 47])
def test_a_cut_frame_is_refused(length: int) -> None:
    """Also one that is shorter than its salt."""
    cipher = ManifestCipher(KEY, GCM)

    with pytest.raises(Corrupt):
        cipher.open(b"E", cipher.seal(b"E", b"")[:length])
