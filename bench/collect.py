"""What garbage collection costs: time and memory of a collection of a synthetic pool.

    .venv/bin/python bench/collect.py [--chunks N] [--records N] [--dead SHARE] [--json FILE]

The pool is real where a collection reads: an index of N chunks in packs of groups, manifests that name them, and packs with
headers and trailers. The contents of groups are holes, as nothing of them is read unless a pack is emptied (the budget of
compaction is 0 here).
"""

# ruff: noqa: SLF001 - a synthetic pool is filled behind its door
from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from blake3 import blake3

from rubackup.chunkstore import group, pack, seals
from rubackup.chunkstore._packset import PackSet
from rubackup.chunkstore.index import Batch, PackRow, Place, RecordRow
from rubackup.chunkstore.manifest import Entry, Header, ManifestWriter, Summary
from rubackup.chunkstore.pool import GcSafety, Pool

GROUP_CHUNKS, PACK_GROUPS = 16, 32
CHUNK_BYTES = 64 << 10
OWNER = "00000000000000aa"


def chunk_name(number: int) -> bytes:
    """The id of a chunk: evenly spread, as hashes are."""
    return random.Random(number).randbytes(32)


def write_pack(path: Path, pool: bytes, name: bytes, names: list[bytes]) -> int:
    """A closed pack of these chunks, contents left out; its length."""
    header = pack._header(pack.PackHeader(pool, name, OWNER))
    path.parent.mkdir(parents=True, exist_ok=True)
    extents, offset = [], len(header)
    with path.open("wb") as file:
        file.write(header)
        for first in range(0, len(names), GROUP_CHUNKS):
            ids = names[first : first + GROUP_CHUNKS]
            rows = b"".join([group._ROW.pack(one, CHUNK_BYTES) for one in ids])
            size = len(ids) * CHUNK_BYTES
            fixed = (group.MAGIC, group.VERSION, group.STORED, 0, len(ids), size, size, bytes(32), bytes(32))
            front = group._FIXED.pack(*fixed)[: group._SUMMED]
            total = blake3(front).update(rows).digest()
            file.seek(offset)
            file.write(front + total + rows)
            length = group.HEAD_BYTES + len(rows) + size
            extents.append(pack.Extent(offset, length, len(ids), total))
            offset += length
        file.seek(offset)
        file.write(pack.trailer(header, extents, offset))
        return file.tell()


def fill(pool: Pool, chunks: int) -> None:
    """Packs and index rows for so many chunks."""
    storage = pool._storages.all[0]
    owner = pool._index.owner(OWNER)
    per_pack = GROUP_CHUNKS * PACK_GROUPS
    group_bytes = group.HEAD_BYTES + GROUP_CHUNKS * (group.ROW_BYTES + CHUNK_BYTES)
    batch = Batch(owner)
    for first in range(0, chunks, per_pack):
        number, name = pool._index.new_pack_number(), os.urandom(16)
        names = [chunk_name(i) for i in range(first, min(first + per_pack, chunks))]
        path = Path(storage.backend.label) / pack.closed_name(name)
        size = write_pack(path, pool._pool, name, names)
        batch.packs.append(PackRow(number, name, storage.id, closed=True, indexed_bytes=size))
        for i, one in enumerate(names):
            nth, position = divmod(i, GROUP_CHUNKS)
            length = group.HEAD_BYTES + min(GROUP_CHUNKS, len(names) - i + position) * (group.ROW_BYTES + CHUNK_BYTES)
            offset = pack.HEADER_BYTES + nth * group_bytes
            batch.chunks[one] = Place(number, offset, length, position, CHUNK_BYTES, owner)
        if len(batch.chunks) > 200_000:
            pool._index.commit(batch)
            batch = Batch(owner)
    pool._index.commit(batch)


