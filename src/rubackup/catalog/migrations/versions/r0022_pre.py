"""What kind of problem a pool has."""

from rubackup.catalog.migrations.run import run

revision = "0022_pre"
down_revision = "0021_pre"


def upgrade() -> None:
    """Run the SQL file of this revision."""
    run(revision)
