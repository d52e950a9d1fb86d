"""Data channel: a media server takes bulk connections, a thread for each, bounded.

Admits by certificate and role; what a session may do is decided by the handler, by the
ticket. Design: `docs/design/wire.md`.
"""

from __future__ import annotations

import functools
import logging
import socket
import ssl
import threading
from collections.abc import Callable, Collection

from rubackup.domain.errors import Busy, Refused, RubackupError
from rubackup.wire import framing, sockets
from rubackup.wire.certificates import Role
from rubackup.wire.connection import IDLE_SECONDS, PATIENCE_SECONDS, DataConnection, Frame, connect_data
from rubackup.wire.limits import Arrivals, Limits
from rubackup.wire.messages import Ack

__all__ = ["SESSIONS", "DataConnection", "DataServer", "Frame", "connect_data"]

LINGER_SECONDS = 5.0
SESSIONS = 64
"""Sessions at a time, unless told otherwise."""
_ARRIVALS = Limits(arriving=64, arriving_per_address=32)
_LOG = logging.getLogger(__name__)


class DataServer:
    """Runs `handler` in its own thread for each connection that is let in.

    A domain error of the handler is sent as a Fault; any other is logged and sent as "internal".
    More than `limit` sessions at a time are answered by Busy.
    """

    def __init__(
        self,
        host: str,
        port: int,
        context: ssl.SSLContext,
        handler: Callable[[DataConnection], None],
        *,
        limit: int = SESSIONS,
        roles: Collection[str] = (Role.CLIENT, Role.SERVER),
        timeout: float = IDLE_SECONDS,
        patience: float = PATIENCE_SECONDS,
        free: bool = False,
    ) -> None:
        self._listener = sockets.listen(host, port, free=free)
        self.address: tuple[str, int] = self._listener.getsockname()[:2]
        self._context = context
        self._handler = handler
        self._limit = limit
        self._roles = frozenset(roles)
        self._timeout = timeout
        self._patience = patience
        self._closing = threading.Event()
        self._lock = threading.Lock()  # guards all below
        self._arrivals = Arrivals(_ARRIVALS)
        self._threads: dict[threading.Thread, Callable[[], None]] = {}
        self._sessions = 0
        self._acceptor = threading.Thread(target=self._accept, name="data-accept", daemon=True)

    def start(self) -> None:
        """Begins to take connections."""
        self._acceptor.start()

    def use(self, context: ssl.SSLContext) -> None:
        """From the next connection on, such as with a renewed certificate; those that are open go on."""
        self._context = context

    def close(self) -> None:
        """Ends the listener and every connection, and returns when all threads are through."""
        with self._lock:
            self._closing.set()
        sockets.cut(self._listener)  # wakes accept
        if self._acceptor.ident is not None:
            self._acceptor.join()
        self._listener.close()
        with self._lock:
            threads = dict(self._threads)
            for cut in threads.values():
                cut()
        for thread in threads:
            thread.join()

    def _accept(self) -> None:
        while not self._closing.is_set():
            try:
                raw, name = self._listener.accept()
            except OSError as error:
                if not self._closing.wait(0.1):  # out of descriptors, or the caller was gone before we came
                    _LOG.warning("cannot accept a connection: %s", error)
                continue
            self._arrive(raw, sockets.plain_address(name))

    def _arrive(self, raw: socket.socket, address: str) -> None:
        thread = threading.Thread(target=self._run, args=(raw, address), name=f"data-{address}", daemon=True)
        with self._lock:
            if self._closing.is_set() or not self._arrivals.enter(address):
                raw.close()
                return
            self._threads[thread] = _nothing
        try:
            thread.start()
        except RuntimeError:  # the system gives no more threads
            _LOG.exception("a connection of %s is turned away", address)
            raw.close()
            with self._lock:
                self._arrivals.leave(address)
                del self._threads[thread]

    def _run(self, raw: socket.socket, address: str) -> None:
        try:
            connection = self._identify(raw, address)
            if connection is not None:
                try:
                    self._session(connection)
                finally:
                    self._part(connection)
        except Exception:
            _LOG.exception("a connection of %s failed", address)
        finally:
            with self._lock:
                del self._threads[threading.current_thread()]

    def _identify(self, raw: socket.socket, address: str) -> DataConnection | None:
        """The handshake; None when it fails."""
        sock: ssl.SSLSocket | None = None
        try:
            sock = sockets.wrap(raw, self._context, server_side=True)
            self._cut_by(functools.partial(sockets.cut, sock))
            sock.do_handshake()
            connection = DataConnection(sock, address, self._timeout, self._patience)
        except (OSError, EOFError, RubackupError) as error:
            self._cut_by(_nothing)
            if sock is not None:
                sock.close()
            known = error if isinstance(error, RubackupError) else sockets.connection_error(error, address)
            _LOG.info("a connection was not made: %s", known.message)
            return None
        finally:
            with self._lock:
                self._arrivals.leave(address)
        self._cut_by(connection.abort)
        return connection

    def _cut_by(self, cut: Callable[[], None]) -> None:
        """How `close` ends this thread's socket from now on; done at once when we are closing already."""
        with self._lock:
            self._threads[threading.current_thread()] = cut
            if self._closing.is_set():
                cut()

    def _session(self, connection: DataConnection) -> None:
        """Runs the handler; what it raises is told to the other side."""
        with self._lock:
            busy = self._sessions >= self._limit
            self._sessions += not busy
        try:
            if busy:
                raise Busy("The media server has too many sessions; try again later.")
            if connection.identity.role not in self._roles:
                raise Refused(f"A {connection.identity.role} may not open a data session here.")
            connection.send(Ack())
            self._handler(connection)
        except RubackupError as error:
            _LOG.info("the session of %s ended: %s", connection.peer, error.message)
            _tell(connection, error)
        except Exception as error:
            _LOG.exception("the session of %s failed", connection.peer)
            _tell(connection, error)
        finally:
            with self._lock:
                self._sessions -= not busy

    def _part(self, connection: DataConnection) -> None:
        self._cut_by(_nothing)
        raw = connection.release()
        if raw is None:
            return
        with raw:
            self._cut_by(functools.partial(sockets.cut, raw))
            sockets.linger(raw, LINGER_SECONDS)
            self._cut_by(_nothing)


def _tell(connection: DataConnection, error: Exception) -> None:
    try:
        connection.send(framing.as_fault(error))
    except RubackupError as failed:
        _LOG.debug("%s cannot be told: %s", connection.peer, failed.message)


def _nothing() -> None:
    """There is no socket to cut."""
