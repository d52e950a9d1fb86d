"""An agent's links to every configured server: enrol, dial, redial, renew the certificate.

An agent holds one control connection to each server; reports go to whichever answers.
Design sections 2 and 6.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from cryptography import x509

from rubackup import __version__
from rubackup.agent.tasks import PARALLEL_TASKS
from rubackup.domain.errors import Refused, RubackupError, Unavailable
from rubackup.wire import pki
from rubackup.wire.certificates import has_names
from rubackup.wire.control import ControlPeer, dial_control, enrol
from rubackup.wire.messages import PROTOCOL_VERSION, Enrol, EnrolGranted, Hello, Message, Welcome

log = logging.getLogger(__name__)

FIRST_DELAY_SECONDS = 0.2
LONGEST_DELAY_SECONDS = 10.0
RENEW_AT = 2 / 3
"""A certificate is renewed when this share of its life is over."""
RENEWAL_CHECK_SECONDS = 3600.0


@dataclass(frozen=True)
class AgentHost:
    """Who this agent is and where its keys lie."""

    role: str
    hwid: str
    hostname: str
    key: Path
    chain: Path
    root: Path
    servers: tuple[tuple[str, int], ...]
    root_fingerprint: str | None = None
    """SHA-256 of the root certificate, hex: enough to begin with when the root itself is not there yet."""
    os_version: str = ""
    data_endpoint: str = ""
    resource_types: tuple[str, ...] = ()
    ciphers: tuple[str, ...] = ()
    """Names of domain.lookups.Crypto that a client can run."""
    key_ids: Callable[[], Sequence[str]] = tuple
    """Gives the keys that a client holds now."""
    storages: tuple[str, ...] = ()
    """Names of storages of Client defined pools that a client has folders for."""
    parallel_tasks: int = PARALLEL_TASKS
    sessions: int = 0
    """Data sessions of tasks that a media server has at a time."""

    @property
    def tls(self) -> pki.TlsFiles:
        """The files of a granted certificate."""
        return pki.TlsFiles(key=self.key, chain=self.chain, root=self.root)

    def hello(self) -> Hello:
        """The first message of a connection."""
        return Hello(
            version=PROTOCOL_VERSION,
            hostname=self.hostname,
            package_version=__version__,
            os_version=self.os_version,
            resource_types=list(self.resource_types),
            data_endpoint=self.data_endpoint,
            ciphers=list(self.ciphers),
            key_ids=list(self.key_ids()),
            storages=list(self.storages),
            tasks=self.parallel_tasks,
            sessions=self.sessions,
        )

    def request(self) -> Enrol:
        """The request for a certificate, made with the key that is kept."""
        if not self.key.exists():
            pki.write_private(self.key, pki.new_key_pem())
        return Enrol(
            version=PROTOCOL_VERSION,
            role=self.role,
            hwid=self.hwid,
            hostname=self.hostname,
            csr_pem=pki.make_csr(self.key.read_bytes(), self.hostname),
            package_version=__version__,
            os_version=self.os_version,
            data_endpoint=self.data_endpoint,
        )


class Agent(Protocol):
    """What takes the servers' orders."""

    async def connected(self, peer: ControlPeer, welcome: Welcome, /) -> None:
        """Called after each Welcome."""

    async def handle(self, peer: ControlPeer, message: Message, /) -> Message:
        """The answer to one order."""


