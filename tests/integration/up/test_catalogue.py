"""The service database: made in a PostgreSQL of one's own, refused with a sentence where that cannot be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import asyncpg
import pytest

from rubackup.catalog.database import DatabaseAddress
from rubackup.domain.errors import RubackupError
from rubackup.roles.settings import ConfigurationFault
from rubackup.roles.up.catalogue import connected, external, prepare
from rubackup.roles.up.faults import StartupFault
from rubackup.roles.up.state import State
from rubackup.services.passwords import verify_password
from support.databases import execute

pytestmark = pytest.mark.postgres


@pytest.fixture
def state(tmp_path: Path) -> State:
    """An empty state."""
    state = State(tmp_path / "state")
    state.make()
    return state


@pytest.fixture
def environment(postgres: DatabaseAddress, tmp_path: Path) -> Iterator[dict[str, str]]:
    """The variables that name the test server, with its administrator; what they make is removed."""
    password = tmp_path / "admin-password"
    password.write_text(postgres.password + "\n")
    yield {
        "DB_HOST": postgres.host, "DB_PORT": str(postgres.port), "DB_NAME": "outside", "DB_USER": "outsider",
        "DB_ADMIN_USER": postgres.user, "DB_ADMIN_PASSWORD_FILE": str(password),
    }  # fmt: skip
    execute(postgres, "DROP DATABASE IF EXISTS outside WITH (FORCE)", "DROP ROLE IF EXISTS outsider")


def made(state: State, environment: Mapping[str, str]) -> DatabaseAddress:
    """The address of a catalogue that was prepared."""
    catalogue = external(state, environment)
    assert catalogue is not None
    prepare(state, catalogue)
    return catalogue.address


def value(address: DatabaseAddress, query: str) -> object:
    """The one value a query gives."""
    import asyncio

    async def run() -> object:
        async with connected(address) as connection:
            return await connection.fetchval(query)

    return asyncio.run(run())


def test_without_db_host_there_is_no_outside_catalogue(state: State):
    """The embedded PostgreSQL is the default."""
    assert external(state, {"DB_PORT": "5432"}) is None


def test_role_database_schema_and_superuser_are_made(state: State, environment: dict[str, str]):
    """The superuser logs in with the password of the state."""
    import asyncio

    address = made(state, environment)

    stored = value(address, "SELECT password_hash FROM users WHERE username = 'rubackup' AND is_superuser")
    assert isinstance(stored, str)
    assert asyncio.run(verify_password(stored, state.secret("superuser-password").read_text().strip()))


def test_the_emergency_storage_is_in_the_state(state: State, environment: dict[str, str]):
    """No installation shares it with another, and no boot empties it."""
    address = made(state, environment)
    query = "SELECT value #>> '{}' FROM global_configuration WHERE key = 'emergency_storage_local_catalog'"
    assert value(address, query) == str(state.root / "emergency")


def test_everything_may_be_repeated(state: State, environment: dict[str, str]):
    """A second start changes nothing, the superuser's password neither."""
    address = made(state, environment)
    execute(address, "UPDATE users SET username = 'renamed', password_hash = 'other'")

    made(state, environment)

    assert value(address, "SELECT string_agg(username || password_hash, ',') FROM users") == "renamedother"


def test_a_prepared_database_needs_no_administrator(state: State, environment: dict[str, str], tmp_path: Path):
    """Where a DBA made role and database, DB_USER and DB_PASSWORD_FILE are enough."""
    address = made(state, environment)
    own = tmp_path / "own-password"
    own.write_text(address.password)
    plain = {k: v for k, v in environment.items() if "ADMIN" not in k} | {"DB_PASSWORD_FILE": str(own)}

    assert made(state, plain) == address


def test_nobody_else_connects_to_the_database(state: State, environment: dict[str, str], database: DatabaseAddress):
    """Another role of the same server is kept out."""
    address = made(state, environment)

    with pytest.raises(StartupFault, match="permission denied"):
        value(replace(database, database=address.database), "SELECT 1")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"DB_ADMIN_USER": "", "DB_NAME": "missing"}, "The password of outsider is refused by the PostgreSQL"),
        ({"DB_PORT": "1"}, "Cannot connect to the PostgreSQL at 127.0.0.1:1"),
    ],
)
def test_what_cannot_be_reached_is_named(
    state: State, environment: dict[str, str], change: dict[str, str], sentence: str
):
    """The sentence names the server and the user."""
    with pytest.raises(StartupFault, match=sentence):
        made(state, environment | change)


def test_a_missing_database_is_named(
    state: State, environment: dict[str, str], database: DatabaseAddress, tmp_path: Path
):
    """Without an administrator the sentence says what to do."""
    own = tmp_path / "own-password"
    own.write_text(database.password)
    plain = {
        "DB_HOST": database.host, "DB_PORT": str(database.port), "DB_USER": database.user, "DB_NAME": "missing",
        "DB_PASSWORD_FILE": str(own),
    }  # fmt: skip

    with pytest.raises(StartupFault, match="There is no database missing in the PostgreSQL"):
        made(state, plain)


def test_a_wrong_variable_is_named(state: State, environment: dict[str, str]):
    """DB_PORT is checked like any setting."""
    with pytest.raises(ConfigurationFault, match=r"^DB_PORT must be a whole number, not 'x' \(the environment\)"):
        made(state, environment | {"DB_PORT": "x"})


def test_a_schema_of_a_newer_version_is_refused(state: State, environment: dict[str, str]):
    """An older program does not touch a newer catalogue."""
    address = made(state, environment)
    execute(address, "UPDATE schema_version SET version_num = '9999_pre'")

    with pytest.raises(RubackupError, match="newer"):
        made(state, environment)


def test_errors_of_the_driver_do_not_escape(state: State, environment: dict[str, str]):
    """A refusal in the middle of the work is a sentence too."""
    address = made(state, environment)

    with pytest.raises(StartupFault, match="cannot be prepared"):
        value(address, "SELECT no_such_column")

    assert not issubclass(StartupFault, asyncpg.PostgresError)
