"""Logs of hosts, monitoring, bandwidth."""

from rubackup.catalog.migrations.run import run

revision = "0007_pre"
down_revision = "0006_pre"


def upgrade() -> None:
    """Run the SQL file of this revision."""
    run(revision)
