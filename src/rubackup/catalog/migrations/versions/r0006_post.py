"""Tape libraries, once no older code runs."""

from rubackup.catalog.migrations.run import run

revision = "0006_post"
down_revision = "0005_post"


def upgrade() -> None:
    """Run the SQL file of this revision."""
    run(revision)
