"""API tokens and the event log, once no older code runs."""

from rubackup.catalog.migrations.run import run

revision = "0008_post"
down_revision = "0007_post"


def upgrade() -> None:
    """Run the SQL file of this revision."""
    run(revision)
