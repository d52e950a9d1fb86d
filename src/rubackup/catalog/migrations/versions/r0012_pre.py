"""Keys of encrypted copies."""

from rubackup.catalog.migrations.run import run

revision = "0012_pre"
down_revision = "0011_pre"


def upgrade() -> None:
    """Run the SQL file of this revision."""
    run(revision)
