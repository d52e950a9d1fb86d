"""An API over one database with rows of every family in it, and the means to make these rows varied.

What suites about all families share. A new family is in it by its declaration and its samples.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rubackup.api.resource import Op, Resource
from rubackup.catalog.database import DatabaseAddress
from rubackup.resources import RESOURCES
from support.api import Api, running_api
from support.databases import fresh_database
from support.hosts import AnsweringHosts
from support.samples import Samples

LISTED = tuple(resource for resource in RESOURCES if Op.LIST in resource.ops)
"""Every resource with a list."""

_KEPT = {
    "token_families", "login_failures", "idempotency_keys", "global_configuration", "leadership", "schema_version",
    "api_tokens", "users.username", "users.password_hash", "users.is_superuser",
}  # fmt: skip
"""Tables and columns that the API itself lives by."""

TEXTS = (
    "", " ", "a", "A", "b", "B", "aa", "a b", "Zebra", "-", "_", "%", "a%", "a_b", "\\", "a\\%", '"', 'say "a"', "O'Brien",
    ",", "a,b", "é", "e\u0301", "É", "ß", "ẞ", "SS", "İ", "i", "ı", "Ж", "ж", "Привет, Мир", "ПРИВЕТ", "Σίσυφος", "ς", "名前",
    "😀", "\u00a0", "\u200b", "\ufeff", "tab\tnew\nline", "→ x", "10", "9", "-1", "true", "null", "None",
)  # fmt: skip
_VALUES: Mapping[str, tuple[str, ...]] = {
    "text": TEXTS,
    "bool": ("true", "false"),
    "int4": ("0", "1", "-1", "2", "9", "10", "100", "1000"),
    "int8": ("0", "1", "-1", "2", "9", "10", "1000", "1099511627776", "4611686018427387904"),
    "float8": ("0", "-0.5", "0.1", "1", "1e300", "100"),
    "timestamptz": (
        "0001-01-02 00:00:00+00", "1969-12-31 23:59:59.999999+00", "2024-08-19 16:20:28+00", "2024-08-19 16:20:28.000001+00",
        "2024-08-19 16:20:27.999999+00", "2038-01-19 03:14:08+00", "9999-12-31 23:59:59+00",
    ),
    "_text": ("{}", "{a}", "{a,b}", '{"a,b"}', '{"", "%"}', '{"Ж", "ж"}'),
}  # fmt: skip
_COLUMNS = """
SELECT t.relname AS table, a.attname AS column, y.typname AS type, a.attnotnull AS required, EXISTS (
    SELECT 1 FROM pg_index i WHERE i.indrelid = t.oid AND i.indisunique AND a.attnum = ANY (i.indkey::smallint[])) AS in_name
FROM pg_class t JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped
JOIN pg_type y ON y.oid = a.atttypid
WHERE t.relkind = 'r' AND t.relnamespace = 'public'::regnamespace
    AND t.relname <> ALL ($1::text[]) AND t.relname || '.' || a.attname <> ALL ($1::text[])
    AND a.attidentity = '' AND a.attgenerated = '' AND y.typname = ANY ($2::text[])
    AND NOT EXISTS (
        SELECT 1 FROM pg_constraint c WHERE c.conrelid = t.oid AND c.contype IN ('c', 'f') AND a.attnum = ANY (c.conkey))
ORDER BY 1, 2"""


def make_rows(api: Api, samples: Mapping[str, Samples], resources: Iterable[Resource]) -> dict[str, list[int]]:
    """New rows of each resource that has samples; their ids by path."""
    return {one.path: samples[one.path].rows(api) for one in resources if one.path in samples}


def vary(api: Api) -> None:
    """Overwrite what no constraint forbids, in two of three rows of every table, with values that are hard to compare."""
    for column in api.fetch(_COLUMNS, sorted(_KEPT), list(_VALUES)):
        if column["in_name"] and column["type"] != "text":
            continue
        kind, name = column["type"], column["column"]
        values: list[str | None] = [*_VALUES[kind]]
        if not column["required"]:
            values += [None] * (len(values) // 4 + 1)
        drawn = f"hashtext('{name}' || row_number() OVER (ORDER BY ctid)) & 65535"
        kept = f"t.{name} || ' ' || w.value" if column["in_name"] else "w.value"
        api.execute(
            f"UPDATE {column['table']} t SET {name} = ({kept})::{kind} FROM ("
            f"SELECT place, number, ($1::text[])[1 + number % {len(values)}] AS value FROM ("
            f"SELECT ctid AS place, {drawn} AS number FROM {column['table']}) d) w "
            "WHERE w.place = t.ctid AND w.number / 64 % 3 > 0",
            values,
        )


@contextmanager
def furnished(postgres: DatabaseAddress, samples: Mapping[str, Samples], times: int) -> Iterator[Api]:
    """The whole API, a superuser logged in, with so many times the samples' rows of every family."""
    with fresh_database(postgres) as address, running_api(address, RESOURCES, AnsweringHosts()) as api:
        api.login("rubackup")
        for _ in range(times):
            make_rows(api, samples, RESOURCES)
        yield api


def items(api: Api, path: str, **query: Any) -> list[dict[str, Any]]:
    """Every row of a list, whatever its length."""
    found: list[dict[str, Any]] = []
    cursor = ""
    while True:
        answer = api.get(f"/{path}", params={"limit": 1000, **query, "cursor": cursor})
        assert answer.status_code == 200, answer.text
        data = answer.json()["data"]
        found += data["items"]
        if not (cursor := data["next_cursor"] or ""):
            return found
