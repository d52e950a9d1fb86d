"""Master keys for tests, and what holds them."""

from __future__ import annotations

from rubackup.chunkstore import ciphers
from rubackup.chunkstore.ciphers import Suite
from rubackup.chunkstore.keys import MasterKey
from rubackup.domain.errors import Conflict

GCM = ciphers.SUITES[0]
CHACHA = ciphers.SUITES[1]
KEY = MasterKey(b"k" * 32)
OTHER = MasterKey(b"o" * 32)


class Held:
    """chunkstore.keys.Keys: exactly these."""

    def __init__(self, *held: MasterKey) -> None:
        self._held = {key.id: key for key in held}

    def get(self, key_id: bytes, /) -> MasterKey:
        if key_id not in self._held:
            raise Conflict(f"The key {key_id.hex()} is not here.")
        return self._held[key_id]


def running() -> list[Suite]:
    """The ciphers that this host can run."""
    return [suite for suite in ciphers.SUITES if suite.name in ciphers.available()]
