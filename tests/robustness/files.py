"""Real trees through the client's own module into a real pool, and back: what changed at once, what only looks unchanged."""

from __future__ import annotations

import errno
import os
import shutil
import uuid
from pathlib import Path
from random import Random

from rubackup.chunkstore.locations import folders
from rubackup.chunkstore.pool import Pool
from rubackup.client.compare import compare_trees
from rubackup.client.modules.filesystem import FileSystemModule
from rubackup.client.ports import BackupJob, RestoreJob
from rubackup.domain.errors import RubackupError
from support.channels import RecordingWatch
from support.chunkstore import POOL

OWNER = "00000000000000cc"
_TAKEN = frozenset({errno.EEXIST, errno.EISDIR, errno.ENOTDIR, errno.ENOENT, errno.ELOOP, errno.ENOTEMPTY})
"""The name of a change is that of something else already."""


class Files:
    """A tree, a pool, and the copies that were made."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.source = folder, folder / "source"
        self.source.mkdir(parents=True)
        (folder / "storage").mkdir()
        self.pool = self._open()
        self.copies: list[str] = []
        self.done = 0

    def _open(self) -> Pool:
        return Pool.open(uuid=POOL, metadata=self.folder / "metadata", storages=folders([self.folder / "storage"]),
                         reserve_bytes=0, level=1)  # fmt: skip

    def close(self) -> None:
        """Release the pool."""
        self.pool.close()

    # --- changes ---

    def change(self, toss: Random) -> None:
        """Some changes, the nasty ones among them."""
        for _ in range(toss.randint(0, 12)):
            there = sorted(path for path in self.source.rglob("*") if not path.is_dir() and not path.is_symlink())
            folders = [self.source, *sorted(path for path in self.source.rglob("*") if path.is_dir())]
            new = toss.choice(folders) / f"n{toss.randint(0, 30)}"
            ways = [self._make, self._folder, self._link]
            if there:
                ways += [self._edit, self._same_size, self._replace, self._remove, self._rename, self._mode, self._hard]
            try:
                toss.choice(ways)(toss, toss.choice(there) if there else new, new)
            except OSError as error:
                if error.errno not in _TAKEN:
                    raise

    @staticmethod
    def _make(toss: Random, old: Path, new: Path) -> None:
        new.write_bytes(toss.randbytes(toss.choice((0, 10, 3_000, 300_000))))

    @staticmethod
    def _folder(toss: Random, old: Path, new: Path) -> None:
        new.mkdir()

    @staticmethod
    def _link(toss: Random, old: Path, new: Path) -> None:
        new.symlink_to(toss.choice(("nowhere", "..", str(old))))

    @staticmethod
    def _edit(toss: Random, old: Path, new: Path) -> None:
        with old.open("ab") as file:
            file.write(toss.randbytes(20))

    @staticmethod
    def _same_size(toss: Random, old: Path, new: Path) -> None:
        """Other content, the old size and the old time of change."""
        before = old.stat()
        old.write_bytes(toss.randbytes(before.st_size))
        os.utime(old, ns=(before.st_atime_ns, before.st_mtime_ns))

    @staticmethod
    def _replace(toss: Random, old: Path, new: Path) -> None:
        """Another file of the same size and times under the same name."""
        before = old.stat()
        other = old.with_name("replacing")
        other.write_bytes(toss.randbytes(before.st_size))
        os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
        other.replace(old)

    @staticmethod
    def _remove(toss: Random, old: Path, new: Path) -> None:
        old.unlink()

    @staticmethod
    def _rename(toss: Random, old: Path, new: Path) -> None:
        old.replace(new)

    @staticmethod
    def _mode(toss: Random, old: Path, new: Path) -> None:
        old.chmod(toss.choice((0o600, 0o644, 0o4755)))

    @staticmethod
    def _hard(toss: Random, old: Path, new: Path) -> None:
        os.link(old, new)

    # --- copies ---

    def step(self, toss: Random) -> None:
        """Change, copy, restore and compare; now and then an older copy goes, or the index."""
        self.change(toss)
        record = uuid.UUID(int=toss.getrandbits(128)).hex
        parent = toss.choice((*self.copies[-3:], "")) if self.copies else ""
        session = self.pool.begin(
            owner=OWNER, task_id=toss.getrandbits(40), fence=1, record=record, parent=parent or None, share=False
        )
        kind = "incremental" if parent else "full"
        job = BackupJob(record, parent, OWNER, str(self.source), kind)
        FileSystemModule().backup(job, session, RecordingWatch())
        target = self.folder / "target"
        channel = self.pool.read(record)
        done = FileSystemModule().restore(
            RestoreJob(record, OWNER, str(self.source), str(target)), channel, RecordingWatch()
        )
        assert done.files_failed == 0, "files could not be restored"
        found = compare_trees(self.source, Path(f"{target}{self.source}"))
        assert found.differences == [], f"a {kind} copy restores to something else: {found.differences[:5]}"
        shutil.rmtree(target)
        self.copies.append(record)
        self.done += 1
        if len(self.copies) > 5:
            self.pool.drop(self.copies.pop(toss.randrange(len(self.copies) - 1)))
        if toss.random() < 0.1:
            self.pool.close()
            if toss.random() < 0.5:
                shutil.rmtree(self.folder / "metadata" / "index")
            self.pool = self._open()
            if self.pool.problems:
                raise RubackupError(f"an opening found {self.pool.problems}")
