"""Brings files into the bucket: at once up to 64 MiB, in parts above; create-only; what arrived is compared before it counts.

A create-only request whose answer was lost finds its own object: the same content is success.
"""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from rubackup.chunkstore.backends.s3.client import Client
from rubackup.chunkstore.backends.s3.retry import Refused
from rubackup.chunkstore.identity import Buffer
from rubackup.domain.errors import Conflict, NotFound, RubackupError, StorageFault

log = logging.getLogger(__name__)
SINGLE_BYTES: Final = 64 << 20
"""Larger files go in parts."""
PART_BYTES: Final = 32 << 20
_MAX_PARTS: Final = 10_000
_COMPARED_BYTES: Final = 8 << 20
_THERE: Final = frozenset({404, 409, 412})
"""Answers to a repeated request when the first one had its effect; 404: the upload was ended."""
Read = Callable[[int, int], bytes]


@dataclass
class _Parts:
    """A file that was sent in parts, and is no object yet."""

    final: str
    upload: str
    size_bytes: int
    tags: list[str] = field(default_factory=list)
    sums: list[bytes] = field(default_factory=list)

    @property
    def tag(self) -> str:
        """The ETag that the object will have."""
        return f"{_md5(b''.join(self.sums)).hex()}-{len(self.sums)}"


class Uploader:
    """Of one bucket; safe for threads, each name is sent by one."""

    def __init__(self, client: Client, single_bytes: int = SINGLE_BYTES, part_bytes: int = PART_BYTES) -> None:
        self._client = client
        self._single, self._part = single_bytes, part_bytes
        self._lock = threading.Lock()
        self._ahead: dict[str, _Parts] = {}

    def put(self, name: str, data: Buffer, *, create: bool, again: bool = False) -> None:
        """Store an object at once. With `create` Conflict when there is one: `again` says that the same content is none."""
        client, total = self._client, _md5(data).hex()
        held = memoryview(data)

        def same() -> bool:
            return self._is(name, len(held), total, lambda at, length: bytes(held[at : at + length]))

        if create and not client.where.conditional_put and self._exists(name):
            if again and same():
                return
            raise Conflict(f"{client.where.label}/{name} exists already.")
        try:
            tag = client.put(name, data, create=create and client.where.conditional_put)
        except Refused as refused:
            if create and refused.failure.status in {409, 412} and (again or refused.uncertain) and same():
                return
            raise client.error(refused, name) from None
        if tag != total:
            self._check(name, same)

    def send(self, name: str, size_bytes: int, read: Read, final: str, *, create: bool) -> None:
        """Make an object of a local file; the same content under that name already is success, other is Conflict."""
        if size_bytes <= self._single:
            self.put(final, read(0, size_bytes), create=create, again=True)
            return
        with self._lock:
            parts = self._ahead.pop(name, None)
        if parts is not None and (parts.final, parts.size_bytes) != (final, size_bytes):
            self._drop(parts)
            parts = None
        if parts is None or not self._end(parts, read, create=create):
            parts = self._send_parts(size_bytes, read, final)
            if not self._end(parts, read, create=create):
                raise StorageFault(f"{self._client.where.label}/{final}: its parts are gone before they were joined.")

    # --- parts ---

    def ahead(self, name: str, size_bytes: int, read: Read, final: str) -> None:
        """Send the parts of a large file now, so that `send` is short."""
        self.changed(name)
        if size_bytes > self._single:
            parts = self._send_parts(size_bytes, read, final)
            with self._lock:
                self._ahead[name] = parts

    def changed(self, name: str) -> None:
        """What was sent ahead of a file is not what it is any more."""
        with self._lock:
            parts = self._ahead.pop(name, None)
        if parts is not None:
            self._drop(parts)

    def forget_unfinished(self, folder: str) -> None:
        """Remove uploads in parts that a crash left below a folder."""
        with self._lock:
            own = {parts.upload for parts in self._ahead.values()}
        for key, upload in self._client.unfinished(folder):
            if upload not in own:
                self._client.drop_parts(key, upload)

    def _send_parts(self, size_bytes: int, read: Read, final: str) -> _Parts:
        step = max(self._part, -(-size_bytes // _MAX_PARTS))
        parts = _Parts(final, self._client.begin_parts(final), size_bytes)
        try:
            for number, at in enumerate(range(0, size_bytes, step), 1):
                data = read(at, min(step, size_bytes - at))
                parts.sums.append(_md5(data))
                parts.tags.append(self._client.send_part(final, parts.upload, number, data))
        except BaseException:
            self._drop(parts)
            raise
        return parts

    def _end(self, parts: _Parts, read: Read, *, create: bool) -> bool:
        """Join the parts; False when the server does not have them any more."""
        client, final = self._client, parts.final

        def same() -> bool:
            return self._is(final, parts.size_bytes, parts.tag, read)

        conditional = client.where.conditional_multipart
        try:
            if create and not conditional and self._exists(final):
                self._drop(parts)
                if same():
                    return True
                raise Conflict(f"{client.where.label}/{final} exists already.")
            tag = client.end_parts(final, parts.upload, parts.tags, create=create and conditional)
        except Refused as refused:
            if refused.failure.status in _THERE:
                self._drop(parts)
                if same():
                    return True
                if create and self._exists(final):
                    raise Conflict(f"{client.where.label}/{final} exists already.") from None
                if refused.failure.code == "NoSuchUpload":
                    return False
            raise client.error(refused, final) from None
        if tag != parts.tag:
            self._check(final, same)
        return True

    def _drop(self, parts: _Parts) -> None:
        try:
            self._client.drop_parts(self._client.where.key(parts.final), parts.upload)
        except RubackupError as error:
            log.warning("parts of %s are left in the bucket until the next sweep: %s", parts.final, error.message)

    # --- what is there ---

    def _exists(self, name: str) -> bool:
        try:
            self._client.head(name)
        except NotFound:
            return False
        return True

    def _check(self, name: str, same: Callable[[], bool]) -> None:
        if not same():
            raise StorageFault(f"{self._client.where.label}/{name} is not there as it was sent.")

    def _is(self, name: str, size_bytes: int, tag: str, read: Read) -> bool:
        """Whether an object is this content: by its tag, or where the server makes tags in another way by reading it."""
        try:
            found = self._client.head(name)
            if found.size_bytes != size_bytes:
                return False
            return found.tag == tag or all(
                self._client.read(name, at, length) == read(at, length) for at, length in _steps(size_bytes)
            )
        except NotFound:
            return False


def _steps(size_bytes: int) -> Iterator[tuple[int, int]]:
    for at in range(0, size_bytes, _COMPARED_BYTES):
        yield at, min(_COMPARED_BYTES, size_bytes - at)


def _md5(data: Buffer) -> bytes:
    """What S3 takes for ETags; it guards against damage on the way, not against anybody."""
    return hashlib.md5(data, usedforsecurity=False).digest()
