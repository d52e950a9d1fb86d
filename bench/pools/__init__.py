"""Throughput of pools on every kind of storage beside raw writes and reads of the same place: `python -m bench.pools`."""
