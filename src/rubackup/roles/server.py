"""`rubackup_server`: the primary server's process."""

from __future__ import annotations

import logging

from rubackup import __version__
from rubackup.catalog import rights
from rubackup.catalog.database import Database
from rubackup.roles.process import database_address, raise_descriptors, ready, run_role, together
from rubackup.roles.settings import Settings, schedule_zone, time_zone
from rubackup.server.bandwidth import BandwidthSync
from rubackup.server.control import ControlPlane
from rubackup.server.dispatcher import LEASE_SECONDS, Dispatcher
from rubackup.server.heartbeats import Heartbeats
from rubackup.server.leader import Leader
from rubackup.server.monitoring import Monitor
from rubackup.server.pools import PoolSync
from rubackup.server.registry import Registry
from rubackup.server.reports import Reports
from rubackup.server.retention import ROUND_SECONDS, Retention
from rubackup.server.rounds import ROUNDS, TELL_SECONDS
from rubackup.server.scheduler import Scheduler
from rubackup.server.signer import IssuingSigner
from rubackup.server.standing import Standing
from rubackup.server.tickets import TicketOffice
from rubackup.server.tools import ClientTools
from rubackup.server.watch import CatalogueWatch
from rubackup.services import dispatch, presence
from rubackup.wire import pki
from rubackup.wire.control import ControlServer, Limits, serve_control

log = logging.getLogger(__name__)


SPARE_DESCRIPTORS = 100
"""Beside the connections of hosts: the catalogue, files, the listener."""


async def serve(settings: Settings) -> None:
    """Serve until cancelled."""
    wanted = Limits().connections + SPARE_DESCRIPTORS
    if (descriptors := raise_descriptors(wanted)) < wanted:
        log.warning(
            "this process may have %d files open (ulimit -Hn): no more than about %d hosts can be connected",
            descriptors, descriptors - SPARE_DESCRIPTORS,
        )  # fmt: skip
    hwid, hostname = settings.text("HWID"), settings.text("HOSTNAME")
    files = pki.TlsFiles(
        key=settings.path("KEY_FILE"), chain=settings.path("CERT_FILE"), root=settings.path("ROOT_CA_FILE")
    )
    database = Database(database_address(settings), size=12, application="rubackup_server")
    signer = IssuingSigner(issuing(settings))
    await database.open()
    try:
        if taken := await rights.guard(database):
            log.info("APIs on hosts of their own lose %d rights on tables that are not theirs to change", taken)
        await presence.reset(
            database, hwid, hostname=hostname, package_version=__version__, issuing_key_hash=signer.key_hash
        )
        registry = Registry()
        tickets = TicketOffice(hwid, files.key.read_bytes())
        heartbeats = Heartbeats(lambda beats: dispatch.heartbeat(database, beats, LEASE_SECONDS))
        pools = PoolSync(database, registry, lambda: leader.epoch)
        dispatcher = Dispatcher(database, registry, tickets, hwid, pools.catch_up, time_zone(settings))
        scheduler = Scheduler(database, schedule_zone(settings))
        leader = Leader(database, hwid, dispatcher, scheduler)
        leader.pools = pools
        leader.bandwidth = limits = BandwidthSync(database, registry, time_zone(settings))
        leader.retention = Retention(
            database, time_zone(settings), settings.number("RETENTION_SECONDS", ROUND_SECONDS, least=1, most=3600)
        )
        monitor = Monitor(database, (hwid, hostname))
        reports = Reports(
            database, registry, heartbeats, tickets, monitor, ClientTools(database), pools.catch_up, signer
        )
        plane = ControlPlane(
            database,
            signer,
            registry,
            (hwid, hostname),
            lambda: leader.epoch,
            pools.configure,
            pools.clients.configure,
            limits.came,
        )
        watch = CatalogueWatch(database, registry, dispatcher, scheduler, pools, limits)
        listeners: list[ControlServer] = []
        try:
            for host in settings.text("CONTROL_HOST", "127.0.0.1").split(","):
                control = await serve_control(
                    host.strip(),
                    settings.port("CONTROL_PORT", 9991),
                    pki.server_context(files, optional_peer=True),
                    enrol=plane.enrol,
                    admit=plane.admit,
                    connected=plane.connected,
                    gone=plane.gone,
                    handle=reports.handle,
                    free=settings.flag("FREE_BIND", default=False),
                )
                listeners.append(control)
                log.info("control listener on %s:%d", *control.address)
            ready(settings, listeners[0].address[1])
            standing = Standing(database, registry, pools, hwid)
            told = ROUNDS.run(settings.number("ROUNDS_SECONDS", TELL_SECONDS, least=1, most=3600))
            await together(heartbeats.run(), leader.run(), watch.run(), monitor.run(), standing.run(), told)
        finally:
            for listener in listeners:
                await listener.close()
    finally:
        await database.close()


def issuing(settings: Settings) -> pki.Authority:
    """The CA that signs hosts' certificates."""
    return pki.Authority(
        key_pem=settings.path("ISSUING_KEY_FILE").read_bytes(), cert_pem=settings.path("ISSUING_CERT_FILE").read_bytes()
    )


def main() -> None:
    """Entry of the process."""
    run_role("rubackup_server", serve)


if __name__ == "__main__":
    main()
