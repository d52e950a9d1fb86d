"""Role, database, schema and superuser of an installation in the PostgreSQL that an administrator names."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from rubackup.catalog.database import DatabaseAddress
from rubackup.catalog.encryption import VERIFIED
from rubackup.catalog.migrate import migrate, version
from rubackup.domain.errors import RubackupError
from rubackup.roles.init import as_administrator, ownership
from rubackup.roles.init.folders import settle
from rubackup.roles.init.ownership import Installation
from rubackup.roles.init.plan import Plan
from rubackup.roles.installed.bundle import READABLE_BY_ALL, READABLE_BY_GROUP
from rubackup.roles.installed.layout import Layout
from rubackup.roles.settings import ConfigurationFault
from rubackup.roles.up.catalogue import connected, make_database, make_superuser
from rubackup.roles.up.faults import StartupFault
from rubackup.services import emergency
from rubackup.wire.certificates import load_certificates
from rubackup.wire.pki import write_private

SOCKETS = Path("/var/run/postgresql")
"""Where Debian's and Red Hat's PostgreSQL listens for users of its own host."""
LOCAL = frozenset({"localhost", "127.0.0.1", "::1", str(SOCKETS)})


class ServiceDatabase:
    """The service database that a plan wants. `inspect` comes first and changes nothing."""

    def __init__(
        self,
        layout: Layout,
        plan: Plan,
        installation: Callable[[], Installation],
        password: str = "",
        root: str = "",
    ) -> None:
        """`installation` tells who asks, as it is then; `password` is the role's, `root` the certificate of PostgreSQL's CA,
        where a file for this host brought them.
        """
        self._layout = layout
        self._plan = plan
        self._installation = installation
        self._password = plan.db_password or password
        self._root = certificate_of(plan.db_root_cert, "--db-root-cert").decode() if plan.db_root_cert else root

    def address(self) -> DatabaseAddress:
        """Where it is or will be."""
        plan = self._plan
        assert plan.db_port is not None, "the plan is completed"
        root = self._root or (str(self._layout.database_root) if self._layout.database_root.exists() else "")
        mode = plan.db_sslmode or ("verify-full" if root else "prefer")
        if mode in VERIFIED and not root:
            raise ConfigurationFault(f"--db-sslmode {mode} needs --db-root-cert, the certificate of PostgreSQL's CA.")
        password = self._known_password()
        return DatabaseAddress(plan.db_host, plan.db_port, plan.db_user, password, plan.db_name, mode, root)

    def inspect(self) -> None:
        """StartupFault or Conflict say why it can neither be made nor be this installation's."""
        if self._known_password() and self._usable():
            return
        if (administrator := self._administrator()) is not None:
            asyncio.run(ownership.look(administrator, self.address(), self._installation()))
        elif self._over_socket():
            as_administrator.ask(self._plan.db_admin, "look", self.address(), self._installation())
        elif self._known_password():
            asyncio.run(ownership.look_as_role(self.address(), self._installation()))  # its error is the reason
        else:
            raise StartupFault(
                f"Nobody can make the role {self._plan.db_user} in the PostgreSQL at"
                f" {self._plan.db_host}:{self._plan.db_port}: give the password of its administrator"
                f" {self._plan.db_admin} in a file (-X), or make role and database there and give the role's (--db-password)."
            )

    def keep_password(self) -> None:
        """The password of the role, where the programs read it; made at random when nobody gave one."""
        path = self._layout.database_password
        if self._password or not path.exists():
            text = self._password or secrets.token_urlsafe(24)
            settle(path, f"{text}\n".encode(), READABLE_BY_GROUP)

    def keep_root(self) -> None:
        """The certificate of PostgreSQL's CA, where the programs read it."""
        if self._root:
            settle(self._layout.database_root, self._root.encode(), READABLE_BY_ALL)

    def make(self) -> None:
        """Role and database; what can be used already stays as it is."""
        if self._usable():
            return
        if (administrator := self._administrator()) is not None:
            asyncio.run(make_database(administrator, self.address()))
        elif self._over_socket():
            as_administrator.ask(self._plan.db_admin, "make", self.address(), self._installation())

    def bring_schema(self) -> str:
        """The schema of this version, and the mark of this installation; a sentence when an older one was brought forward.

        Of a service database that is in use only the half that processes of the version before can work with.
        """
        address = self.address()
        before, used = asyncio.run(_state(address))
        asyncio.run(migrate(address, "pre" if used else "all", keep_way_back=used))
        after, _ = asyncio.run(_state(address))
        asyncio.run(ownership.mark(address, self._installation()))
        if not used or before == after:
            return ""
        return (
            f"The service database was brought from schema {before} to {after}, with which processes of the version before"
            " can work; once none of them runs, rb_init --finish-upgrade completes it."
        )

    def make_superuser(self) -> None:
        """The first superuser, if there is none, and the folder of the emergency storage, unless one was named."""

        async def work() -> None:
            async with connected(self.address()) as connection:
                await make_superuser(connection, lambda: _superuser_password(self._layout, self._plan))
                await emergency.place(connection, str(self._layout.emergency))

        asyncio.run(work())

    # --- parts ---

    def _known_password(self) -> str:
        path = self._layout.database_password
        if self._password or not path.exists():
            return self._password
        return path.read_text(encoding="utf-8").strip()

    def _usable(self) -> bool:
        """Whether the role gets in with the password that is known; Conflict when what is there is not ours."""
        try:
            asyncio.run(ownership.look_as_role(self.address(), self._installation()))
        except StartupFault:
            return False
        return True

    def _administrator(self) -> DatabaseAddress | None:
        plan = self._plan
        if not plan.db_admin_password:
            return None
        return replace(self.address(), user=plan.db_admin, password=plan.db_admin_password, database="postgres")

    def _over_socket(self) -> bool:
        assert self._plan.db_port is not None, "the plan is completed"
        return over_socket(self._plan.db_host, self._plan.db_port)


def over_socket(host: str, port: int) -> bool:
    """Whether this process may become PostgreSQL's system user on this host, which needs no password."""
    return host in LOCAL and os.geteuid() == 0 and (SOCKETS / f".s.PGSQL.{port}").exists()


def certificate_of(path: Path, flag: str) -> bytes:
    """The certificates in a file; ConfigurationFault names the flag."""
    try:
        data = path.read_bytes()
        load_certificates(data)
    except OSError as error:
        raise ConfigurationFault(f"{flag}: cannot read {path}: {error.strerror}.") from error
    except RubackupError as error:
        raise ConfigurationFault(f"{flag}: {path}: {error.message}") from error
    return data


async def _state(address: DatabaseAddress) -> tuple[str | None, bool]:
    """The schema's version, and whether an installation has used it: there is a superuser."""
    async with connected(address) as connection:
        found = await version(connection)
        used = bool(
            await connection.fetchval("SELECT to_regclass('users') IS NOT NULL")
            and await connection.fetchval("SELECT EXISTS (SELECT 1 FROM users WHERE is_superuser)")
        )
    return found, used


def password_file(layout: Layout) -> Path:
    """Where the superuser's first password lies when nobody gave one."""
    return layout.root / "keys/superuser-password"


def _superuser_password(layout: Layout, plan: Plan) -> str:
    if plan.superuser_password:
        return plan.superuser_password
    path = password_file(layout)
    if not path.exists():
        write_private(path, f"{secrets.token_urlsafe(18)}\n".encode())
    return path.read_text(encoding="utf-8").strip()
