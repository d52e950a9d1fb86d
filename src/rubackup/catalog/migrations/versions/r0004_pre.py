"""Strategies, reports, notifications, the disaster recovery plan."""

from rubackup.catalog.migrations.run import run

revision = "0004_pre"
down_revision = "0003_pre"


def upgrade() -> None:
    """Run the SQL file of this revision."""
    run(revision)
