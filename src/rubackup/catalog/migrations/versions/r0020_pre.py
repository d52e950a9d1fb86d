"""Places for tasks, bandwidth of rules, launches that failed."""

from rubackup.catalog.migrations.run import run

revision = "0020_pre"
down_revision = "0019_pre"


def upgrade() -> None:
    """Run the SQL file of this revision."""
    run(revision)
