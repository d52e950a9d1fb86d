"""The backend: objects in the bucket, what is still written on the media server's disk (the spool), both seen as one."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Final

from rubackup.chunkstore.backends.base import Appender, Capabilities, Item, Space
from rubackup.chunkstore.backends.local import LocalBackend
from rubackup.chunkstore.backends.oserrors import translated
from rubackup.chunkstore.backends.s3.cache import BLOCK_BYTES, Cache
from rubackup.chunkstore.backends.s3.client import Client, Found
from rubackup.chunkstore.backends.s3.growing import SmallFile, SpooledManifest
from rubackup.chunkstore.backends.s3.location import Bucket
from rubackup.chunkstore.backends.s3.retention import Retention, date
from rubackup.chunkstore.backends.s3.retry import Patience, Refused
from rubackup.chunkstore.backends.s3.sizes import Sizes
from rubackup.chunkstore.backends.s3.upload import PART_BYTES, SINGLE_BYTES, Uploader
from rubackup.chunkstore.identity import Buffer
from rubackup.domain.errors import Conflict, Corrupt, NotFound

log = logging.getLogger(__name__)
OPEN: Final = ".open"
UNLIMITED_BYTES: Final = 1 << 50
"""An object storage tells no room. 1 PiB: sums over many buckets stay exact in JavaScript's numbers and PostgreSQL's."""
SPOOL_BYTES: Final = 512 << 20
"""With less room in the spool its room is the bucket's: what is sent has to be written there first."""
_DOWNLOAD_BYTES: Final = 8 << 20
_CACHED_READ_BYTES: Final = 4 << 20
"""Longer reads pass the cache by: they are of somebody who reads a manifest through."""
_TRUSTED_SECONDS: Final = 60.0
"""So long a manifest that was looked at counts as unchanged."""
_REMEMBERED: Final = 10_000
READS_AT_ONCE: Final = 6
"""Of about 1 MiB each, by one reader: with 10 to 50 ms a request one after another gives 20 to 100 MB/s."""


