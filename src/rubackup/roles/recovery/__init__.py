"""Keeping the catalogue safe, and bringing it back. Design: `docs/design/catalogue-backup.md`; use: `docs/disaster-recovery.md`."""
