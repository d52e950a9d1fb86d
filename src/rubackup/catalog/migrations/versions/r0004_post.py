"""Strategies, reports, notifications, the disaster recovery plan, once no older code runs."""

from rubackup.catalog.migrations.run import run

revision = "0004_post"
down_revision = "0003_post"


def upgrade() -> None:
    """Run the SQL file of this revision."""
    run(revision)
