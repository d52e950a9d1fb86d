"""The errors of the whole system: one root, one stable code a class.

A class' docstring is its default message. Which HTTP status a code gets is decided
in one table, `rubackup.api.errors`.
"""

from __future__ import annotations

from typing import Any, ClassVar


class RubackupError(Exception):
    """Something went wrong."""

    code: ClassVar[str] = "internal"

    def __init__(self, message: str = "", **facts: Any) -> None:
        """Of the facts the API tells `retry_after_seconds`; its log has `detail`, which the caller does not get."""
        self.message = message or (type(self).__doc__ or "").strip().splitlines()[0]
        self.facts = facts
        super().__init__(self.message)


class CallerError(RubackupError):
    """The request is wrong."""

    code = "caller"


class Invalid(CallerError):
    """The request is not valid."""

    code = "invalid"

    def __init__(self, message: str = "", fields: dict[str, str] | None = None, **facts: Any) -> None:
        """`fields` maps a dotted field name (`data.pool_name`) to a sentence that says what is allowed."""
        self.fields = fields or {}
        if not message and self.fields:
            message = " ".join(f"{name}: {text}" for name, text in self.fields.items())
        super().__init__(message, **facts)


class Unauthenticated(CallerError):
    """Verification failed."""

    code = "unauthenticated"


class Forbidden(CallerError):
    """The role of the user does not allow this."""

    code = "forbidden"


class NotFound(CallerError):
    """The resource was not found."""

    code = "not_found"


class MethodNotAllowed(CallerError):
    """The method is not allowed for this path."""

    code = "method_not_allowed"


class Conflict(CallerError):
    """The state of the resource does not allow this."""

    code = "conflict"


class Unprocessable(CallerError):
    """What was found does not fit what the catalogue knows."""

    code = "unprocessable"


class WrongState(Invalid):
    """A task with such a status does not allow this."""

    code = "wrong_state"


class PreconditionFailed(CallerError):
    """The resource was changed by somebody else."""

    code = "precondition_failed"


class RangeNotSatisfiable(CallerError):
    """The range begins behind the end of the file."""

    code = "range_not_satisfiable"


class TooLarge(CallerError):
    """The body of the request is too large."""

    code = "too_large"


class AddressTooLong(Invalid):
    """The address of the request is too long."""

    code = "address_too_long"


class HeadTooLarge(Invalid):
    """The headers of the request are too large."""

    code = "head_too_large"


class UnsupportedMedia(CallerError):
    """The body must be application/json."""

    code = "unsupported_media"


class TooManyAttempts(CallerError):
    """Too many attempts; wait before the next one."""

    code = "too_many_attempts"

    def __init__(self, message: str = "", retry_after_seconds: int = 1, **facts: Any) -> None:
        self.retry_after_seconds = retry_after_seconds
        super().__init__(message, **facts)


class SystemFault(RubackupError):
    """The system cannot do this now."""

    code = "system"


class Unavailable(SystemFault):
    """A host that is needed does not answer."""

    code = "unavailable"


class Busy(SystemFault):
    """What is needed is in use; try again later."""

    code = "busy"


class TooSlow(SystemFault):
    """The service database took too long."""

    code = "too_slow"


class StorageFault(SystemFault):
    """The storage refused a read or a write."""

    code = "storage"


class StorageFull(StorageFault):
    """There is no room left in the pool."""

    code = "storage_full"


class Corrupt(SystemFault):
    """Stored data is damaged."""

    code = "corrupt"


class Refused(SystemFault):
    """The other side refused the connection or the order."""

    code = "refused"


class Fenced(Refused):
    """The task was handed to another worker."""

    code = "fenced"


class WireFault(SystemFault):
    """The other side sent what the protocol does not allow."""

    code = "wire"


class Stopped(RubackupError):
    """The task was stopped on request."""

    code = "stopped"


def all_errors() -> dict[str, type[RubackupError]]:
    """Every error class by its code; one without a code of its own is told as the class that it is made of."""
    found: dict[str, type[RubackupError]] = {}
    pending: list[type[RubackupError]] = [RubackupError]
    while pending:
        kind = pending.pop()
        found.setdefault(kind.code, kind)
        pending.extend(kind.__subclasses__())
    return found


def from_code(code: str, message: str) -> RubackupError:
    """The error that another process reported, as one of this module's; another code becomes a SystemFault."""
    kind = all_errors().get(code, SystemFault)
    return kind(message) if kind.__module__ == __name__ else SystemFault(message)
