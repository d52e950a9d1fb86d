"""Requests of clients."""

from rubackup.catalog.migrations.run import run

revision = "0010_pre"
down_revision = "0009_pre"


def upgrade() -> None:
    """Run the SQL file of this revision."""
    run(revision)
