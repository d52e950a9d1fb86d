"""`rubackup_api`: the REST API's process. One port, TLS in process, certificates reloaded on SIGHUP; one process or several."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import signal
import socket
import ssl
import sys
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass

import uvicorn
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from rubackup.api.app import Application, address_of, board, build
from rubackup.api.board import Slot
from rubackup.catalog.database import Database
from rubackup.resources import RESOURCES
from rubackup.roles import systemd
from rubackup.roles.expiry import days_left, watch
from rubackup.roles.hosts import RelayHosts
from rubackup.roles.installed import logs
from rubackup.roles.listening import listen, listen_each
from rubackup.roles.liveness import beating
from rubackup.roles.process import (
    configured,
    database_address,
    exits,
    loaded,
    ready,
    until_signal,
    worker_timeout,
    workers,
)
from rubackup.roles.protocol import ApiProtocol
from rubackup.roles.settings import ConfigurationFault, Settings, time_zone
from rubackup.roles.token_secret import token_secret
from rubackup.roles.workers import Keeper
from rubackup.services import api_hosts
from rubackup.wire import pki
from rubackup.wire.certificates import identity_of, serial_text

log = logging.getLogger(__name__)

SHUTDOWN_SECONDS = 10
KEEP_ALIVE_SECONDS = 75
MIN_METRICS_TOKEN = 16


class _Server(uvicorn.Server):
    """Uvicorn without its own signal handlers, and with a word when it serves."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.serving = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are the process' matter (`roles.process`)."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then tell."""
        await super().startup(sockets=sockets)
        self.serving.set()


@dataclass(frozen=True)
class Site:
    """What a process is given that serves: alone, or as one of several workers."""

    sockets: list[socket.socket]
    secret: bytes
    slot: Slot
    tell: Callable[[int], None]
    """Called once it serves, with its port."""

    @property
    def first(self) -> bool:
        """Whether this one says and does what is said and done once for all."""
        return self.slot.place == 0


async def serve(settings: Settings) -> None:
    """Serve until cancelled, alone."""
    sockets = listen(
        settings.text("APP_HOST", "localhost"),
        settings.port("APP_PORT", 5656),
        free=settings.flag("FREE_BIND", default=False),
    )
    await serve_at(settings, Site(sockets, token_secret(settings), board(RESOURCES).slot(), _teller(settings)))


async def serve_at(settings: Settings, site: Site) -> None:
    """Serve until cancelled."""
    files = pki.TlsFiles(
        key=settings.path("KEY_FILE"), chain=settings.path("CERT_FILE"), root=settings.path("ROOT_CA_FILE")
    )
    address = database_address(settings)
    database = Database(address, size=10, application="rubackup_api")

    async def note(leaf: x509.Certificate) -> None:
        hwid = identity_of(leaf.public_bytes(Encoding.DER)).hwid
        await api_hosts.note_own(database, hwid, serial_text(leaf), leaf.not_valid_after_utc)

    hosts = RelayHosts(settings.servers(), files, note)
    once: list[asyncio.Task[None]] = []
    try:
        await database.open()
        if site.first:
            await warn_before_first_login(database)
            host = settings.text("APP_HOST", "localhost")
            once.append(asyncio.create_task(watch(database, files.chain, host, address)))
        port = site.sockets[0].getsockname()[1]
        app = build(
            database,
            hosts,
            settings,
            RESOURCES,
            secret=site.secret,
            zone=time_zone(settings),
            port=port,
            metrics_token=metrics_token(settings),
            slot=site.slot,
            days_left=lambda: days_left(files.chain),
        )
        await _serve(app, site, files, port)
    finally:
        for task in once:
            task.cancel()
        for listener in site.sockets:
            listener.close()
        await hosts.close()
        await database.close()


def start(name: str, load: Callable[[], Settings], before: Callable[[Settings], Awaitable[None]] | None = None) -> None:
    """Serve until SIGTERM or SIGINT, in WORKERS processes; `before` is done first in each. Exits as `process.run` says.

    Of several, this process is their keeper, and what is made here reaches them in memory: the secret of the tokens,
    the sockets, the board on which they count.
    """
    settings = loaded(name, load)

    async def alone() -> None:
        if before is not None:
            await before(settings)
        await serve(settings)

    async def work(site: Site) -> None:
        async with beating(site.slot.beat):
            if before is not None:
                await before(settings)
            await serve_at(settings, site)

    def keep() -> int:
        count = workers(settings)
        if count == 1:
            until_signal(name, alone)
            return 0
        return _keep(settings, count, lambda site: until_signal(name, lambda: work(site)))

    with exits(name):
        status = keep()
    if status:
        sys.exit(status)


def _keep(settings: Settings, count: int, work: Callable[[Site], None]) -> int:
    """Keep so many workers; the exit status."""
    each = listen_each(
        settings.text("APP_HOST", "localhost"),
        settings.port("APP_PORT", 5656),
        count,
        free=settings.flag("FREE_BIND", default=False),
    )
    port = each[0][0].getsockname()[1]
    secret, counts = token_secret(settings), board(RESOURCES, count)

    def live(place: int) -> None:
        logs.follow()
        systemd.leave_to_parent()
        slot = counts.slot(place)
        work(Site(each[place], secret, slot, lambda _port: slot.ready()))

    def idle() -> float | None:
        systemd.moves()
        return logs.turn_over()

    keeper = Keeper(count, counts, live, idle=idle, silent_seconds=worker_timeout(settings))
    gc.collect()
    gc.freeze()  # what is there now is shared with every worker, as long as no collector writes into it
    return keeper.run(lambda: _teller(settings)(port))


def _teller(settings: Settings) -> Callable[[int], None]:
    def tell(port: int) -> None:
        log.info("RuBackup REST API is running on [%s]", address_of(settings, port).origin)
        ready(settings, port)

    return tell


async def _serve(app: Application, site: Site, files: pki.TlsFiles, port: int) -> None:
    server = _Server(_config(app, files))
    running = asyncio.create_task(server.serve(sockets=site.sockets))
    serving = asyncio.create_task(server.serving.wait())
    try:
        await asyncio.wait({running, serving}, return_when=asyncio.FIRST_COMPLETED)
        if server.serving.is_set():
            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, _reload, server, files)
            gc.collect()
            gc.freeze()  # what start-up made stays: the collector need not walk it again (8 % of a list call)
            site.tell(port)
        await running
    finally:
        serving.cancel()
        await app.close()
        server.should_exit = True
        await asyncio.wait([running])


def _config(app: Application, files: pki.TlsFiles) -> uvicorn.Config:
    config = uvicorn.Config(
        app,
        http=ApiProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
        ssl_keyfile=str(files.key),
        ssl_certfile=str(files.chain),
        ssl_version=ssl.PROTOCOL_TLS_SERVER,
    )
    try:
        config.load()
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationFault(f"The certificate {files.chain} and its key cannot be used: {error}.") from error
    assert config.ssl is not None
    config.ssl.minimum_version = ssl.TLSVersion.TLSv1_2
    return config


def _reload(server: _Server, files: pki.TlsFiles) -> None:
    """Take new certificate files for every handshake from now on; the old ones stay when these cannot be used."""
    context = server.config.ssl
    assert context is not None
    try:
        context.load_cert_chain(files.chain, files.key)
    except (OSError, ssl.SSLError) as error:
        log.error("the certificate was not reloaded: %s", error)
    else:
        log.info("the certificate was reloaded")


async def warn_before_first_login(database: Database) -> None:
    """The guide's warning while nobody has ever logged in."""
    async with database.connection() as db:
        if not await db.fetchval("SELECT EXISTS (SELECT 1 FROM users WHERE last_success_login_at IS NOT NULL)"):
            log.warning("The rubackup database has not been initialized. Please authenticate")


def metrics_token(settings: Settings) -> str:
    """What opens /metrics to other hosts; empty: nothing does."""
    if not settings.text("METRICS_TOKEN_FILE", ""):
        return ""
    token = settings.secret("METRICS_TOKEN_FILE")
    if len(token) < MIN_METRICS_TOKEN:
        raise ConfigurationFault(f"METRICS_TOKEN_FILE must hold at least {MIN_METRICS_TOKEN} characters.")
    return token


def main() -> None:
    """Entry of the process."""
    start("rubackup_api", configured("rubackup_api"))


if __name__ == "__main__":
    main()
