"""Roles in PostgreSQL for APIs on hosts of their own: what each may, and who makes them.

Such a role may read and change rows, and neither tables nor roles; not, though, who belongs here and what was done
(`catalog.rights`); it is logged in by a password that only its host
has, for so many connections as its workers need. So one host can be shut out, and no other one notices.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace

import asyncpg

from rubackup.catalog.database import Connection, DatabaseAddress
from rubackup.catalog.quoting import literal, quoted
from rubackup.catalog.rights import group_of, taken_back
from rubackup.roles.init import as_administrator
from rubackup.roles.init.advice import API_CONNECTIONS
from rubackup.roles.init.database import over_socket
from rubackup.roles.up.catalogue import connected
from rubackup.roles.up.faults import StartupFault

LONGEST_NAME = 63
"""Bytes that PostgreSQL keeps of a name."""
ITERATIONS = 4096
TERMINATE_MS = 5000
_PLAIN = re.compile(r"[\x21-\x7e]+")


@dataclass(frozen=True)
class Administrator:
    """Who may make roles: a name with its password; without one, on PostgreSQL's own host, the system's user of that name."""

    name: str = "postgres"
    password: str = ""

    def __repr__(self) -> str:
        return f"Administrator({self.name})"


class NoAdministrator(StartupFault):
    """This process may not change roles; the message says what is to be typed instead."""

    code = "startup"


def role_of(common: str, host: str) -> str:
    """The role of one such host."""
    name = f"{group_of(common)}_{host.lower()}"
    if len(name) <= LONGEST_NAME:
        return name
    return f"{name[: LONGEST_NAME - 9]}_{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def verifier(password: str, salt: bytes | None = None) -> str:
    """What PostgreSQL keeps of a password, so that the password itself stands in no statement and no log (RFC 5803)."""
    if not _PLAIN.fullmatch(password):
        raise ValueError("only printable ASCII is the same with and without SASLprep")
    salt = salt or secrets.token_bytes(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, ITERATIONS)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    salt64, stored64, server64 = (base64.b64encode(part).decode() for part in (salt, stored, server))
    return f"SCRAM-SHA-256${ITERATIONS}:{salt64}${stored64}:{server64}"


def prepare(owner: DatabaseAddress, administrator: Administrator, role: str, password: str, workers: int) -> None:
    """Make the role where it is missing, as one whose password the owner may change; who has it already loses nothing.

    NoAdministrator says what to type: all of it, the password and the rights of today, too.
    """
    group, name, limit = quoted(group_of(owner.user)), quoted(role), _connections(workers)
    made = [
        _unless_there(group_of(owner.user), f"CREATE ROLE {group} NOLOGIN"),
        _unless_there(role, f"CREATE ROLE {name}"),
    ]
    granted = f"GRANT {group} TO {name}"
    prepared = [
        # One that was shut out by half may have its password still; nobody may log in until there is another.
        _if_so(role, "NOT rolcanlogin", f"ALTER ROLE {name} LOGIN PASSWORD NULL CONNECTION LIMIT {limit}"),
        _if_so(role, f"rolconnlimit BETWEEN 0 AND {limit - 1}", f"ALTER ROLE {name} CONNECTION LIMIT {limit}"),
        granted,
        # Whoever may become a role may change its password, in a transaction that has the rows, too.
        f"GRANT {name} TO {quoted(owner.user)}",
    ]
    by_hand = [
        *made,
        f"ALTER ROLE {name} LOGIN CONNECTION LIMIT {limit} PASSWORD '{verifier(password)}'",
        granted,
        f"SET ROLE {quoted(owner.user)}",
        "BEGIN",  # at no moment may those that are there already do more than they are to
        *_rights(owner),
        "COMMIT",
    ]
    _administer(owner, administrator, [*made, *prepared], f"in {owner.database}, before that API is started", by_hand)


async def give(db: Connection, owner: DatabaseAddress, role: str, password: str) -> None:
    """Within a transaction of the owner: this password and the rights of today for a role that was prepared."""
    await db.execute(f"SET LOCAL ROLE {quoted(role)}")
    await db.execute(f"ALTER ROLE {quoted(role)} PASSWORD '{verifier(password)}'")
    await db.execute("SET LOCAL ROLE NONE")
    for statement in _rights(owner):
        await db.execute(statement)


def settle(owner: DatabaseAddress, administrator: Administrator, role: str, workers: int) -> None:
    """Take back what `prepare` gave the owner, and from the role what it had of connections beyond so many workers.

    NoAdministrator says what to type; nothing depends on it.
    """
    name = quoted(role)
    wanted = [f"REVOKE {name} FROM {quoted(owner.user)}", f"ALTER ROLE {name} CONNECTION LIMIT {_connections(workers)}"]
    _administer(owner, administrator, wanted, "at any time", wanted)


def _connections(workers: int) -> int:
    return (workers + 1) * API_CONNECTIONS


def _rights(owner: DatabaseAddress) -> list[str]:
    """The statements that give the group what it may do today; in one transaction."""
    group = quoted(group_of(owner.user))
    return [
        f"GRANT CONNECT ON DATABASE {quoted(owner.database)} TO {group}",
        f"GRANT USAGE ON SCHEMA public TO {group}",
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {group}",
        *taken_back(group_of(owner.user)),
        f"GRANT USAGE, SELECT, UPDATE ON ALL SEQUENCES IN SCHEMA public TO {group}",
        f"ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {group}",
        f"ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT USAGE, SELECT, UPDATE ON SEQUENCES TO {group}",
    ]


def revoke(owner: DatabaseAddress, administrator: Administrator, role: str) -> None:
    """Remove the role and end its connections. NoAdministrator says what to type."""
    name = quoted(role)
    ended = [
        f"ALTER ROLE {name} NOLOGIN",
        f"SELECT pg_terminate_backend(pid, {TERMINATE_MS}) FROM pg_stat_activity WHERE usename = {literal(role)}",  # noqa: S608 - quoted
        f"DROP ROLE {name}",
    ]
    if not asyncio.run(_exists(owner, role)):
        return
    _administer(owner, administrator, ended, "at once", ended)


def limit_of(owner: DatabaseAddress) -> int:
    """How many connections this role may open; -1: as many as PostgreSQL has."""

    async def ask() -> int:
        async with connected(owner) as connection:
            return int(await connection.fetchval("SELECT rolconnlimit FROM pg_roles WHERE rolname = current_user"))

    return asyncio.run(ask())


def _unless_there(role: str, statement: str) -> str:
    return f"DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = {literal(role)}) THEN {statement}; END IF; END $$"


def _if_so(role: str, condition: str, statement: str) -> str:
    """Do it where the role is so."""
    found = f"SELECT FROM pg_roles WHERE rolname = {literal(role)} AND {condition}"
    return f"DO $$ BEGIN IF EXISTS ({found}) THEN {statement}; END IF; END $$"


def _administer(
    owner: DatabaseAddress, administrator: Administrator, statements: Sequence[str], when: str, by_hand: Sequence[str]
) -> None:
    try:
        if administrator.password:
            asyncio.run(_run(replace(owner, user=administrator.name, password=administrator.password), statements))
        elif over_socket(owner.host, owner.port):
            as_administrator.execute(administrator.name, owner, statements)
        else:
            raise _Refused
    except _Refused as error:
        typed = "\n".join(f"  {statement};" for statement in by_hand)
        raise NoAdministrator(
            "rb_init may not change roles in PostgreSQL (give its administrator's password with -X, and --db-admin NAME)."
            f" Or type there, as its administrator, {when}:\n{typed}"
        ) from error


class _Refused(Exception):
    """PostgreSQL lets this process change no roles."""


async def _run(address: DatabaseAddress, statements: Sequence[str]) -> None:
    async with connected(address) as connection:
        try:
            for statement in statements:
                await connection.execute(statement)
        except asyncpg.InsufficientPrivilegeError as error:
            raise _Refused from error


async def _exists(owner: DatabaseAddress, role: str) -> bool:
    async with connected(owner) as connection:
        return bool(await connection.fetchval("SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)", role))
