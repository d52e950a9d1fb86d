"""The benchmark of the chunk store against restic and borg: `python -m bench.engine`, run at the root of the checkout."""
