"""Tape libraries."""

from rubackup.catalog.migrations.run import run

revision = "0006_pre"
down_revision = "0005_pre"


def upgrade() -> None:
    """Run the SQL file of this revision."""
    run(revision)
