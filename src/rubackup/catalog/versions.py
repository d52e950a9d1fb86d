"""Which versions of the product work with a service database: what its schema says, and the names of connections.

Servers and APIs alone open it, so these names are all there is to ask before a step that an
older version could not work with. PostgreSQL shows them to every role (pg_stat_activity).
Design: `docs/design/upgrade.md`.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from rubackup import __version__
from rubackup.domain.errors import Conflict, Corrupt, Unavailable

PROGRAMS = frozenset({"rubackup_server", "rubackup_api"})
LOCK_TIMEOUT_MS = 800
"""Whoever comes after a migration that waits for a table waits, too: so briefly, and again later. PostgreSQL looks for
deadlocks after a second: the migration gives way before another process is made to."""
NAME_BYTES = 63
"""PostgreSQL cuts the rest of an application_name off."""
_HOST_BYTES = 12
"""So much of a host's name is told however long the version is."""
_FILE = re.compile(r"(\d{4})_(pre|post)")
_STATE = re.compile(r"(\d{4})_(pre|post)(?: after (\d{4})_post)?")
_TOLD = re.compile(r"(\S+) schema (\d+) on (.*)")
_CONNECTED = """
SELECT DISTINCT application_name FROM pg_stat_activity
WHERE datname = current_database() AND application_name ~ '^rubackup_(server|api)( |$)' ORDER BY 1"""
_READ = "SELECT to_jsonb(v)::text FROM schema_version v"


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
        if not self.version:
            return f"{self.program} of an older version"
        return f"{self.program} {self.version}" + (f" on {self.host}" if self.host else "")


@dataclass(frozen=True)
class Code:
    """What a version of the product brings: its migrations and its name."""

    folder: Path
    product: str
    beside: int
    """The oldest revision whose code may run beside this one: this one takes care of what such code can read."""

    def revisions(self) -> list[str]:
        """The files that it knows, by number, `pre` before `post`."""
        names = [path.stem for path in self.folder.glob("*.sql") if _FILE.fullmatch(path.stem)]
        return sorted(names, key=lambda name: (int(name[:4]), name.endswith("post")))

    def newest(self) -> int:
        """The number of the newest revision that it knows."""
        return int(self.revisions()[-1][:4])

    def target(self, found: Schema, *, finish: bool) -> Schema:
        """How far it brings a schema. Unless it is to finish, only post files run which no code that may start has need of."""
        newest = self.newest()
        wanted = newest if finish else self.beside
        post = found.post if found.pre > newest else max(found.post, min(wanted, newest))
        return Schema(max(found.pre, newest), post, max(found.oldest, self.beside, post))


OWN = Code(Path(__file__).parent / "migrations", __version__, beside=20)
"""This code. `beside` rises when it no longer takes care of older code: at least two releases back stay possible."""


@dataclass(frozen=True)
class Schema:
    """How far the catalogue's schema is: all pre files up to `pre` have run, all post files up to `post`."""

    pre: int = 0
    post: int = 0
    oldest: int = 0
    """Code that does not know this revision may not work with it."""

    def __str__(self) -> str:
        if self.pre == self.post:
            return f"{self.post:04}_post"
        return f"{self.pre:04}_pre" + (f" after {self.post:04}_post" if self.pre > self.post + 1 else "")

    @property
    def position(self) -> str:
        """How far it is without a gap, which is all that versions up to revision 21 read: they know it, or are one behind."""
        return f"{self.post:04}_post" if self.pre == self.post else f"{self.post + 1:04}_pre"

    @classmethod
    def parse(cls, text: str) -> Schema | None:
        """What `str` has written; None for everything else."""
        found = _STATE.fullmatch(text)
        if found is None or (found[3] and found[2] == "post"):
            return None
        pre = int(found[1])
        post = int(found[3]) if found[3] else pre - (found[2] == "pre")
        return cls(pre, post, post) if post <= pre else None


def revisions() -> list[str]:
    """The files that this code knows, by number, `pre` before `post`."""
    return OWN.revisions()


def newest() -> int:
    """The number of the newest revision that this code knows."""
    return OWN.newest()


async def read(connection: Any) -> Schema | None:
    """How far the schema is; None for an empty database."""
    if await connection.fetchval("SELECT to_regclass('schema_version')") is None:
        return None
    row = await connection.fetchval(_READ)
    if row is None:
        return None
    found = msgspec.json.decode(row, type=dict[str, Any])
    known = Schema.parse(found["version_num"])
    if known is None:
        raise Corrupt(f"The service database says of its schema what no version writes: {found['version_num']!r}.")
    # Versions up to revision 21 write the position alone.
    pre = max(known.pre, found.get("pre") or 0)
    return Schema(pre, known.post, max(known.post, found.get("oldest") or 0))


def connection_name(program: str, code: Code = OWN) -> str:
    """What a process calls its connections: servers and APIs tell version, schema and host.

    Too long a version loses its end, so that the schema stands whole behind it.
    """
    if program not in PROGRAMS:
        return program
    behind, host = f" schema {code.newest()} on ", socket.gethostname()
    room = NAME_BYTES - len(f"{program} {behind}") - min(len(host.encode()), _HOST_BYTES)
    return _cut(f"{program} {_cut(code.product, room)}{behind}{host}", NAME_BYTES)


def _cut(text: str, size: int) -> str:
    return text.encode()[:size].decode(errors="ignore")


def parse_name(name: str) -> Process | None:
    """Whose connection it is; None for everything that is no server and no API.

    Versions up to revision 22 let PostgreSQL cut what was too long: one whose schema cannot be read knows none.
    """
    program, _, rest = name.partition(" ")
    if program not in PROGRAMS:
        return None
    found = _TOLD.fullmatch(rest)
    if found is None:
        return Process(program, rest.partition(" ")[0], 0, "")
    version, schema, host = found.groups()
    return Process(program, version, int(schema), host)


async def older_than(connection: Any, schema: int) -> Sequence[Process]:
    """The connected processes that do not know this revision."""
    rows = await connection.fetch(_CONNECTED)
    found = [parse_name(row["application_name"]) for row in rows]
    return [process for process in found if process is not None and process.schema < schema]


async def is_served(connection: Any) -> bool:
    """Whether any server or API is connected."""
    return bool(await connection.fetch(_CONNECTED))


async def signed_by(connection: Any) -> str:
    """The version that was last to change the schema, which a comment tells, as copies and dumps of the database keep it;
    empty when it did not say.
    """
    found: str | None = await connection.fetchval("SELECT obj_description('schema_version'::regclass, 'pg_class')")
    return found or ""


async def require_known(connection: Any, found: Schema | None, code: Code = OWN) -> None:
    """Conflict unless the code may work with the schema: it knows all that was taken away from it."""
    if found is None or code.newest() >= found.oldest:
        return
    theirs = await signed_by(connection)
    raise Conflict(
        f"The service database is of a newer version ({theirs or 'one that is not known'}, schema {found}) than this"
        f" program ({code.product}, schema {code.newest():04}); install that version, or restore a copy of the service"
        " database that was made before the upgrade.",
        found=str(found),
    )


async def admit(connection: Any) -> None:
    """Unavailable on a new connection of a program whose schema is gone: it was away while an upgrade was finished."""
    try:
        await require_known(connection, await read(connection))
    except Conflict as error:
        raise Unavailable(error.message) from error
