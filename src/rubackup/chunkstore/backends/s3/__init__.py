"""Packs and manifests in a bucket of an S3-compatible object storage. Design: `docs/design/pools.md`, Object storages."""
