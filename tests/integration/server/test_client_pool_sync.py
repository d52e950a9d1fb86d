"""The server and a client with a pool of its own: jobs, decisions about records, locks, deletions, and the pool that takes its place."""

from __future__ import annotations

import datetime as dt
import time
import uuid
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from rubackup.catalog.database import Database
from rubackup.domain.errors import Conflict, StorageFault, Unavailable
from rubackup.domain.pools import OWNERS_ONLY, kept_folder
from rubackup.server.client_pools import ClientPoolSync
from rubackup.server.heartbeats import Heartbeats
from rubackup.server.monitoring import Monitor
from rubackup.server.orders import order_of
from rubackup.server.registry import Registry
from rubackup.server.reports import Reports
from rubackup.server.tickets import TicketOffice
from rubackup.server.tools import ClientTools
from rubackup.services import client_pools, deletion, dispatch, presence, verifications
from rubackup.wire import pki
from rubackup.wire.messages import (
    Ack,
    ClientPool,
    ConfigureClientPools,
    DropKept,
    DropRecord,
    LockRecord,
    Message,
    PoolState,
    PoolStates,
    RecordSealed,
    RunBackup,
    RunVerify,
    SealVerdict,
    StorageState,
)
from rubackup.wire.tickets import verify
from support.catalogue import CLIENT, MEDIA, OTHER_CLIENT, SERVER, World, change, insert

pytestmark = pytest.mark.postgres


class Peer:
    """A host's end of a control connection, in reverse: what it was told, and what it answers."""

    is_closed = False

    def __init__(self, role: str, hwid: str) -> None:
        self.identity = SimpleNamespace(role=role, hwid=hwid, serial="1")
        self.told: list[Message] = []
        self.refuses: Exception | None = None

    async def call(self, message: Message, _timeout: float = 0) -> Message:
        """Takes it, or refuses."""
        if self.refuses is not None:
            raise self.refuses
        self.told.append(message)
        if isinstance(message, ConfigureClientPools):
            return PoolStates(
                pools=[
                    PoolState(
                        id=pool.id, problem="", free_bytes=6, used_bytes=4, total_bytes=10, chunks=1, records=1,
                        storages=[
                            StorageState(id=pool.storages[0][0], problem="", free_bytes=6, used_bytes=4, total_bytes=10)
                        ],
                    )
                    for pool in message.pools
                ]
            )  # fmt: skip
        return Ack()

    def take(self) -> list[Message]:
        """What it was told since."""
        found, self.told = self.told, []
        return found


class Own(World):
    """A Client defined pool with the storage `nas`, for which the client has a folder."""

    own = files = storage = 0

    @classmethod
    async def made(cls, database: Database) -> Own:
        world = await cls.build(database)
        assert isinstance(world, Own)
        async with database.transaction() as db:
            world.files, world.pool = (
                world.pool,
                await insert(
                    db,
                    "pools",
                    pool_name="Mine",
                    pool_type="Client defined",
                    media_server_id=world.media,
                    compression_type="None",
                ),
            )
            world.storage = await insert(
                db, "client_defined_storages", name="nas", pool_id=world.pool, metadata_fs_pool_id=world.files
            )
        await world.comes("nas")
        world.client_peer, world.media_peer = Peer("client", CLIENT), Peer("media", MEDIA)
        world.registry = Registry()
        for peer in (world.client_peer, world.media_peer):
            world.registry.add(peer)  # type: ignore[arg-type]
        world.sync = ClientPoolSync(database, world.registry, lambda: 5)
        world.key = pki.new_key_pem()
        monitor = Monitor(database, (SERVER, "server.example"))
        world.reports = Reports(
            database,
            world.registry,
            Heartbeats(nothing),
            TicketOffice(SERVER, world.key),
            monitor,
            ClientTools(database),
        )
        return world

    client_peer: Peer
    media_peer: Peer
    registry: Registry
    sync: ClientPoolSync
    reports: Reports
    key: bytes

    async def comes(self, *storages: str) -> None:
        """The client connects, with folders for these."""
        await presence.client_online(
            self.database, CLIENT, SERVER, hostname="workstation", package_version="1", resource_types=["File system"],
            storages=storages,
        )  # fmt: skip

    @property
    def kept(self) -> str:
        """Where the manifests are kept."""
        return kept_folder(self.uuid, CLIENT)

    uuid = ""

    async def job(self, **fields: Any) -> dispatch.Job:
        """A backup at work."""
        await self.backup(**fields)
        (job,) = await dispatch.claim(self.database, 0, SERVER, 60, 1)
        self.uuid = job.pool_uuid
        return job

    async def seals(self, job: dispatch.Job, peer: Peer | None = None, **fields: Any) -> bool:
        """What the server says when the client reports the job's record."""
        facts = {
            "task_id": job.task_id, "fence": job.fence, "pool_id": job.pool_id, "record": job.record_uuid, "parent": "",
            "client_hwid": CLIENT, "resource_type": job.resource_type, "resource": job.resource,
            "backup_type": job.backup_type, "files": 1, "files_failed": 0, "size_bytes": 5, "stored_bytes": 5,
            "sealed_at_ns": time.time_ns(),
        }  # fmt: skip
        answer = await self.reports.handle(peer or self.client_peer, RecordSealed(**(facts | fields)))  # type: ignore[arg-type]
        assert isinstance(answer, SealVerdict)
        return answer.keep


