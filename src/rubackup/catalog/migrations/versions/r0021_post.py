"""Hosts of the API alone, once no older code runs."""

from rubackup.catalog.migrations.run import run

revision = "0021_post"
down_revision = "0020_post"


def upgrade() -> None:
    """Run the SQL file of this revision."""
    run(revision)
