"""What errors of the two S3 libraries mean. Their texts hold keys and requests, so nothing of them is passed on but codes."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError, SSLError
from botocore.exceptions import ConnectionError as NotConnected
from obstore.exceptions import AlreadyExistsError, BaseError, PreconditionError

from rubackup.chunkstore.backends.s3.location import Bucket
from rubackup.domain.errors import Conflict, Corrupt, NotFound, RubackupError, StorageFault, StorageFull

_STATUS = re.compile(r"status code: (\d{3})")
_CODE = re.compile(r"<Code>([A-Za-z0-9.]{1,80})</Code>")
_AGAIN: Final = frozenset(
    {
        "SlowDown", "RequestTimeout", "InternalError", "ServiceUnavailable", "OperationAborted", "Throttling",
        "ConditionalRequestConflict", "BadDigest", "XAmzContentSHA256Mismatch", "IncompleteBody", "TooManyRequests",
    }
)  # fmt: skip
_UNTRUSTED: Final = "UntrustedCertificate"
_REFUSED: Final = {
    _UNTRUSTED: "its certificate is not trusted: give the certificate of its authority as ca_file, or correct the endpoint",
    "RequestTimeTooSkewed": "the clocks differ too much: set the clock of the media server, or of the object storage",
    "InvalidAccessKeyId": "the object storage does not know the access key: give another one",
    "SignatureDoesNotMatch": "the secret key is not the one of the access key: give it anew",
    "ExpiredToken": "the keys have expired: give new ones",
    "InvalidToken": "the keys are not valid any more: give new ones",
    "TokenRefreshRequired": "the keys have expired: give new ones",
    "AccessDenied": "the access key does not have the right to do this: grant it read, write, list and delete in the bucket",
    "NoSuchBucket": "the bucket does not exist: create it, or correct its name",
    "PermanentRedirect": "the bucket is in another region: correct region or endpoint",
    "AuthorizationHeaderMalformed": "the region is wrong: correct it",
}
_FULL: Final = frozenset({"QuotaExceeded", "EntityTooLarge", "XMinioStorageFull", "InsufficientCapacity"})
_ELSEWHERE: Final = frozenset({301, 302, 303, 307, 308})
_TIMES: Final = frozenset({408, 425, 429})


class Failure(NamedTuple):
    """Why a request failed; without a status there was no answer."""

    status: int = 0
    code: str = ""

    @property
    def unknown_effect(self) -> bool:
        """Whether the request may have done what was asked."""
        return self.status == 0 or self.status >= 500

    @property
    def again(self) -> bool:
        """Whether the same request may succeed a little later."""
        return (
            (self.status >= 500 and self.status not in {501, 507}) or self.status in {0, *_TIMES} or self.code in _AGAIN
        )


def failure_of(error: Exception) -> Failure:
    """What an error of a library means; the error itself is raised when it is no failed request."""
    if isinstance(error, ClientError):
        status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        code = str(error.response.get("Error", {}).get("Code", ""))
        return Failure(status, "" if code.isdigit() else code)
    if isinstance(error, AlreadyExistsError | PreconditionError):
        return Failure(412, "PreconditionFailed")
    if isinstance(error, SSLError):
        return Failure(400, _UNTRUSTED)
    if isinstance(error, HTTPClientError | NotConnected):
        return Failure()
    if isinstance(error, BaseError | FileNotFoundError):
        text = str(error)
        if "InvalidCertificate(" in text:
            return Failure(400, _UNTRUSTED)
        told, named = _STATUS.search(text), _CODE.search(text)
        absent = 404 if isinstance(error, FileNotFoundError) else 0
        return Failure(int(told[1]) if told else absent, named[1] if named else "")
    if isinstance(error, BotoCoreError):
        return Failure(400, type(error).__name__)
    raise error


def error_of(failure: Failure, where: Bucket, name: str) -> RubackupError:
    """The error of ours that a failure is, naming endpoint, bucket and file."""
    label = where.label
    if failure.status == 416:
        return Corrupt(f"{label}/{name} ends before what is to be read.")
    if failure.status == 404 and failure.code in {"", "NoSuchKey", "NoSuchVersion", "NoSuchUpload"}:
        return NotFound(f"{label}/{name} does not exist.")
    if failure.status in {409, 412}:
        return Conflict(f"{label}/{name} exists already.")
    if failure.code in _FULL or failure.status == 507:
        return StorageFull(f"There is no room left in {label}: {failure.code or failure.status}.", folder=label)
    at = f"The object storage {where.endpoint} refused what was asked of the bucket {where.bucket}"
    if failure.code == _UNTRUSTED:
        at = f"The object storage {where.endpoint} was not asked for the bucket {where.bucket}"
    if failure.code in _REFUSED:
        return StorageFault(f"{at} ({failure.code}): {_REFUSED[failure.code]}.")
    if failure.status in _ELSEWHERE:
        return StorageFault(f"{at} ({failure.status}): it leads to another address: correct the endpoint (https, say).")
    if not failure.status:
        return StorageFault(f"The object storage {where.endpoint} did not answer for {where.bucket}/{where.key(name)}.")
    told = " ".join(part for part in (str(failure.status), failure.code) if part)
    return StorageFault(f"{at} for {where.key(name)} ({told}).")
