"""What the driver raises when the database dies becomes an error of ours: 503, and not 500."""

from __future__ import annotations

import asyncpg
import pytest

from rubackup.catalog.database import translated
from rubackup.domain.errors import Unavailable


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.InternalClientError("cannot switch to state 15; another operation (2) is in progress"),
        asyncpg.exceptions.ProtocolError("unexpected end"), asyncpg.InterfaceError("connection is closed"),
        asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation"),
        asyncpg.CannotConnectNowError("the database system is starting up"), ConnectionResetError(), TimeoutError(),
    ],
)  # fmt: skip
def test_a_database_that_dies_is_unavailable(error: Exception) -> None:
    """Killed at any step of the protocol."""
    with pytest.raises(Unavailable, match="does not answer"), translated():
        raise error
