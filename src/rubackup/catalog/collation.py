"""How the catalogue orders text: by code point, whatever the host's language, and any letter folds its case.

It is the database's own collation, not one of each statement: so every index serves every order, lists are
sorted and cut alike on every installation, and an update of the host's C library breaks no index. ADR 6.
"""

from __future__ import annotations

from rubackup.catalog.database import Connection
from rubackup.domain.errors import Conflict

_PROBE = """
SELECT array_agg(word ORDER BY word) = ARRAY['', ' b', '-a', 'B', 'Z', '_', 'a', 'b', 'é', 'ж'] AND lower('Ж') = 'ж'
FROM unnest(ARRAY['ж', 'é', 'b', 'a', '_', 'Z', 'B', '-a', ' b', '']) AS word"""
_NAME = "SELECT datcollate FROM pg_database WHERE datname = current_database()"
BUILTIN_SINCE = 17


def clause(connection: Connection) -> str:
    """What CREATE DATABASE needs for this order, on the server of the connection."""
    if connection.get_server_version().major >= BUILTIN_SINCE:
        return "ENCODING 'UTF8' TEMPLATE template0 LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8'"
    return "ENCODING 'UTF8' TEMPLATE template0 LOCALE_PROVIDER libc LC_COLLATE 'C' LC_CTYPE 'C.UTF-8'"


async def check(connection: Connection) -> None:
    """Conflict when the database orders text otherwise; the sentence says how to make one that does."""
    if await connection.fetchval(_PROBE):
        return
    found, wanted = await connection.fetchval(_NAME), clause(connection)
    raise Conflict(
        f"The service database orders text by the rules of {found}, not by code points; make one with"
        f" CREATE DATABASE ... {wanted}.",
        found=found,
    )
