"""What an administrator wants of `rb_init`, checked before anything is changed."""

from __future__ import annotations

import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rubackup.catalog.encryption import MODES
from rubackup.domain.identity import HOSTNAME
from rubackup.roles.arguments import length_fault
from rubackup.roles.installed.config_file import AUTONOMOUS, NODES
from rubackup.roles.installed.interfaces import own_address
from rubackup.roles.settings import ConfigurationFault, Settings

_FINGERPRINT = re.compile(r"[0-9a-fA-F]{64}")
PASSWORD_LENGTHS = range(8, 1025)
"""As the API has it (services.users)."""
SERVERS = frozenset({"primary-server", "secondary-server"})
MEDIA = SERVERS | {"media-server"}
AGENTS = frozenset({"media-server", "client"})
FLAGS: dict[str, tuple[str, frozenset[str]]] = {
    "db_host": ("-H", SERVERS),
    "db_port": ("--db-port", SERVERS),
    "db_name": ("--db-name", SERVERS),
    "db_user": ("--db-user", SERVERS),
    "db_admin": ("--db-admin", SERVERS),
    "db_admin_password": ("-X", SERVERS),
    "db_password": ("--db-password", SERVERS),
    "db_sslmode": ("--db-sslmode", SERVERS),
    "db_root_cert": ("--db-root-cert", SERVERS),
    "adopt": ("--adopt-database", SERVERS),
    "superuser_password": ("-Y", frozenset({"primary-server", AUTONOMOUS})),
    "interface": ("-i", MEDIA | {"client"}),
    "free_bind": ("--free-bind", MEDIA),
    "storage": ("-f", frozenset({"primary-server"})),
    "primary": ("-c", MEDIA | {"client"}),
    "fingerprint": ("--fingerprint", AGENTS),
    "root_ca": ("--root-ca", AGENTS),
    "bundle": ("--bundle", frozenset({"secondary-server"})),
    "hostname": ("--hostname", MEDIA | {"client"}),
    "alone": ("-a", frozenset({AUTONOMOUS})),
}
"""Which flag gives which part of a plan, and for which nodes it means something. The others are for all."""
_KEPT = {
    "db_host": ("dbhost", "localhost"),
    "db_port": ("dbport", "5432"),
    "db_name": ("dbname", "rubackup"),
    "db_user": ("user", "rubackup"),
    "db_sslmode": ("db-sslmode", ""),
    "primary": ("who-is-primary-server", "localhost"),
    "alone": ("autonomous-directory", ""),
}
"""What nobody says again is as config.file has it, else the default."""


@dataclass(frozen=True)
class Plan:
    """The answers, from flags or from questions; what is empty was not said."""

    node: str
    db_host: str = ""
    db_port: int | None = None
    db_name: str = ""
    db_user: str = ""
    db_admin: str = ""
    db_admin_password: str = ""
    """Empty: this host's own PostgreSQL, asked as the system's user of that name; or role and database are there."""
    db_password: str = ""
    """Of the service database's role, where it is there already."""
    db_sslmode: str = ""
    """Empty: verified where there is a root certificate, else encrypted where PostgreSQL offers it."""
    db_root_cert: Path | None = None
    superuser_password: str = ""
    """Empty: made at random and written into a file."""
    interface: str = ""
    """Where this host listens for others; empty: for itself only."""
    free_bind: bool = False
    """Whether that may be an address that this host has not now."""
    storage: Path | None = None
    primary: str = ""
    fingerprint: str = ""
    root_ca: Path | None = None
    bundle: Path | None = None
    hostname: str = ""
    alone: Path | None = None
    """The folder of an autonomous client."""
    local: Path | None = None
    """A folder in which this host's client keeps copies itself."""
    adopt: bool = False
    """Whether the service database of a lost installation is taken over."""
    change: bool = False
    """Whether a host that is something else already becomes this."""

    def __repr__(self) -> str:
        return f"Plan({self.node})"

    @property
    def serves(self) -> bool:
        """Whether this host has the service database's password and signs certificates."""
        return self.node in SERVERS

    def check(self) -> None:
        """ConfigurationFault names the answer that cannot be, and what is allowed."""
        if self.node not in NODES:
            raise ConfigurationFault(f"-n must be one of {', '.join(NODES)}, not {self.node!r}.")
        for part, (flag, nodes) in FLAGS.items():
            if getattr(self, part) not in {None, "", False} and self.node not in nodes:
                allowed = ", ".join(node for node in NODES if node in nodes)
                raise ConfigurationFault(f"{flag} means nothing to the node {self.node}; it is for {allowed}.")
        if self.db_port is not None and not 0 < self.db_port < 65536:
            raise ConfigurationFault(f"--db-port must be a port from 1 to 65535, not {self.db_port}.")
        if self.db_sslmode and self.db_sslmode not in MODES:
            raise ConfigurationFault(f"--db-sslmode must be one of {', '.join(MODES)}, not {self.db_sslmode!r}.")
        for part, look in (("hostname", hostname), ("superuser_password", password), ("primary", servers),
                           ("fingerprint", fingerprint)):  # fmt: skip
            if text := getattr(self, part):
                look(text, FLAGS[part][0])
        interface(self.interface, "-i", free=self.free_bind)
        for flag, path in (("-f", self.storage), ("-a", self.alone), ("-l", self.local)):
            if path is not None:
                folder(str(path), flag)

    def completed(self, kept: Mapping[str, str]) -> Plan:
        """The plan with what config.file says (`kept`), or else the default, where nothing was said."""
        found: dict[str, Any] = {}
        for part, (key, default) in _KEPT.items():
            text = kept.get(key) or default
            if getattr(self, part) in {None, ""} and text and (part not in FLAGS or self.node in FLAGS[part][1]):
                found[part] = text
        if "db_port" in found:
            found["db_port"] = Settings({"dbport": found["db_port"]}, "config.file").port("dbport")
        if "alone" in found:
            found["alone"] = Path(found["alone"])
        plan = replace(self, **found, db_admin=self.db_admin or "postgres")
        if plan.node == AUTONOMOUS and plan.alone is None:
            raise ConfigurationFault("An autonomous client needs -a DIR, the folder of its catalogue and copies.")
        return plan