@dataclass
class ServerLink:
    """Keeps the connections of one host."""

    host: AgentHost
    _peers: dict[tuple[str, int], ControlPeer] = field(default_factory=dict)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    _enrolling: asyncio.Lock = field(default_factory=asyncio.Lock)
    _told: str = ""
    _asked_without_names: bool = False

    async def run(self, agent: Agent) -> None:
        """Hold the connections until cancelled; orders go to `agent`."""
        async with asyncio.TaskGroup() as group:
            for server in self.host.servers:
                group.create_task(self._keep(server, agent))
            group.create_task(self._renew())

    def connected(self) -> list[tuple[str, bool]]:
        """Every server as `host:port`, and whether there is a connection to it."""
        return [(f"{host}:{port}", (host, port) in self._peers) for host, port in self.host.servers]

    async def call(
        self, message: Message, timeout: float = 10.0, patience: float = 0.0, *, repeatable: bool = True
    ) -> Message:
        """The answer of a server that is connected; waits up to `patience` seconds for one, then Unavailable.

        What is not `repeatable` is said to one server only: it may have been done although no answer came.
        """
        deadline = time.monotonic() + patience
        while True:
            for peer in tuple(self._peers.values()):
                try:
                    return await peer.call(message, timeout)
                except Unavailable:
                    if not repeatable:
                        raise
            left = deadline - time.monotonic()
            if left <= 0:
                raise Unavailable("No server is connected.")
            self._changed.clear()
            try:
                await asyncio.wait_for(self._changed.wait(), min(left, 1.0))
            except TimeoutError:
                continue

    async def _keep(self, server: tuple[str, int], agent: Agent) -> None:
        delay, said = FIRST_DELAY_SECONDS, ""
        while True:
            try:
                await self._certificate(server)
                context = pki.client_context(self.host.tls)
                peer, welcome = await dial_control(*server, context, self.host.hello(), agent.handle)
            except Refused as error:
                log.warning("server %s:%d refused this host: %s", *server, error)
                await self._ask(server)
            except (RubackupError, OSError) as error:
                if str(error) != said:
                    said = str(error)
                    log.warning("server %s:%d cannot be reached: %s", *server, error)
            else:
                log.info("connected to server %s at %s:%d", welcome.hostname, *server)
                delay, said = FIRST_DELAY_SECONDS, ""
                await self._hold(server, peer, welcome, agent)
            await asyncio.sleep(delay)
            delay = min(delay * 2, LONGEST_DELAY_SECONDS)

    async def _hold(self, server: tuple[str, int], peer: ControlPeer, welcome: Welcome, agent: Agent) -> None:
        self._peers[server] = peer
        self._changed.set()
        try:
            await agent.connected(peer, welcome)
            await peer.wait_closed()
        except RubackupError as error:
            log.warning("connection to server %s ended: %s", welcome.hostname, error)
        finally:
            if self._peers.get(server) is peer:
                del self._peers[server]
            peer.close()

    async def _certificate(self, server: tuple[str, int]) -> None:
        """Return once there is a certificate that has not expired."""
        while not self.host.chain.exists() or self._age() >= 1:
            async with self._enrolling:
                if self.host.chain.exists() and self._age() < 1:
                    return
                await self._ask(server)

    async def _ask(self, server: tuple[str, int]) -> None:
        """Ask for a certificate once; when an administrator has to decide, wait as long as the server says."""
        known = self.host.root if self.host.root.exists() else None
        trust = pki.enrolment_context(known, None if known else self.host.root_fingerprint)
        answer = await enrol(*server, trust, self.host.request())
        if known is None and trust.root_pem is not None:
            pki.write_private(self.host.root, trust.root_pem)
        if isinstance(answer, EnrolGranted):
            pki.write_private(self.host.chain, answer.chain_pem)
            self._told = ""
            log.info("the server granted a certificate")
            return
        if answer.fingerprint != self._told:
            self._told = answer.fingerprint
            log.info("waiting to be authorised; key fingerprint %s", answer.fingerprint)
        await asyncio.sleep(answer.retry_after_seconds)

    def _age(self) -> float:
        """How much of the certificate's life is over, 0 to 1 and beyond."""
        leaf = x509.load_pem_x509_certificate(self.host.chain.read_bytes())
        begin, end = leaf.not_valid_before_utc.timestamp(), leaf.not_valid_after_utc.timestamp()
        return (time.time() - begin) / (end - begin)

    async def _renew(self) -> None:
        while True:
            if self.host.chain.exists() and self._age() < 1 and (self._age() >= RENEW_AT or self._named()):
                await self._ask_any()
            await asyncio.sleep(RENEWAL_CHECK_SECONDS)

    async def _ask_any(self) -> None:
        for server in self.host.servers:
            try:
                await self._ask(server)
                self._asked_without_names = True
                return
            except (RubackupError, OSError) as error:
                log.warning("the certificate could not be renewed at %s:%d: %s", *server, error)

    def _named(self) -> bool:
        """Whether the certificate has host names, as older servers signed them; such a server is asked only once."""
        return not self._asked_without_names and has_names(self.host.chain.read_bytes())
