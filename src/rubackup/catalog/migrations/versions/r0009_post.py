"""Copies that are copied, moved and kept, once no older code runs."""

from rubackup.catalog.migrations.run import run

revision = "0009_post"
down_revision = "0008_post"


def upgrade() -> None:
    """Run the SQL file of this revision."""
    run(revision)
