"""An LMDB environment that grows, and whose errors are ours.

The map must not be resized while a transaction of this process is open: readers hold the gate
for one batch, growing waits for them. Transactions are synced at commit, but those of an environment that is new: it is
filled from storages, and filled again when that is cut off, so they are synced all at once (`settle`).
"""

from __future__ import annotations

import errno
import os
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, TypeVar

import lmdb

from rubackup.chunkstore import _index_pages
from rubackup.domain.errors import Corrupt, StorageFault, StorageFull

_T = TypeVar("_T")
_DAMAGED: Final = "damaged"
CLOSE_SECONDS: Final = 30.0
"""How long closing waits for readers, each of which holds the gate for one batch."""
_LITTLE_BYTES: Final = 1 << 20
"""A write that was cut short took all room but a few pages."""
_DAMAGE: Final = (
    lmdb.CorruptedError,
    lmdb.PageNotFoundError,
    lmdb.InvalidError,
    lmdb.VersionMismatchError,
    lmdb.MapResizedError,  # a lock keeps others out, so nobody else can have made it larger
)


def condemn(folder: Path) -> None:
    """Mark an environment as damaged, if there is one."""
    if folder.is_dir():
        (folder / _DAMAGED).touch()


def is_condemned(folder: Path) -> bool:
    """Whether an environment was marked as damaged."""
    return (folder / _DAMAGED).exists()


class Environment:
    """Named databases in one folder. Safe for threads; no transaction may be nested in another of the same thread."""

    def __init__(self, folder: Path, databases: tuple[str, ...], map_bytes: int) -> None:
        """Open or create; Corrupt when the file cannot be one of ours or is shorter than it says."""
        self.folder = folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = folder / "data.mdb"
        if is_condemned(folder):
            raise Corrupt(f"The index in {folder} was found damaged.")
        size = file.stat().st_size if file.exists() else 0
        self._map_bytes = max(map_bytes, 2 * size)
        self._gate = threading.Condition()
        self._readers = 0
        self._writing = threading.Lock()
        self.databases: dict[str, lmdb._Database] = {}
        self._names = databases
        self._relaxed = not file.exists()
        with self._translated():
            self._open(size)

    def _open(self, size: int) -> None:
        self._env = lmdb.open(
            str(self.folder),
            map_size=self._map_bytes,
            max_dbs=len(self._names),
            max_readers=1024,
            readahead=False,
            meminit=False,
            mode=0o600,
            sync=not self._relaxed,
        )
        try:
            # Pages beyond the end of a cut file would kill the process when they are touched; free ones are not.
            used = (self._env.info()["last_pgno"] + 1) * self._env.stat()["psize"]
            if size and used > size and (problem := _index_pages.check(self.folder / "data.mdb")):
                raise Corrupt(f"The index in {self.folder} is cut off: {problem}.")
            self.databases.update({name: self._env.open_db(name.encode()) for name in self._names})
        except BaseException:
            self._env.close()
            raise

    def settle(self) -> None:
        """Make everything durable; from now on each commit is. Does nothing when they were from the beginning."""
        with self._writing, self._gate:
            self._gate.wait_for(lambda: not self._readers)
            if not self._relaxed:
                return
            with self._translated():
                self._env.sync(True)
                self._env.close()
                self._relaxed = False
                self._open((self.folder / "data.mdb").stat().st_size)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except lmdb.MapFullError:
            raise
        except _DAMAGE as error:
            self.condemn()
            raise Corrupt(f"The index in {self.folder} is damaged: {error}.") from error
        except lmdb.Error as error:
            if "No space left" in str(error) or "quota" in str(error).lower() or self._is_cut_short(error):
                raise StorageFull(f"There is no room left in {self.folder}.", folder=str(self.folder)) from error
            raise StorageFault(f"The index in {self.folder} cannot be used: {error}.") from error

    def _is_cut_short(self, error: lmdb.Error) -> bool:
        """Whether LMDB wrote less than it wanted, which it calls an input/output error, as the disk is full."""
        if os.strerror(errno.EIO) not in str(error):
            return False
        found = os.statvfs(self.folder)
        return found.f_bavail * found.f_frsize < _LITTLE_BYTES

    def condemn(self) -> None:
        """Say that the content is wrong, so that the next opening rebuilds it."""
        with suppress(OSError):
            (self.folder / _DAMAGED).touch()

    @contextmanager
    def read(self) -> Iterator[lmdb.Transaction[bytes]]:
        """A transaction that reads one state; keep it short."""
        with self._gate:
            self._readers += 1
        try:
            with self._translated(), self._env.begin() as transaction:
                yield transaction
        except struct.error as error:
            self.condemn()
            raise Corrupt(f"The index in {self.folder} holds a row of a wrong length: {error}.") from error
        finally:
            with self._gate:
                self._readers -= 1
                self._gate.notify_all()

    def write(self, change: Callable[[lmdb.Transaction[bytes]], _T]) -> _T:
        """Run `change` in a transaction and commit it durably; it is run again when the map had to grow."""
        with self._writing:
            while True:
                try:
                    with self._translated(), self._env.begin(write=True) as transaction:
                        return change(transaction)
                except lmdb.MapFullError:
                    self._grow()

    def _grow(self) -> None:
        with self._gate:
            self._gate.wait_for(lambda: not self._readers)
            self._map_bytes *= 2
            with self._translated():
                self._env.set_mapsize(self._map_bytes)

    def entries(self, name: str) -> int:
        """Number of rows of a database."""
        with self.read() as transaction:
            return transaction.stat(self.databases[name])["entries"]

    @property
    def damaged(self) -> bool:
        """Whether a transaction found damage."""
        return is_condemned(self.folder)

    def close(self) -> None:
        """Release the files when nobody reads any more; everything committed is durable."""
        with self._gate:
            self._gate.wait_for(lambda: not self._readers, CLOSE_SECONDS)
            self._env.close()
