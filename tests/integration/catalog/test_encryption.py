"""The way to PostgreSQL: encrypted and verified as DB_SSLMODE says, against a server whose certificate the test made."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from rubackup.catalog import encryption
from rubackup.catalog.database import Database, DatabaseAddress
from rubackup.catalog.migrate import migrate
from rubackup.domain.errors import Invalid, Unavailable
from rubackup.roles import expiry
from rubackup.roles.process import database_address
from rubackup.roles.settings import ConfigurationFault, Settings
from rubackup.roles.up.catalogue import connected
from rubackup.roles.up.faults import StartupFault
from rubackup.wire import pki
from support.databases import execute
from support.tls_postgres import TlsPostgres, drop, tls_postgres
from support.wire import refusing


@pytest.fixture(scope="module")
def tls() -> Iterator[TlsPostgres]:
    """A PostgreSQL whose certificate is for `localhost`, and not for its address."""
    with tls_postgres(["localhost"]) as found:
        yield found


@pytest.fixture
def stranger(tmp_path: Path) -> Path:
    """A root that signed nothing."""
    path = tmp_path / "stranger.crt"
    path.write_bytes(pki.make_root(datetime.now(UTC)).cert_pem)
    return path


def encrypted(address: DatabaseAddress) -> bool:
    """Whether the pool's connections and the ones of their own are; both ways must agree."""

    async def ask() -> bool:
        database = Database(address, size=2)
        await database.open()
        direct = await database.direct()
        try:
            query = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
            async with database.connection() as db:
                found: bool = await db.fetchval(query)
            assert await direct.fetchval(query) is found
            return found
        finally:
            await direct.close()
            await database.close()

    return asyncio.run(ask())


def test_the_end_of_its_certificate_is_seen(tls: TlsPostgres, postgres: DatabaseAddress) -> None:
    """Without a login; of a server that encrypts nothing, and of a socket, there is none."""
    found = encryption.certificate_end(tls.address.host, tls.address.port)

    assert found is not None
    assert 0.9 < expiry.database_days_left(tls.address) < 1
    assert encryption.certificate_end(postgres.host, postgres.port) is None
    for silent in (postgres, replace(tls.address, sslmode="disable"), replace(tls.address, host="/run/postgresql")):
        assert expiry.database_warning("h", expiry.database_days_left(silent)) == ""
    with refusing() as closed, pytest.raises(ConnectionError):
        encryption.certificate_end(*closed)


def at(tls: TlsPostgres, host: str, mode: str, root: Path | None = None) -> DatabaseAddress:
    """The server's address with a mode."""
    return replace(tls.address, host=host, sslmode=mode, root_cert=str(root or ""))


def test_the_right_certificate_is_taken(tls: TlsPostgres) -> None:
    """By name; by address too where only the CA counts; and what asks for encryption without a CA has it unverified."""
    assert encrypted(at(tls, "localhost", "verify-full", tls.root))
    assert encrypted(at(tls, "127.0.0.1", "verify-ca", tls.root))
    assert encrypted(at(tls, "127.0.0.1", "require"))
    assert encrypted(at(tls, "127.0.0.1", "prefer"))
    assert not encrypted(at(tls, "127.0.0.1", "disable"))


@pytest.mark.parametrize("mode", ["require", "verify-ca", "verify-full"])
def test_the_certificate_of_a_stranger_is_refused(tls: TlsPostgres, stranger: Path, mode: str) -> None:
    """Whoever gives a CA has it checked: with `require`, too, as libpq does."""
    with pytest.raises(Unavailable, match="PostgreSQL at localhost shows a certificate that is not to be trusted"):
        encrypted(at(tls, "localhost", mode, stranger))


def test_another_name_is_refused(tls: TlsPostgres) -> None:
    """`verify-full` wants the name under which PostgreSQL is called."""
    with pytest.raises(Unavailable, match=r"at 127\.0\.0\.1 shows a certificate that is not for this name"):
        encrypted(at(tls, "127.0.0.1", "verify-full", tls.root))


def test_a_server_that_does_not_encrypt_is_refused(database: DatabaseAddress, tls: TlsPostgres) -> None:
    """Where encryption is asked for; `prefer` takes it as it is."""
    for mode in ("require", "verify-full"):
        with pytest.raises(Unavailable, match=r"PostgreSQL at 127\.0\.0\.1 does not encrypt"):
            encrypted(replace(database, sslmode=mode, root_cert=str(tls.root)))
    assert not encrypted(replace(database, sslmode="prefer"))


def test_the_schema_is_brought_encrypted(tls: TlsPostgres) -> None:
    """Migrations go the same way: where the role may come in encrypted only, they come in."""
    address = at(tls, "localhost", "verify-full", tls.root)
    execute(tls.address, "CREATE DATABASE encrypted")
    try:
        asyncio.run(migrate(replace(address, database="encrypted")))
    finally:
        drop(tls.address, "encrypted")


def test_rb_init_says_it_too(tls: TlsPostgres, stranger: Path) -> None:
    """Its connections have the same mode and the same sentences."""

    async def connect() -> None:
        async with connected(at(tls, "localhost", "verify-full", stranger)):
            pass

    with pytest.raises(StartupFault, match="not to be trusted"):
        asyncio.run(connect())


def settings(password: Path, **values: str) -> Settings:
    """An API's settings."""
    password.write_text("secret")
    return Settings({"DB_HOST": "db.example", "DB_PASSWORD_FILE": str(password), **values}, "test.env")


def test_a_certificate_is_there_to_be_verified(tls: TlsPostgres, tmp_path: Path) -> None:
    """With DB_ROOT_CERT the default is `verify-full`, without it `prefer`."""
    found = database_address(settings(tmp_path / "p", DB_ROOT_CERT=str(tls.root)))
    assert (found.sslmode, found.root_cert) == ("verify-full", str(tls.root))
    assert database_address(settings(tmp_path / "p")).sslmode == "prefer"


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"DB_SSLMODE": "on"}, "DB_SSLMODE must be one of disable, prefer, require, verify-ca, verify-full, not 'on'"),
        ({"DB_SSLMODE": "verify-full"}, "DB_SSLMODE is verify-full, so DB_ROOT_CERT has to name"),
        ({"DB_ROOT_CERT": "root.crt"}, "DB_ROOT_CERT must be an absolute path"),
        ({"DB_ROOT_CERT": "/no/such"}, "DB_ROOT_CERT names /no/such, which cannot be used: No such file"),
        ({"DB_ROOT_CERT": "/etc/hostname"}, "DB_ROOT_CERT names /etc/hostname, which cannot be used"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, values: dict[str, str], told: str) -> None:
    """With what is allowed."""
    with pytest.raises(ConfigurationFault, match=told):
        database_address(settings(tmp_path / "p", **values))


def test_a_certificate_that_goes_is_told(tls: TlsPostgres) -> None:
    """Afterwards nothing falls back to unverified."""
    with pytest.raises(Invalid, match="/gone cannot be used for PostgreSQL"):
        encrypted(at(tls, "localhost", "verify-full", Path("/gone")))
