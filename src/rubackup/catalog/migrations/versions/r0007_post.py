"""Logs of hosts, monitoring, bandwidth, once no older code runs."""

from rubackup.catalog.migrations.run import run

revision = "0007_post"
down_revision = "0006_post"


def upgrade() -> None:
    """Run the SQL file of this revision."""
    run(revision)
