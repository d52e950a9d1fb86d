"""Ids, packs, entries of pools that were never backed up, and what a process takes."""

from __future__ import annotations

import os
import random
import struct
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

from bench.engine.meter import sync

from rubackup.chunkstore.index import Batch, PackRow, Place
from rubackup.chunkstore.manifest import Entry, Header

OWNER = "00000000000000aa"
CHUNK, GROUP_CHUNKS, PACK_GROUPS = 128 << 10, 8, 40
"""A pack of 32 MiB holds 40 groups of 8 chunks that were compressed to 0.8 of their size."""
STORED_GROUP = 800_000
PACK_CHUNKS = GROUP_CHUNKS * PACK_GROUPS
BATCH = 640_000
"""Chunks a transaction."""


def ordered(count: int) -> Callable[[int], bytes]:
    """Ids of so many chunks: ascending over the whole range, so that a large index is built by appending to it."""
    step = 2**64 // (count + 1)
    return lambda number: (
        struct.pack(">Q", number * step) + (number * 0x9E3779B97F4A7C15 % 2**192).to_bytes(24, "little")
    )


def scattered(number: int) -> bytes:
    """An id as real ones are: anywhere."""
    return random.Random(number).randbytes(32)


def batches(count: int, ids: Callable[[int], bytes], storage: bytes, owner: int) -> Iterator[Batch]:
    """Packs and chunks, as sessions commit them."""
    for first in range(0, count, BATCH):
        last = min(first + BATCH, count)
        batch = Batch(owner)
        numbers = range(first // PACK_CHUNKS + 1, (last - 1) // PACK_CHUNKS + 2)
        batch.packs = [
            PackRow(n, pack_id(n), storage, closed=True, indexed_bytes=PACK_GROUPS * STORED_GROUP) for n in numbers
        ]
        for number in range(first, last):
            within = number % PACK_CHUNKS
            batch.chunks[ids(number)] = Place(
                number // PACK_CHUNKS + 1,
                within // GROUP_CHUNKS * STORED_GROUP,
                STORED_GROUP,
                within % GROUP_CHUNKS,
                CHUNK,
                owner,
            )
        yield batch


def pack_id(number: int) -> bytes:
    """The id of the pack of this number."""
    return uuid.uuid5(uuid.NAMESPACE_OID, str(number)).bytes


def memory_mib() -> dict[str, float]:
    """What this process takes alone, and what of files is mapped: page cache, which the kernel takes back at will."""
    found = dict.fromkeys(("Anonymous", "Pss_File", "Pss"), 0.0)
    for line in Path("/proc/self/smaps_rollup").read_text().splitlines():
        key, _, rest = line.partition(":")
        if key in found:
            found[key] = round(int(rest.split()[0]) / 1024, 1)
    return {"private": found["Anonymous"], "mapped": found["Pss_File"]}


def forget_cache(file: Path) -> None:
    """Drop a file's pages, which nobody maps, from the page cache."""
    sync(file.parent)
    fd = os.open(file, os.O_RDONLY)
    try:
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(fd)


def header(record: str) -> Header:
    """Of a record of this owner."""
    return Header(record, "", OWNER, "File system", "/", "full", 5, (32 << 10, 128 << 10, 512 << 10, 0))


def entry(called: bytes, size: int, first: int, rows: int, kind: int = 0) -> Entry:
    """A file or folder with plain metadata."""
    return Entry(called, kind, 0o644, 1000, 1000, "user", "group", size, 1, 2, 3, 4, 1, first_row=first, rows=rows)
