"""What can go wrong with a call of the API, as the caller tells it apart."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

BUSY = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})
"""What the API answers when it has no time for a call, or a host that it needs is away: later it may go well."""


class SdkError(Exception):
    """Root of the client's errors; `message` is a sentence for people."""

    def __init__(self, message: str) -> None:
        self.message = message
        super().__init__(message)


class Misused(SdkError):
    """The caller's own files or arguments are not fit: an address that is no https, a session file that others can read."""


class Unreachable(SdkError):
    """No answer: nobody listens, the certificate is not vouched for, the connection was lost, or time ran out.

    `lost`: the connection broke off, so that the call may have been carried out.
    """

    def __init__(self, message: str, *, lost: bool = False) -> None:
        self.lost = lost
        super().__init__(message)


class BadAnswer(SdkError):
    """What answered is not this API."""


class Refused(SdkError):
    """The API answered that it does not do it.

    `errors` has a sentence for each wrong field; `retry_after` seconds to wait, where the API says so.
    """

    def __init__(
        self, message: str, status: int, errors: Mapping[str, str] | None = None, retry_after: int | None = None
    ) -> None:
        self.status = status
        self.errors = dict(errors or {})
        self.retry_after = retry_after
        super().__init__(message)


class LoggedOut(SdkError):
    """There is no session, or it is over: log in."""
