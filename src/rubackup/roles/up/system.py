"""The whole system on one machine: PostgreSQL, API, server, media server, client, in this order.

Called by `main`; what is started here is looked after by the supervisor.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rubackup.domain.identity import client_label
from rubackup.roles.rest import RestClient
from rubackup.roles.up import catalogue as catalogues
from rubackup.roles.up.beside import Beside
from rubackup.roles.up.catalogue import Catalogue
from rubackup.roles.up.certificates import are_due, hwid, make_certificates
from rubackup.roles.up.enrolment import Enrolment
from rubackup.roles.up.faults import explained
from rubackup.roles.up.postgres import READY_SECONDS as SERVER_SECONDS
from rubackup.roles.up.postgres import EmbeddedPostgres
from rubackup.roles.up.service import PostgresService, RoleService
from rubackup.roles.up.settings import AS_IT_IS, Ports, Wishes, api_host, choose_ports, write_settings
from rubackup.roles.up.state import State, write_json
from rubackup.roles.up.supervisor import Supervisor

ROLES = ("api", "server", "media", "client")
HANG_SECONDS = {"api": 120.0, "server": 120.0, "media": 300.0, "client": 300.0}
"""As `WatchdogSec` in the units of hosts that have one role."""
READY_SECONDS = 60.0
POLL_SECONDS = 0.2
POOL_SECONDS = 10.0
RENEW_SECONDS = 86_400.0

log = logging.getLogger(__name__)


class System:
    """Brings everything up on a state; `ready` is what ready.json says."""

    def __init__(
        self,
        state: State,
        runtime: Path,
        supervisor: Supervisor,
        *,
        port: int,
        log_level: str,
        wishes: Wishes = AS_IT_IS,
    ) -> None:
        self._state = state
        self._runtime = runtime
        self._supervisor = supervisor
        self._port = port
        self._log_level = log_level
        self._wishes = wishes
        self._url = ""

    def bring_up(self) -> dict[str, Any]:
        """Start all processes and complete the installation; the text of ready.json, which is written last."""
        with explained(f"Cannot write the state {self._state.root}"):
            ports = choose_ports(self._state, self._port)
            self._url = f"https://{api_host()}:{ports.api}"
            make_certificates(self._state, [api_host()])
        catalogue = self._catalogue(ports)
        catalogues.prepare(self._state, catalogue, new=self._wishes.new_catalogue, command=self._wishes.new_command)
        write_settings(self._state, catalogue, ports, self._log_level, self._wishes)
        self._start_roles()
        self._complete(catalogue)
        self._wait_connected(catalogue)
        self._supervisor.changed = self.write_ready
        self._supervisor.each(RENEW_SECONDS, self.renew)
        return self.write_ready()

    def renew(self) -> None:
        """New leaves where they are due, for a system that runs for months; server and API take them."""
        if not are_due(self._state, [api_host()]):
            return
        make_certificates(self._state, [api_host()])
        pids = self._supervisor.pids()
        log.info("server and API have new certificates")
        for role, sign in (("api", signal.SIGHUP), ("server", signal.SIGTERM)):  # a server reads its own when it starts
            if role in pids:
                os.kill(pids[role], sign)

    def write_ready(self) -> dict[str, Any]:
        """Write ready.json, whole, as things are now."""
        ready = {
            "api": self._url,
            "superuser": catalogues.SUPERUSER,
            "password_file": str(self._state.secret(catalogues.SUPERUSER_PASSWORD)),
            "ca_file": str(self._state.root_certificate),
            "client": client_label(socket.gethostname(), hwid(self._state, "client")),
            "processes": self._supervisor.pids(),
        }
        write_json(self._state.ready_file, ready)
        return ready

    # --- parts ---

    def _catalogue(self, ports: Ports) -> Catalogue:
        """The catalogue that DB_HOST names, or our own PostgreSQL, started, on none of our `ports`. A state keeps to its kind."""
        found = catalogues.chosen(self._state, os.environ)
        if found:
            return found
        if self._wishes.socket is not None:
            return self._beside(self._wishes.socket)
        server = EmbeddedPostgres(self._state.root, self._runtime, others=(ports.api, ports.server, ports.media))
        if not server.data.exists():
            catalogues.begin(self._state, new=self._wishes.new_catalogue, command=self._wishes.new_command)
        self._supervisor.start(PostgresService(server))
        return catalogues.embedded(self._state, server.address())

    def _beside(self, sockets: Path) -> Catalogue:
        """The catalogue in the PostgreSQL that systemd starts, once it serves."""
        server = Beside(self._state, sockets)
        if not server.data.exists():
            catalogues.begin(self._state, new=self._wishes.new_catalogue, command=self._wishes.new_command)
        self._poll(server.accepts, SERVER_SECONDS, server.complaint)
        return catalogues.embedded(self._state, server.address())

    def _start_roles(self) -> None:
        services = [
            RoleService(
                role,
                self._state.settings(role),
                self._state.ready_mark(role),
                self._state.log(role),
                hang_seconds=HANG_SECONDS[role],
            )
            for role in ROLES
        ]
        for service in services:
            self._supervisor.start(service)
        for service in services:
            self._supervisor.wait_ready(service, READY_SECONDS)

    def _complete(self, catalogue: Catalogue) -> None:
        """On a new state authorise our hosts and make the pool; what an administrator removes later stays away."""
        done = self._state.complete
        if done.exists():
            return
        password = self._state.secret(catalogues.SUPERUSER_PASSWORD).read_text().strip()
        api = RestClient(
            self._url, self._state.root_certificate, catalogues.SUPERUSER, password,
            database=catalogue.address.database, timeout_seconds=10,
        )  # fmt: skip
        enrolment = Enrolment(
            api, hwid(self._state, "client"), hwid(self._state, "media"), self._state.storage,
            own_tools=self._wishes.own_tools,
        )  # fmt: skip
        try:
            self._poll(
                enrolment.advance, READY_SECONDS, lambda: f"The installation is not complete: {enrolment.problem}."
            )
            api.logout()
        finally:
            api.close()
        self._state.keep_text(done, "yes")

    def _wait_connected(self, catalogue: Catalogue) -> None:
        """Wait for our hosts, unless an administrator removed them, and a moment for the pools."""
        ours = {hwid(self._state, role) for role in ("client", "media")}
        expected = ours & catalogues.known_hosts(catalogue)
        self._poll(
            lambda: expected <= catalogues.online_hosts(catalogue),
            READY_SECONDS,
            lambda: f"Client or media server do not connect to the server; see {self._state.root / 'log'}.",
        )
        deadline = time.monotonic() + POOL_SECONDS
        self._poll(
            lambda: not catalogues.pool_problems(catalogue) or time.monotonic() > deadline, READY_SECONDS, lambda: ""
        )
        for problem in catalogues.pool_problems(catalogue):
            log.warning("%s", problem)

    def _poll(self, condition: Callable[[], bool], limit_seconds: float, complaint: Callable[[], str]) -> None:
        """Like Supervisor.wait, for conditions that cost something: asked a few times a second."""
        asked_at = 0.0

        def held() -> bool:
            nonlocal asked_at
            if time.monotonic() - asked_at < POLL_SECONDS:
                return False
            holds = condition()
            asked_at = time.monotonic()
            return holds

        self._supervisor.wait(held, limit_seconds, complaint)
