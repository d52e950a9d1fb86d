"""RuBackup: a backup and recovery system run through a REST API."""

__version__ = "2.0.0"
