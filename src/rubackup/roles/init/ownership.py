"""Whose a service database is. Looked at before anything is changed: an installation never takes another's over unasked.

The database carries the fingerprint of its installation's root certificate as its comment. One
without that mark is known by this host's media server, or as new by having no hosts at all.
"""

from __future__ import annotations

import contextlib
from dataclasses import asdict, dataclass, replace

import asyncpg

from rubackup.catalog.database import Connection, DatabaseAddress
from rubackup.catalog.migrate import check_version, version
from rubackup.domain.errors import Conflict
from rubackup.roles.up.catalogue import connected
from rubackup.roles.up.faults import StartupFault

MARK = "RuBackup installation "
OLDEST = 15
_MARK_OF = "SELECT coalesce(shobj_description(oid, 'pg_database'), '') FROM pg_database WHERE datname = $1"
_OTHERS = """SELECT d.datname FROM pg_database d JOIN pg_roles r ON r.oid = d.datdba
WHERE r.rolname = $1 AND d.datname <> $2 AND starts_with(shobj_description(d.oid, 'pg_database'), $3)
    AND shobj_description(d.oid, 'pg_database') <> $3 || $4 LIMIT 1"""
_FOREIGN = """SELECT string_agg(c.relname, ', ' ORDER BY c.relname) FROM (SELECT relname FROM pg_class
WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'm') ORDER BY relname LIMIT 4) c"""


@dataclass(frozen=True)
class Installation:
    """Who asks: the fingerprint of the root, '' on a host that has none yet; the media server of this host."""

    root: str
    media_hwid: str = ""
    adopt: bool = False
    """Whether a database of another or of no known installation is to be taken over."""
    replace: bool = False
    """Whether a backup takes the place of what is in it, which may then be of a newer version."""

    def as_json(self) -> dict[str, object]:
        """For a child process."""
        return asdict(self)


async def look_as_role(address: DatabaseAddress, installation: Installation) -> None:
    """Conflict when the database is not this installation's or is newer; StartupFault when the role does not get in."""
    async with connected(address) as connection:
        _require_version(connection)
        await _belongs(connection, address.database, installation)
    if not installation.replace:
        await check_version(address)


async def look(administrator: DatabaseAddress, wanted: DatabaseAddress, installation: Installation) -> None:
    """The same as PostgreSQL's administrator sees it, and whether he may make what is missing."""
    async with connected(administrator) as connection:
        _require_version(connection)
        there = bool(await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", wanted.database))
        await _may_make(connection, administrator, wanted, database=not there)
        if not installation.adopt:
            other = await connection.fetchval(_OTHERS, wanted.user, wanted.database, MARK, installation.root)
            if other:
                raise Conflict(
                    f"The role {wanted.user} is another installation's, whose database is {other}:"
                    " give this one a role of its own (--db-user)."
                )
    if there:
        await look_as_role(replace(administrator, database=wanted.database), installation)


def _require_version(connection: Connection) -> None:
    found = connection.get_server_version()
    if found.major < OLDEST:
        raise StartupFault(f"This is PostgreSQL {found.major}; the service database needs {OLDEST} or newer.")


async def _may_make(
    connection: Connection, administrator: DatabaseAddress, wanted: DatabaseAddress, *, database: bool
) -> None:
    row = await connection.fetchrow(
        "SELECT rolsuper, rolcreaterole, rolcreatedb FROM pg_roles WHERE rolname = current_user"
    )
    assert row is not None
    lacking = [] if row["rolsuper"] or row["rolcreaterole"] else ["CREATEROLE"]
    if database and not (row["rolsuper"] or row["rolcreatedb"]):
        lacking.append("CREATEDB")
    if lacking:
        raise StartupFault(
            f"{administrator.user} may not make the role {wanted.user} and the database {wanted.database}: the right"
            f" {' and '.join(lacking)} is missing. Name another administrator (--db-admin, -X), or make both by hand:"
            f" CREATE ROLE {wanted.user} LOGIN PASSWORD '...'; CREATE DATABASE {wanted.database} OWNER {wanted.user}"
            " TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C.UTF-8'; and give the password with --db-password."
        )


async def _belongs(connection: Connection, database: str, installation: Installation) -> None:
    if installation.adopt:
        return
    mark = str(await connection.fetchval(_MARK_OF, database) or "")
    if mark.startswith(MARK):
        if mark.removeprefix(MARK) != installation.root:
            raise Conflict(
                f"The database {database} belongs to another installation (root certificate {mark.removeprefix(MARK)[:16]}...):"
                " name another with --db-name. Where that installation is lost and this host takes its place,"
                " --adopt-database takes the database over; all other hosts then have to enrol anew."
            )
        return
    if await version(connection) is None:
        if tables := await connection.fetchval(_FOREIGN):
            raise Conflict(
                f"The database {database} holds tables of something else ({tables}): name another with --db-name."
            )
        return
    if await connection.fetchval("SELECT to_regclass('media_servers') IS NULL"):
        return
    hosts = {row["hwid"] for row in await connection.fetch("SELECT hwid FROM media_servers")}
    if hosts and installation.media_hwid not in hosts:
        raise Conflict(
            f"The database {database} belongs to another installation, whose hosts it knows: name another with --db-name,"
            " or take it over with --adopt-database where that installation is lost and this host takes its place."
        )


async def mark(address: DatabaseAddress, installation: Installation) -> None:
    """Let the database say whose it is. Its owner may; where that is somebody else, its hosts tell."""
    async with connected(address) as connection:
        if await connection.fetchval(_MARK_OF, address.database) == MARK + installation.root:
            return
        statement = await connection.fetchval(
            "SELECT format('COMMENT ON DATABASE %I IS %L', $1::text, $2::text)",
            address.database,
            MARK + installation.root,
        )
        with contextlib.suppress(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement)