def record(pool: Pool, number: int, chunks: range) -> None:
    """A sealed record that names these chunks."""
    storage = pool._storages.all[0]
    name = f"{number:032x}"
    parts: list[bytes] = []
    writer = ManifestWriter(parts.append, Header(name, "", OWNER, "File system", "/", "full", 5, (1, 2, 3, 4)))
    rows = [(chunk_name(i), CHUNK_BYTES) for i in chunks]
    first = writer.add_rows(rows)
    size = len(rows) * CHUNK_BYTES
    one = Entry(b"all", 0, 0o644, 0, 0, "", "", size, 1, 2, 3, 4, 1, first_row=first, rows=len(rows))
    writer.add_folder(b"/", [one])
    writer.finish(Summary(1, 0, 0, size))
    sealed = seals.SealedRecord(
        record=name, parent="", owner=OWNER, task_id=number, fence=1, resource_type="File system", resource="/",
        backup_type="full", files=1, files_failed=0, size_bytes=size, stored_bytes=0, sealed_at_ns=1,
    )  # fmt: skip
    stream = b"".join(parts)
    data = stream + seals.seal_bytes(sealed, len(stream), bytes(32))
    storage.backend.put(seals.manifest_name(name), data)
    pool._index.put_record(RecordRow(sealed, len(stream), storage.id, len(data)), PackSet([1]))


def memory_mib() -> float:
    """What this process holds now, the mapped index not counted."""
    with Path("/proc/self/status").open() as file:
        told = dict(line.split(":", 1) for line in file)
    return int(told["RssAnon"].split()[0]) / 1024


def measure(folder: Path, dropped: str) -> dict[str, float]:
    """A collection in this process, which has done nothing before: seconds, and the memory that it took."""
    pool = Pool.open(
        uuid="0" * 32, metadata=folder / "metadata", storages=[folder / "storage"], reserve_bytes=0, level=1
    )
    if dropped:
        pool.drop(dropped)
    before, most = memory_mib(), 0.0

    def check() -> None:
        nonlocal most
        most = max(most, memory_mib())

    wall, cpu = time.monotonic(), time.process_time()
    safety = GcSafety(grace_seconds=0, compact_bytes=0)
    found = pool.collect(lambda *_: None, check, safety=safety)
    figures = {
        "wall_seconds": time.monotonic() - wall, "cpu_seconds": time.process_time() - cpu,
        "memory_mib": most - before, "removed_packs": found.removed_packs,
    }  # fmt: skip
    pool.close()
    return figures


def in_a_process(folder: Path, dropped: str = "") -> dict[str, float]:
    """The same, in a new process."""
    command = [sys.executable, __file__, "--measure", str(folder), "--drop", dropped]
    answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    figures: dict[str, float] = json.loads(answer.stdout)
    return figures


def main() -> None:
    """Build, collect twice (nothing dead, then the dead share), each in a process of its own; print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chunks", type=int, default=1_000_000)
    parser.add_argument("--records", type=int, default=10)
    parser.add_argument("--dead", type=float, default=0.1, help="share of the chunks that the dropped record alone has")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--drop", default="", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        json.dump(measure(arguments.measure, arguments.drop), sys.stdout)
        return
    folder = Path(tempfile.mkdtemp(prefix="rubackup-collect-", dir=os.environ.get("BENCH_DIR", "/var/tmp")))
    try:
        (folder / "storage").mkdir()
        pool = Pool.open(
            uuid="0" * 32, metadata=folder / "metadata", storages=[folder / "storage"], reserve_bytes=0, level=1
        )
        fill(pool, arguments.chunks)
        live = int(arguments.chunks * (1 - arguments.dead))
        share = live // arguments.records
        for number in range(arguments.records):
            record(pool, number + 1, range(number * share, (number + 1) * share))
        dropped = f"{arguments.records + 1:032x}"
        record(pool, arguments.records + 1, range(arguments.records * share, arguments.chunks))
        pool.close()
        lines = {
            "chunks": arguments.chunks,
            "nothing to do": in_a_process(folder),
            "dead share removed": in_a_process(folder, dropped),
        }
    finally:
        shutil.rmtree(folder)
    json.dump(lines, sys.stdout, indent=1)
    print()
    if arguments.json:
        arguments.json.write_text(json.dumps(lines))


if __name__ == "__main__":
    main()
