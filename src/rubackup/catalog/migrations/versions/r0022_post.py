"""What kind of problem a pool has, once no older code runs."""

from rubackup.catalog.migrations.run import run

revision = "0022_post"
down_revision = "0021_post"


def upgrade() -> None:
    """Run the SQL file of this revision."""
    run(revision)
