"""The env file of each process of the machine, written anew at each start, and the ports in them."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from rubackup.roles.settings import ConfigurationFault, Settings, render, render_folders
from rubackup.roles.up.catalogue import NEW, Catalogue
from rubackup.roles.up.certificates import hwid
from rubackup.roles.up.faults import StartupFault, explained
from rubackup.roles.up.ports import LOOPBACK, listening, listening_somewhere
from rubackup.roles.up.state import State, write_text

_PORT_KEYS = {"api": "APP_PORT", "server": "CONTROL_PORT", "media": "DATA_PORT"}


@dataclass(frozen=True)
class Wishes:
    """What an installation has otherwise than `rubackup up` by itself."""

    settings: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Settings by role, which win."""
    own_tools: bool = False
    """Whether the client's own tools may make copies, restore them and see rules (`rubackup client`)."""
    new_catalogue: bool = False
    """Whether an empty catalogue may begin where the state had one that is lost."""
    new_command: str = NEW
    """What an administrator types who wants that."""
    socket: Path | None = None
    """The folder of the socket of a PostgreSQL that systemd runs on the state's data, in place of one of our own."""


AS_IT_IS = Wishes()


@dataclass(frozen=True)
class Ports:
    """TCP ports of the listeners, all on loopback."""

    api: int
    server: int
    media: int


def choose_ports(state: State, api_port: int) -> Ports:
    """Ports nobody listens on: the API's as wished, the others as at the last start where they are free.

    All are held until the last is chosen, so that no two are equal.
    """
    with contextlib.ExitStack() as held:
        if api_port:
            _hold(held, api_port)
        chosen = {"api": api_port}
        for role in ("api", "server", "media"):
            if not chosen.get(role):
                chosen[role] = _free(held, _previous(state, role))
        return Ports(**chosen)


def _hold(held: contextlib.ExitStack, port: int) -> int:
    try:
        listener = held.enter_context(listening(port))
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise StartupFault(f"Port {port} is in use.") from error
        raise StartupFault(f"Port {port} cannot be used: {(error.strerror or str(error)).lower()}.") from error
    return int(listener.getsockname()[1])


def _free(held: contextlib.ExitStack, wish: int) -> int:
    if wish:
        with contextlib.suppress(StartupFault):
            return _hold(held, wish)
    return int(held.enter_context(listening_somewhere()).getsockname()[1])


def _previous(state: State, role: str) -> int:
    path = state.settings(role)
    if not path.exists():
        return 0
    try:
        return Settings.load(path, {}).port(_PORT_KEYS[role], 0)
    except ConfigurationFault:
        return 0


def api_host(environment: Mapping[str, str] = os.environ) -> str:
    """The name under which the API is called (guide: APP_HOST)."""
    return environment.get("APP_HOST") or "localhost"


def reserve_servers(environment: Mapping[str, str] = os.environ) -> list[str]:
    """RESERVE_SERVERS: servers elsewhere on the same catalogue, which the hosts of this machine are connected to as well."""
    if not environment.get("RESERVE_SERVERS"):
        return []
    found = Settings({}, "the environment", environment).servers("RESERVE_SERVERS")
    return [f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in found]


def time_zone(environment: Mapping[str, str] = os.environ) -> str:
    """TIMEZONE, or the machine's zone, or UTC."""
    if named := environment.get("TIMEZONE"):
        return named
    with contextlib.suppress(OSError):
        return Path("/etc/timezone").read_text().strip() or "UTC"
    return "UTC"


def write_settings(state: State, catalogue: Catalogue, ports: Ports, log_level: str, wishes: Wishes = AS_IT_IS) -> None:
    """The env files of all roles."""
    for role, values in _values(state, catalogue, ports).items():
        common = {
            "HOSTNAME": socket.gethostname(),
            "HWID": hwid(state, role),
            "ROOT_CA_FILE": str(state.root_certificate),
            "READY_FILE": str(state.ready_mark(role)),
            "LOG_LEVEL": log_level,
        }
        with explained("Cannot write the settings"):
            write_text(state.settings(role), render({**values, **common, **wishes.settings.get(role, {})}))


def _values(state: State, catalogue: Catalogue, ports: Ports) -> dict[str, dict[str, str]]:
    keys = state.root / "keys"
    address = catalogue.address
    database = {
        "DB_HOST": address.host,
        "DB_PORT": str(address.port),
        "DB_NAME": address.database,
        "DB_USER": address.user,
        "DB_PASSWORD_FILE": str(catalogue.password_file.absolute()),
    }
    servers = {"RB_SERVER_HOST": ",".join([f"{LOOPBACK}:{ports.server}", *reserve_servers()])}
    return {
        "server": {
            **database,
            "CONTROL_HOST": LOOPBACK,
            "CONTROL_PORT": str(ports.server),
            "KEY_FILE": str(keys / "server/serverKey.key"),
            "CERT_FILE": str(keys / "server/serverCert.crt"),
            "ISSUING_KEY_FILE": str(keys / "server/issuingCAKey.key"),
            "ISSUING_CERT_FILE": str(keys / "server/issuingCACert.crt"),
            "STATE_DIR": str(state.root),
            "TIMEZONE": time_zone(),
        },
        "api": {
            **database,
            **servers,
            "APP_HOST": api_host(),
            "APP_PORT": str(ports.api),
            "KEY_FILE": str(keys / "api/apiKey.key"),
            "CERT_FILE": str(keys / "api/apiCert.crt"),
            "STATE_DIR": str(state.root / "secrets"),
            "TIMEZONE": time_zone(),
        },
        "media": {
            **servers,
            "DATA_HOST": LOOPBACK,
            "DATA_PORT": str(ports.media),
            "KEY_FILE": str(keys / "media/mediaKey.key"),
            "CERT_FILE": str(keys / "media/mediaCert.crt"),
            "STATE_DIR": str(state.root / "media"),
        },
        "client": {
            **servers,
            "KEY_FILE": str(keys / "client/clientKey.key"),
            "CERT_FILE": str(keys / "client/clientCert.crt"),
            "CLIENT_SOCKET": str(state.client_socket),
            "PROTECTED_DIRS": render_folders([state.root.resolve()]),
        },
    }
