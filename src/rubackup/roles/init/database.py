"""Role, database, schema and superuser of an installation in the PostgreSQL that an administrator names."""

from __future__ import annotations

import asyncio
import json
import os
import pwd
import secrets
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

from rubackup.catalog.database import DatabaseAddress
from rubackup.roles.init.plan import Plan
from rubackup.roles.installed.bundle import READABLE_BY_GROUP, put
from rubackup.roles.installed.layout import Layout
from rubackup.roles.up import catalogue
from rubackup.roles.up.catalogue import Catalogue, connected
from rubackup.roles.up.faults import StartupFault
from rubackup.wire.pki import write_private

SOCKETS = Path("/var/run/postgresql")
"""Where Debian's and Red Hat's PostgreSQL listens for users of its own host."""
LOCAL = frozenset({"localhost", "127.0.0.1", "::1", str(SOCKETS)})
API_CONNECTIONS = 12
SERVER_CONNECTIONS = 16
"""What a process opens at most: its pool, its listener, its lock."""
RESERVED_ADVICE = 50
"""The guide's value of superuser_reserved_connections."""


def keep_password(layout: Layout) -> str:
    """The password of the service database's role, made at random when there is none."""
    path = layout.database_password
    if not path.exists():
        put(path, f"{secrets.token_urlsafe(24)}\n".encode(), READABLE_BY_GROUP)
    return path.read_text(encoding="utf-8").strip()


def address(plan: Plan, password: str) -> DatabaseAddress:
    """Where the service database is to be."""
    return DatabaseAddress(plan.db_host, plan.db_port, plan.db_user, password, plan.db_name)


def prepare(layout: Layout, plan: Plan) -> DatabaseAddress:
    """Make what is missing; StartupFault or Conflict say what is not possible."""
    wanted = address(plan, keep_password(layout))
    administrator = None
    if plan.db_admin_password:
        administrator = replace(wanted, user=plan.db_admin, password=plan.db_admin_password, database="postgres")
    elif plan.db_host in LOCAL and os.geteuid() == 0 and _socket(plan.db_port).exists():
        _make_as_system_user(wanted, plan.db_admin)
    found = Catalogue(wanted, layout.database_password, administrator)
    catalogue.prepare_with(found, _superuser_password(layout, plan), alone=False)
    return wanted


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


def _socket(port: int) -> Path:
    return SOCKETS / f".s.PGSQL.{port}"


def _make_as_system_user(wanted: DatabaseAddress, user: str) -> None:
    """Make role and database over PostgreSQL's own socket, which knows the system's user and wants no password."""
    try:
        account = pwd.getpwnam(user)
    except KeyError as error:
        raise StartupFault(f"There is no user {user} on this host; give PostgreSQL's password with -X.") from error
    result = subprocess.run(
        [sys.executable, "-m", "rubackup.roles.init.as_administrator", user],
        input=json.dumps(asdict(wanted)), capture_output=True, text=True, check=False, timeout=120, cwd="/",
        user=account.pw_uid, group=account.pw_gid, extra_groups=[],
    )  # fmt: skip
    if result.returncode:
        raise StartupFault(result.stderr.strip() or "Role and database could not be made.")


async def advice(wanted: DatabaseAddress) -> list[str]:
    """What of PostgreSQL's settings an administrator should change, a sentence each."""
    async with connected(wanted) as connection:
        most = int(await connection.fetchval("SELECT setting FROM pg_settings WHERE name = 'max_connections'"))
        reserved = int(
            await connection.fetchval("SELECT setting FROM pg_settings WHERE name = 'superuser_reserved_connections'")
        )
    needed = API_CONNECTIONS + SERVER_CONNECTIONS
    found = []
    if reserved < RESERVED_ADVICE:
        found.append(
            f"superuser_reserved_connections is {reserved}; set it to {RESERVED_ADVICE} in postgresql.conf, so that"
            " administrators get in when all other connections are taken."
        )
    free = most - max(reserved, RESERVED_ADVICE)
    if free < 2 * needed:
        found.append(
            f"max_connections is {most}: with {RESERVED_ADVICE} reserved {max(free, 0)} are left, and one server and one"
            f" API open up to {needed}. Set it to {RESERVED_ADVICE + 2 * needed} or more; PostgreSQL has to be restarted."
        )
    return found


def advise(wanted: DatabaseAddress) -> list[str]:
    """`advice`, for callers outside a loop."""
    return asyncio.run(advice(wanted))
