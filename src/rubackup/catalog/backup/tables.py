"""What of the catalogue a backup has, and what is begun anew after a restore."""

from __future__ import annotations

from typing import Final, NamedTuple

from rubackup.catalog.database import Connection

LEFT_OUT: Final = frozenset(
    {
        "api_tokens",  # one that was withdrawn since would be good again
        "event_log", "events",  # places in it are numbers of this PostgreSQL's transactions
        "idempotency_keys", "login_failures", "token_families",
        "schema_version",  # the header says it
    }
)  # fmt: skip
"""Tables whose rows no backup has."""

_TABLES = """
SELECT c.relname AS name, array_agg(a.attname::text ORDER BY a.attnum) AS columns
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
WHERE c.relnamespace = $1::regnamespace AND c.relkind IN ('r', 'p') AND NOT EXISTS (
    SELECT 1 FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
GROUP BY c.relname ORDER BY c.relname"""
_SEQUENCES = "SELECT sequencename AS name, last_value FROM pg_sequences WHERE schemaname = $1 ORDER BY 1"


class Table(NamedTuple):
    """A table and those of its columns that are stored."""

    name: str
    columns: list[str]


async def tables(db: Connection, schema: str) -> list[Table]:
    """Every table of the catalogue in a schema."""
    return [Table(row["name"], list(row["columns"])) for row in await db.fetch(_TABLES, schema)]


async def sequences(db: Connection, schema: str) -> dict[str, int | None]:
    """Where each sequence stands; None when it was never asked."""
    return {row["name"]: row["last_value"] for row in await db.fetch(_SEQUENCES, schema)}
