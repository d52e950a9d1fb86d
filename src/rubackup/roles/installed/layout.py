"""Where an installation keeps what: the guide's folders below one prefix.

bin  lib                     programs; the virtual environment
etc/config.file              of server, media server and client
etc/rubackup_api.env         of the API, which reads nothing else
etc/rubackup_api_logger.conf
keys/{rootCA,server,client,media,api}   keys and certificates; keys/database/password
log/rubackup_<program>       a folder a program, its own user's
mnt                          where cartridges are mounted
var/{media,client,pools}     indexes and notes; the first storage
var/emergency                for pools without room
var/run/<program>            process id, socket of the client's tools
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

PREFIX = Path("/opt/rubackup")
VARIABLE = "RUBACKUP_PREFIX"
TOKEN_SECRET = "token-secret"  # noqa: S105 - a file's name
"""In the folder of an API, the file with the secret of its sessions."""


@dataclass(frozen=True)
class Layout:
    """Paths of an installation."""

    root: Path = PREFIX

    @classmethod
    def here(cls) -> Layout:
        """The installation that this process belongs to: RUBACKUP_PREFIX, else the guide's folder."""
        return cls(Path(os.environ.get(VARIABLE) or PREFIX).absolute())

    @property
    def config_file(self) -> Path:
        """Settings of server, media server and client."""
        return self.root / "etc/config.file"

    @property
    def api_environment(self) -> Path:
        """Settings of the API."""
        return self.root / "etc/rubackup_api.env"

    @property
    def logger_conf(self) -> Path:
        """How the API logs."""
        return self.root / "etc/rubackup_api_logger.conf"

    @property
    def root_certificate(self) -> Path:
        """What every other certificate leads to."""
        return self.root / "keys/rootCA/serverRootCACert.crt"

    @property
    def root_key(self) -> Path:
        """The root's key, on the primary server only; may be kept elsewhere."""
        return self.root / "keys/rootCA/serverRootCAKey.key"

    @property
    def issuing_key(self) -> Path:
        """The key that signs certificates of hosts, on servers only."""
        return self.root / "keys/server/issuingCAKey.key"

    @property
    def issuing_certificate(self) -> Path:
        """The certificate of the issuing CA."""
        return self.root / "keys/server/issuingCACert.crt"

    @property
    def database_password(self) -> Path:
        """The password of the service database's role."""
        return self.root / "keys/database/password"

    @property
    def database_root(self) -> Path:
        """The certificate that PostgreSQL's leads to, where one was given."""
        return self.root / "keys/database/root.crt"

    @property
    def database_access(self) -> Path:
        """What the file of a dedicated API host said of the service database: its name, this host's role, the encryption."""
        return self.root / "keys/database/access"

    @property
    def master_key(self) -> Path:
        """The key of this host's encrypted copies, once there are some."""
        return self.root / "keys/master-key"

    @property
    def default_storage(self) -> Path:
        """The first storage of the pool Default."""
        return self.root / "var/pools/Default"

    @property
    def emergency(self) -> Path:
        """What pools without room write to, unless an administrator has named another folder."""
        return self.root / "var/emergency"

    def key(self, role: str) -> Path:
        """The private key of a role."""
        return self.root / "keys" / role / f"{role}Key.key"

    def certificate(self, role: str) -> Path:
        """The certificate of a role, followed by its issuer's."""
        return self.root / "keys" / role / f"{role}Cert.crt"

    @property
    def token_secret(self) -> Path:
        """What this host's API signs session tokens with, unless TOKEN_SECRET_FILE names another."""
        return self.key("api").with_name(TOKEN_SECRET)

    def hwid(self, role: str) -> Path:
        """The file with the hardware id of a role."""
        return self.root / "keys" / role / "hwid"

    def state(self, role: str) -> Path:
        """The folder in which a role keeps what it has to know."""
        return self.root / "var" / role

    def run(self, role: str) -> Path:
        """The folder of a role's process id and sockets."""
        return self.root / "var/run" / role

    def log(self, role: str) -> Path:
        """The folder of a role's logs."""
        return self.root / "log" / f"rubackup_{role}"

    @property
    def client_socket(self) -> Path:
        """Where the client's process serves the tools of its host."""
        return self.run("client") / "client.sock"
