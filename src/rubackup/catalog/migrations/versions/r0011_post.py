"""Indexes of lists, once no older code runs."""

from rubackup.catalog.migrations.run import run

revision = "0011_post"
down_revision = "0011_pre"


def upgrade() -> None:
    """Run the SQL file of this revision."""
    run(revision)
