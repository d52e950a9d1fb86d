"""The global schedule, once no older code runs."""

from rubackup.catalog.migrations.run import run

revision = "0003_post"
down_revision = "0002_post"


def upgrade() -> None:
    """Run the SQL file of this revision."""
    run(revision)
