"""The scheduler's tables, once no older code runs."""

from rubackup.catalog.migrations.run import run

revision = "0018_post"
down_revision = "0017_post"


def upgrade() -> None:
    """Run the SQL file of this revision."""
    run(revision)
