"""The service database of a state: role, database, schema, superuser. Every step may be repeated.

The catalogue is in the embedded PostgreSQL, or in the one that DB_HOST names. There,
DB_ADMIN_USER and DB_ADMIN_PASSWORD_FILE, when given, are used to make role and database.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import asyncpg

from rubackup.catalog import collation, encryption
from rubackup.catalog.database import Connection, DatabaseAddress
from rubackup.catalog.migrate import check_version, migrate, version
from rubackup.catalog.quoting import quoted
from rubackup.roles.settings import Settings
from rubackup.roles.up.faults import StartupFault
from rubackup.roles.up.state import State
from rubackup.services import emergency
from rubackup.services.passwords import hash_password

DATABASE = "rubackup"
SUPERUSER = "rubackup"
SUPERUSER_PASSWORD = "superuser-password"  # noqa: S105 - a file's name
DATABASE_PASSWORD = "database-password"  # noqa: S105 - a file's name


@dataclass(frozen=True)
class Catalogue:
    """Where the product's own role finds its database, and who can make both (None: they are there)."""

    address: DatabaseAddress
    password_file: Path
    administrator: DatabaseAddress | None


def external(state: State, environment: Mapping[str, str]) -> Catalogue | None:
    """The catalogue that DB_HOST and its companions name; None without DB_HOST."""
    if not environment.get("DB_HOST"):
        return None
    settings = Settings({}, "the environment", environment)
    password_file = settings.path("DB_PASSWORD_FILE", state.secret(DATABASE_PASSWORD))
    if not environment.get("DB_PASSWORD_FILE"):
        state.keep_secret(DATABASE_PASSWORD)
    address = DatabaseAddress(
        host=settings.text("DB_HOST"),
        port=settings.port("DB_PORT", 5432),
        user=settings.text("DB_USER", DATABASE),
        password=password_file.read_text().strip(),
        database=settings.text("DB_NAME", DATABASE),
    )
    administrator = None
    if environment.get("DB_ADMIN_USER"):
        password = settings.secret("DB_ADMIN_PASSWORD_FILE")
        administrator = replace(
            address, user=settings.text("DB_ADMIN_USER"), password=password,
            database=settings.text("DB_ADMIN_NAME", "postgres"),
        )  # fmt: skip
    return Catalogue(address, password_file, administrator)


def chosen(state: State, environment: Mapping[str, str]) -> Catalogue | None:
    """As `external`; StartupFault where the state was made with a catalogue of the other kind, to which it keeps."""
    found = external(state, environment)
    wanted = "external" if found else "embedded"
    kept = state.keep_text(state.root / "etc/catalogue", wanted)
    if kept != wanted:
        raise StartupFault(
            f"The state {state.root} was made with "
            + ("DB_HOST; set it again." if kept == "external" else "an embedded PostgreSQL; unset DB_HOST.")
        )
    return found


def embedded(state: State, administrator: DatabaseAddress) -> Catalogue:
    """The catalogue in our own PostgreSQL."""
    password = state.keep_secret(DATABASE_PASSWORD)
    address = replace(administrator, user=DATABASE, password=password, database=DATABASE)
    return Catalogue(address, state.secret(DATABASE_PASSWORD), administrator)


def begin(state: State, *, new: bool) -> None:
    """An empty catalogue begins, whatever else of the state is there; StartupFault where one is lost, unless that is wanted."""
    if state.complete.exists() and not new:
        raise StartupFault(
            f"The state {state.root} had a catalogue, and its database is gone: bring a backup of it back by `rubackup "
            "restore-catalogue`; to begin with an empty one: `rubackup up --new-catalogue`."
        )
    state.complete.unlink(missing_ok=True)


def prepare(state: State, catalogue: Catalogue, *, new: bool = False) -> None:
    """Make role, database, schema, superuser and the place of the emergency storage where they are missing.

    `new`: whether an empty catalogue may begin where the state had one. StartupFault says what is not possible.
    """
    asyncio.run(_prepare(state, catalogue, new=new))


def make(catalogue: Catalogue) -> None:
    """Make role and database where they are missing; without an administrator they have to be there."""
    if catalogue.administrator is not None:
        asyncio.run(make_database(catalogue.administrator, catalogue.address))


