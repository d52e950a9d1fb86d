"""One data connection: blocking TLS for bulk, and how it is dialled.

A connection belongs to one thread at a time and is used half-duplex: whoever asks reads
before it asks again, only GROUP and MANIFEST frames may be sent in a row. Errors of the
other side come as a Fault, also when we were writing. Design: `docs/design/wire.md`.
"""

from __future__ import annotations

import select
import socket
import ssl
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NoReturn, Protocol, TypeVar

from rubackup.domain.errors import Corrupt, Refused, RubackupError, Unavailable, WireFault, from_code
from rubackup.wire import framing, sockets
from rubackup.wire.certificates import Identity, identity_of
from rubackup.wire.framing import Buffer, FrameType
from rubackup.wire.messages import Ack, Fault, Groups, Message, Ping, ReadChunks

IDLE_SECONDS = 60.0
"""The longest wait for one piece of a frame to be taken or to come."""
PATIENCE_SECONDS = 600.0
"""The longest wait for a frame to begin: the other side may be busy with a disk. One that vanished is noticed by TCP."""
SALVAGE_SECONDS = 5.0
"""How long a failed write looks for the Fault that explains it."""

_PIECE_BYTES = 128 << 10
_RECORD_BYTES = 16 << 10
"""The largest TLS record (RFC 8446, 5.1)."""
_SPARE, _SPARE_BYTES = 4, 2 << 20
"""So many buffers of frames that were kept and given back stay for the next ones, unless they are longer than this."""
_EARLY = 4
"""Messages that may come while we write, before we read them."""

M = TypeVar("M", bound=Message)


class Pace(Protocol):
    """How fast bytes may pass one way."""

    def allow(self, wanted: int) -> int:
        """Waits until some of so many bytes may pass; how many, at least one."""


@dataclass(frozen=True, slots=True)
class Frame:
    """Raw bytes; `data` is valid until the next `receive` of its connection, and released then, unless it is kept."""

    type: FrameType
    data: memoryview


