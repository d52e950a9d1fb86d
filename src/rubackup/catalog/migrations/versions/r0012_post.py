"""Keys of encrypted copies, once no older code runs."""

from rubackup.catalog.migrations.run import run

revision = "0012_post"
down_revision = "0011_post"


def upgrade() -> None:
    """Run the SQL file of this revision."""
    run(revision)
