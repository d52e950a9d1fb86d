"""What clients say of their storages for Client defined pools."""

from rubackup.catalog.migrations.run import run

revision = "0017_pre"
down_revision = "0016_pre"


def upgrade() -> None:
    """Run the SQL file of this revision."""
    run(revision)
