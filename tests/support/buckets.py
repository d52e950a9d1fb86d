"""Backends over the S3 server of the tests, impatient ones."""

from __future__ import annotations

from pathlib import Path

from rubackup.chunkstore.backends.s3.backend import S3Backend
from rubackup.chunkstore.backends.s3.location import Bucket
from rubackup.chunkstore.backends.s3.retry import Patience
from support.s3server import ACCESS, SECRET, S3Server

QUICK = Patience(total_seconds=60, first_seconds=0.002, longest_seconds=0.02)


def location(server: S3Server, spool: Path, **more) -> Bucket:
    """A prefix in the server's bucket."""
    told = {"bucket": "bucket", "prefix": "pool/one", "access_key": ACCESS, "secret_key": SECRET, "spool": spool}
    return Bucket(endpoint=server.endpoint, **{**told, **more})


def backend(
    server: S3Server, spool: Path, *, patience: Patience = QUICK, part_bytes: int = 1 << 16, **more
) -> S3Backend:
    """With small parts, so that manifests of tests go in parts, too."""
    return S3Backend(location(server, spool, **more), patience, single_bytes=part_bytes, part_bytes=part_bytes)
