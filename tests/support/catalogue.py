"""Rows that tests of services start from."""

from __future__ import annotations

import asyncio
import datetime as dt
from typing import Any

from rubackup.catalog.database import Connection, Database
from rubackup.domain.permissions import Principal, Role
from rubackup.queue.ports import NewTask, Reservation
from rubackup.queue.postgres import PostgresQueue
from rubackup.services import presence
from rubackup.services.change import Change
from rubackup.services.enrolment import Signed
from rubackup.services.no_hosts import NoHosts

CLIENT, OTHER_CLIENT = "00000000000000aa", "00000000000000bb"
MEDIA, OTHER_MEDIA = "aa" * 32, "bb" * 32
SERVER = "cc" * 32
SUPERUSER = Principal(1, "root", frozenset({Role.SUPERUSER}))


class NumberingSigner:
    """Signs nothing, but numbers what it was asked for."""

    key_hash = "d" * 64

    def __init__(self) -> None:
        self.asked: list[tuple[bytes, str, str]] = []

    def sign(self, csr_pem: bytes, role: str, hwid: str) -> Signed:
        self.asked.append((csr_pem, role, hwid))
        number = str(len(self.asked))
        return Signed(b"chain " + number.encode(), number, dt.datetime.now(dt.UTC) + dt.timedelta(days=365))


def change(db: Connection, principal: Principal = SUPERUSER) -> Change:
    """A change by this caller in the connection's transaction."""
    return Change(db, principal, NoHosts())


async def waiting_for_locks(db: Connection, sessions: int, limit_seconds: float = 60) -> None:
    """Returns once so many sessions of this database wait for a lock."""
    async with asyncio.timeout(limit_seconds):
        while (
            await db.fetchval(
                """SELECT count(*) FROM pg_stat_activity
                   WHERE datname = current_database() AND wait_event_type = 'Lock'"""
            )
            != sessions
        ):
            await db.execute("SELECT pg_stat_clear_snapshot()")


async def insert(db: Connection, table: str, **values: Any) -> int:
    """A row; its id."""
    names, marks = ", ".join(values), ", ".join(f"${n}" for n in range(1, len(values) + 1))
    return await db.fetchval(f"INSERT INTO {table} ({names}) VALUES ({marks}) RETURNING id", *values.values())


class World:
    """One client, one media server with a pool; `online` brings both to life."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.client = self.media = self.pool = self.group = 0

    @classmethod
    async def build(cls, database: Database, *, online: bool = True) -> World:
        world = cls(database)
        async with database.transaction() as db:
            keys = {"csr_pem": b"csr", "fingerprint": "f0"}
            world.group = await insert(db, "client_groups", name="office")
            world.client = await insert(
                db, "clients", hwid=CLIENT, hostname="workstation", group_id=world.group, **keys
            )
            world.media = await insert(
                db, "media_servers", hwid=MEDIA, hostname="vault", data_endpoint="10.0.0.1:9993", **keys
            )
            await db.execute("INSERT INTO client_presence (client_id) VALUES ($1)", world.client)
            await db.execute("INSERT INTO media_presence (media_server_id) VALUES ($1)", world.media)
            world.pool = await insert(
                db, "pools", pool_name="Default", pool_type="File system", media_server_id=world.media
            )
        if online:
            await world.client_online()
            await world.media_online()
        return world

    async def client_online(self) -> None:
        await presence.client_online(
            self.database, CLIENT, SERVER, hostname="workstation", package_version="1", resource_types=["File system"]
        )

    async def media_online(self) -> None:
        await presence.media_online(
            self.database, MEDIA, SERVER, hostname="vault", package_version="1", data_endpoint="10.0.0.1:9993"
        )

    async def backup(self, **fields: Any) -> int:
        """A queued backup of /home."""
        task = {
            "task_type": "Backup", "executor": "client", "client_id": self.client, "media_server_id": self.media,
            "pool_id": self.pool, "resource_type": "File system", "resource": "/home", "backup_type": "full",
            "storage_duration": "1 years",
            "reservations": (Reservation("resource", f"{CLIENT}:/home", exclusive=True),),
        }  # fmt: skip
        async with self.database.transaction() as db:
            return await PostgresQueue(db).add(NewTask(**(task | fields)))

    async def on_record(self, record_id: int, task_type: str = "Verify", executor: str = "media") -> int:
        """A queued task on a record."""
        async with self.database.transaction() as db:
            return await PostgresQueue(db).add(
                NewTask(
                    task_type=task_type, executor=executor, client_id=self.client, media_server_id=self.media,
                    pool_id=self.pool, record_id=record_id,
                )
            )  # fmt: skip

    async def configure(self, **keys: Any) -> None:
        """Set keys of the global configuration."""
        async with self.database.connection() as db:
            for key, value in keys.items():
                await db.execute("INSERT INTO global_configuration VALUES ($1, $2)", key, value)

    async def row(self, query: str, *values: Any) -> Any:
        """The first row of a query."""
        async with self.database.connection() as db:
            return await db.fetchrow(query, *values)

    async def value(self, query: str, *values: Any) -> Any:
        """The first value of a query."""
        async with self.database.connection() as db:
            return await db.fetchval(query, *values)

    async def column(self, query: str, *values: Any) -> list[Any]:
        """The first column of a query."""
        async with self.database.connection() as db:
            return [row[0] for row in await db.fetch(query, *values)]
