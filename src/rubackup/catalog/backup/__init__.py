"""The service database in one file, and back. Design and byte table: `docs/design/catalogue-backup.md`."""
