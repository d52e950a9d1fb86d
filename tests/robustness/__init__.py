"""Pools against an independent model: `scripts/robustness`, and `tests/contract/chunkstore/test_pool_model.py`."""
