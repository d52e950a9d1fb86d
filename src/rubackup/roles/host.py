"""What client and media server read from their settings about themselves."""

from __future__ import annotations

import asyncio
import logging
import platform
from collections.abc import Callable

from rubackup.agent.link import AgentHost
from rubackup.agent.tasks import MOST_PARALLEL_TASKS, PARALLEL_TASKS
from rubackup.chunkstore.pool import GcSafety
from rubackup.domain.identity import CLIENT_HWID, SERVER_HWID
from rubackup.roles.settings import ConfigurationFault, Settings
from rubackup.wire import pki
from rubackup.wire.data import DataConnection, connect_data
from rubackup.wire.messages import MediaAddress

log = logging.getLogger(__name__)
CERTIFICATE_POLL_SECONDS = 0.2
LONGEST_GRACE = 7 * 86_400


def agent_host(
    settings: Settings, role: str, *, data_endpoint: str = "", resource_types: tuple[str, ...] = ()
) -> AgentHost:
    """The host as its settings describe it; ConfigurationFault names a wrong HWID."""
    hwid = settings.text("HWID")
    form = CLIENT_HWID if role == "client" else SERVER_HWID
    if not form.fullmatch(hwid):
        raise ConfigurationFault(f"HWID must be of the form {form.pattern}, not {hwid!r}.")
    parallel = settings.number("PARALLEL_TASKS", PARALLEL_TASKS, least=1, most=MOST_PARALLEL_TASKS)
    return AgentHost(
        role=role,
        parallel_tasks=parallel,
        hwid=hwid,
        hostname=settings.text("HOSTNAME"),
        key=settings.path("KEY_FILE"),
        chain=settings.path("CERT_FILE"),
        root=settings.path("ROOT_CA_FILE"),
        servers=tuple(settings.servers()),
        root_fingerprint=settings.text("ROOT_CA_FINGERPRINT", "") or None,
        os_version=f"{platform.system()} {platform.release()}",
        data_endpoint=data_endpoint,
        resource_types=resource_types,
    )


async def wait_for_certificate(host: AgentHost) -> None:
    """Return once the host was authorised and its certificate is on disk."""
    while not host.chain.exists():  # noqa: ASYNC110 - another process of this host may write it
        await asyncio.sleep(CERTIFICATE_POLL_SECONDS)


def safety(settings: Settings) -> GcSafety:
    """How long a pack that nothing needs stays, as the settings tell."""
    usual = GcSafety()
    grace = settings.number("GC_GRACE_SECONDS", usual.grace_seconds, most=LONGEST_GRACE)
    if grace < usual.grace_seconds:
        log.warning("GC_GRACE_SECONDS is %d: what reads a pool while it is cleaned may fail", grace)
    return GcSafety(grace_seconds=grace)


def dialling(host: AgentHost) -> Callable[[MediaAddress], DataConnection]:
    """Opens data connections to media servers, with the certificate that this host has then."""

    def connect(address: MediaAddress) -> DataConnection:
        context = pki.client_context(host.tls)
        return connect_data(address.host, address.port, context, expect=("media", address.hwid), key=address.key)

    return connect
