"""`rubackup_api`: the REST API's process. One port, TLS in process, certificates reloaded on SIGHUP."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import logging
import signal
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import uvicorn

from rubackup.api.app import Application, build
from rubackup.catalog.database import Database
from rubackup.domain.errors import RubackupError
from rubackup.resources import RESOURCES
from rubackup.roles.hosts import RelayHosts
from rubackup.roles.process import database_address, ready, run_role
from rubackup.roles.protocol import ApiProtocol
from rubackup.roles.settings import ConfigurationFault, Settings, time_zone
from rubackup.wire import pki

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


async def serve(settings: Settings) -> None:
    """Serve until cancelled."""
    files = pki.TlsFiles(
        key=settings.path("KEY_FILE"), chain=settings.path("CERT_FILE"), root=settings.path("ROOT_CA_FILE")
    )
    database = Database(database_address(settings), size=10, application="rubackup_api")
    hosts = RelayHosts(settings.servers(), files)
    sockets = listen(settings.text("APP_HOST", "localhost"), settings.port("APP_PORT", 5656))
    try:
        await database.open()
        await warn_before_first_login(database)
        port = sockets[0].getsockname()[1]
        zone, secret = time_zone(settings), token_secret(settings)
        app = build(
            database,
            hosts,
            settings,
            RESOURCES,
            secret=secret,
            zone=zone,
            port=port,
            metrics_token=metrics_token(settings),
        )
        await _serve(app, settings, files, sockets, port)
    finally:
        for listener in sockets:
            listener.close()
        await hosts.close()
        await database.close()


async def _serve(
    app: Application, settings: Settings, files: pki.TlsFiles, sockets: list[socket.socket], port: int
) -> None:
    server = _Server(_config(app, files))
    running = asyncio.create_task(server.serve(sockets=sockets))
    serving = asyncio.create_task(server.serving.wait())
    try:
        await asyncio.wait({running, serving}, return_when=asyncio.FIRST_COMPLETED)
        if server.serving.is_set():
            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, _reload, server, files)
            gc.collect()
            gc.freeze()  # what start-up made stays: the collector need not walk it again (8 % of a list call)
            ready(settings, port)
            log.info("RuBackup REST API is running on [%s]", app.kernel.address.origin)
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


def token_secret(settings: Settings) -> bytes | None:
    """The secret that replicas share, or None: a fresh one for this run."""
    name = settings.text("TOKEN_SECRET_FILE", "")
    if not name:
        return None
    try:
        secret = Path(name).read_bytes().strip()
    except OSError as error:
        raise ConfigurationFault(f"TOKEN_SECRET_FILE names {name}, which cannot be read: {error.strerror}.") from error
    if len(secret) < 32:
        raise ConfigurationFault(f"TOKEN_SECRET_FILE names {name}, which holds less than 32 bytes.")
    return secret


def metrics_token(settings: Settings) -> str:
    """What opens /metrics to other hosts; empty: nothing does."""
    if not settings.text("METRICS_TOKEN_FILE", ""):
        return ""
    token = settings.secret("METRICS_TOKEN_FILE")
    if len(token) < MIN_METRICS_TOKEN:
        raise ConfigurationFault(f"METRICS_TOKEN_FILE must hold at least {MIN_METRICS_TOKEN} characters.")
    return token


def listen(host: str, port: int) -> list[socket.socket]:
    """Listening sockets on every address of the name, all on one port; an error says why there is none."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise ConfigurationFault(f"APP_HOST {host} has no address: {error.strerror}.") from error
    sockets: list[socket.socket] = []
    addresses = dict.fromkeys((family, str(address[0])) for family, _, _, _, address in found)
    for family, address in sorted(addresses, key=lambda a: a[0] != socket.AF_INET):
        listener = socket.socket(family, socket.SOCK_STREAM)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            listener.bind((address, port))
            listener.listen(2048)
        except OSError as error:
            listener.close()
            if sockets and error.errno in {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}:
                continue
            raise _cannot_listen(error, address, port) from error
        sockets.append(listener)
        port = port or listener.getsockname()[1]
    return sockets


def _cannot_listen(error: OSError, address: str, port: int) -> RubackupError:
    reason = "it is in use" if error.errno == errno.EADDRINUSE else error.strerror
    return ConfigurationFault(f"The API cannot listen on port {port} of {address}: {reason}.")


def main() -> None:
    """Entry of the process."""
    run_role("rubackup_api", serve)


if __name__ == "__main__":
    main()
