"""Pools of every type, once no older code runs."""

from rubackup.catalog.migrations.run import run

revision = "0005_post"
down_revision = "0004_post"


def upgrade() -> None:
    """Run the SQL file of this revision."""
    run(revision)
