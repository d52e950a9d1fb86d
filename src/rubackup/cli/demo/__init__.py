"""The demonstration: one folder backed up, listed, verified, restored elsewhere and compared."""
