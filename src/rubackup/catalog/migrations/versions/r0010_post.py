"""Requests of clients, once no older code runs."""

from rubackup.catalog.migrations.run import run

revision = "0010_post"
down_revision = "0009_post"


def upgrade() -> None:
    """Run the SQL file of this revision."""
    run(revision)
