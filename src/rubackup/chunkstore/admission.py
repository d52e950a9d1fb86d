"""Which groups a session takes: all in clear, or all encrypted with one cipher and one key.

No chunk may be longer than the pool's blocks. Clear chunks are hashed again before they are admitted. Of an encrypted group the server can check sums, sizes, cipher
and key id, not its ids: so encrypted chunks never count for anybody but their owner (`Index.space`).
"""

from __future__ import annotations

from rubackup.chunkstore import group
from rubackup.chunkstore.ciphers import CLEAR, by_name
from rubackup.chunkstore.group import Group, Head
from rubackup.chunkstore.hashes import Hashes
from rubackup.chunkstore.identity import Buffer
from rubackup.domain.errors import Corrupt, Invalid
from rubackup.domain.identity import KEY_ID


class Encryption:
    """The encryption of one session."""

    def __init__(self, crypto: str, key_id: str, *, block_bytes: int = 0, hashes: Hashes | None = None) -> None:
        """`crypto` names a cipher, and `key_id` is 32 hex digits, or both are ''; Invalid otherwise.

        `block_bytes`: longest chunk, 0 for any; `hashes`: what the pool records of chunks in clear.
        """
        suite = by_name(crypto)
        if bool(crypto) != bool(key_id) or (crypto and suite is None):
            raise Invalid(f"A session has a cipher and a key, or neither: not {crypto!r} with {key_id!r}.")
        if key_id and not KEY_ID.fullmatch(key_id):
            raise Invalid("The id of a key must be 32 lower-case hex digits.")
        self.crypto, self.key_id = crypto, key_id
        self._cipher = suite.number if suite else CLEAR
        self._key = bytes.fromhex(key_id)
        self._block_bytes, self._hashes = block_bytes, hashes

    def received(self, data: Buffer) -> Group | Head:
        """Ids and lengths of a group that a client sent; Corrupt when it is damaged, false, or of the other kind.

        Invalid when one of its chunks is longer than a block.
        """
        if not self.key_id:
            clear = group.decode(data)
            self._check_lengths(clear.lengths)
            clear.check()
            if self._hashes is not None:
                clear.digests = self._hashes.of(clear)
            return clear
        head = group.check_stored(data)
        if (head.cipher, head.key_id) != (self._cipher, self._key):
            raise Corrupt("The group is not encrypted with the cipher and the key that the session was opened with.")
        self._check_lengths(head.lengths)
        return head

    def _check_lengths(self, lengths: list[int]) -> None:
        if self._block_bytes and (longest := max(lengths)) > self._block_bytes:
            raise Invalid(
                f"The pool takes chunks of at most {self._block_bytes} bytes, its block_size; one of {longest} bytes came."
            )
