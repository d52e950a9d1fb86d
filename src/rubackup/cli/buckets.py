"""A bucket of a pool as an administrator names it for `rubackup media repair`: a file, as its keys belong into no command line."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

from rubackup.chunkstore.backends.s3.location import Bucket
from rubackup.domain.errors import Invalid


class BucketFile(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What stands in the file, in JSON, by the names of `/storage_clouds`."""

    endpoint: str
    bucket: str
    access_key: str
    secret_key: str
    prefix: str = ""
    region: str = ""
    ca_file: str = ""
    object_lock: Literal["none", "governance", "compliance"] = "none"


def read_bucket(file: Path, metadata: Path) -> Bucket:
    """The bucket, tried; Invalid says what is wrong with the file, StorageFault what with the bucket."""
    try:
        if file.stat().st_mode & 0o077:
            raise Invalid(f"{file} has a secret in it and can be read by others: chmod go= {file}")
        told = msgspec.json.decode(file.read_bytes(), type=BucketFile)
    except OSError as error:
        raise Invalid(f"{file}: {error.strerror}.") from error
    except msgspec.DecodeError as error:
        raise Invalid(f"{file}: {error}.") from error
    try:
        where = Bucket(
            endpoint=told.endpoint, bucket=told.bucket, access_key=told.access_key, secret_key=told.secret_key,
            prefix=told.prefix, region=told.region or "us-east-1", ca_file=Path(told.ca_file) if told.ca_file else None,
            object_lock=told.object_lock, spool=metadata / "spool",
        )  # fmt: skip
    except Invalid as error:
        raise Invalid(f"{file}: {'; '.join(f'{name}: {text}' for name, text in error.fields.items())}") from error
    # Its libraries take 40 MiB, which others need not load.
    from rubackup.chunkstore.backends.s3.probe import probe  # noqa: PLC0415

    return probe(where).applied(where)
