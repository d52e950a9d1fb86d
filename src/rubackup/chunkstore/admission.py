"""Which groups a session takes: all in clear, or all encrypted with one cipher and one key.

Clear chunks are hashed again before they are admitted. Of an encrypted group the server can check sums, sizes, cipher
and key id, not its ids: so encrypted chunks never count for anybody but their owner (`Index.space`).
"""

from __future__ import annotations

from rubackup.chunkstore import group
from rubackup.chunkstore.ciphers import CLEAR, by_name
from rubackup.chunkstore.group import Group, Head
from rubackup.chunkstore.identity import Buffer
from rubackup.domain.errors import Corrupt, Invalid
from rubackup.domain.identity import KEY_ID


class Encryption:
    """The encryption of one session."""

    def __init__(self, crypto: str, key_id: str) -> None:
        """`crypto` names a cipher, and `key_id` is 32 hex digits, or both are ''; Invalid otherwise."""
        suite = by_name(crypto)
        if bool(crypto) != bool(key_id) or (crypto and suite is None):
            raise Invalid(f"A session has a cipher and a key, or neither: not {crypto!r} with {key_id!r}.")
        if key_id and not KEY_ID.fullmatch(key_id):
            raise Invalid("The id of a key must be 32 lower-case hex digits.")
        self.crypto, self.key_id = crypto, key_id
        self._cipher = suite.number if suite else CLEAR
        self._key = bytes.fromhex(key_id)

    def received(self, data: Buffer) -> Group | Head:
        """Ids and lengths of a group that a client sent; Corrupt when it is damaged, false, or of the other kind."""
        if not self.key_id:
            clear = group.decode(data)
            clear.check()
            return clear
        head = group.check_stored(data)
        if (head.cipher, head.key_id) != (self._cipher, self._key):
            raise Corrupt("The group is not encrypted with the cipher and the key that the session was opened with.")
        return head
