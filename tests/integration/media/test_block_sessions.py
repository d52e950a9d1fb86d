"""A media server's pool with a block size and a hash: clients are told, hostile ones refused, verifications mend."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from rubackup.agent.folders import Ground
from rubackup.agent.seals import SealBook
from rubackup.agent.tasks import RunningTask
from rubackup.agent.verifying import verify
from rubackup.chunkstore import group
from rubackup.chunkstore.identity import chunk_id
from rubackup.client.channels import BackupOverWire, connect
from rubackup.client.modules.filesystem import FileSystemModule
from rubackup.client.ports import BackupJob
from rubackup.domain.errors import Invalid, RubackupError, StorageFault
from rubackup.media.pools import PoolKeeper
from rubackup.media.sessions import DataSessions
from rubackup.wire import pki
from rubackup.wire.data import DataServer
from rubackup.wire.messages import MediaAddress, Order, PoolConfig, RunVerify, StorageConfig
from rubackup.wire.tickets import Ticket, sign
from support.wire import CLIENT, MEDIA, SERVER, Installation

BLOCK = 65_536


@dataclass
class Place:
    """A media server with one pool of blocks."""

    pools: PoolKeeper
    address: MediaAddress
    files: pki.TlsFiles
    key: bytes
    opened: list[BackupOverWire] = field(default_factory=list)

    def backup(self, record: str) -> BackupOverWire:
        """An open backup session."""
        ticket = sign(
            Ticket(
                task_id=1, fence=1, epoch=1, mode="backup", client_hwid=CLIENT, media_hwid=MEDIA, pool_id=1,
                record=record, parent="", share=True, server_hwid=SERVER, expires_at=time.time() + 900,
            ),
            self.key,
        )  # fmt: skip
        self.opened.append(BackupOverWire(connect(self.address, pki.client_context(self.files)), lambda: ticket))
        return self.opened[-1]


def config(folder: Path, **more: Any) -> PoolConfig:
    """A pool of blocks."""
    storages = [StorageConfig(id=1, path=str(folder / "storage"))]
    plain = {"algorithm": "sha2", "hash_length": 512, "block_size": BLOCK, "uuid": uuid.UUID(int=5).hex}
    return PoolConfig(id=1, name="Blocks", compression="None", reserve_bytes=0, storages=storages, **plain | more)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """The media server on a port of its own."""
    installation = Installation(tmp_path)
    key = pki.new_key_pem()
    pools = PoolKeeper(tmp_path / "metadata", Ground((tmp_path / "metadata",), memory=True))
    pools.configure([config(tmp_path)])
    public = load_pem_private_key(key, None).public_key()
    sessions = DataSessions(MEDIA, pools, SealBook(tmp_path / "unreported"), lambda: {SERVER: public})
    server = DataServer("127.0.0.1", 0, pki.server_context(installation.files("media", MEDIA)), sessions.serve)
    server.start()
    address = MediaAddress(host=server.address[0], port=server.address[1], hwid=MEDIA)
    found = Place(pools, address, installation.files("client", CLIENT), key)
    yield found
    for channel in found.opened:
        channel._connection.close()
    server.close()
    pools.close()


def test_a_client_is_told_and_cuts_so(place: Place, tmp_path: Path) -> None:
    """Over the wire: no chunk is longer, each has its hash, and a damaged file of hashes is a warning of the verification."""
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "file").write_bytes(os.urandom(5 * BLOCK + 7))
    record = uuid.uuid4().hex
    channel = place.backup(record)
    FileSystemModule().backup(BackupJob(record, "", CLIENT, str(tmp_path / "source")), channel, RunningTask(1, 1))

    assert channel.block_bytes == BLOCK
    assert place.pools.get(1).usage().chunks == 6
    (recorded,) = (tmp_path / "storage" / "packs").rglob("*.hashes")
    before = recorded.read_bytes()
    assert len(before) > 6 * 64
    recorded.write_bytes(before[:-1])
    task = RunningTask(7, 1)
    outcome = verify(
        lambda: place.pools.wait_for(1),
        RunVerify(order=Order(task_id=7, fence=1, epoch=1), pool_id=1, record=record),
        task,
    )
    report = task.unsent()

    assert outcome.outcome == "done"
    assert report is not None
    assert [(line.level, "made anew" in line.text) for line in report.lines] == [("warning", True)]
    assert recorded.read_bytes() == before


def test_a_hostile_client_with_a_longer_chunk_is_ended(place: Place) -> None:
    """It learns why, and nothing of it is stored."""
    channel = place.backup(uuid.uuid4().hex)
    data = os.urandom(BLOCK + 1)
    channel.put_group(group.encode([(chunk_id(data), data)], None))
    with pytest.raises(Invalid, match=f"at most {BLOCK} bytes, its block_size; one of {BLOCK + 1} bytes came"):
        channel.checkpoint()
    with pytest.raises(RubackupError):
        channel.checkpoint()

    assert place.pools.get(1).usage().chunks == 0


def test_a_hash_that_this_host_cannot_run_is_the_pools_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It names the library; every use of the pool is refused with that sentence, and other pools are served."""
    monkeypatch.setattr("rubackup.chunkstore.digests.available", lambda: (("sha2", 256),))
    pools = PoolKeeper(tmp_path / "metadata", Ground((tmp_path / "metadata",), memory=True))
    other = PoolConfig(
        id=2, uuid=uuid.UUID(int=6).hex, name="Other", compression="fast", reserve_bytes=0,
        storages=[StorageConfig(id=2, path=str(tmp_path / "other"))],
    )  # fmt: skip
    pools.configure([config(tmp_path, algorithm="streebog", hash_length=256), other])

    assert [bool(state.problem) for state in pools.states()] == [True, False]
    with pytest.raises(StorageFault, match=r"the hash streebog with 256 bit, which needs libbotan-2\.so\.19"):
        pools.get(1)
    pools.close()
