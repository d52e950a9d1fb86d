"""Exit statuses of `rb`, and how an error is told. docs/cli.md has the table."""

from __future__ import annotations

import json
import sys
from http import HTTPStatus

from rubackup.cli.output import plain
from rubackup.sdk import BadAnswer, LoggedOut, Misused, Refused, SdkError

DONE, REFUSED, USAGE, UNREACHABLE, NOT_DONE, LOGIN, FORBIDDEN, MISSING, PARTLY = range(9)
INTERRUPTED, READER_GONE = 130, 141
"""As shells tell of a program that SIGINT or SIGPIPE has ended."""
_BY_STATUS = {
    HTTPStatus.UNAUTHORIZED: LOGIN, HTTPStatus.FORBIDDEN: FORBIDDEN, HTTPStatus.NOT_FOUND: MISSING,
    HTTPStatus.SERVICE_UNAVAILABLE: UNREACHABLE,
}  # fmt: skip


class NotFound(SdkError):
    """Nothing has the name that was given."""


def exit_status(error: SdkError) -> int:
    """The exit status that tells an error."""
    if isinstance(error, Refused):
        return _BY_STATUS.get(HTTPStatus(error.status), REFUSED)
    if isinstance(error, LoggedOut):
        return LOGIN
    if isinstance(error, Misused):
        return USAGE
    if isinstance(error, NotFound):
        return MISSING
    return REFUSED if isinstance(error, BadAnswer) else UNREACHABLE


def tell(program: str, error: SdkError, *, as_json: bool = False) -> None:
    """An error on stderr: its sentence, then a line for each wrong field; or all that is known of it as JSON, in a line."""
    if as_json:
        refused = error if isinstance(error, Refused) else None
        told = {
            "is_error": True, "message": error.message, "errors": refused.errors if refused else {},
            "status": refused.status if refused else None, "retry_after": refused.retry_after if refused else None,
            "exit_status": exit_status(error),
        }  # fmt: skip
        print(json.dumps(told), file=sys.stderr)
        return
    hint = " (rb login)" if isinstance(error, LoggedOut) else ""
    fields = isinstance(error, Refused) and error.errors  # they say what the message says
    print(f"{program}: {'refused' if fields else plain(error.message)}{hint}", file=sys.stderr)
    if isinstance(error, Refused):
        for name, text in error.errors.items():
            print(f"  {plain(name)}: {plain(text)}", file=sys.stderr)
        if error.retry_after is not None:
            print(f"  Try again in {error.retry_after} seconds.", file=sys.stderr)
