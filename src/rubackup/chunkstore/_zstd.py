"""Compression with known bounds: one zstd frame that names its size, or the bytes as they are."""

from __future__ import annotations

import threading
from typing import Final

import zstandard

from rubackup.chunkstore.identity import Buffer
from rubackup.domain.errors import Corrupt

STORED: Final = 0
ZSTD: Final = 1

_local = threading.local()  # contexts are costly to make and must not be shared by threads


def _compressor(level: int) -> zstandard.ZstdCompressor:
    made: dict[int, zstandard.ZstdCompressor] = _local.__dict__.setdefault("compressors", {})
    if level not in made:
        made[level] = zstandard.ZstdCompressor(level=level, write_checksum=False, write_content_size=True)
    return made[level]


def _decompressor() -> zstandard.ZstdDecompressor:
    made: zstandard.ZstdDecompressor | None = _local.__dict__.get("decompressor")
    if made is None:
        made = _local.decompressor = zstandard.ZstdDecompressor()
    return made


def pack(raw: bytes, level: int | None) -> tuple[int, bytes]:
    """Codec and payload; stored as it is when `level` is None or less than 3 % would be won."""
    if level is None or not raw:
        return STORED, raw
    packed = _compressor(level).compress(raw)
    return (ZSTD, packed) if len(packed) < len(raw) - len(raw) // 32 else (STORED, raw)


def shrinks(sample: Buffer) -> bool:
    """Whether `pack` would compress this, at the fastest level."""
    return len(_compressor(1).compress(sample)) < len(sample) - len(sample) // 32


def unpack(payload: Buffer, codec: int, raw_bytes: int) -> memoryview:
    """The raw bytes, exactly `raw_bytes` of them: Corrupt otherwise, before more is allocated."""
    if codec == STORED:
        if len(payload) != raw_bytes:
            raise Corrupt("Stored data is not as long as its header says.")
        return memoryview(payload)
    try:
        if zstandard.frame_content_size(payload) != raw_bytes:
            raise Corrupt("Compressed data names another size than its header.")
        raw = _decompressor().decompress(payload, max_output_size=raw_bytes, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise Corrupt(f"Compressed data is damaged: {error}.") from error
    if len(raw) != raw_bytes:
        raise Corrupt("Compressed data is not as long as its header says.")
    return memoryview(raw)
