"""Single files of copies, read in parts by whoever downloads them. What was opened for one part serves the next."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, NamedTuple

from rubackup.agent.record_files import part_of
from rubackup.agent.record_listing import meant
from rubackup.chunkstore.file import RecordFile
from rubackup.chunkstore.pool import Pool
from rubackup.domain.errors import Invalid
from rubackup.media.pools import PoolKeeper
from rubackup.wire.messages import ReadRecordFile, RecordFilePart

PART_BYTES: Final = 1 << 20
KEPT_FILES: Final = 16
KEPT_SECONDS: Final = 60.0
"""A file that nobody reads for so long is forgotten when another is opened."""

_Key = tuple[int, str, str]


class _Open(NamedTuple):
    pool: Pool
    file: RecordFile
    used_at: float


class FileDesk:
    """Reads parts of files. Thread-safe; a few files are kept open, each with about two groups of 1 MiB."""

    def __init__(self, pools: PoolKeeper, clock: Callable[[], float] = time.monotonic) -> None:
        self._pools = pools
        self._clock = clock
        self._lock = threading.Lock()
        self._open: OrderedDict[_Key, _Open] = OrderedDict()

    def read(self, asked: ReadRecordFile) -> RecordFilePart:
        """The part that is asked for. NotFound says what the path is instead of a file; Corrupt, Invalid."""
        if not 0 <= asked.length <= PART_BYTES or asked.offset < 0:
            raise Invalid(f"A file of a copy is read in parts of at most {PART_BYTES} bytes.")
        file = self._file(asked)
        return part_of(file, asked)

    def _file(self, asked: ReadRecordFile) -> RecordFile:
        key = (asked.pool_id, asked.record, asked.path)
        pool = self._pools.get(asked.pool_id)
        with self._lock:
            kept = self._open.pop(key, None)
        if kept is None or kept.pool is not pool:  # a pool that was opened anew has another index
            kept = _Open(pool, pool.file(asked.record, *meant(asked.path)), 0.0)
        else:
            pool.sealed(asked.record)  # NotFound once the record was dropped
        with self._lock:
            self._open[key] = kept._replace(used_at=self._clock())
            self._forget()
        return kept.file

    def _forget(self) -> None:
        """Of the files kept, the oldest beyond the number, and those not used for long."""
        before = self._clock() - KEPT_SECONDS
        while len(self._open) > KEPT_FILES or next(iter(self._open.values())).used_at < before:
            self._open.popitem(last=False)
