"""Cleanings of pools, terms of leadership."""

from rubackup.catalog.migrations.run import run

revision = "0013_pre"
down_revision = "0012_pre"


def upgrade() -> None:
    """Run the SQL file of this revision."""
    run(revision)
