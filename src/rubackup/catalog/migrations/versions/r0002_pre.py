"""Where tasks and copies come from."""

from rubackup.catalog.migrations.run import run

revision = "0002_pre"
down_revision = "0001_pre"


def upgrade() -> None:
    """Run the SQL file of this revision."""
    run(revision)
