"""A client with a pool of its own, a media server that keeps the manifests, and a server that decides: the real parts of each.

Only the control connection is left out: what the client says there is answered by `Decider`, which decides as
`services.records.seal` does.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.serialization import load_pem_private_key

from rubackup.agent.folders import Ground
from rubackup.agent.seals import SealBook
from rubackup.agent.tasks import RunningTask
from rubackup.chunkstore.group import Sealer
from rubackup.chunkstore.pool import GcSafety
from rubackup.client.channels import connect
from rubackup.client.modules.filesystem import FileSystemModule
from rubackup.client.own_pools import OwnPools
from rubackup.client.own_tasks import OwnTasks
from rubackup.client.ports import BackupJob, RestoreJob
from rubackup.domain.errors import Fenced
from rubackup.domain.pools import kept_folder
from rubackup.media.kept import KeptDesk
from rubackup.media.pools import PoolKeeper
from rubackup.media.sessions import DataSessions
from rubackup.wire import pki
from rubackup.wire.data import DataServer
from rubackup.wire.messages import (
    ClientPool,
    MediaAddress,
    Message,
    NewTicket,
    Order,
    PoolConfig,
    RecordSealed,
    RenewTicket,
    RunBackup,
    RunClean,
    RunVerify,
    SealVerdict,
    StorageConfig,
)
from rubackup.wire.tickets import Ticket, sign
from support.wire import CLIENT, MEDIA, SERVER, Installation

METADATA = 3
POOL = 7


@dataclass
class Decider:
    """The server's side: which tasks are held under which fence, and which records are listed."""

    world: OwnWorld
    held: dict[int, tuple[int, str]] = field(default_factory=dict)
    """Fence and record of each task."""
    listed: set[str] = field(default_factory=set)
    asked: list[Message] = field(default_factory=list)

    async def call(self, message: Message, *_: float) -> Message:
        """What the server answers."""
        self.asked.append(message)
        match message:
            case RenewTicket():
                fence, record = self.held.get(message.task_id, (0, ""))
                if fence != message.fence:
                    raise Fenced(task_id=message.task_id)
                return NewTicket(ticket=self.world.ticket(record), media=self.world.address)
            case RecordSealed():
                if message.record not in self.listed:
                    if self.held.get(message.task_id) != (message.fence, message.record):
                        self.world.desk.drop(self.world.kept, message.record)
                        return SealVerdict(keep=False)
                    assert self.world.is_kept(message.record), "reported before the manifest was kept"
                    del self.held[message.task_id]
                    self.listed.add(message.record)
                return SealVerdict(keep=True)
        raise AssertionError(message)


