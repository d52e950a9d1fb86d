"""What is known of devices and buckets of pools, and how they are."""

from rubackup.catalog.migrations.run import run

revision = "0016_pre"
down_revision = "0015_pre"


def upgrade() -> None:
    """Run the SQL file of this revision."""
    run(revision)
