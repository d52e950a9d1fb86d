"""The client: takes orders, reads, sends, restores."""
