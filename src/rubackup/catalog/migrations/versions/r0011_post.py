"""Indexes of lists, once no older code runs."""

from rubackup.catalog.migrations.run import run

revision = "0011_post"
down_revision = "0010_post"


def upgrade() -> None:
    """Run the SQL file of this revision."""
    run(revision)
