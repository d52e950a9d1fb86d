"""An S3 server in this process, on loopback and in memory, that checks signatures and fails when it is told to.

It knows what the pools use: objects, ranges, conditions, lists, uploads in parts, versions and Object Lock. Whatever it does
not know is 501, so that a test cannot pass by it.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

ACCESS, SECRET = "AKTESTSERVER", "secret-of-the-test-server"
REGION = "us-east-1"
_SKEW_SECONDS = 900


@dataclass
class Version:
    """One content of a key; `data` None is a delete marker."""

    id: str
    data: bytes | None
    tag: str
    at: datetime
    mode: str = ""
    until: datetime | None = None

    def kept(self, now: datetime, *, bypass: bool) -> bool:
        """Whether Object Lock forbids to delete it."""
        return self.until is not None and self.until > now and not (bypass and self.mode == "GOVERNANCE")


@dataclass
class Bucket:
    """What lies in a bucket: all versions of each key, oldest first."""

    versioned: bool = False
    locking: bool = False
    default: tuple[str, int] | None = None
    keys: dict[str, list[Version]] = field(default_factory=dict)
    uploads: dict[str, tuple[str, dict[int, bytes]]] = field(default_factory=dict)

    def current(self, key: str) -> Version | None:
        """The newest content; None when there is none, or it was deleted."""
        found = self.keys.get(key)
        return found[-1] if found and found[-1].data is not None else None


class Fault(Exception):
    """An answer that is an error."""

    def __init__(self, status: int, code: str) -> None:
        self.status, self.code = status, code
        super().__init__(code)


Script = Callable[[int, str, str], str | None]
"""Gets number, method and key of each request; names what goes wrong with it: `before` and `after` (the connection is
dropped before, or after the request had its effect), `500 before`, `503 after`, `429 before` and so on. It may wait."""


class S3Server:
    """Serves from `start` to `stop`."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._scheme = "https" if tls else "http"
        self.lock = threading.RLock()
        self.reset()
        self.ids = count(1)
        owner = self

        class Handler(_Handler):
            server_owner = owner

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        if tls:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    def reset(self) -> None:
        """As new; requests that came before have no effect any more, however late they are served."""
        self.life = object()
        self.buckets: dict[str, Bucket] = {}
        self.script: Script | None = None
        self.log: list[tuple[str, str]] = []
        """Method and key (with what it asks for) of each request."""
        self.clock_ahead = timedelta()
        self.secrets = {ACCESS: SECRET}
        self.expired: set[str] = set()
        self.ignore_conditions = False
        """As servers that overwrite although they are asked not to."""
        self.multipart_conditions = True
        self.other_tags = False
        """ETags that are no MD5, as with encryption by the server."""
        self.late: Callable[[], object] = lambda: None
        """Called when a request of before `reset` would have been served."""

    @property
    def endpoint(self) -> str:
        """Where it answers."""
        return f"{self._scheme}://127.0.0.1:{self._server.server_address[1]}"

    def start(self) -> S3Server:
        """Serve."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """End; twice is an error."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def bucket(self, name: str = "bucket", *, versioned: bool = False, locking: bool = False) -> Bucket:
        """The bucket of this name, made when it is new."""
        return self.buckets.setdefault(name, Bucket(versioned or locking, locking))

    def now(self) -> datetime:
        """Its clock."""
        return datetime.now(UTC) + self.clock_ahead

    def names(self, name: str = "bucket") -> list[str]:
        """Keys that have content."""
        with self.lock:
            bucket = self.buckets[name]
            return sorted(key for key in bucket.keys if bucket.current(key))


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_owner: S3Server
    disable_nagle_algorithm = True

    def log_message(self, *_: Any) -> None:
        """Tests read `log`."""

    def handle(self) -> None:
        with suppress(ConnectionError):
            super().handle()

    def do(self) -> None:
        owner = self.server_owner
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        self.address = urlsplit(self.path)
        self.query = dict(parse_qsl(self.address.query, keep_blank_values=True))
        _, self.bucket_name, *rest = [*unquote(self.address.path).split("/", 2), ""]
        self.key = rest[0] if rest else ""
        with owner.lock:
            owner.log.append((self.command, self.key + (f"?{self.address.query}" if self.address.query else "")))
            number, life = len(owner.log) - 1, owner.life
        what = (owner.script(number, self.command, self.key) if owner.script else None) or ""
        if what == "before":
            self._hang_up()
            return
        if what.endswith(" before"):
            self._fail(Fault(int(what[:3]), _CODES[what[:3]]))
            return
        try:
            with owner.lock:
                if owner.life is not life:
                    owner.late()
                    self._hang_up()
                    return
                self._check_signature(body)
                answer = self._serve(body)
        except Fault as fault:
            self._fail(fault)
            return
        if what == "after":
            self._hang_up()
        elif what.endswith(" after"):
            self._fail(Fault(int(what[:3]), _CODES[what[:3]]))
        else:
            self._answer(*answer)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = do  # noqa: N815

    def _hang_up(self) -> None:
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.shutdown(socket.SHUT_RDWR)

    def _fail(self, fault: Fault) -> None:
        text = f"<Error><Code>{fault.code}</Code><Message>for {escape(self.path)} by {ACCESS}</Message></Error>"
        self._answer(fault.status, {"content-type": "application/xml"}, text.encode())

    def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response_only(status)
        self.send_header("Date", formatdate(self.server_owner.now().timestamp(), usegmt=True))
        for name, value in headers.items():
            self.send_header(name, value)
        if "content-length" not in headers and status != 204:
            self.send_header("content-length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD" and status != 204:
            self.wfile.write(body)
        self.wfile.flush()

    # --- signatures ---

    def _check_signature(self, body: bytes) -> None:
        owner = self.server_owner
        found = re.fullmatch(
            r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]+)/s3/aws4_request, ?SignedHeaders=([^,]+), ?Signature=([0-9a-f]{64})",
            self.headers.get("authorization", ""),
        )
        if found is None:
            raise Fault(403, "AccessDenied")
        access, day, region, signed, signature = found.groups()
        if access not in owner.secrets:
            raise Fault(403, "InvalidAccessKeyId")
        if access in owner.expired:
            raise Fault(400, "ExpiredToken")
        if region != REGION:
            raise Fault(400, "AuthorizationHeaderMalformed")
        stamp = self.headers["x-amz-date"]
        sent = datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        if abs((sent - owner.now()).total_seconds()) > _SKEW_SECONDS:
            raise Fault(403, "RequestTimeTooSkewed")
        content = self.headers["x-amz-content-sha256"]
        if content != hashlib.sha256(body).hexdigest():
            raise Fault(400, "XAmzContentSHA256Mismatch")
        names = signed.split(";")
        if "host" not in names or [
            name for name in self.headers if name.lower().startswith("x-amz-") and name.lower() not in names
        ]:
            raise Fault(403, "AccessDenied")
        query = "&".join(
            f"{quote(name, safe='-_.~')}={quote(value, safe='-_.~')}"
            for name, value in sorted(parse_qsl(self.address.query, keep_blank_values=True))
        )
        heads = "".join(f"{name}:{' '.join(self.headers[name].split())}\n" for name in names)
        path = quote(unquote(self.address.path), safe="/-_.~")
        asked = f"{self.command}\n{path}\n{query}\n{heads}\n{signed}\n{content}"
        scope = f"{day}/{region}/s3/aws4_request"
        text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(asked.encode()).hexdigest()}"
        key = f"AWS4{owner.secrets[access]}".encode()
        for part in (day, region, "s3", "aws4_request", text):
            key = hmac.digest(key, part.encode(), "sha256")
        if not hmac.compare_digest(key.hex(), signature):
            raise Fault(403, "SignatureDoesNotMatch")

    # --- what is served ---

    def _serve(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        bucket = self.server_owner.buckets.get(self.bucket_name)
        if bucket is None:
            raise Fault(404, "NoSuchBucket")
        asked = {name for name in self.query if name in _SUBRESOURCES}
        action = _ACTIONS.get((self.command, bool(self.key), frozenset(asked)))
        if action is None:
            raise Fault(501, "NotImplemented")
        return getattr(self, action)(bucket, body)

    def _store(self, bucket: Bucket, data: bytes | None, tag: str = "") -> Version:
        owner = self.server_owner
        if self.server_owner.other_tags:
            tag = hashlib.md5(tag.encode()).hexdigest()
        version = Version(f"v{next(owner.ids)}" if bucket.versioned else "null", data, tag, owner.now())
        if bucket.default and data is not None:
            version.mode, version.until = bucket.default[0], owner.now() + timedelta(days=bucket.default[1])
        if bucket.versioned:
            bucket.keys.setdefault(self.key, []).append(version)
        else:
            bucket.keys[self.key] = [version]
        return version

    def _check_condition(self, bucket: Bucket) -> None:
        if (
            self.headers.get("if-none-match") == "*"
            and not self.server_owner.ignore_conditions
            and bucket.current(self.key)
        ):
            raise Fault(412, "PreconditionFailed")

    def put_object(self, bucket: Bucket, body: bytes) -> tuple[int, dict[str, str], bytes]:
        if self.headers.get("x-amz-copy-source"):
            raise Fault(501, "NotImplemented")
        self._check_condition(bucket)
        version = self._store(bucket, body, hashlib.md5(body).hexdigest())
        return 200, self._heads(bucket, version), b""

    def _heads(self, bucket: Bucket, version: Version) -> dict[str, str]:
        found = {"etag": f'"{version.tag}"', "last-modified": formatdate(version.at.timestamp(), usegmt=True)}
        if bucket.versioned:
            found["x-amz-version-id"] = version.id
        if version.until:
            found["x-amz-object-lock-mode"] = version.mode
            found["x-amz-object-lock-retain-until-date"] = version.until.isoformat().replace("+00:00", "Z")
        return found

    def _version(self, bucket: Bucket) -> Version:
        wanted = self.query.get("versionId")
        if wanted is None:
            version = bucket.current(self.key)
        else:
            version = next((one for one in bucket.keys.get(self.key, []) if one.id == wanted), None)
        if version is None or version.data is None:
            raise Fault(404, "NoSuchKey" if wanted is None else "NoSuchVersion")
        return version

    def get_object(self, bucket: Bucket, body: bytes) -> tuple[int, dict[str, str], bytes]:
        version = self._version(bucket)
        data = version.data or b""
        heads = self._heads(bucket, version)
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("range", ""))
        if wanted is None:
            return 200, heads | {"content-length": str(len(data))}, data
        first, last = int(wanted[1]), min(int(wanted[2] or len(data) - 1), len(data) - 1)
        if first >= len(data):
            raise Fault(416, "InvalidRange")
        part = data[first : last + 1]
        heads |= {"content-range": f"bytes {first}-{last}/{len(data)}", "content-length": str(len(part))}
        return 206, heads, part

    def delete_object(self, bucket: Bucket, body: bytes) -> tuple[int, dict[str, str], bytes]:
        wanted = self.query.get("versionId")
        versions = bucket.keys.get(self.key, [])
        bypass = self.headers.get("x-amz-bypass-governance-retention") == "true"
        if wanted is None and bucket.versioned:
            self._store(bucket, None)
            return 204, {"x-amz-delete-marker": "true"}, b""
        gone = [one for one in versions if wanted in {None, one.id}]
        if any(one.kept(self.server_owner.now(), bypass=bypass) for one in gone):
            raise Fault(403, "AccessDenied")
        bucket.keys[self.key] = [one for one in versions if one not in gone]
        if not bucket.keys[self.key]:
            del bucket.keys[self.key]
        return 204, {}, b""

    def list_objects(self, bucket: Bucket, body: bytes) -> tuple[int, dict[str, str], bytes]:
        prefix, after = self.query.get("prefix", ""), self.query.get("continuation-token", "")
        most = int(self.query.get("max-keys", 1000))
        keys = sorted(key for key in bucket.keys if key.startswith(prefix) and key > after and bucket.current(key))
        shown = keys[:most]
        rows = "".join(
            f"<Contents><Key>{quote(key) if self.query.get('encoding-type') else escape(key)}</Key>"
            f"<Size>{len(bucket.current(key).data)}</Size>"
            f'<ETag>"{bucket.current(key).tag}"</ETag><LastModified>2026-01-01T00:00:00.000Z</LastModified></Contents>'
            for key in shown
        )
        more = f"<NextContinuationToken>{escape(shown[-1])}</NextContinuationToken>" if len(keys) > most else ""
        encoding = "<EncodingType>url</EncodingType>" if self.query.get("encoding-type") else ""
        head = f"<Name>{self.bucket_name}</Name><KeyCount>{len(shown)}</KeyCount>{encoding}"
        truncated = f"<IsTruncated>{'true' if more else 'false'}</IsTruncated>"
        return _xml(f"<ListBucketResult>{head}{truncated}{rows}{more}</ListBucketResult>")

    def list_versions(self, bucket: Bucket, body: bytes) -> tuple[int, dict[str, str], bytes]:
        rows = []
        for key in sorted(key for key in bucket.keys if key.startswith(self.query.get("prefix", ""))):
            for one in reversed(bucket.keys[key]):
                kind = "DeleteMarker" if one.data is None else "Version"
                rows.append(
                    f"<{kind}><Key>{escape(key)}</Key><VersionId>{one.id}</VersionId>"
                    f"<LastModified>{one.at.isoformat().replace('+00:00', 'Z')}</LastModified></{kind}>"
                )
        return _xml(f"<ListVersionsResult><IsTruncated>false</IsTruncated>{''.join(rows)}</ListVersionsResult>")

    # --- parts ---

    def begin_parts(self, bucket: Bucket, body: bytes) -> tuple[int, dict[str, str], bytes]:
        upload = f"u{next(self.server_owner.ids)}"
        bucket.uploads[upload] = (self.key, {})
        return _xml(f"<InitiateMultipartUploadResult><UploadId>{upload}</UploadId></InitiateMultipartUploadResult>")

    def _upload(self, bucket: Bucket) -> dict[int, bytes]:
        key, parts = bucket.uploads.get(self.query["uploadId"], ("", {}))
        if key != self.key:
            raise Fault(404, "NoSuchUpload")
        return parts

    def put_part(self, bucket: Bucket, body: bytes) -> tuple[int, dict[str, str], bytes]:
        self._upload(bucket)[int(self.query["partNumber"])] = body
        return 200, {"etag": f'"{hashlib.md5(body).hexdigest()}"'}, b""

    def end_parts(self, bucket: Bucket, body: bytes) -> tuple[int, dict[str, str], bytes]:
        parts = self._upload(bucket)
        if self.server_owner.multipart_conditions:
            self._check_condition(bucket)
        wanted = [
            (int(one.findtext("{*}PartNumber") or 0), (one.findtext("{*}ETag") or "").strip('"'))
            for one in ET.fromstring(body).iter()
            if one.tag.endswith("Part")
        ]
        sums = []
        for number, tag in wanted:
            if number not in parts or hashlib.md5(parts[number]).hexdigest() != tag:
                raise Fault(400, "InvalidPart")
            sums.append(bytes.fromhex(tag))
        data = b"".join(parts[number] for number, _ in wanted)
        tag = f"{hashlib.md5(b''.join(sums)).hexdigest()}-{len(sums)}"
        version = self._store(bucket, data, tag)
        del bucket.uploads[self.query["uploadId"]]
        return _xml(
            f'<CompleteMultipartUploadResult><ETag>"{version.tag}"</ETag></CompleteMultipartUploadResult>',
        )

    def drop_parts(self, bucket: Bucket, body: bytes) -> tuple[int, dict[str, str], bytes]:
        self._upload(bucket)
        del bucket.uploads[self.query["uploadId"]]
        return 204, {}, b""

    def list_uploads(self, bucket: Bucket, body: bytes) -> tuple[int, dict[str, str], bytes]:
        rows = "".join(
            f"<Upload><Key>{escape(key)}</Key><UploadId>{upload}</UploadId></Upload>"
            for upload, (key, _) in bucket.uploads.items()
            if key.startswith(self.query.get("prefix", ""))
        )
        return _xml(f"<ListMultipartUploadsResult><IsTruncated>false</IsTruncated>{rows}</ListMultipartUploadsResult>")

    # --- of the bucket ---

    def get_versioning(self, bucket: Bucket, body: bytes) -> tuple[int, dict[str, str], bytes]:
        status = "<Status>Enabled</Status>" if bucket.versioned else ""
        return _xml(f"<VersioningConfiguration>{status}</VersioningConfiguration>")

    def get_lock(self, bucket: Bucket, body: bytes) -> tuple[int, dict[str, str], bytes]:
        if not bucket.locking:
            raise Fault(404, "ObjectLockConfigurationNotFoundError")
        rule = ""
        if bucket.default:
            mode, days = bucket.default
            rule = f"<Rule><DefaultRetention><Mode>{mode}</Mode><Days>{days}</Days></DefaultRetention></Rule>"
        enabled = "<ObjectLockEnabled>Enabled</ObjectLockEnabled>"
        return _xml(f"<ObjectLockConfiguration>{enabled}{rule}</ObjectLockConfiguration>")

    def put_retention(self, bucket: Bucket, body: bytes) -> tuple[int, dict[str, str], bytes]:
        if not bucket.locking:
            raise Fault(400, "InvalidRequest")
        version, tree = self._version(bucket), ET.fromstring(body)
        until = datetime.fromisoformat(tree.findtext("{*}RetainUntilDate") or "")
        bypass = self.headers.get("x-amz-bypass-governance-retention") == "true"
        if until < self.server_owner.now():
            raise Fault(400, "InvalidRequest")
        if version.kept(self.server_owner.now(), bypass=bypass) and until < version.until:
            raise Fault(403, "AccessDenied")
        version.mode, version.until = tree.findtext("{*}Mode") or "", until
        return 200, {}, b""


