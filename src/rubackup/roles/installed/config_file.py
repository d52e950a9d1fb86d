"""`config.file`: the settings of server, media server and client, `key value` lines; `#` begins a comment line.

What a key is called here and what the role's process calls it stand in one table, so that
every error names the key that the administrator has written.
"""

from __future__ import annotations

import difflib
import shlex
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rubackup.domain.identity import is_host
from rubackup.roles.installed.interfaces import address_of
from rubackup.roles.installed.layout import Layout
from rubackup.roles.settings import ConfigurationFault, Settings, render_folders

ALL = frozenset({"server", "media", "client"})
SERVER = frozenset({"server"})
MEDIA = frozenset({"media"})
CLIENT = frozenset({"client"})
ALONE = frozenset({"alone"})

LOCAL = "local"
"""What a Client defined pool calls the storage of use-local-backup-directory."""
AUTONOMOUS = "autonomous-client"
NODES: dict[str, frozenset[str]] = {
    "primary-server": ALL,
    "secondary-server": ALL,
    "media-server": MEDIA | CLIENT,
    "client": CLIENT,
    AUTONOMOUS: ALONE,
}
"""Values of `node`, with the roles that such a host may run."""
TUNING = ("MEMORY_STORAGES", "GC_GRACE_SECONDS", "RETENTION_SECONDS", "ROUNDS_SECONDS", "READY_FILE")
"""What tests and benchmarks set in the environment; nothing else of it is read."""


@dataclass(frozen=True)
class Key:
    """One key: its name in the file, the process' name for it, who reads it, what it means, its default.

    `otherwise` tells, for the manual, what holds where there is neither a value nor a default.
    """

    name: str
    env: str
    roles: frozenset[str]
    meaning: str
    default: str = ""
    otherwise: str = ""


KEYS = (
    Key("node", "", ALL | ALONE, f"what this host is: {', '.join(NODES)}"),
    Key("who-is-primary-server", "RB_SERVER_HOST", ALL, "servers to connect to, `host:port,host:port`", "localhost"),
    Key("hostname", "HOSTNAME", ALL, "name of this host as administrators see it", otherwise="that of the host"),
    Key("dbhost", "DB_HOST", SERVER, "host of PostgreSQL: name, address or folder of its socket", "localhost"),
    Key("dbport", "DB_PORT", SERVER, "port of PostgreSQL", "5432"),
    Key("dbname", "DB_NAME", SERVER, "the service database", "rubackup"),
    Key("user", "DB_USER", SERVER, "role of the service database", "rubackup"),
    Key("password-file", "DB_PASSWORD_FILE", SERVER, "file with that role's password", otherwise="`keys/database/password`"),
    Key("db-sslmode", "DB_SSLMODE", SERVER, "how the way to PostgreSQL is encrypted: disable, prefer, require, verify-ca, verify-full", otherwise="`verify-full` with a root certificate, else `prefer`"),
    Key("db-root-cert", "DB_ROOT_CERT", SERVER, "certificate of the CA of PostgreSQL's certificate", otherwise="`keys/database/root.crt`, if it is there"),
    Key(
        "server-inet-interface", "CONTROL_HOST", SERVER,
        "where hosts and APIs connect to this server: an address, a name, or a network interface", "127.0.0.1",
    ),
    Key("server-port", "CONTROL_PORT", SERVER, "port of the same", "9991"),
    Key(
        "media-inet-interface", "DATA_HOST", MEDIA,
        "where clients send and fetch data: an address, a name, or a network interface", "127.0.0.1",
    ),
    Key("media-port", "DATA_PORT", MEDIA, "port of the same", "9993"),
    Key("media-name", "DATA_NAME", MEDIA, "name or address of the media server that clients are told", otherwise="`media-inet-interface`"),
    Key("free-bind", "FREE_BIND", SERVER | MEDIA, "whether to listen on an address, too, that this host has not now: it moves between hosts, or comes late", "False"),
    Key("parallelizm", "PARALLEL_TASKS", MEDIA | CLIENT | ALONE, "how many tasks this host works on at a time, 1 to 64", "8"),
    Key("timezone", "TIMEZONE", SERVER | ALONE, "IANA name of the zone of schedules and times of day", otherwise="that of the host"),
    Key("log-level", "LOG_LEVEL", ALL | ALONE, "DEBUG, INFO, WARNING or ERROR", "INFO"),
    Key("root-ca-fingerprint", "ROOT_CA_FINGERPRINT", MEDIA | CLIENT, "SHA-256 of the root certificate, hex"),
    Key("client-defined-storages", "CLIENT_DEFINED_STORAGES", CLIENT | ALONE, "folders of Client defined pools, `name=/folder`"),
    Key(
        "use-local-backup-directory", "LOCAL_BACKUP_DIRECTORY", CLIENT | ALONE,
        f"folder in which this host's client keeps copies itself: storage `{LOCAL}` of a Client defined pool",
    ),
    Key("snapshot-dir", "SNAPSHOT_DIR", CLIENT | ALONE, "folder in which snapshots are mounted while they are read", otherwise="`/run/rubackup/snapshots`"),
    Key("autonomous-directory", "ALONE_DIR", ALONE, "folder that holds everything of an autonomous client"),
    Key("api-port", "APP_PORT", ALONE, "port of an autonomous client's API, on loopback", "5656"),
)  # fmt: skip
NAMES = {key.env: key.name for key in KEYS if key.env}
_BY_NAME = {key.name: key for key in KEYS}
_EVERYWHERE = frozenset({"127.0.0.1", "localhost", "0.0.0.0", "::"})  # noqa: S104 - what an administrator may have written
_INTERFACES = {"CONTROL_HOST", "DATA_HOST"}


