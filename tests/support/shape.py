"""What a schema looks like to code that was written for it, and what a migration takes from such code."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import asyncpg

_WATCH = "upgrade_watch"
_TABLES = (
    f"""c.relnamespace = 'public'::regnamespace AND c.relname NOT LIKE '{_WATCH}%' AND c.relname <> 'schema_version'"""
)
_SHAPE = f"""
SELECT 'relation' AS kind, c.oid::text AS key, c.relname::text AS owner, jsonb_build_object('name', c.relname, 'kind', c.relkind,
    'file', CASE WHEN c.relkind = 'r' THEN pg_relation_filenode(c.oid) END, 'rights', c.relacl::text,
    'view', CASE WHEN c.relkind = 'v' THEN pg_get_viewdef(c.oid) END) AS told
FROM pg_class c WHERE {_TABLES} AND c.relkind IN ('r', 'p', 'v', 'S')
UNION ALL
SELECT 'column', c.oid || ' ' || a.attnum, c.relname, jsonb_build_object('name', a.attname,
    'type', format_type(a.atttypid, a.atttypmod), 'required', a.attnotnull, 'default', pg_get_expr(d.adbin, d.adrelid),
    'made', a.attidentity::text || a.attgenerated::text, 'order', a.attcollation::regcollation::text)
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum WHERE {_TABLES} AND c.relkind IN ('r', 'p')
UNION ALL
SELECT 'constraint', k.oid::text, c.relname, jsonb_build_object('name', k.conname, 'is', pg_get_constraintdef(k.oid),
    'columns', (SELECT jsonb_agg(c.oid || ' ' || n) FROM unnest(k.conkey) n))
FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid WHERE {_TABLES} AND k.contype <> 'n'
UNION ALL
SELECT 'index', x.oid::text, c.relname, jsonb_build_object('name', x.relname, 'is', pg_get_indexdef(x.oid), 'unique', i.indisunique,
    'columns', (SELECT jsonb_agg(c.oid || ' ' || n) FROM unnest(i.indkey) n))
FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_class c ON c.oid = i.indrelid
WHERE {_TABLES} AND NOT EXISTS (SELECT 1 FROM pg_constraint k WHERE k.conindid = x.oid)
UNION ALL
SELECT 'trigger', t.oid::text, c.relname, jsonb_build_object('name', t.tgname, 'is', pg_get_triggerdef(t.oid), 'on', t.tgenabled)
FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid WHERE {_TABLES} AND NOT t.tgisinternal AND t.tgname NOT LIKE '{_WATCH}%'
UNION ALL
SELECT 'function', p.oid::text, '', jsonb_build_object('name', p.proname, 'is', pg_get_functiondef(p.oid))
FROM pg_proc p WHERE p.pronamespace = 'public'::regnamespace AND p.prokind = 'f' AND p.proname NOT LIKE '{_WATCH}%'"""
_WATCHING = f"""
CREATE TABLE {_WATCH} (told text);
CREATE FUNCTION {_WATCH}() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN INSERT INTO {_WATCH} VALUES (lower(TG_OP) || ' of rows of ' || TG_TABLE_NAME); RETURN NULL; END $$;
DO $$ DECLARE one record; BEGIN
    FOR one IN SELECT c.relname AS name, string_agg(quote_ident(a.attname), ', ') AS columns
        FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        WHERE {_TABLES} AND c.relkind = 'r' GROUP BY c.relname
    LOOP
        EXECUTE format('CREATE TRIGGER {_WATCH} AFTER INSERT OR DELETE OR TRUNCATE OR UPDATE OF %s ON %I'
            ' FOR EACH STATEMENT EXECUTE FUNCTION {_WATCH}()', one.columns, one.name);
    END LOOP;
END $$;"""

Shape = dict[tuple[str, str], tuple[str, dict[str, Any]]]


async def shape(db: Any) -> Shape:
    """Everything in the schema by kind and PostgreSQL's number, with the table that it belongs to."""
    rows = await db.fetch(_SHAPE)
    return {(row["kind"], row["key"]): (row["owner"], _object(row["told"])) for row in rows}


def _object(told: Any) -> dict[str, Any]:
    return json.loads(told) if isinstance(told, str) else told


async def looks(db: Any) -> list[str]:
    """The schema in words that do not depend on the order in which it was made."""
    told = []
    for (kind, _), (owner, what) in (await shape(db)).items():
        facts = {name: value for name, value in what.items() if name not in {"file", "columns"}}
        told.append(f"{kind} {owner} {json.dumps(facts, sort_keys=True)}")
    return sorted(told)


async def takings(db: Any, *files: str) -> list[list[str]]:
    """What each of these pre files takes from code that works with the schema as it is, or demands of it; nothing is left of them."""
    async with _undone(db):
        await db.execute(_WATCHING)
        written = [await _written(db, sql) for sql in files]
    before = await shape(db)
    found = []
    for sql, one in zip(files, written, strict=True):
        async with _undone(db):
            await db.execute(sql)
            after = await shape(db)
        found.append(sorted({*one, *_taken(before, after), *_demanded(before, after)}))
    return found


@contextlib.asynccontextmanager
async def _undone(db: Any) -> AsyncIterator[None]:
    begun = db.transaction()
    await begun.start()
    try:
        yield
    finally:
        await begun.rollback()


async def _written(db: Any, sql: str) -> set[str]:
    """What it does to rows and columns that were there: triggers of statements tell, whether there are rows or not."""
    try:
        async with _undone(db):
            await db.execute(sql)
            return {row["told"] for row in await db.fetch(f"SELECT told FROM {_WATCH}")}
    except asyncpg.PostgresError as error:
        # Columns that a trigger names can be neither dropped nor given another type.
        return {f"columns that are there: {error}"}


def _taken(before: Shape, after: Shape) -> set[str]:
    found = set()
    for key, (owner, what) in before.items():
        label = f"{key[0]} {owner + '.' if owner and owner != what['name'] else ''}{what['name']}"
        if key not in after:
            found.add(f"{label} is gone")
            continue
        now = after[key][1]
        found |= {f"{label}: {name} was {what[name]}, becomes {now[name]}" for name in what if now[name] != what[name]}
    return found


def _demanded(before: Shape, after: Shape) -> set[str]:
    tables = {owner for (kind, _), (owner, _) in before.items() if kind == "relation"}
    columns = {key for kind, key in before if kind == "column"}
    found = set()
    for (kind, key), (owner, what) in after.items():
        if (kind, key) in before or owner not in tables:
            continue
        label = f"{kind} {owner}.{what['name']}"
        old = columns & set(what.get("columns") or ())
        if kind == "column" and what["required"] and what["default"] is None and not what["made"]:
            found.add(f"{label} is new, required and has no default")
        elif kind == "trigger":
            found.add(f"{label} is new: what older code writes runs it")
        elif (kind == "constraint" and old) or (kind == "index" and what["unique"] and old):
            found.add(f"{label} is new, and demands something of columns that older code writes: {what['is']}")
    return found
