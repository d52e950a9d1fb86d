"""Exit statuses of `rb`, and how an error is told. docs/cli.md has the table."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator, Mapping
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


class Named(Refused):
    """A refusal, and the option that each wrong field was given by."""

    def __init__(self, refused: Refused, options: Mapping[str, str]) -> None:
        super().__init__(refused.message, refused.status, refused.errors, refused.retry_after)
        self.options = options

    def label(self, name: str) -> str:
        """A field as the API calls it, after its option."""
        parts = [part for part in name.split(".") if not part.isdigit()]
        while parts:
            if option := self.options.get(".".join(parts)):
                return f"{option} ({name})"
            parts.pop()
        return name


@contextlib.contextmanager
def naming(options: Mapping[str, str]) -> Iterator[None]:
    """What is refused meanwhile is told by these options, whose keys are the API's names of fields."""
    try:
        yield
    except Named:
        raise
    except Refused as refused:
        raise Named(refused, options) from refused


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
            label = error.label(name) if isinstance(error, Named) else name
            print(f"  {plain(label)}: {plain(text)}", file=sys.stderr)
        if error.retry_after is not None:
            print(f"  Try again in {error.retry_after} seconds.", file=sys.stderr)