@dataclass(frozen=True)
class ConfigFile:
    """What an administrator has written."""

    values: Mapping[str, str]
    path: Path

    @classmethod
    def load(cls, path: Path) -> ConfigFile:
        """The file's content; ConfigurationFault names the line that is wrong."""
        try:
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError as error:
            raise ConfigurationFault(f"There is no {path}; run rb_init first.") from error
        except OSError as error:
            raise ConfigurationFault(f"Cannot read {path}: {error.strerror}.") from error
        except UnicodeDecodeError as error:
            raise ConfigurationFault(f"{path} is not UTF-8.") from error
        return cls(parse(text, str(path)), path)

    @property
    def node(self) -> str:
        """What this host is; ConfigurationFault when it is none of NODES."""
        node = self.values.get("node", "")
        if node not in NODES:
            allowed = ", ".join(NODES)
            raise ConfigurationFault(f"node must be one of {allowed}, not {node!r} ({self.path}).")
        return node

    def settings(self, role: str, layout: Layout, environment: Mapping[str, str] | None = None) -> Settings:
        """The settings of a role's process on this host; ConfigurationFault when the node runs no such role."""
        if role not in NODES[self.node]:
            raise ConfigurationFault(f"The node {self.node} runs no {role} process of its own ({self.path}).")
        written = {key.env: self.values.get(key.name) or key.default for key in KEYS if key.env and role in key.roles}
        for env in _INTERFACES & written.keys():
            written[env] = address_of(written[env], NAMES[env])
        if name := written.get("DATA_NAME", ""):
            _told_name(name)
        if role == "server" and written["CONTROL_HOST"] not in _EVERYWHERE:
            written["CONTROL_HOST"] = f"127.0.0.1,{written['CONTROL_HOST']}"  # this host's own programs dial localhost
        if folder := written.pop("LOCAL_BACKUP_DIRECTORY", ""):
            stored = f"{LOCAL}={folder}"
            written["CLIENT_DEFINED_STORAGES"] = f"{written['CLIENT_DEFINED_STORAGES']} {shlex.quote(stored)}".strip()
        values = {**_places(role, layout), **{key: value for key, value in written.items() if value}}
        kept = {key: environment[key] for key in TUNING if key in environment} if environment else {}
        return Settings(values, str(self.path), kept, NAMES)


def _told_name(text: str) -> None:
    """A name that others look up, so that this host need not know it; ConfigurationFault when it can be none."""
    if not is_host(text):
        raise ConfigurationFault(
            f"{NAMES['DATA_NAME']} must be a host name or an address without a port, not {text!r}."
        )


def _places(role: str, layout: Layout) -> dict[str, str]:
    """What follows from the layout and is not for an administrator to choose."""
    if role == "alone":
        return {}
    values = {
        "HOSTNAME": socket.gethostname(),
        "HWID": read_hwid(role, layout),
        "KEY_FILE": str(layout.key(role)),
        "CERT_FILE": str(layout.certificate(role)),
        "ROOT_CA_FILE": str(layout.root_certificate),
        "STATE_DIR": str(layout.state(role)),
    }
    if role == "server":
        values |= {
            "DB_PASSWORD_FILE": str(layout.database_password),
            "ISSUING_KEY_FILE": str(layout.issuing_key),
            "ISSUING_CERT_FILE": str(layout.issuing_certificate),
        }
        if layout.database_root.exists():
            values["DB_ROOT_CERT"] = str(layout.database_root)
    if role == "client":
        own = [layout.root / "keys", layout.root / "var"]
        values |= {
            "CLIENT_SOCKET": str(layout.client_socket),
            "MASTER_KEY": str(layout.master_key),
            "PROTECTED_DIRS": render_folders([folder.resolve() for folder in own]),
        }
    return values


def read_hwid(role: str, layout: Layout) -> str:
    """The hardware id of a role on this host; ConfigurationFault when rb_init has not made one."""
    path = layout.hwid(role)
    try:
        return path.read_text(encoding="utf-8").strip()
    except FileNotFoundError as error:
        raise ConfigurationFault(f"There is no {path}; run rb_init first.") from error
    except OSError as error:
        raise ConfigurationFault(f"Cannot read {path}: {error.strerror}.") from error


def parse(text: str, source: str) -> dict[str, str]:
    """The pairs of a configuration file; ConfigurationFault names the line and what is allowed."""
    values: dict[str, str] = {}
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        name, _, value = line.partition(" ")
        if name == "password":
            raise ConfigurationFault(
                f"Line {number} of {source}: a password does not stand in this file; name a file in password-file."
            )
        if name not in _BY_NAME:
            near = difflib.get_close_matches(name, _BY_NAME, 1)
            hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(_BY_NAME)}."
            raise ConfigurationFault(f"Line {number} of {source}: there is no key {name!r}; {hint}")
        if name in values:
            raise ConfigurationFault(f"Line {number} of {source} repeats the key {name}.")
        values[name] = value.strip()
    return values


def render(values: Mapping[str, str]) -> str:
    """A file with these values, every other key as a comment that says what it is and its default."""
    lines = ["# Settings of RuBackup's server, media server and client on this host: key value. rubackup config check"]
    for key in KEYS:
        lines.append(f"\n# {key.meaning}" + (f" (default: {key.default})" if key.default else ""))
        value = values.get(key.name, "")
        if "\n" in value or value != value.strip():
            raise ConfigurationFault(f"{key.name} has a value that cannot stand in a configuration file.")
        lines.append(f"{key.name} {value}" if value else f"#{key.name} {key.default}".rstrip())
    return "\n".join(lines) + "\n"
