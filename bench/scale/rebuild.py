"""What it takes to make a lost index anew."""

from __future__ import annotations

import random
import shutil
import time
import uuid
from pathlib import Path
from typing import Any

from bench.engine.meter import sync
from bench.scale.synthetic import OWNER

from rubackup.chunkstore import group
from rubackup.chunkstore.identity import chunk_id
from rubackup.chunkstore.locations import folders
from rubackup.chunkstore.pool import Pool


def measure_rebuild(folder: Path, count: int) -> dict[str, Any]:
    """Lose the index of a pool of so many chunks of 4 KiB and open it: read anew from the packs."""
    identity = uuid.uuid4()
    (folder / "storage").mkdir(parents=True)

    def opened() -> Pool:
        return Pool.open(
            uuid=identity.hex,
            metadata=folder / "metadata",
            storages=folders([folder / "storage"]),
            reserve_bytes=0,
            level=None,
        )

    pool = opened()
    session = pool.begin(owner=OWNER, task_id=1, fence=1, record=uuid.uuid4().hex, parent=None, share=False)
    dice = random.Random(9)
    begin, cpu = time.perf_counter(), time.process_time()
    for _ in range(0, count, 256):
        chunks = [(chunk_id(data), data) for data in (dice.randbytes(4096) for _ in range(256))]
        session.put_group(group.encode(chunks, None))
    session.checkpoint()
    written = time.perf_counter() - begin
    written_cpu = time.process_time() - cpu
    session.abort()
    known = pool.usage().chunks
    pool.close()
    shutil.rmtree(folder / "metadata" / "index")
    sync(folder)
    begin, cpu = time.perf_counter(), time.process_time()
    pool = opened()
    taken, taken_cpu = time.perf_counter() - begin, time.process_time() - cpu
    if pool.usage().chunks != known:
        raise SystemExit(f"{pool.usage().chunks} of {known} chunks are known again.")
    pool.close()
    packs = sum(1 for _ in (folder / "storage").rglob("*.pack"))
    return {
        "chunks": known,
        "packs": packs,
        "ingest_s": round(written, 1),
        "ingest_cpu_us_per_chunk": round(written_cpu / known * 1e6, 1),
        "rebuild_s": round(taken, 2),
        "rebuild_cpu_us_per_chunk": round(taken_cpu / known * 1e6, 2),
        "rebuild_ms_per_pack": round(taken / packs * 1000, 1),
    }