async def nothing(_beats: object) -> list[int]:
    """Nobody's heartbeat is lost."""
    return []


def test_an_order_tells_the_pool_and_a_ticket_for_its_manifest_alone(run):
    """The ticket is for the record's kept manifest, for this client; it opens no pool."""

    async def scenario(database: Database):
        world = await Own.made(database)
        job = await world.job()
        order = order_of(job, TicketOffice(SERVER, world.key))
        assert isinstance(order, RunBackup)
        assert order.own == ClientPool(
            id=world.pool, uuid=job.pool_uuid, name="Mine", storages=[(world.storage, "nas")], metadata_pool=world.files,
            reserve_bytes=2_000_000_000,
        )  # fmt: skip
        keys = {SERVER: load_pem_private_key(world.key, None).public_key()}
        ticket = verify(order.order.ticket, keys, client=(CLIENT, "f0"), media_hwid=MEDIA, now=time.time())
        assert (ticket.mode, ticket.pool_id, ticket.record, ticket.kept) == (
            "kept", world.files, job.record_uuid, world.kept,
        )  # fmt: skip

    run(scenario)


def test_a_record_is_listed_when_its_own_client_reports_it(run):
    """Neither a media server's word counts nor another client's; what is refused leaves no kept manifest."""

    async def scenario(database: Database):
        world = await Own.made(database)
        job = await world.job()
        assert not await world.seals(job, world.media_peer)
        assert world.media_peer.take() == []
        assert not await world.seals(job, Peer("client", OTHER_CLIENT))
        (dropped,) = world.media_peer.take()
        assert isinstance(dropped, DropKept)
        assert (dropped.folder, dropped.record) == (kept_folder(job.pool_uuid, OTHER_CLIENT), job.record_uuid)
        assert not await world.seals(job, fence=job.fence + 1)
        assert not await world.seals(job, record=uuid.uuid4().hex)
        assert len(world.media_peer.take()) == 2
        world.registry.remove(world.media_peer)  # type: ignore[arg-type]
        with pytest.raises(Unavailable):  # asked again when the manifest can be dropped
            await world.seals(job, fence=job.fence + 1)
        assert await world.seals(job)
        assert await world.seals(job)
        assert await world.value("SELECT count(*) FROM repository") == 1
        assert await world.value("SELECT status FROM task_queue") == "Done"

    run(scenario)


def test_a_media_servers_pool_takes_no_clients_word(run):
    """A client cannot list a copy that a media server has not sealed."""

    async def scenario(database: Database):
        world = await Own.made(database)
        world.pool, own = world.files, world.pool
        job = await world.job()
        assert job.own is None
        assert not await world.seals(job)
        assert not await world.seals(job, pool_id=own)
        assert await world.seals(job, world.media_peer)

    run(scenario)


def test_the_client_is_told_its_pools_its_locks_and_what_to_forget(run):
    """What waits for a client waits until it is there and its folder is; the manifest goes at once, and once more at the end."""

    async def scenario(database: Database):
        world = await Own.made(database)
        job = await world.job()
        await world.seals(job)
        async with database.transaction() as db:
            until = dt.datetime.now(dt.UTC) + dt.timedelta(days=1)
            await db.execute("UPDATE repository SET locked_until = $1", until)
        await world.sync.configure(world.client_peer)
        told, lock = world.client_peer.take()
        assert isinstance(told, ConfigureClientPools)
        assert [pool.name for pool in told.pools] == ["Mine"]
        assert isinstance(lock, LockRecord)
        assert (lock.pool_id, lock.record) == (world.pool, job.record_uuid)
        assert await world.value("SELECT used_bytes FROM pool_state WHERE pool_id = $1", world.pool) == 4
        await world.sync.catch_up_all()
        assert world.client_peer.take() == []

        async with database.transaction() as db:
            await db.execute("UPDATE repository SET locked_until = NULL")
            await deletion.delete_records(change(db), [await db.fetchval("SELECT id FROM repository")])
        await world.sync.drop_all_kept(world.media_peer)
        (kept,) = world.media_peer.take()
        assert isinstance(kept, DropKept)
        assert (kept.folder, kept.record) == (world.kept, job.record_uuid)
        await world.sync.drop_all_kept(world.media_peer)
        assert world.media_peer.take() == []
        world.client_peer.refuses = StorageFault("Its disk is gone.")
        await world.sync.catch_up_all()
        world.client_peer.refuses = None
        await world.sync.catch_up_all()
        (drop,) = world.client_peer.take()
        assert isinstance(drop, DropRecord)
        assert (drop.pool_id, drop.record) == (world.pool, job.record_uuid)
        assert isinstance(world.media_peer.take()[0], DropKept)
        await world.sync.catch_up_all()
        assert world.client_peer.take() == world.media_peer.take() == []

    run(scenario)


