"""Buckets of S3-compatible object storages as storages of pools of the type Cloud.

The secret key is sealed at once for the media server that owns the pool: nobody else can read it afterwards, and no
answer, audit row or log line shows it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import UNSET, Meta, UnsetType

from rubackup.domain.errors import Conflict, Invalid
from rubackup.domain.names import NAME
from rubackup.domain.pools import CLOUD
from rubackup.domain.sealing import CLOUD_SECRET, seal
from rubackup.services import scopes, storage_need
from rubackup.services.change import Change
from rubackup.services.fields import Problems, Ref, given, update_columns
from rubackup.services.pools import UNREPORTED
from rubackup.services.ports import BucketPlace, BucketReport
from rubackup.services.storage_kinds import CLOUD_LABEL

_NEW_KEY = "The media server has another key than the one that the secret is sealed for: give secret_key again."
KEY_PROBLEM = f"CASE WHEN s.secret_fingerprint <> m.fingerprint THEN '{_NEW_KEY}' ELSE '' END"
"""What is wrong with the sealed key of cloud storage `s` of media server `m`; '' when nothing is."""
PROBLEM = f"coalesce(nullif({KEY_PROBLEM}, ''), t.problem, '{UNREPORTED}')"
"""What keeps cloud storage `s` with its state `t` from being used; '' when nothing does."""

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_PREFIX_NAMES = re.compile(r"[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*")
_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('storage_clouds', 0))"
_KEY = """
SELECT m.csr_pem, m.fingerprint, m.hostname, p.uuid FROM pools p JOIN media_servers m ON m.id = p.media_server_id
WHERE p.id = $1"""
_OVERLAP = """
SELECT 1 FROM storage_clouds s WHERE s.id IS DISTINCT FROM $1::bigint AND s.endpoint = $2 AND s.bucket = $3
    AND (s.prefix IN ('', $4) OR $4 = '' OR starts_with(s.prefix, $4 || '/') OR starts_with($4, s.prefix || '/'))
