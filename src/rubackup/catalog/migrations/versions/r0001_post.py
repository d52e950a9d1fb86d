"""The first schema, once no older code runs."""

from rubackup.catalog.migrations.run import run

revision = "0001_post"
down_revision = None


def upgrade() -> None:
    """Run the SQL file of this revision."""
    run(revision)
