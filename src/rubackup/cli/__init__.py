"""The `rubackup` command."""
