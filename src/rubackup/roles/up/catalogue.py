"""The service database of a state: role, database, schema, superuser. Every step may be repeated.

The catalogue is in the embedded PostgreSQL, or in the one that DB_HOST names. There,
DB_ADMIN_USER and DB_ADMIN_PASSWORD_FILE, when given, are used to make role and database.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import asyncpg

from rubackup.catalog import collation, encryption
from rubackup.catalog.database import Connection, DatabaseAddress
from rubackup.catalog.migrate import check_version, migrate, version
from rubackup.catalog.quoting import quoted
from rubackup.roles.settings import Settings
from rubackup.roles.up.certificates import hwid
from rubackup.roles.up.faults import StartupFault
from rubackup.roles.up.state import State, write_text
from rubackup.services import emergency, moved
from rubackup.services.passwords import hash_password

log = logging.getLogger(__name__)

DATABASE = "rubackup"
SUPERUSER = "rubackup"
SUPERUSER_PASSWORD = "superuser-password"  # noqa: S105 - a file's name
DATABASE_PASSWORD = "database-password"  # noqa: S105 - a file's name
NEW = "rubackup up --new-catalogue"


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


def begin(state: State, *, new: bool, command: str = NEW) -> None:
    """An empty catalogue begins, whatever else of the state is there; StartupFault where one is lost, unless that is wanted.

    `command`: what an administrator types who wants that.
    """
    if state.complete.exists() and not new:
        raise StartupFault(
            f"The state {state.root} had a catalogue, and its database is gone: bring a backup of it back by `rubackup "
            f"restore-catalogue`; to begin with an empty one: `{command}`."
        )
    state.complete.unlink(missing_ok=True)


def prepare(state: State, catalogue: Catalogue, *, new: bool = False, command: str = NEW) -> None:
    """Make role, database, schema, superuser and the place of the emergency storage where they are missing.

    `new`: whether an empty catalogue may begin where the state had one, which else the `command` allows. StartupFault
    says what is not possible.
    """
    asyncio.run(_prepare(state, catalogue, new=new, command=command))


def make(catalogue: Catalogue) -> None:
    """Make role and database where they are missing; without an administrator they have to be there."""
    if catalogue.administrator is not None:
        asyncio.run(make_database(catalogue.administrator, catalogue.address))


async def is_empty(catalogue: Catalogue) -> bool:
    """Whether the catalogue has no tables, as where its making or its restore was ended."""
    async with connected(catalogue.address) as connection:
        return await version(connection) is None


async def _prepare(state: State, catalogue: Catalogue, *, new: bool, command: str) -> None:
    if catalogue.administrator is not None:
        await make_database(catalogue.administrator, catalogue.address)
    empty = await is_empty(catalogue)
    if empty:  # what is missing is told before anything is changed
        begin(state, new=new, command=command)
    await check_version(catalogue.address)
    # Of one that is there, the half with which the version before could go on, if somebody goes back to it.
    await migrate(catalogue.address, "all" if empty else "pre")
    async with connected(catalogue.address) as connection:
        password = state.keep_secret(SUPERUSER_PASSWORD)
        await make_superuser(connection, lambda: password)
        await _follow(state, connection)
        await emergency.place(connection, str(state.emergency))


async def _follow(state: State, connection: Connection) -> None:
    """Storages in the folder of a state that was moved, or carried to another host, are found where it is now."""
    here = str(state.root.resolve())
    before = state.place.read_text().removesuffix("\n") if state.place.exists() else _named_before(state)
    if before and before != here:
        for old, new in await moved.follow(
            connection, hwid(state, "media"), before, here, lambda path: Path(path).is_dir()
        ):
            log.info("%s lies in %s now", old, new)
    if before != here or not state.place.exists():
        write_text(state.place, f"{here}\n")


def _named_before(state: State) -> str:
    """Where an older version, which wrote no place, has seen the state last; '' for a new one."""
    path = state.settings("server")
    return Settings.load(path, {}).text("STATE_DIR", "") if path.exists() else ""


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


async def make_superuser(connection: Connection, password: Callable[[], str]) -> None:
    """The first superuser; an installation that has one keeps it, whatever it is called, and is asked for no password."""
    if await connection.fetchval("SELECT 1 FROM users WHERE is_superuser LIMIT 1"):
        return
    await connection.execute(
        """INSERT INTO users (username, password_hash, fullname, group_id, is_superuser)
           SELECT $1, $2, 'Superuser', id, true FROM user_groups ORDER BY id LIMIT 1""",
        SUPERUSER, await hash_password(password()),
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