class DataConnection:
    """One end of a connection whose handshake is done; made by `connect_data` and `DataServer`."""

    def __init__(self, sock: ssl.SSLSocket, peer: str, timeout: float, patience: float) -> None:
        self._sock = sock
        self.certificate = sock.getpeercert(binary_form=True) or b""
        """The other side's certificate (DER)."""
        self.identity: Identity = identity_of(self.certificate)
        self.peer = f"{self.identity.role} {peer}"
        """How errors name the other side."""
        self.patience = patience
        """Seconds that `receive` waits for a frame to begin."""
        self.sending: Pace | None = None
        """Holds back what is sent."""
        self.receiving: Pace | None = None
        """Holds back what is received, within frames."""
        self._allowed = 0
        """Bytes that may be received and have not come yet."""
        self._timeout = timeout
        self._header = bytearray(framing.HEADER.size)
        self._room = memoryview(bytearray(_PIECE_BYTES))
        self._lent: memoryview | None = None
        self._spare: list[memoryview] = []
        self._early: deque[Message] = deque()
        self._poll = select.poll()
        self._poll.register(sock, select.POLLIN)
        self._ending = threading.Lock()  # nobody cuts a descriptor that its owner has just closed
        self._ended = False
        sock.settimeout(timeout)

    def send(self, message: Message) -> None:
        """Sends a message. A Fault that made the other side close is raised, if that is why it fails."""
        self._send(FrameType.MESSAGE, [memoryview(framing.encode(message))])

    def send_frame(self, type: FrameType, *buffers: Buffer) -> None:  # noqa: A002 - as the field of a Frame
        """Sends the buffers as one frame, without joining them; raises a Fault that the other side sent meanwhile."""
        views = [memoryview(buffer).cast("B") for buffer in buffers]
        total = sum(len(view) for view in views)
        if total > framing.MAX_FRAME_BYTES:
            raise WireFault(f"A frame of {total} bytes cannot be sent, at most {framing.MAX_FRAME_BYTES}.")
        self._look()
        self._send(type, views)

    def receive(self) -> Message | Frame:
        """The next message or frame; Unavailable when the connection ended or was idle too long.

        A Fault of the other side is raised as the domain error; the connection stays usable.
        Pings, by which the other side says that it is still busy, only renew the patience.
        """
        if self._early:
            return self._early.popleft()
        while isinstance(got := self._guarded_read(), Ping):
            pass
        if isinstance(got, Fault):
            framing.raise_fault(got)
        return got

    def keep(self, frame: Frame) -> None:
        """The bytes of the frame that was received last are the caller's from now on."""
        if self._lent is frame.data:
            self._lent = None
            self._room = self._spare.pop() if self._spare else memoryview(bytearray(_PIECE_BYTES))

    def reuse(self, frame: Frame) -> None:
        """A frame that was kept is not needed any more: its memory is for one that comes."""
        room = memoryview(frame.data.obj)
        if len(self._spare) < _SPARE and len(room) <= _SPARE_BYTES:
            self._spare.append(room)
        frame.data.release()

    def expect(self, kind: type[M]) -> M:
        """The next message, which must be a `kind`; WireFault otherwise."""
        got = self.receive()
        if isinstance(got, kind):
            return got
        raise self._unexpected(got, kind.__name__)

    def expect_frame(self, kind: FrameType) -> memoryview:
        """The bytes of the next frame, which must be of `kind`; WireFault otherwise."""
        got = self.receive()
        if isinstance(got, Frame) and got.type is kind:
            return got.data
        raise self._unexpected(got, f"a frame {kind.name}")

    def groups(self, runs: Sequence[tuple[int, int]]) -> Iterator[bytes]:
        """Ask a media server for the groups of these runs of chunks; each once. Corrupt, after the last, for damage."""
        self.send(ReadChunks(runs=list(runs)))
        while True:
            item = self.receive()
            if isinstance(item, Groups):
                if item.problem:
                    raise Corrupt(item.problem)
                return
            if not isinstance(item, Frame) or item.type is not FrameType.GROUP:
                raise WireFault("The media server sent something else than a group.")
            yield bytes(item.data)

    def _unexpected(self, got: Message | Frame, wanted: str) -> WireFault:
        came = f"a frame {got.type.name}" if isinstance(got, Frame) else type(got).__name__
        return WireFault(f"The {self.peer} sent {came} where {wanted} was due.")

    def close(self) -> None:
        """Ends the connection; called by the thread that uses it."""
        with self._ending:
            self._ended = True
            self._sock.close()

    def abort(self) -> None:
        """Makes whatever the connection waits for fail; may be called by any thread, at any time."""
        with self._ending:
            if not self._ended:
                self._ended = True
                sockets.cut(self._sock)

    def release(self) -> socket.socket | None:
        """The bare socket, so that its owner can end it in order; None when the connection was ended."""
        with self._ending:
            if self._ended:
                self._sock.close()
                return None
            self._ended = True
            return socket.socket(fileno=self._sock.detach())

    # --- writing ---

    def _send(self, kind: FrameType, views: list[memoryview]) -> None:
        total = sum(len(view) for view in views)
        head = framing.HEADER.pack(total, kind)
        try:
            if len(head) + total <= _RECORD_BYTES:
                self._may_send(len(head) + total)
                self._sock.sendall(b"".join([head, *views]))
                return
            # the header shares a TLS record, so a packet, with what follows it
            first = views[0][: _RECORD_BYTES - len(head)]
            self._may_send(len(head) + len(first))
            self._sock.sendall(b"".join([head, first]))
            for view in [views[0][len(first) :], *views[1:]]:
                self._send_pieces(view)
        except (OSError, ValueError) as error:
            self._fail_sending(error)

    def _may_send(self, count: int) -> None:
        """Waits until a few bytes that are sent in one go may pass."""
        while self.sending is not None and count:
            count -= self.sending.allow(count)

    def _send_pieces(self, view: memoryview) -> None:
        pace, at = self.sending, 0
        while at < len(view):
            count = min(len(view) - at, _PIECE_BYTES)
            if pace is not None:
                count = pace.allow(count)
            self._sock.sendall(view[at : at + count])
            at += count

    def _look(self) -> None:
        """Reads what came although it is our turn to write: a Fault is raised, other messages wait."""
        while len(self._early) < _EARLY and self._something_came():
            got = self._guarded_read()
            if isinstance(got, Fault):
                framing.raise_fault(got)
            if isinstance(got, Frame):
                raise WireFault(f"The {self.peer} sent a frame out of turn.")
            if not isinstance(got, Ping):
                self._early.append(got)

    def _something_came(self) -> bool:
        return not self._ended and (self._sock.pending() > 0 or bool(self._poll.poll(0)))

    def _fail_sending(self, error: Exception) -> NoReturn:
        """Raises the Fault that explains why the other side closed, or else what happened.

        Other messages that had come can still be received.
        """
        failure = self._failure(error)
        if not self._ended:
            self.patience = self._timeout = SALVAGE_SECONDS
            try:
                for _ in range(_EARLY + 1):
                    got = self._read()
                    if isinstance(got, Fault):
                        failure = from_code(got.code, got.message)
                        break
                    if isinstance(got, Message) and not isinstance(got, Ping):
                        self._early.append(got)
            except ssl.SSLError as told:  # the alert that refuses our certificate
                failure = self._failure(told)
            except (OSError, EOFError, ValueError, RubackupError):
                pass  # nothing more is said: the first error stands
        self.close()
        raise failure from error

    def _failure(self, error: Exception) -> RubackupError:
        if self._ended:
            return Unavailable(f"The connection to the {self.peer} is closed.")
        return sockets.connection_error(error, f"the {self.peer}")

    # --- reading ---

    def _guarded_read(self) -> Message | Frame:
        try:
            return self._read()
        except (OSError, EOFError, ValueError) as error:
            failure = self._failure(error)
            self.close()
            raise failure from error
        except WireFault:
            self.close()
            raise

    def _read(self) -> Message | Frame:
        if self._lent is not None:
            self._lent.release()
            self._lent = None
        self._await_frame()
        length, kind = framing.parse_header(self._header)
        if length > len(self._room):
            self._room = memoryview(bytearray(length))
        view = self._room[:length]
        self._fill(view)
        if kind is FrameType.MESSAGE:
            return framing.decode(view)
        self._lent = view
        return Frame(kind, view)

    def _await_frame(self) -> None:
        header = memoryview(self._header)
        self._sock.settimeout(self.patience)
        count = self._sock.recv_into(header)
        if not count:
            raise EOFError
        self._sock.settimeout(self._timeout)
        self._fill(header[count:])

    def _fill(self, view: memoryview) -> None:
        pace, got = self.receiving, 0
        while got < len(view):
            room = view[got:]
            if pace is not None:
                if not self._allowed:
                    self._allowed = pace.allow(len(room))
                room = room[: self._allowed]
            count = self._sock.recv_into(room)
            if not count:
                raise EOFError
            if pace is not None:
                self._allowed -= count
            got += count


