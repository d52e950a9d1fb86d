"""The first schema."""

from rubackup.catalog.migrations.run import run

revision = "0001_pre"
down_revision = None


def upgrade() -> None:
    """Run the SQL file of this revision."""
    run(revision)
