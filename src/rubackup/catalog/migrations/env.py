"""Alembic's entry: runs the chain on the connection that `rubackup.catalog.migrate` opened."""

from alembic import context

context.configure(
    connection=context.config.attributes["connection"],
    transaction_per_migration=True,
    version_table="schema_version",
)
context.run_migrations()