async def _prepare(state: State, catalogue: Catalogue, *, new: bool) -> None:
    if catalogue.administrator is not None:
        await make_database(catalogue.administrator, catalogue.address)
    async with connected(catalogue.address) as connection:  # what is missing is told before anything is changed
        found = await version(connection)
        if found is None:  # also what a restore leaves that was ended
            begin(state, new=new)
    await check_version(catalogue.address)
    # Of one that is there, the half with which the version before could go on, if somebody goes back to it.
    await migrate(catalogue.address, "all" if found is None else "pre")
    async with connected(catalogue.address) as connection:
        await make_superuser(connection, state.keep_secret(SUPERUSER_PASSWORD))
        await emergency.place(connection, str(state.emergency))


async def make_database(administrator: DatabaseAddress, wanted: DatabaseAddress) -> None:
    """Make role and database, or give the role this password."""
    async with connected(administrator) as connection:
        role, database = quoted(wanted.user), quoted(wanted.database)
        if not await connection.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", wanted.user):
            await connection.execute(f"CREATE ROLE {role} LOGIN")
        secret = await connection.fetchval("SELECT quote_literal($1::text)", wanted.password)
        await connection.execute(f"ALTER ROLE {role} LOGIN PASSWORD {secret}")
        if not await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", wanted.database):
            await connection.execute(f"CREATE DATABASE {database} OWNER {role} {collation.clause(connection)}")
        await connection.execute(f"REVOKE ALL ON DATABASE {database} FROM PUBLIC")


async def make_superuser(connection: Connection, password: str) -> None:
    """The first superuser; an installation that has one keeps it, whatever it is called."""
    if await connection.fetchval("SELECT 1 FROM users WHERE is_superuser LIMIT 1"):
        return
    await connection.execute(
        """INSERT INTO users (username, password_hash, fullname, group_id, is_superuser)
           SELECT $1, $2, 'Superuser', id, true FROM user_groups ORDER BY id LIMIT 1""",
        SUPERUSER, await hash_password(password),
    )  # fmt: skip


def online_hosts(catalogue: Catalogue) -> set[str]:
    """Hardware ids of the clients and media servers that are connected."""
    return asyncio.run(_column(catalogue.address, _ONLINE))


def known_hosts(catalogue: Catalogue) -> set[str]:
    """Hardware ids of the authorised clients and media servers."""
    return asyncio.run(_column(catalogue.address, "SELECT hwid FROM clients UNION SELECT hwid FROM media_servers"))


def pool_problems(catalogue: Catalogue) -> set[str]:
    """What keeps pools from being used, a sentence each."""
    return asyncio.run(_column(catalogue.address, _PROBLEMS))


_PROBLEMS = """SELECT 'Pool ' || p.pool_name || ': ' || coalesce(s.problem, 'not reported yet') FROM pools p
               LEFT JOIN pool_state s ON s.pool_id = p.id WHERE s.problem IS DISTINCT FROM ''"""
_ONLINE = """SELECT c.hwid FROM clients c JOIN client_presence p ON p.client_id = c.id WHERE p.online
             UNION
             SELECT m.hwid FROM media_servers m JOIN media_presence p ON p.media_server_id = m.id WHERE p.online"""


async def _column(address: DatabaseAddress, query: str) -> set[str]:
    async with connected(address) as connection:
        return {row[0] for row in await connection.fetch(query)}


@contextlib.asynccontextmanager
async def connected(address: DatabaseAddress) -> AsyncIterator[Connection]:
    """A connection of its own; StartupFault when there is none to be had."""
    where = f"the PostgreSQL at {address.host}:{address.port}"
    try:
        connection = await asyncpg.connect(**address.arguments(), timeout=15)
    except asyncpg.InvalidPasswordError as error:
        raise StartupFault(f"The password of {address.user} is refused by {where}.") from error
    except asyncpg.InvalidCatalogNameError as error:
        raise StartupFault(
            f"There is no database {address.database} in {where}; make it, or give DB_ADMIN_USER."
        ) from error
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as error:
        if why := encryption.reason(address.host, error):
            raise StartupFault(why) from error
        raise StartupFault(f"Cannot connect to {where} as {address.user}: {error}.") from error
    try:
        yield connection
    except asyncpg.DiskFullError as error:
        raise StartupFault(f"The disk of {where} is full.") from error
    except asyncpg.PostgresError as error:
        raise StartupFault(f"The service database cannot be prepared in {where}: {error}.") from error
    finally:
        await connection.close()
