"""The chunk store: chunks, groups, packs, index, manifests; knows no network and no database.

The design, its invariants and byte tables: `docs/design/chunkstore.md`.
"""
