"""The bare chunk store: pool and client module in one process, without network, server and catalogue.

As a program it does one operation: `python -m bench.engine.bare FOLDER backup ROOT` and so on. The start of Python is in its times.
"""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from dataclasses import dataclass, field
from pathlib import Path

from bench.engine.contestants import Failed, keep_folder, put_folder_back, remove_folder, used_bytes
from bench.engine.meter import Group

OWNER = "00000000000000aa"
ROOT = Path(__file__).parents[2]


@dataclass
class Bare:
    """The pool below a folder; each operation is a process of its own."""

    folder: Path
    name: str = "bare"
    database: None = None
    group: Group = field(init=False)

    def __post_init__(self) -> None:
        self.group = Group(f"rubackup-engine-{os.getpid()}-{self.folder.name}")

    def _run(self, *arguments: str | Path) -> None:
        command = [sys.executable, "-m", "bench.engine.bare", self.folder, *arguments]
        done = subprocess.run(
            self.group.command(command), cwd=ROOT, capture_output=True, text=True, check=False
        )  # fmt: skip
        if done.returncode:
            raise Failed(f"bare {arguments[0]}: {done.stderr[-2000:]}")

    def prepare(self) -> None:
        """An empty pool."""
        (self.folder / "storage").mkdir(parents=True)
        (self.folder / "uuid").write_text(uuid.uuid4().hex)

    def backup(self, root: Path) -> None:
        """Copy a tree."""
        self._run("backup", root)

    def verify(self) -> None:
        """Read and hash every chunk of the newest record."""
        self._run("verify")

    def restore(self, target: Path) -> None:
        """The newest record."""
        self._run("restore", target)

    def restore_one(self, path: Path, target: Path) -> None:
        """One path of it."""
        self._run("restore", target, path)

    def reclaim(self, count: int) -> None:
        """Drop the oldest records and collect what nothing needs."""
        self._run("reclaim", str(count))

    def keep(self) -> None:
        """The pool and its index."""
        keep_folder(self.folder)

    def put_back(self) -> None:
        """Both as they were."""
        put_folder_back(self.folder)

    def stored_bytes(self) -> int:
        """Packs and manifests; the index can be made anew from them, but is counted as restic's is."""
        return used_bytes(self.folder)

    def close(self) -> None:
        """Remove everything."""
        remove_folder(self.folder)
        self.group.close()


class _Quiet:
    """client.ports.Watch: keeps the lines that are no information."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def phase(self, name: str, /) -> None:
        """Nobody asks."""

    def progress(self, *counts: int) -> None:
        """Nobody asks."""

    def log(self, level: str, text: str, /) -> None:
        """Keep problems."""
        if level != "info":
            self.lines.append(text)

    def deliver(self) -> None:
        """Nobody waits for them."""

    def check(self) -> None:
        """Nobody stops it."""


def main(folder: Path, operation: str, arguments: list[str]) -> None:
    """Do one operation."""
    from rubackup.chunkstore.locations import folders
    from rubackup.chunkstore.pool import Pool

    pool = Pool.open(
        uuid=(folder / "uuid").read_text(),
        metadata=folder / "metadata",
        storages=folders([folder / "storage"]),
        reserve_bytes=0,
        level=1,
    )
    try:
        records = [one.record for one in sorted(pool.records(), key=lambda one: one.sealed_at_ns)]
        if operation == "backup":
            _backup(pool, records, arguments[0])
        elif operation == "restore":
            _restore(pool, records[-1], arguments[0], tuple(arguments[1:]))
        elif operation == "verify":
            result = pool.verify(records[-1], lambda _done, _total: None, lambda: None)
            if result.damaged:
                raise Failed(f"damaged: {result.damaged[:3]}")
        else:
            _reclaim(pool, records[: int(arguments[0])])
    finally:
        pool.close()


def _backup(pool, records: list[str], root: str) -> None:
    from rubackup.client.modules.filesystem import FileSystemModule
    from rubackup.client.ports import BackupJob

    record, parent = uuid.uuid4().hex, records[-1] if records else ""
    session = pool.begin(
        owner=OWNER, task_id=len(records) + 1, fence=1, record=record, parent=parent or None, share=False
    )
    job = BackupJob(record, parent, OWNER, root, "incremental" if parent else "full")
    watch = _Quiet()
    summary = FileSystemModule().backup(job, session, watch)
    if summary.files_failed or watch.lines:
        raise Failed(f"{summary.files_failed} files failed: {watch.lines[:3]}")


def _reclaim(pool, records: list[str]) -> None:
    """The grace is for readers and sessions of other processes: here it is over at once."""
    from rubackup.chunkstore.gc.safety import GcSafety

    for record in records:
        pool.drop(record)
    found = pool.collect(lambda _done, _total: None, lambda: None, unfinished=(), safety=GcSafety(grace_seconds=0))
    if found.problems or found.waiting_packs:
        raise Failed(f"not everything was freed: {found}")


def _restore(pool, record: str, target: str, paths: tuple[str, ...]) -> None:
    from rubackup.client.modules.filesystem import FileSystemModule
    from rubackup.client.ports import RestoreJob

    job = RestoreJob(record, OWNER, pool.sealed(record).resource, target, paths=paths)
    watch = _Quiet()
    summary = FileSystemModule().restore(job, pool.read(record), watch)
    if summary.files_failed or watch.lines:
        raise Failed(f"{summary.files_failed} files failed: {watch.lines[:3]}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3:])
