"""`rubackup_media`: the media server's process."""

from __future__ import annotations

import asyncio
import dataclasses
import logging

from rubackup.agent.cleaning import Sweeper
from rubackup.agent.folders import Ground
from rubackup.agent.link import AgentHost, ServerLink
from rubackup.agent.monitoring import Reporter
from rubackup.agent.seals import SealBook
from rubackup.agent.tasks import TaskRunner
from rubackup.domain.errors import SystemFault
from rubackup.media.agent import MediaAgent
from rubackup.media.copying import Copier
from rubackup.media.metafiles import Metafiles
from rubackup.media.pools import PoolKeeper
from rubackup.media.session_watch import SessionWatch
from rubackup.media.sessions import DataSessions
from rubackup.media.tape.host import TapeHost
from rubackup.roles.host import agent_host, dialling, safety, wait_for_certificate
from rubackup.roles.process import ready, run_role, together
from rubackup.roles.settings import Settings
from rubackup.roles.tuning import tune_for_bulk
from rubackup.wire import pki
from rubackup.wire.certificates import Role
from rubackup.wire.data import SESSIONS, DataServer

log = logging.getLogger(__name__)

RENEWED_SECONDS = 60.0
"""How often a renewed certificate is looked for: one is renewed when months of the old one are left."""
OTHER_SESSIONS = 8
"""Data sessions that are kept for what is no task of a client: listings, media servers that copy."""


async def serve(settings: Settings) -> None:
    """Serve until cancelled."""
    state = settings.path("STATE_DIR")
    host_name = settings.text("DATA_HOST", "127.0.0.1")
    port = settings.port("DATA_PORT", 9993)
    host = dataclasses.replace(
        agent_host(settings, "media", data_endpoint=f"{settings.text('DATA_NAME', host_name)}:{port}"),
        sessions=SESSIONS - OTHER_SESSIONS,
    )
    pools = PoolKeeper(state / "pools", ground(settings, host), safety(settings), host.key, host.hwid)
    seals = SealBook(state / "unreported")
    link = ServerLink(host)
    runner = TaskRunner(link.call, host.parallel_tasks)
    agent = MediaAgent(pools, seals, runner, TapeHost(), Copier(pools, seals, dialling(host)))
    sessions = DataSessions(host.hwid, pools, seals, agent.server_keys)
    agent.on_revoked(sessions.revoke)
    ready(settings, port)
    try:
        await together(
            link.run(agent),
            runner.report(),
            Reporter(link.call).run(),
            agent.report_seals(link.call),
            Sweeper(pools).run(),
            Metafiles(pools).run(),
            SessionWatch(sessions, link.call).run(),
            serve_data(host, sessions, host_name, port, free=settings.flag("FREE_BIND", default=False)),
        )
    finally:
        runner.stop_all()
        await asyncio.to_thread(pools.close)


def ground(settings: Settings, host: AgentHost) -> Ground:
    """Where storages may not lie, as the settings tell."""
    own = (settings.path("STATE_DIR"), host.key.parent, host.chain.parent)
    return Ground(own, memory=settings.flag("MEMORY_STORAGES", default=False))


async def serve_data(host: AgentHost, sessions: DataSessions, address: str, port: int, *, free: bool = False) -> None:
    """Take data sessions as soon as this host has a certificate; with a renewed one from the next session on."""
    await wait_for_certificate(host)
    leaf = host.chain.read_bytes()
    server = DataServer(
        address, port, pki.server_context(host.tls), sessions.serve, roles=(Role.CLIENT, Role.MEDIA), free=free
    )
    server.start()
    log.info("data listener on %s:%d", *server.address)
    try:
        while True:
            await asyncio.sleep(RENEWED_SECONDS)
            leaf = _take_renewed(server, host, leaf)
    finally:
        await asyncio.to_thread(server.close)


def _take_renewed(server: DataServer, host: AgentHost, leaf: bytes) -> bytes:
    """The certificate that is served now; one that cannot be used yet is looked at again."""
    try:
        found = host.chain.read_bytes()
        if found == leaf:
            return leaf
        server.use(pki.server_context(host.tls))
    except (OSError, SystemFault) as error:
        log.warning("the certificate that is there now is not served yet: %s", error)
        return leaf
    log.info("data sessions are served with the renewed certificate")
    return found


def main() -> None:
    """Entry of the process."""
    tune_for_bulk()
    run_role("rubackup_media", serve)


if __name__ == "__main__":
    main()
