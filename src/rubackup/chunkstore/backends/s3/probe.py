"""What a bucket can do, found out when it is given to a pool; nothing is left behind."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from email.utils import parsedate_to_datetime
from typing import Any, Final

import msgspec

from rubackup.chunkstore.backends.s3.client import Client
from rubackup.chunkstore.backends.s3.failures import error_of
from rubackup.chunkstore.backends.s3.location import Bucket
from rubackup.chunkstore.backends.s3.retry import Patience, Refused

CLOCK_SECONDS: Final = 300
"""With a larger difference S3 servers soon refuse (they do at 900), and dates of Object Lock are not what they seem."""


class BucketFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What was found."""

    conditional_put: bool
    """The server refuses to overwrite, when asked so."""
    conditional_multipart: bool
    """The same for uploads in parts."""
    multipart: bool
    """Files can be sent in parts."""
    versioning: bool
    """Old content stays when a file is deleted, until the bucket's own rules remove it."""
    object_lock: bool
    """Files can be protected by the server."""
    default_retention: str
    """Mode and length that the bucket gives every object by itself, as '30 days COMPLIANCE'; '' for none."""
    clock_ahead_seconds: float
    """Of the server; to the second."""

    def problems(self, where: Bucket) -> list[str]:
        """Why a pool cannot use the bucket as asked, a sentence each."""
        found = []
        if where.object_lock != "none" and not self.object_lock:
            found.append(
                f"object_lock: The bucket {where.bucket} was created without Object Lock; it must be none, or another bucket."
            )
        if self.default_retention:
            found.append(
                f"bucket: The bucket {where.bucket} keeps every object for {self.default_retention} by itself; the pool sets "
                "retention itself and must be able to remove what nobody needs: take the default retention away."
            )
        if not self.multipart:
            found.append(f"bucket: The object storage {where.endpoint} takes no uploads in parts.")
        if abs(self.clock_ahead_seconds) > CLOCK_SECONDS:
            found.append(
                f"endpoint: The clock of {where.endpoint} differs by {self.clock_ahead_seconds:.0f} s from the media server's; "
                "set them alike."
            )
        return found

    def notes(self, where: Bucket) -> list[str]:
        """What an administrator should know, a sentence each."""
        found = []
        if not self.conditional_put:
            found.append(
                f"The object storage {where.endpoint} overwrites although it is asked not to: the media server looks before it "
                "writes. Only one media server may ever write to this prefix."
            )
        if self.versioning and where.object_lock == "none":
            found.append(
                f"The bucket {where.bucket} keeps old versions: what is deleted frees no space until the bucket's own rules remove it."
            )
        return found

    def applied(self, where: Bucket) -> Bucket:
        """The location with what its backend must know."""
        multipart = self.conditional_multipart
        return replace(where, conditional_put=self.conditional_put, conditional_multipart=multipart)


def probe(where: Bucket, patience: Patience | None = None) -> BucketFacts:
    """Look; StorageFault says in one sentence why the bucket cannot be used at all."""
    client = Client(where, patience or Patience(total_seconds=20))
    before = time.time()
    versioning = client.ask("", lambda: client.call("get_bucket_versioning"))
    now = (before + time.time()) / 2
    told = versioning["ResponseMetadata"]["HTTPHeaders"].get("date", "")
    ahead = parsedate_to_datetime(told).timestamp() + 0.5 - now if told else 0.0
    lock = _lock(client)
    rule = lock.get("Rule", {}).get("DefaultRetention", {})
    units = [(rule[unit], unit.lower()) for unit in ("Days", "Years") if unit in rule]
    default = f"{units[0][0]} {units[0][1]} {rule['Mode']}" if units else ""
    name = f"probe-{os.urandom(8).hex()}"
    if default:  # what is written now could not be removed
        put, multipart, conditional = False, True, False
    else:
        try:
            put = _conditional_put(client, name)
            multipart, conditional = _multipart(client, name)
        finally:
            _clean(client, name, versioned="Status" in versioning)
    return BucketFacts(
        conditional_put=put,
        conditional_multipart=conditional,
        multipart=multipart,
        versioning=versioning.get("Status") == "Enabled",
        object_lock=lock.get("ObjectLockEnabled") == "Enabled",
        default_retention=default,
        clock_ahead_seconds=round(ahead, 1),
    )


def _lock(client: Client) -> dict[str, Any]:
    try:
        found = client.try_("", lambda: client.call("get_object_lock_configuration"))
    except Refused as refused:
        if refused.failure.status in {400, 404, 405, 501} and refused.failure.code != "NoSuchBucket":
            return {}
        raise client.error(refused, "") from None
    return dict(found.get("ObjectLockConfiguration", {}))


def _conditional_put(client: Client, name: str) -> bool:
    """Whether a second create-only PUT is refused."""
    try:
        client.put(name, b"1", create=False)
    except Refused as refused:
        raise error_of(refused.failure, client.where, name) from None
    try:
        client.put(name, b"2", create=True)
    except Refused as refused:
        if refused.failure.status in {409, 412}:
            return True
        if refused.failure.status in {400, 501}:
            return False
        raise error_of(refused.failure, client.where, name) from None
    return False


def _multipart(client: Client, name: str) -> tuple[bool, bool]:
    """Whether parts work, and whether ending them is refused when the object exists."""
    try:
        upload = client.begin_parts(name)
    except Exception as error:
        if getattr(error, "message", "").find("(501") >= 0:
            return False, False
        raise
    tag = client.send_part(name, upload, 1, b"3")
    try:
        client.end_parts(name, upload, [tag], create=True)
    except Refused as refused:
        client.drop_parts(client.where.key(name), upload)
        if refused.failure.status in {409, 412}:
            return True, True
        if refused.failure.status not in {400, 501}:
            raise error_of(refused.failure, client.where, name) from None
    return True, False


def _clean(client: Client, name: str, *, versioned: bool) -> None:
    try:
        for version in client.versions(name) if versioned else [""]:
            client.delete(name, version)
    except Refused as refused:
        raise error_of(refused.failure, client.where, name) from None
