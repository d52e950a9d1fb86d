"""The pools of one process: File system with one folder and with two, Block device, Cloud. Every call of a storage may be the last."""

from __future__ import annotations

import itertools
import os
import signal
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from rubackup.chunkstore.backends.base import Backend
from rubackup.chunkstore.backends.block import format_device
from rubackup.chunkstore.backends.faults import FaultyBackend
from rubackup.chunkstore.backends.opening import open_backend
from rubackup.chunkstore.backends.s3.backend import S3Backend
from rubackup.chunkstore.backends.s3.location import Bucket
from rubackup.chunkstore.backends.s3.retry import Patience
from rubackup.chunkstore.locations import Device, Folder, Location
from rubackup.chunkstore.pool import Pool
from support.s3server import ACCESS, SECRET

KINDS: Final = ("folder", "two folders", "device", "bucket")
MIB: Final = 1 << 20
_PATIENCE: Final = Patience(total_seconds=30, first_seconds=0.01, longest_seconds=0.5)
_BYTES_A_RECORD: Final = 70_000


@dataclass
class Death:
    """Called before and after everything that changes something; at this call the process kills itself. 0: never."""

    call: int = 0
    of_catalogue: bool = False
    """It waits for a commit of the catalogue: just before it, a copy is sealed and not listed."""

    def __post_init__(self) -> None:
        self._numbers = itertools.count(1)  # next() of it is atomic

    def step(self, *, of_catalogue: bool = False) -> None:
        number = next(self._numbers)
        if self.call and number >= self.call and (of_catalogue or not self.of_catalogue):
            os.kill(os.getpid(), signal.SIGKILL)
            threading.Event().wait()


@dataclass
class Places:
    """Folders and pools of one process."""

    folder: Path
    endpoint: str
    step: Callable[[], None] = lambda: None
    """Before and after each call of a storage."""
    pools: dict[int, Pool] = field(default_factory=dict)

    def prepare(self, records: int) -> None:
        """Once, before the first life."""
        for name in ("one", "left", "right", "spool"):
            (self.folder / name).mkdir(parents=True)
        format_device(self.folder / "device", size_bytes=max(192 * MIB, records * _BYTES_A_RECORD))

    def _locations(self, number: int) -> list[Location]:
        folder = self.folder
        match KINDS[number]:
            case "folder":
                return [Folder(folder / "one")]
            case "two folders":
                return [Folder(folder / "left"), Folder(folder / "right")]
            case "device":
                return [Device(folder / "device", workers=2)]
            case _:
                return [Bucket(endpoint=self.endpoint, bucket="bucket", prefix=folder.name, access_key=ACCESS,
                               secret_key=SECRET, spool=folder / "spool")]  # fmt: skip

    def _backend(self, location: Location) -> Backend:
        made = S3Backend(location, _PATIENCE) if isinstance(location, Bucket) else open_backend(location)
        return FaultyBackend(made, lambda *_: self.step())

    def open(self) -> None:
        """All of them, recovered; AssertionError when recovery could not repair something."""
        for number in range(len(KINDS)):
            pool = Pool.open(
                uuid=str(uuid.uuid5(uuid.NAMESPACE_URL, f"{self.folder.name}/{number}")),
                metadata=self.folder / f"metadata{number}",
                storages=self._locations(number),
                reserve_bytes=0,
                level=1 if number != 1 else None,
                evenly=number == 1,
                make_backend=self._backend,
            )
            self.pools[number] = pool
            assert pool.problems == [], f"the opening of pool {KINDS[number]} found {pool.problems}"

    def close(self) -> None:
        """All pools."""
        while self.pools:
            self.pools.popitem()[1].close()
