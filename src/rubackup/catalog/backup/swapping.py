"""Schemas and what is in them: making tables bare to be filled, and putting one set of tables in another's place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rubackup.catalog.database import Connection
from rubackup.catalog.quoting import quoted
from rubackup.catalog.rights import GUARDED

_KEYS = """
SELECT c.conrelid::regclass::text AS relation, quote_ident(c.conname) AS name, pg_get_constraintdef(c.oid) AS definition
FROM pg_constraint c WHERE c.connamespace = $1::regnamespace AND c.contype = 'f' ORDER BY c.conrelid, c.conname"""
_INDEXES = """
SELECT i.indexrelid::regclass::text AS name, pg_get_indexdef(i.indexrelid) AS definition
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
WHERE c.relnamespace = $1::regnamespace AND NOT i.indisprimary
    AND NOT EXISTS (SELECT 1 FROM pg_constraint k WHERE k.conindid = i.indexrelid) ORDER BY c.relname"""
_TRIGGERED = """
SELECT DISTINCT t.tgrelid::regclass::text AS relation FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
WHERE c.relnamespace = $1::regnamespace AND NOT t.tgisinternal ORDER BY 1"""
_OBJECTS = """
SELECT 'VIEW' AS kind, quote_ident(c.relname) AS name, 1 AS rank FROM pg_class c
WHERE c.relnamespace = $1::regnamespace AND c.relkind = 'v' AND NOT {extension}
UNION ALL
SELECT 'TABLE', quote_ident(c.relname), 2 FROM pg_class c
WHERE c.relnamespace = $1::regnamespace AND c.relkind IN ('r', 'p') AND NOT {extension}
UNION ALL
SELECT 'SEQUENCE', quote_ident(c.relname), 3 FROM pg_class c
WHERE c.relnamespace = $1::regnamespace AND c.relkind = 'S' AND NOT {extension}
    AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype IN ('a', 'i'))
UNION ALL
SELECT 'FUNCTION', quote_ident(c.proname) || '(' || pg_get_function_identity_arguments(c.oid) || ')', 4 FROM pg_proc c
WHERE c.pronamespace = $1::regnamespace AND c.prokind = 'f' AND NOT {extension}
UNION ALL
SELECT 'STATISTICS', quote_ident(c.stxname), 5 FROM pg_statistic_ext c
WHERE c.stxnamespace = $1::regnamespace
ORDER BY rank, name""".format(  # noqa: S608 - constants
    extension="EXISTS (SELECT 1 FROM pg_depend e WHERE e.objid = c.oid AND e.deptype = 'e')"
)
_GRANTS = """
SELECT CASE c.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END AS kind, quote_ident(c.relname) AS name,
    a.privilege_type AS privilege, a.is_grantable AS grantable, coalesce(quote_ident(r.rolname), 'PUBLIC') AS grantee
FROM pg_class c CROSS JOIN LATERAL aclexplode(c.relacl) a LEFT JOIN pg_roles r ON r.oid = a.grantee
WHERE c.relnamespace = $1::regnamespace AND c.relkind IN ('r', 'p', 'v', 'S') AND a.grantee <> c.relowner"""

# What others get on every new table: tables that are made in another schema do not have it.
_USUAL = """
SELECT CASE d.defaclobjtype WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END AS kind, a.privilege_type AS privilege,
    a.is_grantable AS grantable, coalesce(quote_ident(r.rolname), 'PUBLIC') AS grantee
FROM pg_default_acl d CROSS JOIN LATERAL aclexplode(d.defaclacl) a LEFT JOIN pg_roles r ON r.oid = a.grantee
WHERE d.defaclnamespace = $1::regnamespace AND d.defaclrole = current_user::regrole AND a.grantee <> d.defaclrole
    AND d.defaclobjtype IN ('r', 'S')"""
_NAMES = """
SELECT quote_ident(c.relname) AS name, CASE c.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END AS kind FROM pg_class c
WHERE c.relnamespace = $1::regnamespace AND c.relkind IN ('r', 'p', 'v', 'S')"""


async def bare(db: Connection, schema: str) -> list[str]:
    """Take keys to other tables, triggers and indexes from all tables; the statements that bring them back."""
    keys = await db.fetch(_KEYS, schema)
    for key in keys:
        await db.execute(f"ALTER TABLE {key['relation']} DROP CONSTRAINT {key['name']}")
    indexes = await db.fetch(_INDEXES, schema)
    for index in indexes:
        await db.execute(f"DROP INDEX {index['name']}")
    triggered = await db.fetch(_TRIGGERED, schema)
    for one in triggered:
        await db.execute(f"ALTER TABLE {one['relation']} DISABLE TRIGGER USER")
    return [
        *(index["definition"] for index in indexes),
        *(f"ALTER TABLE {key['relation']} ADD CONSTRAINT {key['name']} {key['definition']}" for key in keys),
        *(f"ALTER TABLE {one['relation']} ENABLE TRIGGER USER" for one in triggered),
    ]


async def swap(db: Connection, source: str, target: str) -> None:
    """Remove what is in `target`, and bring everything of `source` there. In the caller's transaction.

    What belongs to an extension stays, and so do the schema's own owner and rights. What others were granted on a
    table they have on its successor; on a table that was not there they have what they get on every new one.
    """
    grants = [dict(row) for row in await db.fetch(_GRANTS, target)]
    old = {row["name"] for row in await db.fetch(_NAMES, target)}
    usual = await db.fetch(_USUAL, target)
    for one in await db.fetch(_NAMES, source):
        if old and one["name"] not in old:
            grants += [
                {**dict(row), "name": one["name"]}
                for row in usual
                if row["kind"] == one["kind"] and row["privilege"] not in GUARDED.get(one["name"], ())
            ]
    for one in await db.fetch(_OBJECTS, target):
        await db.execute(f"DROP {one['kind']} IF EXISTS {quoted(target)}.{one['name']} CASCADE")
    for one in await db.fetch(_OBJECTS, source):
        await db.execute(f"ALTER {one['kind']} {quoted(source)}.{one['name']} SET SCHEMA {quoted(target)}")
    await _grant(db, target, grants)
    await db.execute(f"DROP SCHEMA {quoted(source)}")  # not CASCADE: whatever is left there was forgotten here


async def _grant(db: Connection, schema: str, grants: Sequence[dict[str, Any]]) -> None:
    there = {row["name"] for row in await db.fetch(_NAMES, schema)}
    for one in grants:
        if one["name"] in there:
            option = " WITH GRANT OPTION" if one["grantable"] else ""
            await db.execute(
                f"GRANT {one['privilege']} ON {one['kind']} {quoted(schema)}.{one['name']} TO {one['grantee']}{option}"
            )
