"""Hosts of the API alone."""

from rubackup.catalog.migrations.run import run

revision = "0021_pre"
down_revision = "0020_pre"


def upgrade() -> None:
    """Run the SQL file of this revision."""
    run(revision)
