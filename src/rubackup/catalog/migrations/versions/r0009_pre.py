"""Copies that are copied, moved and kept."""

from rubackup.catalog.migrations.run import run

revision = "0009_pre"
down_revision = "0008_pre"


def upgrade() -> None:
    """Run the SQL file of this revision."""
    run(revision)
