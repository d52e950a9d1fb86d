"""The chunk store at sizes that no test reaches: an index of 50 million chunks, its collection, a manifest of 5 million entries.

    .venv/bin/python bench/scale.py [--chunks N] [--scattered N] [--collected N] [--entries N] [--dir FOLDER] [--json FILE]

Nothing is stubbed: the index is filled through `Index`, records are written by sessions of a pool and collected by it. Only
the contents of packs are left out: the files are sparse, as long as the index says. What it means for 100 TB: docs/scale.md.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import struct
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench.engine.meter import sync

from rubackup.chunkstore.gc.safety import GcSafety
from rubackup.chunkstore.index import Batch, Index, PackRow, Place
from rubackup.chunkstore.manifest import Entry, Header, ManifestReader, ManifestWriter, Summary
from rubackup.chunkstore.manifest.format import ROW
from rubackup.chunkstore.pack import closed_name
from rubackup.chunkstore.pool import Pool

OWNER = "00000000000000aa"
CHUNK, GROUP_CHUNKS, PACK_GROUPS = 128 << 10, 8, 40
"""A pack of 32 MiB holds 40 groups of 8 chunks that were compressed to 0.8 of their size."""
STORED_GROUP = 800_000
PACK_CHUNKS = GROUP_CHUNKS * PACK_GROUPS
BATCH = 640_000
"""Chunks a transaction."""
LOOKED_UP, ASKED_AT_ONCE = 400_000, 4096


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


def per_second(index: Index, wanted: list[bytes], found: int) -> float:
    """Look-ups a second, asked as a session asks; the answer is checked."""
    begin = time.perf_counter()
    known = sum(len(index.lookup(wanted[i : i + ASKED_AT_ONCE])) for i in range(0, len(wanted), ASKED_AT_ONCE))
    taken = time.perf_counter() - begin
    if known != found:
        raise SystemExit(f"{known} of {len(wanted)} chunks were found, not {found}.")
    return round(len(wanted) / taken)


def measure_index(folder: Path, count: int, ids: Callable[[int], bytes]) -> dict[str, Any]:
    """Build an index, look up in it: what is there, what is not, with and without the page cache."""
    storage, pool = uuid.uuid4().bytes, uuid.uuid4().bytes
    index = Index(folder, pool)
    index.complete()
    index.set_present([storage], set())
    begin, cpu = time.perf_counter(), time.process_time()
    for batch in batches(count, ids, storage, index.owner(OWNER)):
        index.commit(batch)
    built, built_cpu = time.perf_counter() - begin, time.process_time() - cpu
    index.close()
    used = (folder / "data.mdb").stat().st_blocks * 512
    result: dict[str, Any] = {
        "chunks": count,
        "build_per_s": round(count / built),
        "build_cpu_us": round(built_cpu / count * 1e6, 2),
        "disk_bytes_per_chunk": round(used / count, 1),
    }
    with ProcessPoolExecutor(1, get_context("spawn")) as fresh:
        result |= fresh.submit(look_up, folder, pool, storage, count, ids is scattered).result()
    return result


def look_up(folder: Path, pool: bytes, storage: bytes, count: int, is_scattered: bool) -> dict[str, Any]:
    """What look-ups cost, in a process that has not built the index: its memory is that of looking up."""
    ids = scattered if is_scattered else ordered(count)
    dice = random.Random(7)
    asked = list({ids(dice.randrange(count)) for _ in range(min(LOOKED_UP, count))})
    foreign = [dice.randbytes(32) for _ in asked]
    before = memory_mib()
    index = Index(folder, pool)
    index.set_present([storage], set())
    per_second(index, asked, len(asked))
    result: dict[str, Any] = {"hit_per_s": per_second(index, asked, len(asked))}
    result["miss_per_s"] = per_second(index, foreign, 0)
    after = memory_mib()
    result["private_bytes_per_million_chunks"] = round((after["private"] - before["private"]) * 2**20 / count * 1e6)
    result["page_cache_mapped_mib"] = round(after["mapped"] - before["mapped"], 1)
    index.close()
    forget_cache(folder / "data.mdb")
    index = Index(folder, pool)
    index.set_present([storage], set())
    few = asked[: min(20_000, len(asked))]
    result["cold_hit_per_s"] = per_second(index, few, len(few))
    index.close()
    return result


def measure_collection(folder: Path, count: int) -> dict[str, Any]:
    """Collect a pool of so many chunks, one pack in twenty of which no record names."""
    identity, ids = uuid.uuid4(), ordered(count)
    (folder / "storage").mkdir(parents=True)
    pool = Pool.open(
        uuid=identity.hex, metadata=folder / "metadata", storages=[folder / "storage"], reserve_bytes=0, level=1
    )
    pool.close()
    index = Index(folder / "metadata" / "index", identity.bytes)
    (storage,) = index.storage_paths()
    index.set_present([storage], set())
    begin = time.perf_counter()
    for batch in batches(count, ids, storage, index.owner(OWNER)):
        index.commit(batch)
        for row in batch.packs:
            path = folder / "storage" / closed_name(row.id)
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as file:
                file.truncate(row.indexed_bytes)
    index.close()
    result: dict[str, Any] = {
        "chunks": count,
        "packs": -(-count // PACK_CHUNKS),
        "index_s": round(time.perf_counter() - begin, 1),
    }
    begin = time.perf_counter()
    pool = Pool.open(
        uuid=identity.hex, metadata=folder / "metadata", storages=[folder / "storage"], reserve_bytes=0, level=1
    )
    result["open_s"] = round(time.perf_counter() - begin, 1)
    records = 10
    begin, cpu = time.perf_counter(), time.process_time()
    for number in range(records):
        _record(pool, number, ids, range(count * number // records, count * (number + 1) // records))
    result["records"], result["records_s"] = records, round(time.perf_counter() - begin, 1)
    result["seal_cpu_us_per_chunk"] = round((time.process_time() - cpu) / count * 1e6, 2)
    before = memory_mib()["private"]
    peak = before
    checks = 0

    def check() -> None:
        nonlocal peak, checks
        checks += 1
        if checks % 64 == 0:
            peak = max(peak, memory_mib()["private"])

    begin, cpu = time.perf_counter(), time.process_time()
    found = pool.collect(lambda _done, _total: None, check, unfinished=(), safety=GcSafety())
    result["collect_s"] = round(time.perf_counter() - begin, 1)
    result["collect_cpu_s"] = round(time.process_time() - cpu, 1)
    result["collect_private_mib"] = round(max(peak, memory_mib()["private"]) - before, 1)
    result["condemned_packs"], result["live_packs"] = found.condemned_packs, found.packs - found.condemned_packs
    pool.close()
    return result


def _record(pool: Pool, number: int, ids: Callable[[int], bytes], chunks: range) -> None:
    """A record of files of a hundred chunks that names all but every twentieth pack."""
    record = uuid.uuid4().hex
    session = pool.begin(owner=OWNER, task_id=number + 1, fence=1, record=record, parent=None, share=False)
    writer = ManifestWriter(session.put_manifest, header(record))
    files, pending = 0, []
    folder: list[Entry] = []
    for chunk in chunks:
        if chunk // PACK_CHUNKS % 20 != 7:
            pending.append(ROW.pack(ids(chunk), CHUNK))
        if len(pending) == 100 or (chunk == chunks[-1] and pending):
            first = writer.add_raw_rows(b"".join(pending))
            folder.append(entry(b"file%09d" % files, len(pending) * CHUNK, first, len(pending)))
            files += 1
            pending = []
            if len(folder) == 100:
                writer.add_folder(b"/", folder)
                folder = []
    writer.add_folder(b"/", folder)
    size = sum(CHUNK for chunk in chunks if chunk // PACK_CHUNKS % 20 != 7)
    writer.finish(Summary(files, 0, 1, size))
    session.seal(files, 0, size)


def header(record: str) -> Header:
    """Of a record of this owner."""
    return Header(record, "", OWNER, "File system", "/", "full", 5, (32 << 10, 128 << 10, 512 << 10, 0))


def entry(called: bytes, size: int, first: int, rows: int, kind: int = 0) -> Entry:
    """A file or folder with plain metadata."""
    return Entry(called, kind, 0o644, 1000, 1000, "user", "group", size, 1, 2, 3, 4, 1, first_row=first, rows=rows)


def measure_manifest(folder: Path, count: int) -> dict[str, Any]:
    """List a folder of a large manifest, and find a file's chunks in it: time and bytes read."""
    folder.mkdir()
    path = folder / "manifest"
    each, ids = 1000, ordered(count)
    folders = [b"d%05d" % number for number in range(max(count // each, 1))]
    begin, cpu = time.perf_counter(), time.process_time()
    with path.open("wb") as file:
        writer = ManifestWriter(file.write, header(uuid.uuid4().hex))
        writer.add_folder(b"/", [entry(one, 0, 0, 0, kind=1) for one in folders])
        at = 0
        for one in folders:
            entries = []
            for number in range(each):
                first = writer.add_raw_rows(ROW.pack(ids(at), 20_000))
                entries.append(entry(b"file%04d.txt" % number, 20_000, first, 1))
                at += 1
            writer.add_folder(b"/" + one, entries)
        writer.finish(Summary(at, 0, len(folders) + 1, at * 20_000))
    result: dict[str, Any] = {
        "entries": at,
        "bytes": path.stat().st_size,
        "write_s": round(time.perf_counter() - begin, 1),
    }
    result["write_cpu_us_per_entry"] = round((time.process_time() - cpu) / at * 1e6, 2)
    with path.open("rb") as file:
        middle = folders[len(folders) // 2]
        size = path.stat().st_size
        for what, act in (
            ("first page of a folder, 100 entries", lambda reader: reader.folder(b"/" + middle, 0, 100)),
            ("last page of a folder", lambda reader: reader.folder(b"/" + middle, each - 100, 100)),
            ("a file and its chunks", lambda reader: _chunks_of(reader, b"/" + middle + b"/file0500.txt")),
        ):
            counter = Counter(file.fileno())
            begin = time.perf_counter()
            act(ManifestReader(counter.read, size))
            taken = time.perf_counter() - begin
            result[what] = {"ms": round(taken * 1000, 2), "bytes_read": counter.bytes, "reads": counter.reads}
    return result


def _chunks_of(reader: ManifestReader, path: bytes) -> list[tuple[bytes, int]]:
    found = reader.find(path)
    if found is None:
        raise SystemExit(f"{path!r} was not found.")
    return reader.rows(found.first_row, found.rows)


class Counter:
    """Reads of a file, counted."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self.bytes = self.reads = 0

    def read(self, offset: int, length: int) -> bytes:
        """A range."""
        data = os.pread(self._fd, length, offset)
        self.bytes += len(data)
        self.reads += 1
        return data


def main() -> None:
    """Measure everything and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chunks", type=int, default=50_000_000, help="of the index that is built in order")
    parser.add_argument("--scattered", type=int, default=2_000_000, help="of the index that is built with random ids")
    parser.add_argument("--collected", type=int, default=50_000_000, help="of the pool that is collected")
    parser.add_argument("--entries", type=int, default=5_000_000, help="of the manifest")
    parser.add_argument("--dir", type=Path, default=Path("/var/tmp"), help="where the folder of this run is made")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="rubackup-scale-", dir=options.dir))
    results: dict[str, Any] = {}
    try:
        for key, wanted, act in (
            ("index", options.chunks, lambda count: measure_index(folder / "index", count, ordered(count))),
            (
                "index, random ids",
                options.scattered,
                lambda count: measure_index(folder / "scattered", count, scattered),
            ),
            ("collection", options.collected, lambda count: measure_collection(folder / "pool", count)),
            ("manifest", options.entries, lambda count: measure_manifest(folder / "manifests", count)),
        ):
            if wanted:
                results[key] = act(wanted)
                print(key, json.dumps(results[key], indent=2), flush=True)
            for left in folder.iterdir():
                shutil.rmtree(left)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if options.json:
        options.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