LIMIT 1"""
_NAMED = "SELECT 1 FROM storage_clouds s WHERE s.pool_id = $1 AND s.name = $2 AND s.id IS DISTINCT FROM $3::bigint"
_READ = """
SELECT s.*, p.media_server_id, p.uuid, m.hwid FROM storage_clouds s JOIN pools p ON p.id = s.pool_id
JOIN media_servers m ON m.id = p.media_server_id WHERE s.id = $1"""
_INSERT = """
INSERT INTO storage_clouds (name, pool_id, endpoint, region, bucket, prefix, access_key, secret_sealed,
    secret_fingerprint, ca_file, object_lock, description)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) RETURNING id"""
_PROBED = """
UPDATE storage_clouds SET notes = $2, conditional_writes = $3, conditional_parts = $4, versioning = $5, lockable = $6,
    clock_ahead_seconds = $7, probed_at = now() WHERE id = $1"""
_REACHED_BY = ("endpoint", "region", "bucket", "prefix", "access_key", "secret_sealed", "ca_file", "object_lock")
"""What a change of makes the media server look again."""
_DELETE = """
DELETE FROM storage_clouds s USING pools p WHERE p.id = s.pool_id AND s.id = ANY ($1::bigint[])
RETURNING s.id, p.media_server_id"""

ObjectLock = Literal["none", "governance", "compliance"]
_NAME = Meta(
    description="Name of the cloud storage; unique within its pool.", min_length=1, max_length=128, pattern=NAME
)
_ENDPOINT = Meta(
    description="Where the object storage answers: https://host:port; over http:// data travels in clear.",
    max_length=512,
)
_REGION = Meta(description="Region, as the object storage wants it; empty: none.", max_length=64)
_BUCKET_NAME = Meta(description="Name of the bucket; it must be there.", max_length=63)
_PREFIX = Meta(description="Folder within the bucket, without / at either end; empty: the whole.", max_length=512)
_ACCESS_KEY = Meta(description="Access key (its id, not the secret).", min_length=1, max_length=256)
_SECRET_KEY = Meta(
    description="Secret key; stored readable for the pool's media server alone and never shown.",
    min_length=1,
    max_length=1024,
    extra_json_schema={"writeOnly": True},
)
_CA_FILE = Meta(
    description="File on the media server with the CA that signs the endpoint's certificate; empty: the system's.",
    max_length=4096,
)
_OBJECT_LOCK = Meta(description="Object Lock of what is stored: none, governance or compliance.")
_DESCRIPTION = Meta(description="Free text.", max_length=4096)


class NewCloud(msgspec.Struct, kw_only=True):
    """A bucket that a pool is to use."""

    pool: Annotated[Ref, Meta(description="Pool of the type Cloud: name or id.")]
    name: Annotated[str, _NAME]
    endpoint: Annotated[str, _ENDPOINT]
    bucket: Annotated[str, _BUCKET_NAME]
    access_key: Annotated[str, _ACCESS_KEY]
    secret_key: Annotated[str, _SECRET_KEY]
    region: Annotated[str, _REGION] = ""
    prefix: Annotated[str, _PREFIX] = ""
    ca_file: Annotated[str, _CA_FILE] = ""
    object_lock: Annotated[ObjectLock, _OBJECT_LOCK] = "none"
    description: Annotated[str, _DESCRIPTION] = ""


class CloudChange(msgspec.Struct, kw_only=True):
    """What to change of a cloud storage."""

    name: Annotated[str, _NAME] | UnsetType = UNSET
    endpoint: Annotated[str, _ENDPOINT] | UnsetType = UNSET
    bucket: Annotated[str, _BUCKET_NAME] | UnsetType = UNSET
    access_key: Annotated[str, _ACCESS_KEY] | UnsetType = UNSET
    secret_key: Annotated[str, _SECRET_KEY] | UnsetType = UNSET
    region: Annotated[str, _REGION] | UnsetType = UNSET
    prefix: Annotated[str, _PREFIX] | UnsetType = UNSET
    ca_file: Annotated[str, _CA_FILE] | UnsetType = UNSET
    object_lock: Annotated[ObjectLock, _OBJECT_LOCK] | UnsetType = UNSET
    description: Annotated[str, _DESCRIPTION] | UnsetType = UNSET


async def create(change: Change, new: NewCloud) -> int:
    """A new cloud storage; the id. The pool's media server tries what the bucket can do.

    Conflict when its place or its name in the pool is taken, or another pool's marker lies there; Invalid names the field
    that keeps the bucket from being used.
    """
    problems = Problems()
    pool = await problems.pool(change.db, new.pool, "data.pool", scopes.storage(change.principal, write=True))
    if pool and pool["pool_type"] != CLOUD:
        problems.add("data.pool", f"must be a pool of the type {CLOUD}.")
    _check(problems, {"endpoint": new.endpoint, "bucket": new.bucket, "prefix": new.prefix, "ca_file": new.ca_file})
    problems.raise_any()
    place = (new.endpoint, new.bucket, new.prefix)
    await _refuse_taken(change, None, pool["id"], new.name, place)
    sealed, fingerprint = await _sealed(change, pool["id"], new.secret_key)
    cloud_id: int = await change.db.fetchval(
        _INSERT, new.name, pool["id"], new.endpoint, new.region, new.bucket, new.prefix, new.access_key, sealed,
        fingerprint, new.ca_file, new.object_lock, new.description,
    )  # fmt: skip
    await change.event("created", "storage_clouds", cloud_id, media_server_id=pool["media_server_id"])
    where = BucketPlace(
        endpoint=new.endpoint, region=new.region, bucket=new.bucket, prefix=new.prefix, access_key=new.access_key,
        secret_sealed=sealed, ca_file=new.ca_file, object_lock=new.object_lock,
    )  # fmt: skip
    await _probe(change, cloud_id, pool["media_hwid"], pool["uuid"].hex, where)
    await change.wake("pools")
    return cloud_id


async def _probe(change: Change, cloud_id: int, hwid: str, pool: str, where: BucketPlace) -> BucketReport:
    """Let the media server try the bucket, and keep what it found; Invalid and Conflict say why it cannot be used."""
    found = await change.hosts.probe_bucket(hwid, pool, where)
    if found.problems:
        fields: dict[str, str] = {}
        for field, text in found.problems:
            fields[f"data.{field}"] = " ".join(part for part in (fields.get(f"data.{field}", ""), text) if part)
        raise Invalid(fields=fields)
    if found.pool not in {"", pool}:
        raise Conflict(
            f"Another pool ({found.pool}) keeps its data at this place; to take it over after the catalogue was lost, make the pool with this uuid."
        )
    await change.db.execute(
        _PROBED, cloud_id, " ".join(found.notes), found.conditional_writes, found.conditional_parts, found.versioning,
        found.lockable, found.clock_ahead_seconds,
    )  # fmt: skip
    return found


async def update(change: Change, cloud_id: int, wanted: CloudChange) -> None:
    """Change what is given; the media server tries the bucket again when the way there changes.

    Conflict when the place or the name in the pool is taken, or when the pool needs what lies at the old place and that is
    not at the new one, too.
    """
    problems = Problems()
    columns = given(
        name=wanted.name, endpoint=wanted.endpoint, bucket=wanted.bucket, access_key=wanted.access_key,
        region=wanted.region, prefix=wanted.prefix, ca_file=wanted.ca_file, object_lock=wanted.object_lock,
        description=wanted.description,
    )  # fmt: skip
    _check(problems, columns)
    problems.raise_any()
    before = dict(await change.db.fetchrow(_READ, cloud_id))
    merged = before | columns
    place = (merged["endpoint"], merged["bucket"], merged["prefix"])
    await _refuse_taken(change, cloud_id, merged["pool_id"], merged["name"], place)
    if wanted.secret_key is not UNSET:
        sealed, fingerprint = await _sealed(change, merged["pool_id"], wanted.secret_key)
        columns |= {"secret_sealed": sealed, "secret_fingerprint": fingerprint}
    if any(columns.get(name, before[name]) != before[name] for name in _REACHED_BY):
        where = BucketPlace(**{name: (merged | columns)[name] for name in _REACHED_BY})
        found = await _probe(change, cloud_id, merged["hwid"], merged["uuid"].hex, where)
        if not found.pool and any(before[name] != merged[name] for name in ("endpoint", "bucket", "prefix")):
            await storage_need.refuse_needed(change, "storage_clouds", CLOUD_LABEL, [cloud_id], "moved")
    await update_columns(change.db, "storage_clouds", cloud_id, columns)
    await change.event("changed", "storage_clouds", cloud_id, media_server_id=merged["media_server_id"])
    await change.wake("pools")


async def delete(change: Change, ids: Sequence[int]) -> None:
    """Take buckets from their pools; what lies in them stays.

    Of a pool with copies or running tasks, only a bucket that nothing of the pool lies in: its media server is asked.
    Conflict says why the pool cannot do without it.
    """
    await storage_need.refuse_needed(change, "storage_clouds", CLOUD_LABEL, ids)
    for row in await change.db.fetch(_DELETE, list(ids)):
        await change.event("deleted", "storage_clouds", row["id"], media_server_id=row["media_server_id"])
    await change.wake("pools")


async def _sealed(change: Change, pool_id: int, secret: str) -> tuple[bytes, str]:
    """The secret for the pool's media server alone, and the fingerprint of its key."""
    row = await change.db.fetchrow(_KEY, pool_id)
    try:
        sealed = seal(row["csr_pem"], secret.encode(), CLOUD_SECRET + row["uuid"].hex.encode())
    except Invalid as error:
        raise Conflict(f"Media server {row['hostname']} has no usable key: {error.message}") from error
    return sealed, row["fingerprint"]


