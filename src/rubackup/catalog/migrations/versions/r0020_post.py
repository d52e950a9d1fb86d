"""Places for tasks, once no older code runs."""

from rubackup.catalog.migrations.run import run

revision = "0020_post"
down_revision = "0019_post"


def upgrade() -> None:
    """Run the SQL file of this revision."""
    run(revision)
