"""What an index of so many chunks takes, and how fast it answers."""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from bench.scale.synthetic import OWNER, batches, forget_cache, memory_mib, ordered, scattered

from rubackup.chunkstore.index import Index

LOOKED_UP, ASKED_AT_ONCE = 400_000, 4096


def asked(index: Index, kind: str, wanted: list[bytes], found: int) -> dict[str, float]:
    """Look-ups a second, and CPU of each, asked as a session asks; the answer is checked."""
    begin, cpu = time.perf_counter(), time.process_time()
    known = sum(len(index.lookup(wanted[i : i + ASKED_AT_ONCE])) for i in range(0, len(wanted), ASKED_AT_ONCE))
    taken, taken_cpu = time.perf_counter() - begin, time.process_time() - cpu
    if known != found:
        raise SystemExit(f"{known} of {len(wanted)} chunks were found, not {found}.")
    return {f"{kind}_per_s": round(len(wanted) / taken), f"{kind}_cpu_us": round(taken_cpu / len(wanted) * 1e6, 2)}


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
    known = list({ids(dice.randrange(count)) for _ in range(min(LOOKED_UP, count))})
    foreign = [dice.randbytes(32) for _ in known]
    before = memory_mib()
    index = Index(folder, pool)
    index.set_present([storage], set())
    asked(index, "first", known, len(known))
    result: dict[str, Any] = asked(index, "hit", known, len(known)) | asked(index, "miss", foreign, 0)
    after = memory_mib()
    result["private_bytes_per_million_chunks"] = round((after["private"] - before["private"]) * 2**20 / count * 1e6)
    result["page_cache_mapped_mib"] = round(after["mapped"] - before["mapped"], 1)
    index.close()
    forget_cache(folder / "data.mdb")
    index = Index(folder, pool)
    index.set_present([storage], set())
    few = known[:20_000]
    result |= asked(index, "cold_hit", few, len(few))
    index.close()
    return result
