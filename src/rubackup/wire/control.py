"""Control channel: a server takes connections of clients, media servers and APIs.

The first message of a connection is Hello, or from a host without a certificate Enrol or
AskRoot; after Welcome both sides call each other (`peer`). Who is admitted and what a
request does is decided by the callbacks. Design: `docs/design/wire.md`.
"""

from __future__ import annotations

import asyncio
import logging
import math
import socket
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from rubackup import __version__
from rubackup.domain.errors import Refused, RubackupError, TooManyAttempts, Unavailable, WireFault
from rubackup.wire import framing, sockets, streams
from rubackup.wire.certificates import Identity, Role, require_grant
from rubackup.wire.contexts import Trust
from rubackup.wire.limits import Allowance, Arrivals, Limits
from rubackup.wire.messages import (
    OLDEST_PROTOCOL_VERSION,
    PROTOCOL_VERSION,
    AskRoot,
    Enrol,
    EnrolGranted,
    EnrolPending,
    Fault,
    Hello,
    Message,
    Root,
    Welcome,
)
from rubackup.wire.peer import ControlPeer
from rubackup.wire.streams import MessageStream

__all__ = ["ControlPeer", "ControlServer", "Handler", "Limits", "dial_control", "enrol", "serve_control"]

Handler = Callable[[ControlPeer, Message], Awaitable[Message]]

_TOLD_VERSION = 64
DIAL_SECONDS = 15.0
FIRST_MESSAGE_BYTES = 64 << 10
"""Enough for a Hello or a certificate request; strangers get no larger buffer."""

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Callbacks:
    enrol: Callable[[Enrol, str], Awaitable[EnrolPending | EnrolGranted]]
    admit: Callable[[Identity, Hello, str], Awaitable[Welcome]]
    connected: Callable[[ControlPeer, Hello], Awaitable[None]]
    gone: Callable[[ControlPeer], Awaitable[None]]
    handle: Handler


