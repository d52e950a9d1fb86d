"""The file that a backup of the catalogue is: a header in clear, then frames, each with the sum of all before it.

Byte table: `docs/design/catalogue-backup.md`. With a passphrase the frames are encrypted, the header is authenticated.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import fcntl
import os
import secrets
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Final, NoReturn, Self

import msgspec
import zstandard
from blake3 import blake3
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from rubackup.domain.errors import Conflict, Corrupt, Invalid, NotFound, StorageFault

FORMAT: Final = 1
MAGIC: Final = b"RBCATAL\0"
SUFFIX: Final = ".rbcat"
TABLE, ROWS, SEQUENCES, KEY, END = b"T", b"R", b"S", b"K", b"E"
_PREFIX = struct.Struct("<8sI")
_FRAME = struct.Struct("<cI")
_SUM_BYTES: Final = 32
_MAX_HEADER: Final = 64 << 10
_MAX_FRAME: Final = 16 << 20
_MAX_RAW: Final = 64 << 20
_SALT_BYTES: Final = 16
_SCRYPT: Final = {"n": 1 << 16, "r": 8, "p": 1}
"""64 MiB and some 0.2 s a guess."""
_LEVEL: Final = 3


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """What the file says of itself to anybody."""

    format: int = FORMAT
    product: str
    """Version of the product that wrote it."""
    schema: str
    """Revision of the catalogue's schema."""
    server: str
    """Name of the host that wrote it."""
    home: str = ""
    """Whose keys it may carry: `installed` or `up`."""
    root: str
    """SHA-256 of the root certificate of its installation; '' when it was not there."""
    taken_at: dt.datetime
    postgres: str
    lsn: str
    """Where PostgreSQL's log was."""
    snapshot: str
    """Which transactions it has: pg_current_snapshot()."""
    keys: bool = False
    """Whether keys and settings of the server's host are in it."""
    salt: str = ""
    """Hex, of the key that is made of the passphrase; '' when nothing is encrypted."""


class KeyFile(msgspec.Struct, frozen=True, array_like=True):
    """A file of the server's host: its path below the installation's folder, mode, content."""

    path: str
    mode: int
    content: bytes

    def __repr__(self) -> str:
        return f"KeyFile({self.path})"


