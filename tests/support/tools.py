"""A server that answers clients' tools over real TLS, with a real catalogue, and clients that dial it."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from rubackup.catalog.database import Database
from rubackup.server.heartbeats import Heartbeats
from rubackup.server.monitoring import Monitor
from rubackup.server.registry import Registry
from rubackup.server.reports import Reports
from rubackup.server.tickets import TicketOffice
from rubackup.server.tools import ClientTools
from rubackup.services import dispatch
from rubackup.wire import pki
from rubackup.wire.certificates import certificate_key_hash
from rubackup.wire.control import ControlPeer
from rubackup.wire.messages import LocalUser, Message, RequestRule, StartBackup, StartRestore
from support.catalogue import CLIENT, OTHER_CLIENT, SERVER, World, insert
from support.control import Behaviour, dialled, serving
from support.wire import Installation

ANNA = LocalUser(name="anna", uid=1000)


class Place:
    """The catalogue's world with two clients, and the server that both may dial."""

    def __init__(self, world: World, installation: Installation, address: tuple[str, int]) -> None:
        self.world, self.installation, self.address = world, installation, address
        self.other = 0
        self._files: dict[str, pki.TlsFiles] = {}

    @asynccontextmanager
    async def client(self, hwid: str = CLIENT) -> AsyncIterator[ControlPeer]:
        """A connection of a client with a good certificate."""
        if hwid not in self._files:
            files = self._files[hwid] = self.installation.files("client", hwid)
            async with self.world.database.connection() as db:  # the key with which it was authorised
                key = certificate_key_hash(files.chain.read_bytes())
                await db.execute("UPDATE clients SET fingerprint = $2 WHERE hwid = $1", hwid, key)
        async with dialled(self.address, self._files[hwid]) as peer:
            yield peer

    async def set(self, **flags: Any) -> None:
        """Change the first client as its administrator would."""
        async with self.world.database.connection() as db:
            for name, value in flags.items():
                await db.execute(f"UPDATE clients SET {name} = $2 WHERE id = $1", self.world.client, value)

    async def add(self, table: str, **values: Any) -> int:
        """A row."""
        async with self.world.database.connection() as db:
            return await insert(db, table, **values)

    async def rule(self, client: int | None = None, **fields: Any) -> int:
        """A rule of the global schedule, of the first client unless it is told."""
        row = {
            "name": "nightly", "client_id": client or self.world.client, "pool_id": self.world.pool,
            "resource_type": "File system", "resource": "/home", "backup_type": "full", "storage_duration": "1 days",
            "min": "0", "hour": "2",
        }  # fmt: skip
        return await self.add("global_schedule", **(row | fields))

    async def copy(self, client: int | None = None, hwid: str = CLIENT, **fields: Any) -> int:
        """A copy, of the first client unless it is told."""
        row = {
            "uuid": uuid.uuid4(), "task_id": 1, "client_id": client or self.world.client, "client_hostname": "host",
            "client_hwid": hwid, "client_group_id": self.world.group, "pool_id": self.world.pool,
            "resource_type": "File system", "resource": "/home", "backup_type": "full", "crypto": "nocrypt",
            "size_bytes": 10, "stored_bytes": 5, "files": 2, "files_failed": 0, "created_at": dt.datetime.now(dt.UTC),
        }  # fmt: skip
        return await self.add("repository", **(row | fields))

    async def value(self, query: str, *values: Any) -> Any:
        """The first value of a query."""
        return await self.world.value(query, *values)


@asynccontextmanager
async def serving_tools(database: Database, folder: Path) -> AsyncIterator[Place]:
    """Both clients are in one group and may do everything; the pool has a storage."""
    world = await World.build(database)
    installation = Installation(folder)
    reports = Reports(
        database,
        Registry(),
        Heartbeats(lambda beats: dispatch.heartbeat(database, beats, 15)),
        TicketOffice(SERVER, pki.new_key_pem()),
        Monitor(database, (SERVER, "server.example")),
        ClientTools(database),
    )

    async def handle(peer: ControlPeer, message: Message) -> Message:
        return await reports.handle(peer, message)

    async with serving(installation.files("server", "a" * 64), Behaviour(handle=handle)) as (address, _):
        place = Place(world, installation, address)
        place.other = await place.add(
            "clients", hwid=OTHER_CLIENT, hostname="other", group_id=world.group, csr_pem=b"csr", fingerprint="f1"
        )
        await place.add("storage_local_catalogs", path="/p", pool_id=world.pool, media_server_id=world.media)
        await place.set(lrl_flag=True, lsf_flag=True, ls_pool_id=world.pool)
        yield place


def backup(**fields: Any) -> StartBackup:
    """A good StartBackup."""
    good = {
        "resource_type": "File system", "resource": "/home", "backup_type": "full", "pool": "",
        "storage_duration": "1 month", "crypto": "nocrypt", "user": ANNA,
    }  # fmt: skip
    return StartBackup(**(good | fields))


def restore(record: int, **fields: Any) -> StartRestore:
    """A good StartRestore."""
    good = {"destination": "/restored", "in_place": False, "paths": [], "overwrite": "if_changed", "user": ANNA}
    return StartRestore(record=record, **(good | fields))


def rule(**fields: Any) -> RequestRule:
    """A good RequestRule."""
    good = {
        "name": "nightly", "resource_type": "File system", "resource": "/home", "backup_type": "full", "pool": "Default",
        "storage_duration": "1 month", "priority": 100, "crypto": "nocrypt", "min": "0", "hour": "2", "dom": "",
        "mon": "", "dow": "", "periodic_launch": "", "comment": "please", "user": ANNA,
    }  # fmt: skip
    return RequestRule(**(good | fields))
