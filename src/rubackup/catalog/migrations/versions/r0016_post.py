"""What is known of devices and buckets, once no older code runs."""

from rubackup.catalog.migrations.run import run

revision = "0016_post"
down_revision = "0015_post"


def upgrade() -> None:
    """Run the SQL file of this revision."""
    run(revision)
