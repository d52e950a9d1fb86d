"""Requests to one bucket: obstore moves the data, botocore does what obstore has no calls for.

Every call is repeated as `Patience` says and raises errors of ours; nothing of a library leaves this module.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple, TypeVar

import botocore.session
import obstore
from botocore.config import Config
from obstore.store import S3Store

from rubackup.chunkstore.backends.base import Item
from rubackup.chunkstore.backends.s3.failures import Failure, error_of
from rubackup.chunkstore.backends.s3.location import Bucket
from rubackup.chunkstore.backends.s3.retry import Patience, Refused
from rubackup.chunkstore.identity import Buffer

_T = TypeVar("_T")
CONNECT_SECONDS: Final = 10
ANSWER_SECONDS: Final = 60
"""Without a byte for so long, a request has failed."""
OUTAGE_SECONDS: Final = 120.0
"""So long after a request that was repeated in vain, others are repeated for `HASTY_SECONDS` only: callers hold locks."""
HASTY_SECONDS: Final = 5.0
_PAGE: Final = 1000
_NOT_SET: Final = (None, None, None, None)
_NO_FILE: Final = (None, None, os.devnull, None)
_session: Final = botocore.session.Session(
    {"profile": _NOT_SET, "config_file": _NO_FILE, "credentials_file": _NO_FILE, "ca_bundle": _NOT_SET}
)
"""Knows the protocol, and no keys; reading it takes 0.1 s."""
for _library in ("botocore", "urllib3"):
    logging.getLogger(_library).setLevel(logging.WARNING)  # what they tell for debugging holds keys and signatures
_making: Final = threading.Lock()


class Found(NamedTuple):
    """An object as a HEAD tells it."""

    size_bytes: int
    tag: str
    """Its ETag, without quotes."""


class Client:
    """Of one bucket; safe for threads."""

    def __init__(self, where: Bucket, patience: Patience | None = None) -> None:
        self.where = where
        self._patience = patience or Patience()
        self._store: S3Store | None = None
        self._api: Any = None
        self._hasty_until = 0.0

    # --- the libraries, made at the first request ---

    @property
    def store(self) -> S3Store:
        """For data."""
        store, where = self._store, self.where
        if store is None:
            options: dict[str, Any] = {
                "allow_http": where.endpoint.startswith("http:"),
                "connect_timeout": f"{CONNECT_SECONDS}s",
                "read_timeout": f"{ANSWER_SECONDS}s",
                "timeout": "600s",
            }
            if where.ca_file is not None:
                options["root_certificate"] = where.ca_file.read_bytes()
            store = S3Store(
                bucket=where.bucket,
                endpoint=where.endpoint,
                region=where.region,
                credential_provider=self._keys,  # type: ignore[arg-type]
                # Given, so that no variable of the environment changes them.
                virtual_hosted_style_request=False,
                skip_signature=False,
                unsigned_payload=False,
                conditional_put="etag",
                client_options=options,  # type: ignore[arg-type]
                retry_config={"max_retries": 0, "retry_timeout": timedelta(seconds=1)},
            )
            if where is self.where:
                self._store = store
        return store

    def _keys(self) -> dict[str, Any]:
        keys = (self.where.access_key, self.where.secret_key)
        return {"access_key_id": keys[0], "secret_access_key": keys[1], "token": None, "expires_at": None}

    @property
    def api(self) -> Any:
        """For everything else."""
        api, where = self._api, self.where
        if api is None:
            config = Config(
                connect_timeout=CONNECT_SECONDS,
                read_timeout=ANSWER_SECONDS,
                retries={"total_max_attempts": 1},
                s3={"addressing_style": "path"},
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
                max_pool_connections=16,
            )
            with _making:
                api = _session.create_client(
                    "s3",
                    region_name=where.region,
                    endpoint_url=where.endpoint,
                    aws_access_key_id=where.access_key,
                    aws_secret_access_key=where.secret_key,
                    verify=str(where.ca_file) if where.ca_file else None,
                    config=config,
                )
            api.meta.events.register("before-call.s3", _stay)
            if where is self.where:
                self._api = api
        return api

    def use(self, where: Bucket) -> None:
        """Other keys, or another way there, from the next request on; requests under way end as they began."""
        self.where, self._store, self._api = where, None, None
        self._hasty_until = 0.0

    def close(self) -> None:
        """Let connections go; another request would open them again."""
        api, self._store, self._api = self._api, None, None
        if api is not None:
            api.close()

    def ask(self, name: str, request: Callable[[], _T]) -> _T:
        """What a request about a file answers, or an error of ours."""
        try:
            return self.try_(name, request)
        except Refused as refused:
            raise self.error(refused, name) from None

    def try_(self, name: str, request: Callable[[], _T]) -> _T:
        """As `ask`, but Refused tells whether the request may have had its effect."""
        patience = self._patience
        if patience.steady() < self._hasty_until:
            patience = replace(patience, total_seconds=min(HASTY_SECONDS, patience.total_seconds))
        try:
            answer = patience.call(name, request)
        except Refused as refused:
            if refused.failure.again:
                self._hasty_until = patience.steady() + OUTAGE_SECONDS
            raise
        self._hasty_until = 0.0
        return answer

    def error(self, refused: Refused, name: str) -> Exception:
        """The error of ours; the answer to a HEAD has no code, so the bucket is asked for it."""
        failure = refused.failure
        if failure.status in {400, 403} and not failure.code:
            failure = self._explained(failure)
        return error_of(failure, self.where, name)

    def _explained(self, failure: Failure) -> Failure:
        try:
            self._patience.call("", lambda: self.call("list_objects_v2", MaxKeys=1, Prefix=self.where.key("pool")))
        except Refused as refused:
            return refused.failure
        return failure

    def call(self, operation: str, **arguments: Any) -> dict[str, Any]:
        """One request of botocore about the bucket, once."""
        answer: dict[str, Any] = getattr(self.api, operation)(Bucket=self.where.bucket, **arguments)
        return answer

    # --- data ---

    def put(self, name: str, data: Buffer, *, create: bool) -> str:
        """Store an object; its tag. Raises Refused."""
        key = self.where.key(name)
        mode: Any = "create" if create else "overwrite"
        done = self.try_(
            name, lambda: obstore.put(self.store, key, bytes(data), mode=mode, use_multipart=False)
        )  # the request carries the SHA-256 of the content, signed: the server refuses what arrives otherwise
        return _bare(done["e_tag"])

    def read(self, name: str, offset: int, length: int) -> bytes:
        """At most so many bytes from there; fewer when the object ends."""
        key = self.where.key(name)
        return self.ask(name, lambda: bytes(obstore.get_range(self.store, key, start=offset, length=length)))

    def head(self, name: str) -> Found:
        """Size and tag; NotFound."""
        key = self.where.key(name)
        found = self.ask(name, lambda: obstore.head(self.store, key))
        return Found(found["size"], _bare(found["e_tag"]))

    def items(self, folder: str) -> Iterator[Item]:
        """Every object below a folder, page by page."""
        prefix, after = self.where.key(folder) + "/", ""
        while True:
            more = {"ContinuationToken": after} if after else {}
            page = self.ask(
                folder,
                lambda more=more: self.call("list_objects_v2", Prefix=prefix, MaxKeys=_PAGE, **more),  # type: ignore[misc]
            )
            for one in page.get("Contents", ()):
                yield Item(self.where.name(one["Key"]), int(one["Size"]))
            after = page.get("NextContinuationToken", "")
            if not page.get("IsTruncated") or not after:
                return

    def delete(self, name: str, version: str = "") -> None:
        """Remove an object, or one version of it; that it is gone is no error. Raises Refused."""
        key = self.where.key(name)
        which = {"VersionId": version} if version else {}
        try:
            self.try_(name, lambda: self.call("delete_object", Key=key, **which))
        except Refused as refused:
            if refused.failure.status != 404 or refused.failure.code == "NoSuchBucket":
                raise

    # --- versions and retention ---

    def versions(self, name: str) -> list[str]:
        """Ids of all versions of an object and of its delete markers, oldest first."""
        key = self.where.key(name)
        found: list[tuple[datetime, int, str]] = []
        marker: dict[str, str] = {}
        while True:
            page = self.ask(name, lambda marker=marker: self.call("list_object_versions", Prefix=key, **marker))  # type: ignore[misc]
            for one in (*page.get("Versions", ()), *page.get("DeleteMarkers", ())):
                if one["Key"] == key:
                    found.append((one["LastModified"], -len(found), one["VersionId"]))
            if not page.get("IsTruncated"):
                return [version for _, _, version in sorted(found)]
            marker = {"KeyMarker": page["NextKeyMarker"], "VersionIdMarker": page["NextVersionIdMarker"]}

    def retained_until_ns(self, name: str, version: str = "") -> int:
        """Until when (Unix time) the server refuses to delete an object; 0 when it does not, NotFound."""
        key = self.where.key(name)
        which = {"VersionId": version} if version else {}
        found = self.ask(name, lambda: self.call("head_object", Key=key, **which))
        until = found.get("ObjectLockRetainUntilDate")
        return 0 if until is None else int(until.timestamp()) * 1_000_000_000 + until.microsecond * 1000

    def retain(self, name: str, until_seconds: int) -> None:
        """Let the server refuse to delete an object until then (Unix time)."""
        key = self.where.key(name)
        retention = {
            "Mode": self.where.object_lock.upper(),
            "RetainUntilDate": datetime.fromtimestamp(until_seconds, UTC),
        }
        self.ask(name, lambda: self.call("put_object_retention", Key=key, Retention=retention))

    # --- parts ---

    def begin_parts(self, name: str) -> str:
        """Id of a new upload in parts."""
        key = self.where.key(name)
        return str(self.ask(name, lambda: self.call("create_multipart_upload", Key=key))["UploadId"])

    def send_part(self, name: str, upload: str, number: int, data: bytes) -> str:
        """Send one part; its tag."""
        key = self.where.key(name)
        arguments = {"Key": key, "UploadId": upload, "PartNumber": number, "Body": data}
        return _bare(self.ask(name, lambda: self.call("upload_part", **arguments))["ETag"])

    def end_parts(self, name: str, upload: str, tags: list[str], *, create: bool) -> str:
        """Make an object of all parts; its tag. Raises Refused."""
        parts = [{"PartNumber": number, "ETag": f'"{tag}"'} for number, tag in enumerate(tags, 1)]
        arguments: dict[str, Any] = {
            "Key": self.where.key(name),
            "UploadId": upload,
            "MultipartUpload": {"Parts": parts},
        }
        if create:
            arguments["IfNoneMatch"] = "*"
        done = self.try_(name, lambda: self.call("complete_multipart_upload", **arguments))
        return _bare(done["ETag"])

    def drop_parts(self, key: str, upload: str) -> None:
        """Forget an upload in parts; that it is gone is no error."""
        try:
            self.try_(key, lambda: self.call("abort_multipart_upload", Key=key, UploadId=upload))
        except Refused as refused:
            if refused.failure.status != 404:
                raise error_of(refused.failure, self.where, key) from None

    def unfinished(self, folder: str) -> list[tuple[str, str]]:
        """Key and id of each upload in parts below a folder that was not ended."""
        found: list[tuple[str, str]] = []
        marker: dict[str, str] = {}
        prefix = self.where.key(folder) + "/"
        while True:
            page = self.ask(folder, lambda marker=marker: self.call("list_multipart_uploads", Prefix=prefix, **marker))  # type: ignore[misc]
            found += [(one["Key"], one["UploadId"]) for one in page.get("Uploads", ())]
            if not page.get("IsTruncated"):
                return found
            marker = {"KeyMarker": page["NextKeyMarker"], "UploadIdMarker": page["NextUploadIdMarker"]}


def _stay(context: dict[str, Any], **_: Any) -> None:
    """Keep botocore from following redirections: it asks where the bucket is for ever when nobody tells."""
    context.setdefault("s3_redirect", {})["redirected"] = True


def _bare(tag: str | None) -> str:
    return (tag or "").strip('"')
