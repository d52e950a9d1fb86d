"""What is derived from a client's master key: ids of chunks, keys of groups and manifests, the chunker's seed.

Everything is bound to the name of the cipher, so that a record is encrypted with one cipher throughout. Where a master
key lies, and when it changes, is the client's matter (`client.keys`). Design: `docs/encryption.md`.
"""

from __future__ import annotations

import functools
from typing import Final, Protocol

from blake3 import blake3
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from rubackup.chunkstore.chunker import MAX_SEED
from rubackup.chunkstore.ciphers import Box, Suite, usable
from rubackup.chunkstore.identity import Buffer

MASTER_BYTES: Final = 32
KEY_ID_BYTES: Final = 16
SALT_BYTES: Final = 32
_BOXES: Final = 256
"""Keys of groups and frames that are kept; each upload has a salt of its own."""


class Keys(Protocol):
    """The master keys that a host holds."""

    def get(self, key_id: bytes, /) -> MasterKey:
        """The key of this id; domain.errors.Conflict names the id when it is not here."""


class MasterKey:
    """One master key. Its bytes are never shown: `repr` gives the id. Safe for threads."""

    def __init__(self, secret: bytes) -> None:
        if len(secret) != MASTER_BYTES:
            raise ValueError(f"a master key has {MASTER_BYTES} bytes")
        self._secret = secret
        self.id = blake3(b"rubackup key id 1", key=secret).digest()[:KEY_ID_BYTES]
        """Names the key and tells nothing of it."""
        self._box = functools.lru_cache(_BOXES)(self._make_box)
        self._id_key = functools.lru_cache(_BOXES)(lambda suite: self._derive(32, "id", suite))

    def __repr__(self) -> str:
        return f"MasterKey({self.id.hex()})"

    def _derive(self, length: int, purpose: str, suite: Suite, salt: bytes | None = None) -> bytes:
        info = f"rubackup {purpose} 1\0{suite.name}".encode()
        return HKDF(hashes.SHA256(), length, salt=salt, info=info).derive(self._secret)

    def _make_box(self, purpose: str, suite: Suite, salt: bytes) -> Box:
        return usable(suite).box(self._derive(suite.key_bytes, purpose, suite, salt))

    def group_box(self, suite: Suite, salt: bytes) -> Box:
        """What encrypts the groups of one salt."""
        return self._box("group", suite, salt)

    def frame_box(self, suite: Suite, salt: bytes) -> Box:
        """What encrypts the one frame of a manifest that has this salt."""
        return self._make_box("manifest", suite, salt)

    def id_key(self, suite: Suite) -> bytes:
        """Key of the ids of chunks."""
        return self._id_key(suite)

    def chunker_seed(self, suite: Suite) -> int:
        """Where files are cut: nobody without the key can tell files by the lengths of their chunks."""
        return int.from_bytes(self._derive(8, "chunker", suite), "big") & MAX_SEED


def keyed_id(data: Buffer, id_key: bytes) -> bytes:
    """The id of a chunk of an encrypted record."""
    return blake3(data, key=id_key).digest()
