"""Where backups go, once no older code runs."""

from rubackup.catalog.migrations.run import run

revision = "0015_post"
down_revision = "0014_post"


def upgrade() -> None:
    """Run the SQL file of this revision."""
    run(revision)
