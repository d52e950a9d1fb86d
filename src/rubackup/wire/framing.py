"""One framing for all connections: length, type, then a msgpack message or raw bytes.

Knows no sockets. Lengths are checked before anything is allocated; whatever is
malformed is a WireFault. Design, with byte tables: `docs/design/wire.md`.
"""

from __future__ import annotations

import struct
from enum import IntEnum
from functools import cache
from typing import Any, NoReturn, TypeAlias, TypeVar, overload

import msgspec

from rubackup.domain.errors import RubackupError, WireFault, from_code
from rubackup.wire import text
from rubackup.wire.messages import AnyMessage, Fault, Message

HEADER = struct.Struct(">IB")
"""Length of the payload, without the header, and FrameType."""

MAX_FRAME_BYTES = 8 << 20
MAX_MESSAGE_BYTES = 4 << 20

Buffer: TypeAlias = bytes | bytearray | memoryview

M = TypeVar("M", bound=Message)


class FrameType(IntEnum):
    """What a frame carries."""

    MESSAGE = 1
    GROUP = 2
    MANIFEST = 3
    DATA = 4


_ENCODER = msgspec.msgpack.Encoder()
_UNENCODABLE = (ValueError, TypeError, OverflowError, RecursionError)
_UNDECODABLE = (ValueError, TypeError, RecursionError)  # msgspec's own errors and UnicodeDecodeError are ValueErrors


@cache
def _decoder(kind: Any) -> msgspec.msgpack.Decoder[Any]:
    return msgspec.msgpack.Decoder(kind)


def encode(message: Message) -> bytes:
    """The payload of a MESSAGE frame; WireFault when the message is too large or holds what msgpack cannot."""
    try:
        data = _encode_any(message)
    except _UNENCODABLE as error:
        raise WireFault(f"The message {type(message).__name__} cannot be sent: {error}.") from error
    if len(data) > MAX_MESSAGE_BYTES:
        raise WireFault(f"The message {type(message).__name__} has {len(data)} bytes, more than {MAX_MESSAGE_BYTES}.")
    return data


def _encode_any(message: Message) -> bytes:
    try:
        data = _ENCODER.encode(message)
        if text.MARK not in data:
            return data
    except UnicodeEncodeError:
        pass
    tree = msgspec.to_builtins(message, builtin_types=(bytes,))
    return _ENCODER.encode(text.in_tree(tree, text.to_wire))


@overload
def decode(data: Buffer) -> Message: ...
@overload
def decode(data: Buffer, kind: type[M]) -> M: ...
@overload
def decode(data: Buffer, kind: Any) -> Message: ...
def decode(data: Buffer, kind: Any = AnyMessage) -> Message:
    """The message of a MESSAGE payload; WireFault when it is not a well-formed message of `kind` (a type or union)."""
    if len(data) > MAX_MESSAGE_BYTES:
        raise WireFault(f"A message of {len(data)} bytes came, more than {MAX_MESSAGE_BYTES}.")
    try:
        message: Message = _decode_any(bytes(data), kind)
    except _UNDECODABLE as error:
        raise WireFault(f"A message came that cannot be read: {error}.") from error
    return message


def _decode_any(data: bytes, kind: Any) -> Any:
    if text.MARK not in data:
        return _decoder(kind).decode(data)
    tree = text.in_tree(msgspec.msgpack.decode(data), text.from_wire)
    return msgspec.convert(tree, kind, builtin_types=(bytes,))


def frame(message: Message) -> bytes:
    """Header and payload of a message."""
    payload = encode(message)
    return HEADER.pack(len(payload), FrameType.MESSAGE) + payload


def parse_header(header: Buffer, limit: int = MAX_FRAME_BYTES) -> tuple[int, FrameType]:
    """Payload length and type; WireFault for an unknown type or a length over `limit`, for messages over theirs."""
    length, number = HEADER.unpack(header)
    try:
        kind = FrameType(number)
    except ValueError as error:
        raise WireFault(f"A frame of the unknown type {number} came.") from error
    most = min(limit, MAX_MESSAGE_BYTES) if kind is FrameType.MESSAGE else min(limit, MAX_FRAME_BYTES)
    if length > most:
        raise WireFault(f"A frame of {length} bytes came, more than {most}.")
    return length, kind


def as_fault(error: Exception) -> Fault:
    """What the other side is told of an error; of one that is not ours only that it happened."""
    if isinstance(error, RubackupError):
        return Fault(code=error.code, message=error.message)
    return Fault(code=RubackupError.code, message="The request failed for an internal reason; it is in the log there.")


def raise_fault(fault: Fault) -> NoReturn:
    """Raises the error that the other side reported."""
    raise from_code(fault.code, fault.message)
