"""Role and database over PostgreSQL's own socket, by a child that is PostgreSQL's system user and needs no password."""

from __future__ import annotations

import asyncio
import json
import pwd
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Literal

from rubackup.catalog.database import DatabaseAddress
from rubackup.domain.errors import Conflict, RubackupError
from rubackup.roles.init import ownership
from rubackup.roles.init.ownership import Installation
from rubackup.roles.up.catalogue import connected, make_database
from rubackup.roles.up.faults import StartupFault

CONFLICT = 3
"""Exit status of a child that met somebody else's database."""
Work = Literal["look", "make"]


def ask(user: str, work: Work, wanted: DatabaseAddress, installation: Installation) -> None:
    """Let the system's user of that name look or make; its error is this one's."""
    _child(user, work, [asdict(wanted), installation.as_json()])


def execute(user: str, service: DatabaseAddress, statements: Sequence[str]) -> None:
    """Let the system's user of that name run statements in the service database."""
    _child(user, "run", [asdict(service), list(statements)])


def _child(user: str, work: str, told: list[object]) -> None:
    try:
        account = pwd.getpwnam(user)
    except KeyError as error:
        raise StartupFault(f"There is no user {user} on this host; give PostgreSQL's password with -X.") from error
    result = subprocess.run(
        [sys.executable, "-m", "rubackup.roles.init.as_administrator", user, work],
        input=json.dumps(told),
        capture_output=True, text=True, check=False, timeout=120, cwd="/",
        user=account.pw_uid, group=account.pw_gid, extra_groups=[],
    )  # fmt: skip
    if result.returncode:
        said = result.stderr.strip() or "Role and database could not be made."
        raise Conflict(said) if result.returncode == CONFLICT else StartupFault(said)


def main() -> int:
    """Entry of the child; what is wrong is a sentence on standard error."""
    from rubackup.roles.init.database import SOCKETS  # noqa: PLC0415 - that module starts this one

    address, more = json.load(sys.stdin)
    user, work = sys.argv[1:]
    wanted = DatabaseAddress(**address)
    administrator = replace(wanted, host=str(SOCKETS), user=user, password="", database="postgres")
    try:
        if work == "run":
            asyncio.run(_execute(replace(administrator, database=wanted.database), more))
        elif work == "look":
            asyncio.run(ownership.look(administrator, wanted, Installation(**more)))
        else:
            asyncio.run(make_database(administrator, wanted))
    except RubackupError as error:
        sys.stderr.write(error.message + "\n")
        return CONFLICT if isinstance(error, Conflict) else 1
    return 0


async def _execute(administrator: DatabaseAddress, statements: list[str]) -> None:
    async with connected(administrator) as connection:
        for statement in statements:
            await connection.execute(statement)


if __name__ == "__main__":
    sys.exit(main())
