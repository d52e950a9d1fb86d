"""The chunk store at sizes that no test reaches: `python -m bench.scale`, run at the root of the checkout."""