class ControlServer:
    """A listening control port; made by `serve_control`."""

    def __init__(self, listener: socket.socket, context: ssl.SSLContext, callbacks: _Callbacks, limits: Limits) -> None:
        self.address: tuple[str, int] = listener.getsockname()[:2]
        self._listener = listener
        self._context = context
        self._callbacks = callbacks
        self._limits = limits
        self._arrivals = Arrivals(limits)
        loop = asyncio.get_running_loop()
        self._enrolments = Allowance(limits.enrol_burst, limits.enrol_per_second, loop.time)
        self._connections: set[asyncio.Task[None]] = set()
        self._accepting = loop.create_task(self._accept())

    async def close(self) -> None:
        """Stops listening and ends every connection; returns when all are gone and `gone` was called for each."""
        self._accepting.cancel()
        await asyncio.wait([self._accepting])
        self._listener.close()
        tasks = set(self._connections)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                sock, name = await loop.sock_accept(self._listener)
            except OSError as error:  # out of descriptors, or the caller was gone before we came
                _LOG.warning("cannot accept a connection: %s", error)
                await asyncio.sleep(0.1)
                continue
            address = sockets.plain_address(name)
            if len(self._connections) >= self._limits.connections or not self._arrivals.enter(address):
                _LOG.warning("a connection of %s is turned away: too many", address)
                sock.close()
                continue
            task = loop.create_task(self._serve(sock, address))
            self._connections.add(task)
            task.add_done_callback(self._connections.discard)

    async def _serve(self, sock: socket.socket, address: str) -> None:
        stream: MessageStream | None = None
        arrived: tuple[ControlPeer, Hello] | None = None
        try:
            async with asyncio.timeout(self._limits.arriving_seconds):
                stream = await streams.accept(sock, self._context, address)
                arrived = await self._arrive(stream)
        except TimeoutError:
            _LOG.info("%s did not say who it is in time", address)
        except RubackupError as error:
            _LOG.info("a connection of %s ended: %s", address, error.message)
        finally:
            self._arrivals.leave(address)
            if arrived is None and stream is not None:
                await stream.closed()
        if arrived is not None:
            await self._attend(*arrived)

    async def _arrive(self, stream: MessageStream) -> tuple[ControlPeer, Hello] | None:
        """Answers the first message: with a peer when it was a Hello that is admitted."""
        try:
            answer, arrived = await self._greet(stream)
        except RubackupError as error:
            await stream.send(framing.as_fault(error))
            raise
        except Exception as error:
            _LOG.exception("greeting %s failed", stream.address)
            await stream.send(framing.as_fault(error))
            return None
        await stream.send(answer)
        return arrived

    async def _greet(self, stream: MessageStream) -> tuple[Message, tuple[ControlPeer, Hello] | None]:
        identity = stream.identity
        first = await stream.receive(FIRST_MESSAGE_BYTES)
        match first:
            case AskRoot() if identity is None:
                self._pay(stream.address)
                return Root(certificate_pem=self._root_pem()), None
            case Enrol() if identity is None:
                self._pay(stream.address)
                require_spoken(first.version, first.package_version)
                return await self._callbacks.enrol(first, stream.address), None
            case Hello() if identity is not None:
                welcome = await self._callbacks.admit(identity, first, stream.address)
                require_spoken(first.version, first.package_version)
                beat = welcome.heartbeat_seconds
                return welcome, (ControlPeer(stream, identity, self._callbacks.handle, beat, first.hostname), first)
            case Hello():
                raise Refused("This host has no certificate; it must enrol first.")
            case _:
                raise WireFault(f"A connection cannot begin with {type(first).__name__}.")

    def _pay(self, address: str) -> None:
        if not self._enrolments.take(address):
            raise TooManyAttempts(f"Too many enrolments come from {address}; wait before the next one.")

    def _root_pem(self) -> bytes:
        return "".join(map(ssl.DER_cert_to_PEM_cert, self._context.get_ca_certs(binary_form=True))).encode()

    async def _attend(self, peer: ControlPeer, hello: Hello) -> None:
        """Lives as long as the connection. `connected` begins before the first request is handled."""
        greeting = asyncio.get_running_loop().create_task(self._connected(peer, hello))
        try:
            peer.start()
            await peer.wait_closed()
        finally:
            greeting.cancel()
            peer.close()
            await asyncio.wait([greeting])
            await peer.wait_closed()
            await self._gone(peer)

    async def _connected(self, peer: ControlPeer, hello: Hello) -> None:
        try:
            await self._callbacks.connected(peer, hello)
        except Exception:
            _LOG.exception("the connection of %s cannot be used", peer)
            peer.close()

    async def _gone(self, peer: ControlPeer) -> None:
        try:
            await self._callbacks.gone(peer)
        except Exception:
            _LOG.exception("taking leave of %s failed", peer)


async def serve_control(
    host: str,
    port: int,
    context: ssl.SSLContext,
    *,
    enrol: Callable[[Enrol, str], Awaitable[EnrolPending | EnrolGranted]],
    admit: Callable[[Identity, Hello, str], Awaitable[Welcome]],
    connected: Callable[[ControlPeer, Hello], Awaitable[None]],
    gone: Callable[[ControlPeer], Awaitable[None]],
    handle: Handler,
    limits: Limits = Limits(),  # noqa: B008 - a frozen value
    free: bool = False,
) -> ControlServer:
    """A listening server; `context` is `server_context(files, optional_peer=True)`; `free` as of `sockets.listen`.

    `enrol` and `admit` get the IP address of the host; a domain error of theirs is answered as a
    Fault and ends the connection. `connected` begins after Welcome was sent and before the first
    request of the peer is handled, then both go on at the same time; `gone` is called once for
    each `connected`, when no request of the peer is worked on any more. `handle` answers requests;
    it is cancelled when the connection ends.
    """
    listener = sockets.listen(host, port, free=free)
    listener.setblocking(False)
    return ControlServer(listener, context, _Callbacks(enrol, admit, connected, gone, handle), limits)


