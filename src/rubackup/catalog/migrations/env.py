"""Alembic's entry: runs a branch on the connection that `rubackup.catalog.migrate` opened."""

from alembic import context

from rubackup.catalog.migrations.run import HEADS

context.configure(
    connection=context.config.attributes["connection"],
    transaction_per_migration=True,
    version_table=HEADS,
)
context.run_migrations()
