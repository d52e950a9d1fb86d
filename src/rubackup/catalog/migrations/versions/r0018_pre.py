"""The scheduler's tables, and rules of client groups."""

from rubackup.catalog.migrations.run import run

revision = "0018_pre"
down_revision = "0017_pre"


def upgrade() -> None:
    """Run the SQL file of this revision."""
    run(revision)
