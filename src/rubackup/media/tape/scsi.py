"""SCSI commands that read, sent through Linux's generic driver (SG_IO), and what their failures mean."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import stat
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

from rubackup.domain.errors import Busy, NotFound, Unavailable

SG_IO = 0x2285
SG_MAJOR = 21
GOOD, CHECK_CONDITION, BUSY, RESERVATION_CONFLICT = 0x00, 0x02, 0x08, 0x18
NOT_READY, ILLEGAL_REQUEST, UNIT_ATTENTION = 0x2, 0x5, 0x6
TRIES = 4
"""A device says once or twice that something changed (unit attention) before it does what it is asked."""
_SENSE_BYTES = 64
_FROM_DEVICE = -3
_KEYS = {
    0x0: "no sense", 0x1: "recovered", 0x2: "not ready", 0x3: "medium error", 0x4: "hardware error",
    0x5: "illegal request", 0x6: "unit attention", 0x7: "data protect", 0xB: "aborted command",
}  # fmt: skip


@dataclass(frozen=True)
class Reply:
    """What came back: SCSI status, data as long as the device sent, and sense bytes where there are any."""

    status: int
    data: bytes = b""
    sense: bytes = b""


class Transport(Protocol):
    """A way to one device."""

    def execute(self, cdb: bytes, length: int, seconds: float) -> Reply:
        """Send a command that reads at most `length` bytes."""
        ...


class SgHeader(ctypes.Structure):
    """`struct sg_io_hdr` of scsi/sg.h."""

    _fields_ = (
        ("interface_id", ctypes.c_int),
        ("dxfer_direction", ctypes.c_int),
        ("cmd_len", ctypes.c_ubyte),
        ("mx_sb_len", ctypes.c_ubyte),
        ("iovec_count", ctypes.c_ushort),
        ("dxfer_len", ctypes.c_uint),
        ("dxferp", ctypes.c_void_p),
        ("cmdp", ctypes.c_void_p),
        ("sbp", ctypes.c_void_p),
        ("timeout", ctypes.c_uint),
        ("flags", ctypes.c_uint),
        ("pack_id", ctypes.c_int),
        ("usr_ptr", ctypes.c_void_p),
        ("status", ctypes.c_ubyte),
        ("masked_status", ctypes.c_ubyte),
        ("msg_status", ctypes.c_ubyte),
        ("sb_len_wr", ctypes.c_ubyte),
        ("host_status", ctypes.c_ushort),
        ("driver_status", ctypes.c_ushort),
        ("resid", ctypes.c_int),
        ("duration", ctypes.c_uint),
        ("info", ctypes.c_uint),
    )


class SgTransport:
    """A device through its /dev/sg node."""

    def __init__(self, path: str) -> None:
        self._path = path
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError as error:
            raise _not_opened(path, error) from error
        found = os.fstat(self._fd)
        if not stat.S_ISCHR(found.st_mode) or os.major(found.st_rdev) != SG_MAJOR:
            os.close(self._fd)
            raise Unavailable(f"{path} is no SCSI generic device.")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._fd)

    def execute(self, cdb: bytes, length: int, seconds: float) -> Reply:
        """One ioctl; Unavailable when the command did not reach the device or did not come back in time."""
        command = ctypes.create_string_buffer(cdb, len(cdb))
        data = ctypes.create_string_buffer(length)
        sense = ctypes.create_string_buffer(_SENSE_BYTES)
        header = SgHeader(
            interface_id=ord("S"), dxfer_direction=_FROM_DEVICE, cmd_len=len(cdb), mx_sb_len=_SENSE_BYTES,
            dxfer_len=length, dxferp=ctypes.addressof(data), cmdp=ctypes.addressof(command),
            sbp=ctypes.addressof(sense), timeout=max(1, int(seconds * 1000)),
        )  # fmt: skip
        try:
            fcntl.ioctl(self._fd, SG_IO, header)
        except OSError as error:
            raise Unavailable(f"{self._path} does not take SCSI commands: {error.strerror}.") from error
        return self._reply(header, data.raw, sense.raw)

    def _reply(self, header: SgHeader, data: bytes, sense: bytes) -> Reply:
        if header.host_status:
            raise Unavailable(f"{self._path} did not answer a SCSI command (host status {header.host_status:#x}).")
        left = min(max(header.resid, 0), len(data))
        return Reply(header.status, data[: len(data) - left], sense[: header.sb_len_wr])


def _not_opened(path: str, error: OSError) -> NotFound | Busy | Unavailable:
    if error.errno in {errno.ENOENT, errno.ENXIO, errno.ENODEV}:
        return NotFound(f"The media server has no device {path}.")
    if error.errno == errno.EBUSY:
        return Busy(f"{path} is in use by another program.")
    return Unavailable(f"{path} cannot be opened: {error.strerror}.")


class Device:
    """Commands to one device until a point in time; each is tried again while the device only says that it changed."""

    def __init__(self, path: str, transport: Transport, seconds: float) -> None:
        self._path = path
        self._transport = transport
        self._end = time.monotonic() + seconds

    def read(self, name: str, cdb: bytes, length: int) -> bytes:
        """What the device answers. Busy when it is not ready, Unavailable when it refuses or time is up."""
        reply = self._once(name, cdb, length)
        for _ in range(TRIES - 1):
            if reply.status != CHECK_CONDITION or sense_of(reply.sense)[0] != UNIT_ATTENTION:
                break
            reply = self._once(name, cdb, length)
        if reply.status == GOOD:
            return reply.data
        raise self._failure(name, reply)

    def _once(self, name: str, cdb: bytes, length: int) -> Reply:
        left = self._end - time.monotonic()
        if left <= 0:
            raise Unavailable(f"{self._path} is too slow: there was no time left for {name}.")
        return self._transport.execute(cdb, length, left)

    def _failure(self, name: str, reply: Reply) -> Busy | Unavailable:
        if reply.status in {BUSY, RESERVATION_CONFLICT}:
            return Busy(f"{self._path} is busy or reserved by another host.")
        if reply.status != CHECK_CONDITION:
            return Unavailable(f"{self._path} refused {name} with the SCSI status {reply.status:#04x}.")
        key, code, qualifier = sense_of(reply.sense)
        why = f"{_KEYS.get(key, 'sense key')} ({key:x}/{code:02x}/{qualifier:02x})"
        if key == NOT_READY:
            return Busy(f"{self._path} is not ready for {name}: {why}.")
        return Unavailable(f"{self._path} refused {name}: {why}.", key=key)


def sense_of(sense: bytes) -> tuple[int, int, int]:
    """Sense key, additional code and qualifier, of the fixed or the descriptor format; zeros for what is not there."""
    padded = sense.ljust(14, b"\0")
    if padded[0] & 0x7F in {0x72, 0x73}:
        return padded[1] & 0x0F, padded[2], padded[3]
    return padded[2] & 0x0F, padded[12], padded[13]