class S3Backend:
    """A prefix of a bucket. Making one sends nothing."""

    def __init__(
        self,
        where: Bucket,
        patience: Patience | None = None,
        *,
        single_bytes: int = SINGLE_BYTES,
        part_bytes: int = PART_BYTES,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self.label = where.label
        self._where = where
        self._client = Client(where, patience)
        self._steady = steady
        folder = where.spool_folder
        with translated(str(folder), ""):
            (folder / "open").mkdir(mode=0o700, parents=True, exist_ok=True)
        self._spool = LocalBackend(folder / "open", cached=True)
        self._cache = Cache(folder / "cache", where.cache_bytes)
        self._uploader = Uploader(self._client, single_bytes, part_bytes)
        self._retain(where)
        self._sizes = Sizes(self._client, steady)
        self._lock = threading.Lock()
        self._growing: dict[str, SmallFile] = {}
        self._seen: dict[str, tuple[Found, float]] = {}
        self._strange: set[str] = set()
        """Open files that lie in the bucket: somebody copied a folder there."""

    def _retain(self, where: Bucket) -> None:
        self._retention = Retention(self._client) if where.object_lock != "none" else None
        self.capabilities = Capabilities(
            append=False, overwrite=False, reads_at_once=READS_AT_ONCE, lock=self._retention, forget=self._forget
        )

    def use(self, where: Bucket) -> None:
        """Go on with other keys, or another mode of Object Lock, in the same place."""
        self._where = where
        self._client.use(where)
        self._retain(where)

    def close(self) -> None:
        """Let connections go; what waits in the spool stays there."""
        self._client.close()

    # --- writing ---

    def put(self, name: str, data: Buffer) -> None:
        """Create a durable file at once or not at all."""
        if name.endswith(OPEN):
            self._spool.put(name, data)
            return
        self._uploader.put(name, data, create=True)
        self._changed(name)

    def append(self, name: str, at: int | None = None) -> Appender:
        """A new file that grows, or with `at` the existing one, cut to that size."""
        if not name.endswith(OPEN):
            return self._grow(name, at)
        if at is not None:
            self._bring(name)
        file = self._spool.append(name, at)
        if not name.startswith("manifests/"):
            return file
        final = name.removesuffix(OPEN) + ".manifest"
        return SpooledManifest(
            file,
            lambda: self._uploader.changed(name),
            lambda: self._uploader.ahead(name, file.size_bytes, self._reader(name), final),
        )

    def _grow(self, name: str, at: int | None) -> SmallFile:
        content = b"" if at is None else self.read(name, 0, at)
        exists = at is not None or name in self._growing or self._exists(name)
        if at is None and exists:
            raise Conflict(f"{self.label}/{name} exists already.")

        def send(data: bytes) -> None:
            nonlocal exists
            self._uploader.put(name, data, create=not exists)
            exists = True
            self._changed(name)

        def closed() -> None:
            with self._lock:
                self._growing.pop(name, None)

        file = SmallFile(name, content, send, closed)
        with self._lock:
            self._growing[name] = file
        return file

    def publish(self, name: str, final: str) -> None:
        """Give a synced file its final name, durably. An open file is sent; what is in the bucket is copied there."""
        self._move(name, final, create=True)

    def replace(self, name: str, final: str) -> None:
        """Give a synced file the name of another, which is gone with that: an object is replaced at once, by one request."""
        self._client.head(final)
        until = self._client.retained_until_ns(final) if self._retention else 0
        self._move(name, final, create=False)
        if self._retention and until:
            self._retention.protect(final, until)

    def _move(self, name: str, final: str, *, create: bool) -> None:
        spooled = name.endswith(OPEN)
        if spooled:
            self._bring(name)
            size = self._spool.size(name)
        else:
            size = self._client.head(name).size_bytes
        self._uploader.send(name, size, self._reader(name), final, create=create)
        self._changed(final)
        self.delete(name)

    def _bring(self, name: str) -> None:
        """Fetch an open file that lies in the bucket."""
        if name not in self._strange:
            return
        try:
            self._spool.size(name)
            return
        except NotFound:
            size = self._client.head(name).size_bytes
        file = self._spool.append(name)
        try:
            for at in range(0, size, _DOWNLOAD_BYTES):
                file.write(self._client.read(name, at, min(_DOWNLOAD_BYTES, size - at)))
            file.sync()
        except BaseException:
            self._spool.delete(name)
            raise
        finally:
            file.close()

    # --- reading ---

    def read(self, name: str, offset: int, length: int) -> bytes:
        """Exactly these bytes."""
        if name.endswith(OPEN):
            with suppress(NotFound):
                return self._spool.read(name, offset, length)
            if name not in self._strange:
                raise NotFound(f"{self.label}/{name} does not exist.")
        growing = self._growing.get(name)
        if growing is not None:
            data = bytes(growing.content[offset : offset + length])
        elif not length:
            self.size(name)
            return b""
        elif name.endswith(".manifest") and length <= _CACHED_READ_BYTES:
            data = self._read_cached(name, offset, length)
        else:
            data = self._client.read(name, offset, length)
        if len(data) < length:
            raise Corrupt(f"{self.label}/{name} ends before byte {offset + length}.")
        return data

    def _read_cached(self, name: str, offset: int, length: int) -> bytes:
        found = self._look(name)
        if offset + length > found.size_bytes:
            return b""
        first, last = offset // BLOCK_BYTES, (offset + length - 1) // BLOCK_BYTES
        blocks = {number: self._cache.get(name, found.tag, number) for number in range(first, last + 1)}
        missing = [number for number, data in blocks.items() if data is None]
        if missing:  # from the first to the last at once: a request costs more than a few blocks
            start, end = missing[0] * BLOCK_BYTES, min((missing[-1] + 1) * BLOCK_BYTES, found.size_bytes)
            data = self._client.read(name, start, end - start)
            if len(data) < end - start:
                raise Corrupt(f"{self.label}/{name} ends before byte {end}.")
            for number in range(missing[0], missing[-1] + 1):
                at = number * BLOCK_BYTES - start
                blocks[number] = data[at : at + BLOCK_BYTES]
                self._cache.put(name, found.tag, number, data[at : at + BLOCK_BYTES])
        joined = b"".join(blocks[number] or b"" for number in range(first, last + 1))
        return joined[offset - first * BLOCK_BYTES :][:length]

    def _look(self, name: str) -> Found:
        """Size and tag of a file, asked for at most once a minute."""
        now = self._steady()
        known = self._seen.get(name)
        if known is not None and now - known[1] < _TRUSTED_SECONDS:
            return known[0]
        found = self._client.head(name)
        with self._lock:
            if len(self._seen) >= _REMEMBERED:
                self._seen.clear()
            self._seen[name] = (found, now)
        return found

    def size(self, name: str) -> int:
        """Length of a file."""
        if name.endswith(OPEN):
            with suppress(NotFound):
                return self._spool.size(name)
            if name not in self._strange:
                raise NotFound(f"{self.label}/{name} does not exist.")
        growing = self._growing.get(name)
        if growing is not None:
            return growing.size_bytes
        return self._sizes.size(name)

    def _exists(self, name: str) -> bool:
        try:
            self._client.head(name)
        except NotFound:
            return False
        return True

    def list(self, folder: str) -> Iterator[Item]:
        """Every file below a folder. What a crash left in the spool of a file that is in the bucket already is not told."""
        spooled = {item.name: item for item in self._spool.list(folder)}
        for item in self._client.items(folder):
            if item.name.endswith(OPEN):
                self._strange.add(item.name)
                if item.name in spooled:
                    continue
            for name in _open_names(item.name) if spooled else ():
                spooled.pop(name, None)
            yield item
        yield from spooled.values()

    # --- removing ---

    def delete(self, name: str) -> None:
        """Remove a file durably; Conflict, which names the date, when the server keeps it.

        With Object Lock every version goes, else what the bucket's own versioning keeps stays there.
        """
        if name.endswith(OPEN):
            self._uploader.changed(name)
            self._spool.delete(name)
            if name not in self._strange:
                return
            self._strange.discard(name)
        with self._lock:
            self._growing.pop(name, None)
        try:
            if self._retention is None:
                self._client.delete(name)
            else:
                self._delete_versions(name)
        except Refused as refused:
            raise self._client.error(refused, name) from None
        finally:
            self._changed(name)

    def _delete_versions(self, name: str) -> None:
        # The newest one last: an older one must not come to light, and what is interrupted is done anew.
        for version in self._client.versions(name):
            try:
                self._client.delete(name, version)
            except Refused as refused:
                if refused.failure.status != 403:
                    raise
                until = self._client.retained_until_ns(name, version)
                if not until:
                    raise
                raise Conflict(f"The object storage keeps {self.label}/{name} until {date(until)}.") from None

    def erase(self, name: str) -> None:
        """As `delete`: objects cannot be overwritten in place."""
        self.delete(name)

    def sweep(self, folder: str) -> None:
        """Remove what an interrupted call left: spooled files that are in the bucket already, uploads in parts."""
        self._spool.sweep(folder)
        for item in tuple(self._spool.list(folder)):
            stem = item.name.removesuffix(OPEN)
            if any(self._exists(stem + suffix) for suffix in _FINAL):
                self._spool.delete(item.name)
        self._uploader.forget_unfinished(folder)

    def space(self) -> Space:
        """No object storage tells: `UNLIMITED_BYTES`, or what is left in a spool that is nearly full."""
        free = self._spool.space().free_bytes
        return Space(UNLIMITED_BYTES if free >= SPOOL_BYTES else free, UNLIMITED_BYTES, self.label)

    # --- what is known of files ---

    def _reader(self, name: str) -> Callable[[int, int], bytes]:
        return lambda at, length: self.read(name, at, length)

    def _forget(self, name: str) -> None:
        """Read a file anew: nothing of it is kept locally."""
        with self._lock:
            self._seen.pop(name, None)
        self._sizes.forget(name)
        self._cache.forget(name)

    def _changed(self, name: str) -> None:
        self._forget(name) if name.endswith(".manifest") else self._sizes.forget(name)
        if self._retention is not None:
            self._retention.forget(name)


_FINAL: Final = (".pack", ".manifest")


def _open_names(name: str) -> Iterator[str]:
    """What a final file was called while it was open."""
    for suffix in _FINAL:
        if name.endswith(suffix):
            yield name.removesuffix(suffix) + OPEN
