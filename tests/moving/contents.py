"""What the copies hold: it follows from seed and number alone. Files are shared by many, and each second copy has one of its own."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from random import Random
from typing import Final

from rubackup.chunkstore.group import Sealer
from support.chunkstore import Client, noise
from support.keys import GCM, KEY, Held

OWNERS: Final = ("00000000000000aa", "00000000000000bb", "00000000000000ee")
ENCRYPTED: Final = OWNERS[2]
"""This owner's copies are encrypted."""
HELD: Final = Held(KEY)
SHARED: Final = 400
"""Files that any copy may have."""
_SIZES: Final = (0, 50, 900, 4_000, 12_000, 25_000)


@lru_cache(maxsize=2 * SHARED)
def shared_file(seed: int, number: int) -> bytes:
    """One of the files that copies share."""
    size = Random(f"{seed}/size/{number}").choice(_SIZES)
    return b"text " * (size // 5) + b"%d" % number if number % 3 == 0 else noise(size, seed * SHARED + number)


@lru_cache(maxsize=4 * SHARED)
def _ids(seed: int, number: int, owner: str) -> frozenset[bytes]:
    return frozenset(name for name, _ in client(owner).chunks(shared_file(seed, number)))


def client(owner: str) -> Client:
    """A client that sends small groups, so that a group holds chunks of several files."""
    return Client(owner=owner, group_bytes=9_000, sealer=Sealer(KEY, GCM) if owner == ENCRYPTED else None)


@dataclass(frozen=True)
class Content:
    """What a copy, and every copy that is made of it, restores to."""

    seed: int
    number: int

    @property
    def owner(self) -> str:
        """Whose it is."""
        return OWNERS[self.number % len(OWNERS)]

    @property
    def encryption(self) -> dict[str, str]:
        """How a session of it is begun."""
        return {"crypto": GCM.name, "key_id": KEY.id.hex()} if self.owner == ENCRYPTED else {}

    @cached_property
    def files(self) -> frozenset[int]:
        """Numbers of its shared files."""
        toss = Random(f"{self.seed}/content/{self.number}")
        return frozenset(toss.randrange(SHARED) for _ in range(toss.randint(1, 6)))

    @property
    def own(self) -> bytes:
        """The file that no other has; empty when there is none."""
        return noise(1_000 + self.number % 3_000, self.number) if self.number % 2 else b""

    @property
    def tree(self) -> dict[str, bytes]:
        """Paths and contents."""
        found = {f"/folder{one % 3}/file{one}": shared_file(self.seed, one) for one in sorted(self.files)}
        return found | ({"/own": self.own} if self.own else {})

    def shared_ids(self, files: frozenset[int]) -> set[bytes]:
        """Ids of the chunks of these shared files."""
        return {name for one in files for name in _ids(self.seed, one, self.owner)}

    @property
    def ids(self) -> set[bytes]:
        """Ids of all chunks."""
        return self.shared_ids(self.files) | {name for name, _ in client(self.owner).chunks(self.own)}


@lru_cache(maxsize=20_000)
def content(seed: int, number: int) -> Content:
    """The content of this number."""
    return Content(seed, number)
