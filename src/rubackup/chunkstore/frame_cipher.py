"""Encrypts the frames of a manifest that tell names: the hook is `manifest.format.FrameCipher`.

A sealed payload is 32 bytes of random salt, then the ciphertext. The salt gives the frame a key of its own, so the nonce
is always 0; authenticated with it are the frame's kind and the length of the text.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from rubackup.chunkstore.ciphers import Suite, usable
from rubackup.chunkstore.identity import Buffer
from rubackup.chunkstore.keys import SALT_BYTES, MasterKey
from rubackup.domain.errors import Corrupt


class ManifestCipher:
    """Seals and opens the frames of the manifests of one key and cipher."""

    def __init__(self, key: MasterKey, suite: Suite, random: Callable[[int], bytes] = os.urandom) -> None:
        """Invalid when this host cannot run the cipher."""
        self._key, self._suite, self._random = key, usable(suite), random
        self.number = suite.number

    def seal(self, kind: bytes, raw: bytes) -> bytes:
        """The payload as it is stored."""
        salt = self._random(SALT_BYTES)
        return salt + self._key.frame_box(self._suite, salt).seal(0, raw, _associated(kind, len(raw)))

    def open(self, kind: bytes, data: Buffer) -> bytes:
        """What `seal` was given; Corrupt when it was changed, or is of another kind or key."""
        length = len(data) - SALT_BYTES - self._suite.overhead
        if length < 0:
            raise Corrupt("An encrypted frame of the manifest is cut off.")
        view = memoryview(data)
        box = self._key.frame_box(self._suite, bytes(view[:SALT_BYTES]))
        return box.open(0, view[SALT_BYTES:], _associated(kind, length))


def _associated(kind: bytes, length: int) -> bytes:
    return kind + length.to_bytes(4, "big")
