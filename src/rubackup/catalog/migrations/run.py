"""Runs the SQL file of one revision, inside the transaction that Alembic opened for it."""

from __future__ import annotations

from pathlib import Path

from alembic import op
from sqlalchemy.util import await_only

FOLDER = Path(__file__).parent
LOCK_TIMEOUT_MS = 10_000


def run(revision: str) -> None:
    """Run `<revision>.sql`, which may hold many statements; all of them are committed with the version, or none."""
    bind = op.get_bind()
    # The first statement over SQLAlchemy opens the transaction; the file then goes to the driver as it is,
    # because prepared statements, which SQLAlchemy uses, hold one command only.
    bind.exec_driver_sql(f"SET LOCAL lock_timeout = {LOCK_TIMEOUT_MS}")
    bind.exec_driver_sql("SET LOCAL statement_timeout = 0")
    driver = bind.connection.driver_connection
    assert driver is not None
    await_only(driver.execute((FOLDER / f"{revision}.sql").read_text()))
