"""Alembic's chain of revisions, one module an SQL file."""
