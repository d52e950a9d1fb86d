"""A control server for tests that notes what happens, and hosts that dial it."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from rubackup.domain.errors import StorageFull
from rubackup.wire import control, framing, pki
from rubackup.wire.messages import (
    PROTOCOL_VERSION,
    Ack,
    CheckFolder,
    Enrol,
    EnrolPending,
    Hello,
    ListFilesystem,
    Message,
    Welcome,
)
from support.wire import CLIENT, SERVER

LIMIT_SECONDS = 60.0
HELLO = Hello(version=PROTOCOL_VERSION, hostname="client.example", package_version="1")


async def answer(peer: control.ControlPeer, message: Message) -> Message:
    """Echoes listings, has no room for folders, acknowledges the rest."""
    match message:
        case ListFilesystem():
            return message
        case CheckFolder():
            raise StorageFull("There is no room.")
        case _:
            return Ack()


@dataclass
class Notes:
    """What the server saw."""

    peers: asyncio.Queue[control.ControlPeer] = field(default_factory=asyncio.Queue)
    gone: asyncio.Queue[control.ControlPeer] = field(default_factory=asyncio.Queue)
    admitted: list[tuple[str, str]] = field(default_factory=list)
    enrolled: list[str] = field(default_factory=list)


@dataclass
class Behaviour:
    """How the server behaves; tests replace parts."""

    heartbeat_seconds: float = 30.0
    handle: Callable[[control.ControlPeer, Message], Awaitable[Message]] = answer
    admit: Callable[[], Awaitable[None]] | None = None
    connected: Callable[[control.ControlPeer], Awaitable[None]] | None = None
    enrol: Callable[[Enrol], Awaitable[Message]] | None = None
    limits: control.Limits = field(default_factory=control.Limits)


@asynccontextmanager
async def serving(files: pki.TlsFiles, behaviour: Behaviour | None = None):
    """The server's address and its notes."""
    how = behaviour or Behaviour()
    notes = Notes()

    async def enrol(message, address):
        notes.enrolled.append(address)
        if how.enrol:
            return await how.enrol(message)
        return EnrolPending(fingerprint=pki.csr_fingerprint(message.csr_pem), retry_after_seconds=1.0)

    async def admit(identity, hello, address):
        if how.admit:
            await how.admit()
        notes.admitted.append((str(identity), address))
        return Welcome(
            version=PROTOCOL_VERSION,
            server_hwid=SERVER,
            hostname="server.example",
            epoch=1,
            heartbeat_seconds=how.heartbeat_seconds,
        )

    async def connected(peer, hello):
        notes.peers.put_nowait(peer)
        if how.connected:
            await how.connected(peer)

    async def gone(peer):
        notes.gone.put_nowait(peer)

    context = pki.server_context(files, optional_peer=True)
    server = await control.serve_control(
        "127.0.0.1",
        0,
        context,
        enrol=enrol,
        admit=admit,
        connected=connected,
        gone=gone,
        handle=how.handle,
        limits=how.limits,
    )
    try:
        yield server.address, notes
    finally:
        await server.close()


async def soon(awaitable):
    """What is awaited, within the limit of a test."""
    async with asyncio.timeout(LIMIT_SECONDS):
        return await awaitable


@asynccontextmanager
async def dialled(address, files: pki.TlsFiles, handle=answer):
    """A living connection to the server, closed at the end."""
    peer, _ = await soon(control.dial_control(*address, pki.client_context(files), HELLO, handle))
    try:
        yield peer
    finally:
        peer.close()
        await soon(peer.wait_closed())


@asynccontextmanager
async def raw_connection(address, context: ssl.SSLContext):
    """A connection whose bytes the test writes itself."""
    reader, writer = await soon(asyncio.open_connection(*address, ssl=context, server_hostname="x"))
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def read_message(reader) -> Message:
    """The next message of a raw connection."""
    length, _ = framing.parse_header(await soon(reader.readexactly(framing.HEADER.size)))
    return framing.decode(await soon(reader.readexactly(length)))


def enrol_message(**changes) -> Enrol:
    """A request for a certificate."""
    key = changes.pop("key", None) or pki.new_key_pem()
    fields = {
        "version": PROTOCOL_VERSION,
        "role": "client",
        "hwid": CLIENT,
        "hostname": "client.example",
        "csr_pem": pki.make_csr(key, "client.example"),
        "package_version": "1",
    }
    return Enrol(**(fields | changes))
