"""The listener of port 9991: who may connect, and what follows when a host comes or goes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from rubackup.catalog.database import Database
from rubackup.domain.errors import Busy, Refused, RubackupError, TooSlow, Unavailable
from rubackup.server.registry import Registry
from rubackup.services import admission, enrolment, host_log, presence
from rubackup.wire import pki
from rubackup.wire.control import ControlPeer, require_spoken
from rubackup.wire.messages import Enrol, EnrolGranted, EnrolPending, Hello, Welcome

log = logging.getLogger(__name__)

HEARTBEAT_SECONDS = 5.0
RETRY_ENROLMENT_SECONDS = 1.0
RETRY_PRESENCE_SECONDS = 1.0
PRESENCES_AT_ONCE = 6
"""Hosts whose coming or going is written at a time: of thousands at once each would wait too long for a connection to
the catalogue, and leave none to those that are at work."""
TOLD_LENGTH = 255
"""Characters of each field that a stranger tells of itself; they are shown to administrators."""


class ControlPlane:
    """Callbacks of `wire.control.serve_control`."""

    def __init__(
        self,
        database: Database,
        signer: enrolment.Signer,
        registry: Registry,
        server: tuple[str, str],
        epoch: Callable[[], int],
        media_came: Callable[[ControlPeer], Awaitable[None]],
        client_came: Callable[[ControlPeer], Awaitable[None]],
        client_connected: Callable[[ControlPeer], None] = lambda _peer: None,
    ) -> None:
        """`client_connected` is called before a client's tasks may run, `media_came` and `client_came` when they may."""
        self._database = database
        self._signer = signer
        self._registry = registry
        self._hwid, self._hostname = server
        self._epoch = epoch
        self._media_came = media_came
        self._client_came = client_came
        self._client_connected = client_connected
        self._turns = asyncio.Semaphore(PRESENCES_AT_ONCE)

    async def enrol(self, message: Enrol, address: str) -> EnrolPending | EnrolGranted:
        """A host without certificate asks for one."""
        if message.role not in {"client", "media"}:
            raise Refused("Only clients and media servers enrol.")
        told = (message.hostname, message.package_version, message.os_type, message.os_version, message.data_endpoint)
        if any(len(text) > TOLD_LENGTH or not text.isprintable() for text in told):
            raise Refused(f"What a host tells of itself has at most {TOLD_LENGTH} printable characters a field.")
        fingerprint = pki.csr_fingerprint(message.csr_pem)
        answer = await enrolment.ask(
            self._database,
            self._signer,
            role=message.role,
            hwid=message.hwid,
            hostname=message.hostname,
            address=address,
            csr_pem=message.csr_pem,
            fingerprint=fingerprint,
            package_version=message.package_version,
            os_type=message.os_type,
            os_version=message.os_version,
            data_endpoint=message.data_endpoint,
        )
        if isinstance(answer, enrolment.Granted):
            return EnrolGranted(chain_pem=answer.chain_pem)
        return EnrolPending(fingerprint=fingerprint, retry_after_seconds=RETRY_ENROLMENT_SECONDS)

    async def admit(self, identity: pki.Identity, hello: Hello, address: str) -> Welcome:
        """Refused when `services.admission` says so; of hosts that have a log it is noted there."""
        try:
            require_spoken(hello.version, hello.package_version)
            await admission.admit(self._database, identity)
        except Refused as error:
            if identity.role in {"client", "media"}:
                await self._note_refused(identity, hello.hostname, f"From {address}: {error.message}")
            else:
                log.warning("%s from %s is refused: %s", identity, address, error.message)
            raise
        return Welcome(
            version=hello.version,
            server_hwid=self._hwid,
            hostname=self._hostname,
            epoch=self._epoch(),
            heartbeat_seconds=HEARTBEAT_SECONDS,
        )

    async def _note_refused(self, identity: pki.Identity, hostname: str, text: str) -> None:
        told = hostname if len(hostname) <= TOLD_LENGTH and hostname.isprintable() else ""
        await host_log.note_refused(self._database, identity.role, identity.hwid, told, text)

    async def connected(self, peer: ControlPeer, hello: Hello) -> None:
        """The host is online: its waiting tasks may run."""
        role, hwid = peer.identity.role, peer.identity.hwid
        if role == "api":
            self._registry.add_api(peer)
        else:
            self._registry.add(peer)
            log.info("%s %s (%s) is connected from %s", role, hello.hostname, hwid, peer.address)
        if role == "client":
            self._client_connected(peer)
        try:
            while not await self._noted(peer, hello):  # noqa: ASYNC110 - no event tells that the catalogue is back
                await asyncio.sleep(RETRY_PRESENCE_SECONDS)
        except Refused as error:
            log.info("%s loses its connection: %s", peer, error.message)
            peer.close()
            return
        if role != "api":
            came = self._client_came if role == "client" else self._media_came
            await came(peer)

    async def _noted(self, peer: ControlPeer, hello: Hello) -> bool:
        """Whether the catalogue has it; one that is busy, or away for a moment, costs no host its connection.

        Refused for a host that was shut out since it was admitted: whoever ended the connections then saw none of it yet.
        """
        try:
            async with self._turns:
                await admission.admit(self._database, peer.identity)
                if peer.identity.role == "api":
                    return True
                await self._note_online(peer, hello)
        except (Unavailable, Busy, TooSlow) as error:
            log.info("that %s is connected cannot be written yet: %s", peer, error)
            return False
        self._registry.noted(peer)
        return True

    async def _note_online(self, peer: ControlPeer, hello: Hello) -> None:
        role, hwid = peer.identity.role, peer.identity.hwid
        if role == "client":
            await presence.client_online(
                self._database,
                hwid,
                self._hwid,
                hostname=hello.hostname,
                package_version=hello.package_version,
                os_version=hello.os_version,
                resource_types=hello.resource_types,
                ciphers=hello.ciphers,
                key_ids=hello.key_ids,
                storages=hello.storages,
                tasks=hello.tasks,
            )
        else:
            await presence.media_online(
                self._database,
                hwid,
                self._hwid,
                hostname=hello.hostname,
                package_version=hello.package_version,
                os_version=hello.os_version,
                data_endpoint=hello.data_endpoint,
                tasks=hello.tasks,
                sessions=hello.sessions,
            )

    async def gone(self, peer: ControlPeer) -> None:
        """The host is offline, unless it has already come back on another connection."""
        role, hwid = peer.identity.role, peer.identity.hwid
        if role == "api":
            self._registry.remove_api(peer)
            return
        if not self._registry.remove(peer):
            return
        log.info("%s %s is gone", role, hwid)
        mark = presence.client_offline if role == "client" else presence.media_offline
        try:
            async with self._turns:
                if self._registry.find(role, hwid) is None:
                    await mark(self._database, hwid, self._hwid)
        except RubackupError as error:
            log.warning("%s %s could not be marked offline: %s", role, hwid, error)
