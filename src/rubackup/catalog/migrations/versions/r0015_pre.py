"""Where backups go, what is away, emergency storages."""

from rubackup.catalog.migrations.run import run

revision = "0015_pre"
down_revision = "0014_pre"


def upgrade() -> None:
    """Run the SQL file of this revision."""
    run(revision)