async def dial_control(
    host: str, port: int, context: ssl.SSLContext, hello: Hello, handle: Handler, *, expect_role: str = Role.SERVER
) -> tuple[ControlPeer, Welcome]:
    """A living connection to a server, and its Welcome; `context` is `client_context(files)`.

    `handle` may be called before this returns. Refused or Unavailable, with the reason, when there is no connection.
    """
    stream = await streams.connect(host, port, context, timeout=DIAL_SECONDS)
    try:
        identity = _require_role(stream, expect_role)
        async with asyncio.timeout(DIAL_SECONDS):
            welcome = await _introduce(stream, hello)
        if not isinstance(welcome, Welcome):
            raise WireFault(f"The server answered Hello by {type(welcome).__name__}.")
        _require_version(welcome.version)
        if not math.isfinite(welcome.heartbeat_seconds) or not 0.01 <= welcome.heartbeat_seconds <= 3600:
            raise WireFault(f"The server asks for a heartbeat each {welcome.heartbeat_seconds} s.")
    except BaseException as error:
        await stream.closed()
        if isinstance(error, TimeoutError):
            raise sockets.connection_error(error, stream.peer) from error
        raise
    peer = ControlPeer(stream, identity, handle, welcome.heartbeat_seconds, welcome.hostname)
    peer.start()
    return peer, welcome


async def _introduce(stream: MessageStream, hello: Hello) -> Message:
    try:
        return await _ask(stream, hello)
    except Unavailable as error:
        # TLS 1.3 lets the server verify us after our side is done, and the loops close without sending the alert
        hint = "it may not accept this host's certificate"
        raise Unavailable(f"{stream.peer} ended the connection before it said anything; {hint}.") from error


async def enrol(host: str, port: int, context: Trust, message: Enrol) -> EnrolPending | EnrolGranted:
    """The server's answer to a request for a certificate; `context` is `enrolment_context(...)`.

    When only the root's fingerprint is known, the root is asked for first, compared, and left in
    `context.root_pem` for the host to keep. Refused when it or the server's certificate is another,
    or when what is granted is not for the key, role and hwid of the request.
    """
    if context.root_pem is None:
        root = await _exchange(host, port, Trust.blind_context(), AskRoot(), None)
        if not isinstance(root, Root):
            raise WireFault(f"The server answered AskRoot by {type(root).__name__}.")
        context.accept(root.certificate_pem)
    answer = await _exchange(host, port, context.context(), message, Role.SERVER)
    if not isinstance(answer, EnrolPending | EnrolGranted):
        raise WireFault(f"The server answered Enrol by {type(answer).__name__}.")
    if isinstance(answer, EnrolGranted):
        root_pem = context.root_pem or b""
        require_grant(answer.chain_pem, root_pem, message.csr_pem, message.role, message.hwid)
    return answer


async def _exchange(host: str, port: int, context: ssl.SSLContext, message: Message, role: str | None) -> Message:
    stream = await streams.connect(host, port, context, timeout=DIAL_SECONDS)
    try:
        if role is not None:
            _require_role(stream, role)
        async with asyncio.timeout(DIAL_SECONDS):
            return await _ask(stream, message)
    except TimeoutError as error:
        raise sockets.connection_error(error, stream.peer) from error
    finally:
        await stream.closed()


async def _ask(stream: MessageStream, message: Message) -> Message:
    await stream.send(message)
    answer = await stream.receive(FIRST_MESSAGE_BYTES)
    if isinstance(answer, Fault):
        framing.raise_fault(answer)
    return answer


def _require_role(stream: MessageStream, role: str) -> Identity:
    identity = stream.identity
    if identity is None or identity.role != role:
        raise Refused(f"{stream.peer} is not a {role}; its certificate is that of {identity or 'nobody'}.")
    return identity


def require_spoken(version: int, package_version: str) -> None:
    """Refused for a host whose version of the protocol this server does not speak; both products are named."""
    if OLDEST_PROTOCOL_VERSION <= version <= PROTOCOL_VERSION:
        return
    told = package_version if len(package_version) <= _TOLD_VERSION and package_version.isprintable() else "unknown"
    who = "the server" if version > PROTOCOL_VERSION else "the host"
    raise Refused(
        f"The host's version {told} speaks version {version} of the protocol, the server's version {__version__} speaks"
        f" {OLDEST_PROTOCOL_VERSION} to {PROTOCOL_VERSION}: upgrade {who}."
    )


def _require_version(version: int) -> None:
    if version != PROTOCOL_VERSION:
        raise Refused(f"The server answers in version {version} of the protocol, asked in {PROTOCOL_VERSION}.")