def connect_data(
    host: str,
    port: int,
    context: ssl.SSLContext,
    *,
    expect: tuple[str, str],
    key: str = "",
    timeout: float = IDLE_SECONDS,
    patience: float = PATIENCE_SECONDS,
) -> DataConnection:
    """A connection to the process of the role and hwid in `expect`, and with that key if one is named; `context` is `client_context(files)`.

    `timeout` bounds each step within a frame, `patience` the wait for one to begin, both in seconds.
    Returns when the other side has accepted our certificate. Refused when it is somebody else or does not accept it,
    Busy when it has too many sessions, Unavailable when it cannot be reached.
    """
    peer = f"{host}:{port}"
    try:
        raw = socket.create_connection((host, port), timeout=min(timeout, sockets.HANDSHAKE_SECONDS))
        sock = sockets.wrap(raw, context, server_side=False)
    except OSError as error:
        raise sockets.connection_error(error, peer) from error
    try:
        sock.do_handshake()
        connection = DataConnection(sock, peer, timeout, timeout)
        if (connection.identity.role, connection.identity.hwid) != expect:
            raise Refused(f"{peer} is {connection.identity}, not {expect[0]} {expect[1]}.")
        if key not in {"", connection.identity.key}:
            raise Refused(f"{peer} is {connection.identity} with another key than the one that is authorised.")
        connection.expect(Ack)
        connection.patience = patience
    except OSError as error:
        sock.close()
        raise sockets.connection_error(error, peer) from error
    except BaseException:
        sock.close()
        raise
    return connection
