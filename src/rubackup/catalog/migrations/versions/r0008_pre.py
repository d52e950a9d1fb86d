"""API tokens and the event log."""

from rubackup.catalog.migrations.run import run

revision = "0008_pre"
down_revision = "0007_pre"


def upgrade() -> None:
    """Run the SQL file of this revision."""
    run(revision)
