"""Pools of every type."""

from rubackup.catalog.migrations.run import run

revision = "0005_pre"
down_revision = "0004_pre"


def upgrade() -> None:
    """Run the SQL file of this revision."""
    run(revision)
