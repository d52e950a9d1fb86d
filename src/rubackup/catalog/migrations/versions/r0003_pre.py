"""The global schedule."""

from rubackup.catalog.migrations.run import run

revision = "0003_pre"
down_revision = "0002_pre"


def upgrade() -> None:
    """Run the SQL file of this revision."""
    run(revision)
