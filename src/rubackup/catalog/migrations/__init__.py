"""The catalogue's revisions: pairs of SQL files, `NNNN_pre.sql` (safe for the code before) and `NNNN_post.sql`.

Each file has a module of the same name in `versions/` that puts it into Alembic's chain.
Run by `rubackup.catalog.migrate`.
"""
