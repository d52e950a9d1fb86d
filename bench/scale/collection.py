"""What a collection of so many chunks takes."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.scale.synthetic import CHUNK, OWNER, PACK_CHUNKS, batches, entry, header, memory_mib, ordered

from rubackup.chunkstore.gc.safety import GcSafety
from rubackup.chunkstore.index import Index
from rubackup.chunkstore.locations import folders
from rubackup.chunkstore.manifest import Entry, ManifestWriter, Summary
from rubackup.chunkstore.manifest.format import ROW
from rubackup.chunkstore.pack import closed_name
from rubackup.chunkstore.pool import Pool


def measure_collection(folder: Path, count: int) -> dict[str, Any]:
    """Collect a pool of so many chunks, one pack in twenty of which no record names; nothing is moved, as packs have no contents."""
    identity, ids = uuid.uuid4(), ordered(count)
    (folder / "storage").mkdir(parents=True)
    pool = Pool.open(
        uuid=identity.hex,
        metadata=folder / "metadata",
        storages=folders([folder / "storage"]),
        reserve_bytes=0,
        level=1,
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
        uuid=identity.hex,
        metadata=folder / "metadata",
        storages=folders([folder / "storage"]),
        reserve_bytes=0,
        level=1,
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
    found = pool.collect(lambda _done, _total: None, check, unfinished=(), safety=GcSafety(compact_bytes=0))
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
