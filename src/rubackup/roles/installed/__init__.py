"""The roles as installed services: fixed folders below one prefix, one configuration file, started and stopped by name."""
