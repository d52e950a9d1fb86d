"""What `rb_init` does: folders, keys, the service database, this host's own roles. Every step may be repeated."""