def folder(text: str, flag: str) -> Path:
    """An absolute folder."""
    path = Path(text)
    if not path.is_absolute() or ".." in path.parts or not text.isprintable() or path == Path("/"):
        raise ConfigurationFault(f"{flag} must be an absolute folder, such as /srv/backup, not {text!r}.")
    if fault := length_fault(path):
        raise ConfigurationFault(f"{flag} {fault}")
    try:
        if path.exists() and not path.is_dir():
            raise ConfigurationFault(f"{flag} must be a folder, and {path} is something else.")
    except OSError as error:
        raise ConfigurationFault(f"{flag} cannot be {path}: {error.strerror}.") from error
    return path


def file(text: str, flag: str) -> Path:
    """A file that can be read."""
    path = Path(text)
    if not path.is_file():
        raise ConfigurationFault(f"{flag} must be a file, and there is no {text or 'name'}.")
    return path


def fingerprint(text: str, flag: str) -> str:
    """The SHA-256 of the root certificate."""
    if not _FINGERPRINT.fullmatch(text):
        raise ConfigurationFault(f"{flag} must be the SHA-256 of the root certificate: 64 hex digits.")
    return text.lower()


def servers(text: str, flag: str) -> str:
    """Servers as `host:port,host`."""
    Settings({flag: text}, "rb_init").servers(flag)
    return text


def hostname(text: str, flag: str) -> str:
    """A host's name."""
    if not HOSTNAME.fullmatch(text):
        raise ConfigurationFault(f"{flag} must be a host name, not {text!r}.")
    return text


def database_host(text: str, flag: str) -> str:
    """A name or address, or the folder of a socket."""
    if not text.startswith("/"):
        _resolved(text, flag)
    return text


def interface(text: str, flag: str, *, free: bool = False) -> str:
    """A network interface with an address, or an address or name of this host, which is there now unless `free`; '' for none."""
    if text:
        own_address(text, flag, free=free)
    return text


def _resolved(text: str, flag: str) -> None:
    try:
        socket.getaddrinfo(text, None)
    except (OSError, UnicodeError) as error:
        raise ConfigurationFault(
            f"{flag} must be a host name or an address, and {text!r} has no address here."
        ) from error


def password(text: str, flag: str) -> str:
    """A password as the API takes it."""
    if len(text) not in PASSWORD_LENGTHS:
        raise ConfigurationFault(f"{flag}: the password must have 8 to 1024 characters.")
    return text


def read_password(path: Path, flag: str) -> str:
    """The password in a file; ConfigurationFault names the flag."""
    try:
        text = path.read_text(encoding="utf-8").strip("\r\n")
    except OSError as error:
        raise ConfigurationFault(
            f"{flag} names a file with the password, as every user of a host sees arguments; {path}: {error.strerror}."
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigurationFault(f"{flag}: {path} is not UTF-8.") from error
    if not text:
        raise ConfigurationFault(f"{flag}: {path} is empty.")
    return text
