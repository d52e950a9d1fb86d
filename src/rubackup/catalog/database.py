"""Connections to the catalogue: a pool, transactions, and a listener.

What the driver raises becomes an error of the domain (`catalog.faults`).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import asyncpg
import msgspec

from rubackup.catalog import encryption
from rubackup.catalog.faults import DRIVER_ERRORS, translated
from rubackup.catalog.versions import PROGRAMS, admit, connection_name
from rubackup.domain.errors import Invalid, Unavailable

Connection = Any
"""An asyncpg connection; the driver carries no types."""

STATEMENT_TIMEOUT_MS = 15_000
LOCK_TIMEOUT_MS = 10_000
COMMAND_SECONDS = 17.0
"""A little more than the statement time-out: a database that hangs answers nothing at all."""
ACQUIRE_SECONDS = 5.0


@dataclass(frozen=True)
class DatabaseAddress:
    """Where the catalogue is. `host` is a name, an address or a folder with the server's socket."""

    host: str
    port: int
    user: str
    password: str
    database: str
    sslmode: str = "prefer"
    """One of `encryption.MODES`."""
    root_cert: str = ""
    """The certificate that PostgreSQL's leads to, a file or PEM; empty: it is not checked."""

    def __repr__(self) -> str:
        return f"DatabaseAddress({self.user}@{self.host}:{self.port}/{self.database})"

    def arguments(self) -> dict[str, Any]:
        """What the driver is told of it; Invalid when the certificate cannot be read."""
        try:
            ssl = encryption.argument(self.host, self.sslmode, self.root_cert)
        except OSError as error:
            why = error.strerror or "it holds no certificate"
            raise Invalid(f"The certificate {self.root_cert[:255]} cannot be used for PostgreSQL: {why}.") from error
        return {
            "host": self.host, "port": self.port, "user": self.user, "password": self.password,
            "database": self.database, "ssl": ssl,
        }  # fmt: skip


async def _prepare(connection: Connection) -> None:
    await connection.set_type_codec(
        "jsonb", schema="pg_catalog", encoder=_encode_json, decoder=msgspec.json.decode, format="text"
    )


def _encode_json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


class Database:
    """A pool of connections to the catalogue."""

    def __init__(self, address: DatabaseAddress, *, size: int = 6, application: str = "rubackup") -> None:
        self.address = address
        self._size = size
        self._application = application
        self._pool: Any = None

    def _settings(self) -> dict[str, str]:
        return {
            "application_name": connection_name(self._application),
            "timezone": "UTC",
            "statement_timeout": str(STATEMENT_TIMEOUT_MS),
            "jit": "off",  # it pays for reports over everything, which there are none of
            "lock_timeout": str(LOCK_TIMEOUT_MS),
            "idle_in_transaction_session_timeout": "60000",
            "tcp_keepalives_idle": "5",
            "tcp_keepalives_interval": "2",
            "tcp_keepalives_count": "3",
        }

    def _arguments(self) -> dict[str, Any]:
        return {**self.address.arguments(), "server_settings": self._settings(), "timeout": 10}

    async def open(self) -> None:
        """Connect; Unavailable when the catalogue does not answer."""
        with translated(), self._encrypted():
            self._pool = await asyncpg.create_pool(
                **self._arguments(),
                min_size=1,
                max_size=self._size,
                init=self._prepare,
                command_timeout=COMMAND_SECONDS,
            )

    @contextlib.contextmanager
    def _encrypted(self) -> Iterator[None]:
        """Unavailable with a sentence of its own when PostgreSQL does not encrypt as it is asked to."""
        try:
            yield
        except OSError as error:
            why = encryption.reason(self.address.host, error)
            raise (Unavailable(why) if why else error) from error

    async def _prepare(self, connection: Connection) -> None:
        await _prepare(connection)
        if self._application in PROGRAMS:
            await admit(
                connection
            )  # its name is there to be seen: whoever finishes an upgrade has found it, or it finds that

    async def close(self) -> None:
        """Give every connection back; connections still busy after 5 s are cut."""
        if self._pool is None:
            return
        try:
            await asyncio.wait_for(self._pool.close(), 5)
        except TimeoutError:
            self._pool.terminate()

    @contextlib.asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A connection outside a transaction."""
        with translated():
            async with self._pool.acquire(timeout=ACQUIRE_SECONDS) as connection:
                yield connection

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """A connection in a transaction that is committed when the block ends well."""
        async with self.connection() as connection, connection.transaction():
            yield connection

    async def direct(self) -> Connection:
        """A connection of its own, outside the pool: for advisory locks and LISTEN. The caller closes it."""
        with translated(), self._encrypted():
            connection = await asyncpg.connect(**self._arguments())
            try:
                await self._prepare(connection)
            except BaseException:
                connection.terminate()
                raise
            return connection

    async def listen(self, channels: tuple[str, ...], heard: Callable[[str, str], Awaitable[None]]) -> None:
        """Call `heard(channel, payload)` for each NOTIFY; runs until cancelled, reconnects by itself.

        After each (re)connection `heard(channel, "")` is called once a channel, as notifications
        may have been missed.
        """
        queue: asyncio.Queue[tuple[str, str] | None] = asyncio.Queue()
        while True:
            try:
                connection = await self.direct()
            except Unavailable:
                await asyncio.sleep(0.5)
                continue
            connection.add_termination_listener(lambda _c: queue.put_nowait(None))
            try:
                for channel in channels:
                    await connection.add_listener(
                        channel, lambda _c, _p, name, payload: queue.put_nowait((name, payload))
                    )
                    queue.put_nowait((channel, ""))
                while (item := await queue.get()) is not None:
                    await heard(*item)
            except DRIVER_ERRORS:
                await asyncio.sleep(0.5)
            finally:
                connection.terminate()


async def notify(connection: Connection, channel: str, payload: str = "") -> None:
    """NOTIFY at the end of the transaction: a hint that never replaces looking at the tables."""
    await connection.execute("SELECT pg_notify($1, $2)", channel, payload)
