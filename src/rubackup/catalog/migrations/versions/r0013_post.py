"""Cleanings of pools, once no older code runs."""

from rubackup.catalog.migrations.run import run

revision = "0013_post"
down_revision = "0012_post"


def upgrade() -> None:
    """Run the SQL file of this revision."""
    run(revision)