def _xml(text: str) -> tuple[int, dict[str, str], bytes]:
    return 200, {"content-type": "application/xml"}, f'<?xml version="1.0" encoding="UTF-8"?>{text}'.encode()


_CODES = {
    "500": "InternalError",
    "503": "SlowDown",
    "429": "TooManyRequests",
    "507": "QuotaExceeded",
    "403": "AccessDenied",
}
_SUBRESOURCES = {
    "uploads",
    "uploadId",
    "partNumber",
    "versioning",
    "object-lock",
    "retention",
    "versions",
    "list-type",
    "delete",
}
_ACTIONS = {
    (method, on_key, frozenset(asked)): action
    for method, on_key, asked, action in [
        ("PUT", True, [], "put_object"),
        ("GET", True, [], "get_object"),
        ("HEAD", True, [], "get_object"),
        ("DELETE", True, [], "delete_object"),
        ("GET", False, ["list-type"], "list_objects"),
        ("GET", False, ["versions"], "list_versions"),
        ("POST", True, ["uploads"], "begin_parts"),
        ("PUT", True, ["uploadId", "partNumber"], "put_part"),
        ("POST", True, ["uploadId"], "end_parts"),
        ("DELETE", True, ["uploadId"], "drop_parts"),
        ("GET", False, ["uploads"], "list_uploads"),
        ("GET", False, ["versioning"], "get_versioning"),
        ("GET", False, ["object-lock"], "get_lock"),
        ("PUT", True, ["retention"], "put_retention"),
    ]
}
