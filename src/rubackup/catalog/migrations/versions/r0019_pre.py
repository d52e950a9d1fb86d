"""What retention keeps, and what it did."""

from rubackup.catalog.migrations.run import run

revision = "0019_pre"
down_revision = "0018_pre"


def upgrade() -> None:
    """Run the SQL file of this revision."""
    run(revision)
