"""Contacts with pools."""

from rubackup.catalog.migrations.run import run

revision = "0014_pre"
down_revision = "0013_pre"


def upgrade() -> None:
    """Run the SQL file of this revision."""
    run(revision)
