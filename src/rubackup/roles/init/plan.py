"""What an administrator wants of `rb_init`, checked before anything is changed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from rubackup.domain.identity import HOSTNAME
from rubackup.roles.installed.config_file import NODES
from rubackup.roles.settings import ConfigurationFault, Settings

_FINGERPRINT = re.compile(r"[0-9a-fA-F]{64}")
PASSWORD_LENGTHS = range(8, 1025)


@dataclass(frozen=True)
class Plan:
    """The answers, from flags or from questions."""

    node: str
    db_host: str = "localhost"
    db_port: int = 5432
    db_name: str = "rubackup"
    db_user: str = "rubackup"
    db_admin: str = "postgres"
    db_admin_password: str = ""
    """Empty: this host's own PostgreSQL, asked as the system's user of that name; or role and database are there."""
    superuser_password: str = ""
    """Empty: made at random and written into a file."""
    interface: str = ""
    """Where this host listens for others; empty: for itself only."""
    storage: Path | None = None
    primary: str = "localhost"
    fingerprint: str = ""
    root_ca: Path | None = None
    bundle: Path | None = None
    hostname: str = ""

    def __repr__(self) -> str:
        return f"Plan({self.node})"

    @property
    def serves(self) -> bool:
        """Whether this host has the service database's password and signs certificates."""
        return self.node in {"primary-server", "secondary-server"}

    def check(self) -> None:
        """ConfigurationFault names the answer that cannot be, and what is allowed."""
        if self.node not in NODES:
            raise ConfigurationFault(f"-n must be one of {', '.join(NODES)}, not {self.node!r}.")
        if not 0 < self.db_port < 65536:
            raise ConfigurationFault(f"--db-port must be a port from 1 to 65535, not {self.db_port}.")
        if self.hostname and not HOSTNAME.fullmatch(self.hostname):
            raise ConfigurationFault(f"--hostname must be a host name, not {self.hostname!r}.")
        if self.superuser_password and len(self.superuser_password) not in PASSWORD_LENGTHS:
            raise ConfigurationFault("The superuser's password must have 8 to 1024 characters.")
        if self.storage is not None and not self.storage.is_absolute():
            raise ConfigurationFault(f"-f must be an absolute folder, not {str(self.storage)!r}.")
        Settings({"c": self.primary}, "-c", names={"c": "-c"}).servers("c")
        if self.fingerprint and not _FINGERPRINT.fullmatch(self.fingerprint):
            raise ConfigurationFault("--fingerprint must be the SHA-256 of the root certificate: 64 hex digits.")
        if self.node == "secondary-server" and self.bundle is None:
            raise ConfigurationFault(
                "A secondary server needs --bundle FILE, which rb_init --enroll-server NAME writes on the primary server."
            )


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
