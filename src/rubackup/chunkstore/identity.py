"""What a chunk is called: BLAKE3-256 of its content. Knows nothing of where it lies.

Design: `docs/design/chunkstore.md`.
"""

from __future__ import annotations

from typing import Final

from blake3 import blake3

Buffer = bytes | bytearray | memoryview
"""What can be hashed, compressed and written without a copy."""

ID_BYTES: Final = 32

HOLE: Final = bytes(ID_BYTES)
"""A row with this id is a hole of the row's length; no chunk has it."""

MAX_CHUNK_BYTES: Final = 4 << 20


def chunk_id(data: Buffer) -> bytes:
    """The id of a chunk."""
    return blake3(data).digest()


def possession_proof(data: Buffer, nonce: bytes) -> bytes:
    """What only a holder of the chunk can compute for this nonce (32 bytes)."""
    return blake3(data, key=nonce).digest()


def split_ids(ids: Buffer) -> list[bytes]:
    """The ids of a concatenation; ValueError when the length does not fit."""
    data = bytes(ids)
    if len(data) % ID_BYTES:
        raise ValueError("a row of chunk ids has an odd length")
    return [data[i : i + ID_BYTES] for i in range(0, len(data), ID_BYTES)]
