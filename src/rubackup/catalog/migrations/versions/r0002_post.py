"""Where tasks and copies come from, once no older code runs."""

from rubackup.catalog.migrations.run import run

revision = "0002_post"
down_revision = "0001_post"


def upgrade() -> None:
    """Run the SQL file of this revision."""
    run(revision)
