"""The catalogue orders text by code point; a database that does not is refused before anything is made in it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import asyncpg
import pytest

from rubackup.catalog import collation
from rubackup.catalog.database import Database, DatabaseAddress
from rubackup.catalog.migrate import migrate
from rubackup.domain.errors import Conflict
from support.databases import ROLE, as_role, execute

pytestmark = pytest.mark.postgres

WORDS = ["", " b", "-a", "10", "9", "B", "Z", "_", "a", "a b", "aa", "b", "é", "ж", "€", "😀"]
OTHER_RULES = {
    "the rules of English": "TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'en-US'",
    "letters that fold only in ASCII": "TEMPLATE template0 LOCALE_PROVIDER libc LC_COLLATE 'C' LC_CTYPE 'C'",
}


async def value(address: DatabaseAddress, query: str, *values: object) -> object:
    """The one value of a query."""
    connection = await Database(address).direct()
    try:
        return await connection.fetchval(query, *values)
    finally:
        await connection.close()


@pytest.fixture(params=OTHER_RULES)
def other(request: pytest.FixtureRequest, postgres: DatabaseAddress) -> Iterator[DatabaseAddress]:
    """A database that orders or folds text otherwise."""
    try:
        execute(postgres, f"CREATE DATABASE otherwise OWNER {ROLE} {OTHER_RULES[request.param]}")
    except asyncpg.FeatureNotSupportedError:
        pytest.skip(f"this PostgreSQL does not know {request.param}")
    yield as_role(postgres, "otherwise")
    execute(postgres, "DROP DATABASE otherwise WITH (FORCE)")


def test_a_database_of_other_rules_is_refused(other: DatabaseAddress) -> None:
    """The sentence says how to make one, and nothing was made in this one."""
    with pytest.raises(Conflict, match=r"orders text by the rules of .*CREATE DATABASE .* TEMPLATE template0"):
        asyncio.run(migrate(other))

    assert asyncio.run(value(other, "SELECT to_regclass('schema_version')")) is None


def test_a_database_made_as_the_sentence_says_is_taken(postgres: DatabaseAddress) -> None:
    """The clause fits the server's version, and orders as Python does."""

    async def made() -> str:
        connection = await Database(postgres).direct()
        try:
            return collation.clause(connection)
        finally:
            await connection.close()

    execute(postgres, f"CREATE DATABASE as_told OWNER {ROLE} {asyncio.run(made())}")
    try:
        address = as_role(postgres, "as_told")
        asyncio.run(migrate(address))
        ordered = asyncio.run(
            value(address, "SELECT array_agg(w ORDER BY w) FROM unnest($1::text[]) AS w", WORDS[::-1])
        )
    finally:
        execute(postgres, "DROP DATABASE as_told WITH (FORCE)")

    assert ordered == WORDS == sorted(WORDS)