@dataclass
class OwnWorld:
    """All of it, in one folder."""

    folder: Path
    installation: Installation
    address: MediaAddress
    server_key: bytes
    keeper: PoolKeeper
    served: list[PoolConfig]
    uuid: str = field(default_factory=lambda: uuid.uuid4().hex)
    safety: GcSafety = field(default_factory=lambda: GcSafety(grace_seconds=0))
    hwid: str = CLIENT
    task_id: int = 0

    def __post_init__(self) -> None:
        self.desk = KeptDesk(self.keeper)
        self.server = Decider(self)
        (self.folder / "own").mkdir(mode=0o700, parents=True, exist_ok=True)
        self.start()

    def start(self) -> None:
        """The client's process begins (again)."""
        state = self.folder / "client"
        self.ground = Ground((state,), memory=True, host="client")
        self.pools = OwnPools(self.hwid, {"nas": self.folder / "own"}, state / "pools", self.ground, self.safety)
        self.seals = SealBook(state / "unreported")
        files = self.installation.files("client", self.hwid)

        async def make() -> OwnTasks:
            return OwnTasks(self.pools, self.seals, self.hwid, lambda media: connect(media, pki.client_context(files)))

        self.tasks = asyncio.run(make())
        self.seals.on_sealed(lambda: None)

    def restart(self) -> None:
        """The client's process ends and begins."""
        self.pools.close()
        self.start()
        self.pools.configure([self.config])

    @property
    def config(self) -> ClientPool:
        """The pool as the server tells it."""
        return ClientPool(
            id=POOL, uuid=self.uuid, name="mine", storages=[(1, "nas"), (2, "usb")], metadata_pool=METADATA
        )

    @property
    def kept(self) -> str:
        """Where the manifests are kept."""
        return kept_folder(self.uuid, self.hwid)

    @property
    def storage(self) -> Path:
        """The folder with the packs."""
        return self.folder / "own" / self.kept

    def ticket(self, record: str, **changes: Any) -> bytes:
        """A ticket for the kept manifest of a record."""
        fields = {
            "task_id": 1, "fence": 1, "epoch": 1, "mode": "kept", "client_hwid": self.hwid, "media_hwid": MEDIA,
            "pool_id": METADATA, "record": record, "parent": "", "share": False, "server_hwid": SERVER,
            "expires_at": time.time() + 900, "kept": self.kept,
        }  # fmt: skip
        return sign(Ticket(**{**fields, **changes}), self.server_key)

    def is_kept(self, record: str) -> bool:
        """Whether the media server has the manifest."""
        return self.desk.find(METADATA, self.kept, record) is not None

    def task(self, record: str = "") -> RunningTask:
        """The next task."""
        self.task_id += 1
        return RunningTask(self.task_id, 1, self.ticket(record))

    def order(self, task: RunningTask) -> Order:
        """What its order carries."""
        return Order(task_id=task.task_id, fence=task.fence, epoch=1, ticket=task.ticket)

    def backup(self, source: Path, parent: str = "", record: str = "", sealer: Sealer | None = None) -> str:
        """Make a copy and report it; the record."""
        record = record or uuid.uuid4().hex
        task = self.task(record)
        self.server.held[task.task_id] = (task.fence, record)
        message = RunBackup(
            order=self.order(task), media=self.address, record=record, parent=parent, resource_type="File system",
            resource=str(source), backup_type="incremental" if parent else "full", compression="None", own=self.config,
            crypto=sealer.suite.name if sealer else "nocrypt",
        )  # fmt: skip
        with self.tasks.backup(self.config, message, task, sealer.key.id.hex() if sealer else "") as channel:
            job = BackupJob(record, parent, self.hwid, str(source), message.backup_type, sealer=sealer)
            FileSystemModule().backup(job, channel, task)
        self.report()
        return record

    def report(self) -> None:
        """What the loop of reports does with each note."""

        async def all_notes() -> None:
            for note in self.seals.notes():
                await self.tasks.reporter.report(self.server.call, note)

        asyncio.run(all_notes())

    def restore(self, record: str, source: Path, target: Path) -> Path:
        """Restore a copy below `target`; where it lies then."""
        task = self.task(record)
        channel = self.tasks.restore(self.config, record, self.address, lambda: task.ticket)
        job = RestoreJob(record, self.hwid, str(source), str(target))
        done = FileSystemModule().restore(job, channel, task)
        assert done.files_failed == 0
        return target / str(source).lstrip("/")

    def verify(self, record: str) -> tuple[Any, list[str]]:
        """The outcome of a verification, and the lines of its log."""
        task = self.task(record)
        order = RunVerify(order=self.order(task), pool_id=POOL, record=record, media=self.address, own=self.config)
        outcome = self.tasks.verify(self.config, order, task)
        return outcome, _lines(task)

    def clean(self) -> tuple[Any, list[str]]:
        """The outcome of a cleaning of both kinds, and the lines of its log."""
        task = self.task()
        order = RunClean(
            order=self.order(task), pool_id=POOL, storages=True, unfinished=[], media=self.address, own=self.config
        )
        outcome = self.tasks.clean(self.config, order, task)
        return outcome, _lines(task)


def _lines(task: RunningTask) -> list[str]:
    report = task.unsent()
    return [line.text for line in report.lines] if report else []


@contextmanager
def own_world(folder: Path, installation: Installation | None = None, **more: Any) -> Iterator[OwnWorld]:
    """With a media server on a port of its own; keys of an installation can be used again."""
    installation = installation or Installation(folder)
    key = pki.new_key_pem()
    keeper = PoolKeeper(folder / "metadata", Ground((folder / "metadata",), memory=True))
    storage = StorageConfig(id=1, path=str(folder / "storage"))
    served = (
        [PoolConfig(id=METADATA, uuid=uuid.uuid4().hex, name="Default", compression="fast", reserve_bytes=0, storages=[storage])]
    )  # fmt: skip
    keeper.configure(served)
    public = load_pem_private_key(key, None).public_key()
    sessions = DataSessions(MEDIA, keeper, SealBook(folder / "media-unreported"), lambda: {SERVER: public})
    server = DataServer("127.0.0.1", 0, pki.server_context(installation.files("media", MEDIA)), sessions.serve)
    server.start()
    address = MediaAddress(host=server.address[0], port=server.address[1], hwid=MEDIA)
    world = OwnWorld(folder, installation, address, key, keeper, served, **more)
    try:
        yield world
    finally:
        world.pools.close()
        server.close()
        keeper.close()


def no_own_pools(folder: Path) -> OwnTasks:
    """Of a client whose settings name no folder; its state is kept in this one. Needs a running loop."""

    def nowhere(_media: MediaAddress) -> Any:
        raise AssertionError

    return OwnTasks(OwnPools(CLIENT, {}, folder / "pools"), SealBook(folder / "unreported"), CLIENT, nowhere)