async def _refuse_taken(
    change: Change, cloud_id: int | None, pool_id: int, name: str, place: tuple[str, str, str]
) -> None:
    await change.db.execute(_LOCK)
    if await change.db.fetchval(_NAMED, pool_id, name, cloud_id):
        raise Conflict(f"The pool has a cloud storage with the name {name} already.")
    if await change.db.fetchval(_OVERLAP, cloud_id, *place):
        raise Conflict("Another cloud storage keeps its data at this place, within it or around it.")


def _check(problems: Problems, columns: dict[str, Any]) -> None:
    """Note what is wrong with the fields that are there."""
    if "endpoint" in columns and not _is_endpoint(columns["endpoint"]):
        problems.add("data.endpoint", "must be https://host or https://host:port (http:// too), lower case, no more.")
    if "bucket" in columns and not _BUCKET.fullmatch(columns["bucket"]):
        problems.add("data.bucket", "must have 3 to 63 of a-z, 0-9, '.' and '-', a letter or digit at both ends.")
    prefix = columns.get("prefix", "")
    if prefix and (not _PREFIX_NAMES.fullmatch(prefix) or {".", ".."} & set(prefix.split("/"))):
        problems.add(
            "data.prefix",
            "must be names of letters, digits, '.', '_' and '-', joined by '/', without '/' at either end and without '..'.",
        )
    ca_file = columns.get("ca_file", "")
    if ca_file and ca_file != problems.folder(ca_file, "data.ca_file"):
        problems.add("data.ca_file", "must be an absolute path without '..', doubled and trailing slashes.")


def _is_endpoint(text: str) -> bool:
    """Whether it is scheme, host and port alone: a user name in it would be a secret that is shown."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return False
    host = parts.hostname or ""
    shown = f"[{host}]" if ":" in host else host
    expected = f"{parts.scheme}://{shown}" + (f":{port}" if port is not None else "")
    return parts.scheme in {"http", "https"} and bool(re.fullmatch(r"[a-z0-9.:-]+", host)) and text == expected
