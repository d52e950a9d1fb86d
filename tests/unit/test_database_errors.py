"""What the driver raises becomes an error of ours that says what it is: 503, and not 500."""

from __future__ import annotations

import asyncpg
import pytest

from rubackup.api.envelope import failure
from rubackup.catalog.faults import translated
from rubackup.domain.errors import Busy, Corrupt, RubackupError, TooSlow, Unavailable


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.InternalClientError("cannot switch to state 15; another operation (2) is in progress"),
        asyncpg.exceptions.ProtocolError("unexpected end"), asyncpg.InterfaceError("connection is closed"),
        asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation"),
        asyncpg.CannotConnectNowError("the database system is starting up"), ConnectionResetError(), TimeoutError(),
        asyncpg.AdminShutdownError("terminating connection due to administrator command"),
        asyncpg.CrashShutdownError("because of crash of another server process"),
        asyncpg.IdleInTransactionSessionTimeoutError("terminating connection due to idle-in-transaction timeout"),
        asyncpg.ConnectionRejectionError("rejected"),
    ],
)  # fmt: skip
def test_a_database_that_dies_is_unavailable(error: Exception) -> None:
    """Killed at any step of the protocol."""
    with pytest.raises(Unavailable, match="does not answer") as told, translated():
        raise error
    answer = failure(told.value)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")


@pytest.mark.parametrize(
    ("error", "kind", "words", "seconds"),
    [
        (asyncpg.DiskFullError("could not extend file"), Unavailable, "The disk of the service database is full.", 30),
        (asyncpg.OutOfMemoryError("out of memory"), Unavailable, "has no memory left", 5),
        (asyncpg.TooManyConnectionsError("sorry, too many clients already"), Unavailable, "All connections", 5),
        (asyncpg.ConfigurationLimitExceededError("temporary file size"), Unavailable, "one of its own limits", 5),
        (asyncpg.ReadOnlySQLTransactionError("cannot execute INSERT"), Unavailable, "standby", 5),
        (asyncpg.PostgresIOError("could not fsync"), Unavailable, "cannot read or write its own files", 30),
        (asyncpg.UndefinedFileError("could not open file"), Unavailable, "cannot read or write its own files", 30),
        (asyncpg.LockNotAvailableError("lock timeout"), Busy, "in use", 1),
        (asyncpg.ObjectInUseError("database is being accessed by other users"), Busy, "in use", 1),
        (asyncpg.SerializationError("could not serialize"), Busy, "in use", 1),
        (asyncpg.DeadlockDetectedError("deadlock"), Busy, "in use", 1),
        (asyncpg.QueryCanceledError("statement timeout"), TooSlow, "took too long", 5),
    ],
)  # fmt: skip
def test_a_fault_is_told_as_what_it_is(error: Exception, kind: type[RubackupError], words: str, seconds: int) -> None:
    """With the seconds after which to try again; PostgreSQL's own words are for the log alone."""
    with pytest.raises(kind, match=words) as told, translated():
        raise error
    answer = failure(told.value)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, str(seconds))
    assert str(error) not in answer.body.decode()
    assert str(error) in told.value.facts["detail"]


def test_damaged_data_of_the_database_is_no_matter_of_time() -> None:
    """It is our side's fault, and named."""
    with pytest.raises(Corrupt, match="its own data is damaged") as told, translated():
        raise asyncpg.DataCorruptedError("invalid page in block 7")
    assert failure(told.value).status_code == 500


def test_a_mistake_of_ours_stays_one() -> None:
    """A statement that is wrong is not told as the database's fault."""
    with pytest.raises(asyncpg.UndefinedColumnError), translated():
        raise asyncpg.UndefinedColumnError("column does not exist")
