"""What of a stored group goes to who reads a record: never a chunk that another client alone showed to have.

A group is what one client sent at once, so it may hold more than the record names. Design: `docs/design/chunkstore.md`,
Possession.
"""

from __future__ import annotations

from rubackup.chunkstore import group
from rubackup.chunkstore._groups import GroupReader, Spot
from rubackup.chunkstore.group import Head
from rubackup.chunkstore.index import Index
from rubackup.chunkstore.seals import SealedRecord
from rubackup.domain.errors import Corrupt

_LEVEL = 1
"""Of zstd, for groups that are packed anew; what was stored uncompressed stays so."""


class Handout:
    """The groups of one record for one reader. Safe for threads."""

    def __init__(self, index: Index, groups: GroupReader, sealed: SealedRecord, *, stranger: bool) -> None:
        """A `stranger` is a client that is not the record's owner: it gets what it asks for and nothing else."""
        self._index, self._groups, self._sealed = index, groups, sealed
        self._stranger = stranger
        self._owners: dict[int, str] = {}
        """Who uploaded a pack, as its header says; '' when that cannot be told."""

    def group(self, spot: Spot, asked: set[bytes] | frozenset[bytes]) -> bytes:
        """The group at this place as the reader may have it; Corrupt names what is damaged."""
        data, head = self._groups.stored(spot)
        uploader = self._owners.get(spot.pack)
        if uploader is None:
            uploader = self._owners[spot.pack] = self._groups.uploader(spot)
        if self._sealed.key_id:
            self._check_encrypted(spot, head, uploader)
            return data
        if head.cipher:
            raise Corrupt(self._groups.misplaced(spot, "is encrypted, and the index names it for a copy in clear."))
        if (uploader == self._sealed.owner and not self._stranger) or asked.issuperset(head.ids):
            return data
        return self._part(spot, data, head, asked)

    def _check_encrypted(self, spot: Spot, head: Head, uploader: str) -> None:
        """Only the owner's groups are in its space of the index, so another's shows that the index is wrong.

        A pack whose header is damaged tells no owner; then the key has to do, without which the group says nothing.
        Another key shows nothing of the index: a hostile client may name what it sent under one key in a copy of another.
        """
        if uploader not in {"", self._sealed.owner}:
            raise Corrupt(self._groups.misplaced(spot, "was uploaded by another client than the copy's."))
        if head.key_id.hex() != self._sealed.key_id:
            raise Corrupt("A group of the copy is not encrypted with its key.")

    def _part(self, spot: Spot, data: bytes, head: Head, asked: set[bytes] | frozenset[bytes]) -> bytes:
        """A group of the chunks that were asked for, and, for the owner, of what else it owns: it may ask for that next."""
        allowed = asked & set(head.ids)
        if not allowed:
            raise Corrupt(self._groups.misplaced(spot, "does not hold the chunks that the index looks for there."))
        if not self._stranger:
            others = self._index.places(set(head.ids) - allowed)
            owner = self._index.owner(self._sealed.owner)
            allowed |= others.keys() - self._index.not_owned(others, owner)
        if allowed.issuperset(head.ids):
            return data
        whole = group.decode(data)
        chunks = {name: whole.chunk(at) for at, name in enumerate(whole.ids) if name in allowed}
        return group.encode(list(chunks.items()), _LEVEL if head.codec == group.ZSTD else None)
