"""Which versions of the product work with a service database, told by the names of their connections.

Servers and APIs alone open it, so these names are all there is to ask before a step that an
older version could not work with. PostgreSQL shows them to every role (pg_stat_activity).
"""

from __future__ import annotations

import re
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rubackup import __version__

FOLDER = Path(__file__).parent / "migrations"
PROGRAMS = frozenset({"rubackup_server", "rubackup_api"})
NAME_BYTES = 63
"""PostgreSQL cuts the rest of an application_name off."""
_FILE = re.compile(r"(\d{4})_(pre|post)")
_TOLD = re.compile(r"(rubackup_(?:server|api))(?: (\S+) schema (\d+) on (.*))?")
_CONNECTED = """
SELECT DISTINCT application_name FROM pg_stat_activity
WHERE datname = current_database() AND application_name ~ '^rubackup_(server|api)( |$)' ORDER BY 1"""


@dataclass(frozen=True)
class Process:
    """A server or API that is connected."""

    program: str
    version: str
    """Empty: of a version that does not tell."""
    schema: int
    """The newest revision that it knows; 0 when it does not tell."""
    host: str

    def __str__(self) -> str:
        return (
            f"{self.program} {self.version} on {self.host}" if self.version else f"{self.program} of an older version"
        )


def revisions() -> list[str]:
    """The revisions that this code knows, in the order in which they run."""
    names = [path.stem for path in FOLDER.glob("*.sql") if _FILE.fullmatch(path.stem)]
    return sorted(names, key=order)


def order(name: str) -> tuple[int, bool]:
    """Where a revision stands in the chain."""
    return int(name[:4]), name.endswith("post")


def newest() -> int:
    """The number of the newest revision that this code knows."""
    return int(revisions()[-1][:4])


def connection_name(program: str) -> str:
    """What a process calls its connections: servers and APIs tell version, schema and host."""
    if program not in PROGRAMS:
        return program
    name = f"{program} {__version__} schema {newest()} on {socket.gethostname()}"
    return name.encode()[:NAME_BYTES].decode(errors="ignore")


def parse_name(name: str) -> Process | None:
    """Whose connection it is; None for everything that is no server and no API."""
    found = _TOLD.fullmatch(name)
    if found is None:
        return None
    program, version, schema, host = found.groups(default="")
    return Process(program, version, int(schema or 0), host)


async def older_than(connection: Any, schema: int) -> Sequence[Process]:
    """The connected processes that do not know this revision."""
    rows = await connection.fetch(_CONNECTED)
    found = [parse_name(row["application_name"]) for row in rows]
    return [process for process in found if process is not None and process.schema < schema]


async def sign(connection: Any) -> None:
    """Write down that this version has changed the schema: a comment, which copies and dumps of the database keep."""
    statement = await connection.fetchval(
        "SELECT format('COMMENT ON TABLE schema_version IS %L', $1::text)", __version__
    )
    await connection.execute(statement)


async def signed_by(connection: Any) -> str:
    """The version that was last to change the schema; empty when it did not say."""
    found: str | None = await connection.fetchval("SELECT obj_description('schema_version'::regclass, 'pg_class')")
    return found or ""
