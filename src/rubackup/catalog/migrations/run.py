"""Runs the SQL file of one revision, inside the transaction that Alembic opened for it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from alembic import op
from sqlalchemy.util import await_only

from rubackup.catalog import versions
from rubackup.catalog.versions import LOCK_TIMEOUT_MS, Code, Schema
from rubackup.domain.errors import TooSlow

HEADS = "schema_heads"
"""The table, of the session alone, in which Alembic finds how far both branches are."""
STEP_SECONDS = 8.0
"""How long a file may take while processes serve: a little less than they wait for a table."""
_MOVE = "UPDATE schema_version SET version_num = $1, pre = $2, oldest = $3"
_BEGIN = "INSERT INTO schema_version (version_num, pre, oldest) VALUES ($1, $2, $3)"
_SIGN = "SELECT format('COMMENT ON TABLE schema_version IS %L', $1::text)"


def run(revision: str) -> None:
    """Run `<revision>.sql`, which may hold many statements; all of them are committed with the version, or none."""
    environment = op.get_context().environment_context
    assert environment is not None
    bind = op.get_bind()
    # The first statement over SQLAlchemy opens the transaction; the file then goes to the driver as it is,
    # because prepared statements, which SQLAlchemy uses, hold one command only.
    bind.exec_driver_sql(f"SET LOCAL lock_timeout = {LOCK_TIMEOUT_MS}")
    bind.exec_driver_sql("SET LOCAL statement_timeout = 0")
    await_only(_run(bind.connection.driver_connection, environment.config.attributes["code"], revision))


async def _run(db: Any, code: Code, revision: str) -> None:
    found = await versions.read(db) or Schema(oldest=code.beside)
    number, half = int(revision[:4]), revision[5:]
    after = replace(found, **{half: number})
    if number != getattr(found, half) + 1 or after.post > after.pre:
        raise AssertionError(f"{revision} does not come after {found}")
    served = await versions.is_served(db)
    try:
        await db.execute(
            (code.folder / f"{revision}.sql").read_text(encoding="utf-8"), timeout=STEP_SECONDS if served else None
        )
    except TimeoutError as error:
        raise TooSlow(
            f"The step {revision} of the schema takes longer than the {STEP_SECONDS:.0f} s for which servers and APIs may"
            " be kept waiting; it was undone. Stop servers and APIs on all hosts, then try again."
        ) from error
    after = replace(after, oldest=max(after.oldest, after.post))
    told = (after.position, after.pre, after.oldest)
    if await db.execute(_MOVE, *told) == "UPDATE 0":
        await db.execute(_BEGIN, *told)
    await db.execute(await db.fetchval(_SIGN, code.product))