class Writer:
    """Writes a backup beside its place; `commit` puts it there. Only the owner may read it."""

    def __init__(self, target: Path, header: Header, passphrase: bytes = b"") -> None:
        """StorageFault when the folder cannot be written to, Conflict when there is such a file."""
        if target.exists():
            raise Conflict(f"There is {target} already; name another file.")
        salt = secrets.token_bytes(_SALT_BYTES) if passphrase else b""
        self.header = msgspec.structs.replace(header, salt=salt.hex())
        self._target = target
        self._part = target.with_name(f".{target.name}.{secrets.token_hex(6)}.part")
        self._frames = 0
        self._sum = blake3()
        with _told(target):
            descriptor = os.open(self._part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            self._file: IO[bytes] = os.fdopen(descriptor, "wb")
            fcntl.flock(descriptor, fcntl.LOCK_EX)  # who sweeps the folder sees that it is being written
        told = msgspec.json.encode(self.header)
        self._box = _box(passphrase, salt, told)
        self._compress = zstandard.ZstdCompressor(level=_LEVEL).compress
        self._put(_PREFIX.pack(MAGIC, len(told)) + told)
        self._put(self._sum.digest())

    def write(self, kind: bytes, content: bytes) -> None:
        """Add a frame; StorageFault says why not."""
        payload = self._compress(content)
        if self._box is not None:
            payload = self._box.encrypt(_nonce(self._frames), payload, kind)
        self._frames += 1
        self._put(_FRAME.pack(kind, len(payload)) + payload)
        self._put(self._sum.digest())

    def commit(self) -> str:
        """Make the file durable under its name; the sum over all of it, hex."""
        with _told(self._target):
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            os.link(self._part, self._target)  # not rename: nobody's file is ever replaced
            self._part.unlink()
            folder = os.open(self._target.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        return self._sum.hexdigest()

    def discard(self) -> None:
        """Leave nothing behind; after `commit` it does nothing."""
        with contextlib.suppress(OSError):  # what was not written is not wanted either
            self._file.close()
        self._part.unlink(missing_ok=True)

    def _put(self, data: bytes) -> None:
        with _told(self._target):
            self._file.write(data)
        self._sum.update(data)


class Reader:
    """Reads a backup from front to end; Corrupt names what is damaged, Invalid a wrong passphrase or another file."""

    def __init__(self, path: Path, passphrase: bytes = b"", *, header_only: bool = False) -> None:
        self._path = path
        self._header_only = header_only
        try:
            self._file: IO[bytes] = path.open("rb")
        except FileNotFoundError as error:
            raise NotFound(f"There is no {path}.") from error
        except OSError as error:
            raise StorageFault(f"Cannot read {path}: {error.strerror}.") from error
        self._sum = blake3()
        try:
            self.header, self._box = self._begin(passphrase)
        except BaseException:
            self.close()
            raise
        self._expand = zstandard.ZstdDecompressor()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def frames(self) -> Iterator[tuple[bytes, bytes]]:
        """Kind and content of each frame, the last one the end; checked one by one."""
        number = 0
        while True:
            kind, length = _FRAME.unpack(self._take(_FRAME.size))
            if kind not in {TABLE, ROWS, SEQUENCES, KEY, END} or length > _MAX_FRAME:
                self._damaged()
            payload = self._take(length)
            self._check_sum()
            yield kind, self._content(kind, number, payload)
            number += 1
            if kind == END:
                break
        if self._file.read(1):
            self._damaged()

    @property
    def total(self) -> str:
        """The sum over all that was read, hex."""
        return self._sum.hexdigest()

    def _begin(self, passphrase: bytes) -> tuple[Header, AESGCM | None]:
        data = self._file.read(_PREFIX.size)
        if len(data) < _PREFIX.size or not data.startswith(MAGIC):
            raise Invalid(f"{self._path} is not a backup of a catalogue.")
        self._sum.update(data)
        length = _PREFIX.unpack(data)[1]
        if length > _MAX_HEADER:
            self._damaged()
        told = self._take(length)
        self._check_sum()
        try:
            found = int(msgspec.json.decode(told)["format"])
            if found > FORMAT:
                raise Invalid(f"{self._path} has format {found}; this version reads {FORMAT}. Install a newer version.")
            header = msgspec.json.decode(told, type=Header)
        except (msgspec.MsgspecError, KeyError, TypeError, ValueError):
            self._damaged()
        if self._header_only:
            return header, None
        if header.salt and not passphrase:
            raise Invalid(f"{self._path} is encrypted: give --passphrase-file.")
        if passphrase and not header.salt:
            raise Invalid(f"{self._path} is not encrypted: leave --passphrase-file out.")
        return header, _box(passphrase, bytes.fromhex(header.salt), told)

    def _content(self, kind: bytes, number: int, payload: bytes) -> bytes:
        try:
            if self._box is not None:
                payload = self._box.decrypt(_nonce(number), payload, kind)
            return self._expand.decompress(payload, max_output_size=_MAX_RAW)
        except InvalidTag as error:
            raise Invalid(f"The passphrase does not open {self._path}, or the file was changed on purpose.") from error
        except zstandard.ZstdError:
            self._damaged()

    def _take(self, size: int) -> bytes:
        try:
            data = self._file.read(size)
        except OSError as error:
            raise StorageFault(f"Cannot read {self._path}: {error.strerror}.") from error
        if len(data) < size:
            raise Corrupt(f"{self._path} is not whole: its end is missing.")
        self._sum.update(data)
        return data

    def _check_sum(self) -> None:
        wanted = self._sum.digest()
        if self._take(_SUM_BYTES) != wanted:
            self._damaged()

    def _damaged(self) -> NoReturn:
        raise Corrupt(f"{self._path} is damaged at byte {self._file.tell()}.")


def header_of(path: Path) -> Header:
    """What a backup says of itself to anybody, whatever it is encrypted with."""
    with Reader(path, header_only=True) as reader:
        return reader.header


def check(path: Path, passphrase: bytes = b"") -> tuple[Header, dict[str, int], str]:
    """Read a backup whole: its header, rows by table, and the sum over all of it."""
    with Reader(path, passphrase) as reader:
        rows: dict[str, int] = {}
        for kind, content in reader.frames():
            if kind == END:
                rows = decoded(content, dict[str, int])
        return reader.header, rows, reader.total


def key_files(path: Path, passphrase: bytes = b"") -> list[KeyFile]:
    """The files of the server's host that a backup carries."""
    with Reader(path, passphrase) as reader:
        return [msgspec.msgpack.decode(content, type=KeyFile) for kind, content in reader.frames() if kind == KEY]


def decoded(content: bytes, kind: Any) -> Any:
    """A frame of JSON; Corrupt when it is none, which its sum excludes."""
    try:
        return msgspec.json.decode(content, type=kind)
    except msgspec.MsgspecError as error:
        raise Corrupt(f"The backup was written wrongly: {error}.") from error


def _box(passphrase: bytes, salt: bytes, header: bytes) -> AESGCM | None:
    if not passphrase:
        return None
    bound = blake3(header).digest()  # a changed header gives another key
    return AESGCM(Scrypt(salt=salt + bound, length=32, **_SCRYPT).derive(passphrase))


def _nonce(number: int) -> bytes:
    return number.to_bytes(12, "big")


@contextlib.contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except FileExistsError as error:
        raise Conflict(f"There is {path} already; name another file.") from error
    except OSError as error:
        raise StorageFault(f"{path} cannot be written: {error.strerror}.") from error
