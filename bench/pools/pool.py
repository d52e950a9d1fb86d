"""Writing and reading through a pool, as the media server does both for a client."""

from __future__ import annotations

import shutil
import uuid
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from bench.pools.data import Data

from rubackup.chunkstore.locations import Location
from rubackup.chunkstore.manifest import Entry, EntryType, Header, ManifestWriter, Summary
from rubackup.chunkstore.pool import Pool
from rubackup.media.ingest import Ingest, examiners

_OWNER = "00000000000000aa"


class _Connection:
    """Of the data connection only what `Ingest` asks for: the groups lie in memory already."""

    def keep(self, frame: Any) -> None:
        """Nothing is received into it."""

    def reuse(self, frame: Any) -> None:
        """As `keep`."""


class OnePool:
    """A new pool with one storage and one record."""

    def __init__(self, metadata: Path, location: Location) -> None:
        self._metadata = metadata
        self._record = uuid.uuid4().hex
        self._pool = Pool.open(uuid=uuid.uuid4().hex, metadata=metadata, storages=[location], reserve_bytes=0, level=1)
        self._examiners = examiners()

    def write(self, data: Data) -> None:
        """One backup from the first group to the seal: everything is durable and listed then."""
        session = self._pool.begin(owner=_OWNER, task_id=1, fence=1, record=self._record, parent=None, share=False)
        ingest = Ingest(session, _Connection(), self._examiners)  # type: ignore[arg-type]
        for one in data.groups:
            ingest.put(SimpleNamespace(data=one))  # type: ignore[arg-type]
        ingest.drain()
        header = Header(
            self._record, "", _OWNER, "File system", "/", "full", 5, (32 << 10, 128 << 10, 512 << 10, 0), ""
        )
        writer = ManifestWriter(session.put_manifest, header)
        first = writer.add_rows(data.rows)
        writer.add_folder(
            b"/",
            [
                Entry(
                    b"file", int(EntryType.FILE), 0o600, 0, 0, "root", "root", data.size_bytes, mtime_ns=1, ctime_ns=1,
                    inode=1, device=1, links=1, first_row=first, rows=len(data.rows),
                )
            ],
        )  # fmt: skip
        writer.finish(Summary(files=1, size_bytes=data.size_bytes))
        session.seal(1, 0, data.size_bytes)

    def read(self, data: Data) -> None:
        """All groups as a client gets them, sums checked."""
        total = 0
        for one in self._pool.read(self._record).groups([(0, len(data.rows))]):
            total += len(one)
        if total != data.sent_bytes:
            raise RuntimeError(f"{total} bytes were read, {data.sent_bytes} were written")

    def close(self) -> None:
        """Forget the pool; its storage is removed by the place."""
        self._examiners.shutdown()
        self._pool.close()
        shutil.rmtree(self._metadata)
