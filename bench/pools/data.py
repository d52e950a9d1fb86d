"""What is written: groups as clients send them, made beforehand, and the same contents in pieces for the raw writes."""

from __future__ import annotations

import os
import random
from dataclasses import dataclass, field

from rubackup.chunkstore import group
from rubackup.chunkstore.identity import chunk_id

MIB = 1 << 20
PIECE_BYTES = 32 * MIB
"""Of the files and objects that are written raw: about a pack."""
CHUNK_BYTES = 128 << 10
"""The client's average."""
_WORDS, _TEXT_BYTES = 4_000, 8 * MIB


@dataclass
class Data:
    """One load."""

    kind: str
    groups: list[bytes] = field(default_factory=list)
    rows: list[tuple[bytes, int]] = field(default_factory=list)
    pieces: list[bytes] = field(default_factory=list)
    """The contents in pieces of 32 MiB."""

    @property
    def size_bytes(self) -> int:
        """Of the contents."""
        return sum(length for _, length in self.rows)

    @property
    def sent_bytes(self) -> int:
        """Of the groups."""
        return sum(map(len, self.groups))


def make(kind: str, mib: int) -> Data:
    """`random` is incompressible, `text` shrinks to about a third. No chunk comes twice."""
    made, text = Data(kind), _text() if kind == "text" else b""
    toss = random.Random(5)
    for start in range(0, mib, PIECE_BYTES // MIB):
        megabytes = [_megabyte(text, toss) for _ in range(min(PIECE_BYTES // MIB, mib - start))]
        for content in megabytes:
            view = memoryview(content)
            chunks = [view[at : at + CHUNK_BYTES] for at in range(0, MIB, CHUNK_BYTES)]
            named = [(chunk_id(one), one) for one in chunks]
            made.groups.append(group.encode(named, 1))
            made.rows += [(name, CHUNK_BYTES) for name, _ in named]
        made.pieces.append(b"".join(megabytes))
    return made


def _megabyte(text: bytes, toss: random.Random) -> bytes:
    if not text:
        return os.urandom(MIB)
    parts = []
    for _ in range(MIB // CHUNK_BYTES):
        at = toss.randrange(len(text) - CHUNK_BYTES)
        parts.append(os.urandom(16) + text[at : at + CHUNK_BYTES - 16])
    return b"".join(parts)


def _text() -> bytes:
    toss = random.Random(1)
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = ["".join(toss.choices(letters, k=toss.randint(2, 11))) for _ in range(_WORDS)]
    return " ".join(toss.choices(words, k=_TEXT_BYTES // 6)).encode()