def test_a_client_that_has_no_folder_any_more_is_told_so(run):
    """Once, with an empty list; its part of what the pool has is forgotten, and clients without any are never told anything."""

    async def scenario(database: Database):
        world = await Own.made(database)
        await world.sync.configure_all()
        assert len(world.client_peer.take()) == 1
        await world.comes()
        await world.sync.configure_all()
        (told,) = world.client_peer.take()
        assert isinstance(told, ConfigureClientPools)
        assert told.pools == []
        assert await world.value("SELECT count(*) FROM client_defined_storage_state") == 0
        assert "No client has told" in await world.value(
            "SELECT problem FROM pool_state WHERE pool_id = $1", world.pool
        )
        await world.comes("nas")
        await world.sync.configure(world.client_peer)
        await world.comes()
        back = Peer("client", CLIENT)
        await world.sync.configure(back)  # type: ignore[arg-type]
        assert back.take() == []
        assert await world.value("SELECT count(*) FROM client_defined_storage_state") == 0
        world.client_peer.take()
        stranger = Peer("client", OTHER_CLIENT)
        world.registry.add(stranger)  # type: ignore[arg-type]
        await world.sync.configure_all()
        await world.sync.configure(stranger)  # type: ignore[arg-type]
        assert stranger.take() == []

    run(scenario)


def test_a_substitution_takes_the_place_of_a_pool_that_the_client_cannot_use(run):
    """Of this client: what another one says of its folder does not count."""

    async def scenario(database: Database):
        world = await Own.made(database)
        await world.sync.configure(world.client_peer)
        async with database.transaction() as db:
            await insert(db, "pool_substitutions", pool_id=world.pool, substitution_id=world.files)
            await db.execute("UPDATE pool_state SET problem = 'Another client has no room.'")
            await insert(db, "storage_local_catalogs", path="/x", pool_id=world.files, media_server_id=world.media)
        assert (await world.job(resource="/one", reservations=())).own is not None
        async with database.transaction() as db:
            await db.execute("UPDATE client_defined_storage_state SET problem = 'It is full.'")
        job = await world.job(resource="/two", reservations=())
        assert (job.own, job.pool_id) == (None, world.files)
        text = " ".join(await world.column("SELECT text FROM task_log WHERE task_id = $1", job.task_id))
        assert "It is full" in text

    run(scenario)


def test_verifications_are_the_clients_and_restores_elsewhere_end(run):
    """A task that was made for another client all the same says why it cannot run."""

    async def scenario(database: Database):
        world = await Own.made(database)
        job = await world.job()
        await world.seals(job)
        record = await world.value("SELECT id FROM repository")
        async with database.transaction() as db:
            number = await verifications.queue(db, record, "root")
        (found,) = await dispatch.claim(database, 0, SERVER, 60, 1)
        assert (found.task_id, found.executor, found.client_hwid) == (number, "client", CLIENT)
        order = order_of(found, TicketOffice(SERVER, world.key))
        assert isinstance(order, RunVerify)
        assert order.own is not None
        assert order.media is not None
        async with database.transaction() as db:
            world.client = await insert(
                db,
                "clients",
                hwid=OTHER_CLIENT,
                hostname="other",
                group_id=world.group,
                csr_pem=b"",
                fingerprint="f1",
                resource_types=["File system"],
            )
            await db.execute("INSERT INTO client_presence (client_id, online) VALUES ($1, true)", world.client)
        other = await world.on_record(record, "Restore", "client")
        assert await dispatch.claim(database, 0, SERVER, 60, 1) == []
        assert await world.value("SELECT message FROM task_queue WHERE id = $1", other) == OWNERS_ONLY
        with pytest.raises(Conflict):
            client_pools.refuse_others("Client defined")

    run(scenario)
