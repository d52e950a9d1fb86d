"""What PostgreSQL and its driver raise, as errors of the domain: one table, by SQLSTATE.

A fault that is nobody's request is told as what it is, with the seconds after which to try again; PostgreSQL's own words go
into our log and not to the caller.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import asyncpg

from rubackup.domain.errors import Busy, Conflict, Corrupt, Invalid, RubackupError, SystemFault, TooSlow, Unavailable

DRIVER_ERRORS = (
    asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, TimeoutError,
)  # fmt: skip
"""All that a connection may raise, for those who only ask whether it failed."""

_SOON, _LATER, _BY_HAND = 1, 5, 30
"""Seconds: it passes by itself, at once or not, or somebody has to do something."""
_AWAY = "The service database does not answer."
_FILES = "The service database cannot read or write its own files."
_DAMAGED = "The service database says that its own data is damaged."

_FAULTS: dict[str, tuple[type[SystemFault], str, int]] = {
    "53100": (Unavailable, "The disk of the service database is full.", _BY_HAND),
    "53200": (Unavailable, "The service database has no memory left.", _LATER),
    "53300": (Unavailable, "All connections that the service database allows are in use.", _LATER),
    "53": (Unavailable, "The service database has reached one of its own limits.", _LATER),
    "25006": (Unavailable, "The service database takes no changes: it is a standby, or was made read-only.", _LATER),
    "25P03": (Unavailable, _AWAY, _SOON),  # the session or transaction was ended for its idleness or length
    "25P04": (Unavailable, _AWAY, _SOON),
    "57014": (TooSlow, "", _LATER),
    "57": (Unavailable, _AWAY, _SOON),
    "08": (Unavailable, _AWAY, _SOON),
    "40": (Busy, "", _SOON),
    "55P03": (Busy, "", _SOON),
    "55006": (Busy, "", _SOON),
    "58": (Unavailable, _FILES, _BY_HAND),
    "XX001": (Corrupt, _DAMAGED, _BY_HAND),
    "XX002": (Corrupt, _DAMAGED, _BY_HAND),
}
"""SQLSTATEs, else their classes (the first two characters)."""


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """Turn the driver's errors into the domain's. What is left is a mistake of ours."""
    try:
        yield
    except RubackupError:
        raise
    except asyncpg.UniqueViolationError as error:
        raise Conflict("The name is already taken.", constraint=error.constraint_name) from error
    except asyncpg.ForeignKeyViolationError as error:
        raise Conflict("The resource is in use.", constraint=error.constraint_name) from error
    except asyncpg.DataError as error:
        raise Invalid("A value is out of the range that can be stored.") from error
    except (
        asyncpg.InvalidAuthorizationSpecificationError,  # and its kind, a wrong password
        asyncpg.InvalidCatalogNameError,
        asyncpg.InsufficientPrivilegeError,
    ) as error:
        raise Unavailable("The service database does not let this process in: its role, password or right.") from error
    except asyncpg.PostgresError as error:
        if (fault := _fault(error)) is None:
            raise
        raise fault from error
    except DRIVER_ERRORS as error:  # those that are left: the connection is lost
        raise Unavailable(_AWAY, retry_after_seconds=_SOON) from error


def _fault(error: asyncpg.PostgresError) -> SystemFault | None:
    """What the error is told as; None when it is no fault of the database's or of the moment."""
    state = str(getattr(error, "sqlstate", None) or "")
    found = _FAULTS.get(state) or _FAULTS.get(state[:2])
    if found is None:
        return None
    kind, message, seconds = found
    return kind(message, retry_after_seconds=seconds, detail=f"PostgreSQL {state}: {error}")
