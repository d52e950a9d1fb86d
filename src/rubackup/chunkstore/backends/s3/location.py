"""Where a bucket is, and how it is opened."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal
from urllib.parse import urlsplit

from blake3 import blake3

from rubackup.domain.errors import Invalid

ObjectLockMode = Literal["none", "governance", "compliance"]
CACHE_BYTES: Final = 256 << 20
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_PREFIX = re.compile(r"([A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*)?")


@dataclass(frozen=True)
class Bucket:
    """A prefix in a bucket. The keys are in no text that is made of it."""

    endpoint: str
    """`https://host` or `http://host`, with a port where it is not the usual one."""
    bucket: str
    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    spool: Path
    """A folder of the media server's own disk: open packs and manifests, and the cache. One for each bucket."""
    region: str = "us-east-1"
    prefix: str = ""
    ca_file: Path | None = None
    """Certificates, in PEM, that are trusted beside those of the system."""
    object_lock: ObjectLockMode = "none"
    cache_bytes: int = CACHE_BYTES
    """How much of the manifests is kept locally."""
    conditional_put: bool = True
    """Whether the server refuses to overwrite when it is asked not to (`BucketFacts` tells); else it is asked before."""
    conditional_multipart: bool = False
    """The same for files that are sent in parts."""

    def __post_init__(self) -> None:
        wrong: dict[str, str] = {}
        address = urlsplit(self.endpoint)
        if address.scheme not in {"http", "https"} or not address.hostname or address.path.strip("/") or address.query:
            wrong["endpoint"] = "It must be https://host or http://host, with or without a port."
        elif address.username or address.password:
            wrong["endpoint"] = "Keys have fields of their own and are no part of it."
        if not _BUCKET.fullmatch(self.bucket):
            wrong["bucket"] = "It must have 3 to 63 lower-case letters, digits, dots and hyphens."
        if not _PREFIX.fullmatch(self.prefix) or {".", ".."} & set(self.prefix.split("/")):
            wrong["prefix"] = "It must be of letters, digits, '.', '_', '-', and '/' between them."
        if not self.access_key or not self.secret_key:
            wrong["access_key"] = "Both keys must be given."
        if wrong:
            raise Invalid(fields=wrong)

    @property
    def label(self) -> str:
        """What administrators know it by."""
        return "/".join(part for part in (self.endpoint.rstrip("/"), self.bucket, self.prefix) if part)

    @property
    def spool_folder(self) -> Path:
        """Its own folder in the spool."""
        return self.spool / blake3(self.label.encode()).hexdigest()[:16]

    def key(self, name: str) -> str:
        """Key of a file."""
        return f"{self.prefix}/{name}" if self.prefix else name

    def name(self, key: str) -> str:
        """File of a key below the prefix."""
        return key[len(self.prefix) + 1 :] if self.prefix else key
