"""The answer's form: always `data`, `errors`, `is_error` and `message`; and which error gets which status.

Every answer of the API is made here, those to wrong paths and broken bodies too. Design section 5.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec
from starlette.responses import Response

from rubackup.domain.errors import Invalid, RubackupError, TooManyAttempts

STATUS_BY_CODE: dict[str, int] = {
    "internal": 500,
    "caller": 400,
    "invalid": 400,
    "wrong_state": 400,
    "unauthenticated": 401,
    "forbidden": 403,
    "not_found": 404,
    "method_not_allowed": 405,
    "conflict": 409,
    "precondition_failed": 412,
    "too_large": 413,
    "address_too_long": 414,
    "unsupported_media": 415,
    "range_not_satisfiable": 416,
    "unprocessable": 422,
    "too_many_attempts": 429,
    "head_too_large": 431,
    "system": 503,
    "unavailable": 503,
    "busy": 503,
    "too_slow": 503,
    "storage": 503,
    "storage_full": 503,
    "corrupt": 500,
    "refused": 503,
    "fenced": 503,
    "wire": 503,
    "stopped": 409,
}
"""The one table from error codes to HTTP statuses."""

SECURITY_HEADERS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "cache-control": "no-store",
}
"""On every answer; a page that needs more (Swagger UI) sets its own."""


class Envelope(msgspec.Struct):
    """What every answer looks like."""

    data: Any
    errors: dict[str, str]
    is_error: bool
    message: str


VERIFICATION_FAILED = "Verification failed"
"""The one message of every 401, as the guide has it: it does not tell what failed."""

_encoder = msgspec.json.Encoder()
_EMPTY: dict[str, Any] = {}


def success(
    data: Any = None, message: str = "", status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """An answer that says that it went well; a 204 has no body."""
    if status == 204:
        return Response(None, status, headers)
    body = _encoder.encode(Envelope(_EMPTY if data is None else data, {}, is_error=False, message=message))
    return Response(body, status, headers, "application/json")


def with_etag(data: Any, message: str = "") -> Response:
    """A 200 whose ETag is that of `data`."""
    return success(data, message, headers={"etag": etag_of(data)})


def etag_of(data: Any) -> str:
    """The entity tag of an answer: the same data always has the same tag."""
    return '"' + hashlib.blake2b(_encoder.encode(data), digest_size=16).hexdigest() + '"'


def status_of(error: RubackupError) -> int:
    """The HTTP status of an error; a class without a row of its own has its parent's."""
    for kind in type(error).__mro__:
        code = getattr(kind, "code", None)
        if code in STATUS_BY_CODE:
            return STATUS_BY_CODE[code]
    return 500


def failure(error: RubackupError, headers: Mapping[str, str] | None = None) -> Response:
    """An answer that says what was wrong, field by field where fields were."""
    fields = error.fields if isinstance(error, Invalid) else {}
    extra = dict(headers or {})
    wait = error.retry_after_seconds if isinstance(error, TooManyAttempts) else error.facts.get("retry_after_seconds")
    if wait is not None:
        extra["retry-after"] = str(wait)
    status = status_of(error)
    if status == 401:
        extra.setdefault("www-authenticate", "Bearer")
    message = VERIFICATION_FAILED if status == 401 else error.message
    body = _encoder.encode(Envelope(_EMPTY, fields, is_error=True, message=message))
    return Response(body, status, extra, "application/json")


def internal(reference: str) -> Response:
    """The answer to our own fault: it names nothing but the line of the log."""
    message = f"Unexpected error; the log of the API names the cause under {reference}."
    return Response(
        _encoder.encode(Envelope(_EMPTY, {}, is_error=True, message=message)), 500, None, "application/json"
    )
