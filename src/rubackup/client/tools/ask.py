"""The asking side: one request to the client's process of this host, one answer."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import TypeVar

from rubackup.client.tools import sockets
from rubackup.domain.errors import Unavailable, WireFault
from rubackup.wire import framing
from rubackup.wire.messages import Fault, Message

ANSWER_SECONDS = 60.0
"""More than the process gives two servers."""

M = TypeVar("M", bound=Message)


def ask(path: Path, message: Message, kind: type[M]) -> M:
    """The answer of the process that listens at `path`; its error is raised as the domain's."""
    with sockets.connect(path, ANSWER_SECONDS) as sock:
        try:
            sock.sendall(framing.frame(message))
            answer = _receive(sock)
        except (OSError, EOFError) as error:
            raise Unavailable(f"The client's process at {path} ended the conversation.") from error
    if isinstance(answer, Fault):
        framing.raise_fault(answer)
    if not isinstance(answer, kind):
        raise WireFault(f"The client's process answered by {type(answer).__name__}.")
    return answer


def _receive(sock: socket.socket) -> Message:
    length, kind = framing.parse_header(_exactly(sock, framing.HEADER.size))
    if kind is not framing.FrameType.MESSAGE:
        raise WireFault("The client's process sent a frame that is no message.")
    return framing.decode(_exactly(sock, length))


def _exactly(sock: socket.socket, length: int) -> bytes:
    data = bytearray()
    while len(data) < length:
        piece = sock.recv(min(length - len(data), 64 << 10))
        if not piece:
            raise EOFError
        data += piece
    return bytes(data)
