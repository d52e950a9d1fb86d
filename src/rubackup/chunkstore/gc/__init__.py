"""Garbage collection: frees what no record of the pool needs any more.

Design: `docs/design/chunkstore.md`, Garbage collection.
"""
