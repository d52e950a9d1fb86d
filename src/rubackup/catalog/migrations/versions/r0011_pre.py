"""Indexes of lists."""

from rubackup.catalog.migrations.run import run

revision = "0011_pre"
down_revision = "0010_pre"


def upgrade() -> None:
    """Run the SQL file of this revision."""
    run(revision)
