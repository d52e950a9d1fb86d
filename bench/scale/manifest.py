"""What a large manifest takes, and what one folder and one file of it cost."""

from __future__ import annotations

import os
import time
import uuid
from pathlib import Path
from typing import Any

from bench.scale.synthetic import entry, header, ordered

from rubackup.chunkstore.manifest import ManifestReader, ManifestWriter, Summary
from rubackup.chunkstore.manifest.format import ROW


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
