"""Copying between the pools of one media server, and from another one over real TLS."""

from __future__ import annotations

import asyncio
import os
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.x509 import load_pem_x509_certificate

from rubackup.agent.seals import SealBook
from rubackup.agent.tasks import RunningTask, TaskRunner, guarded
from rubackup.domain.errors import Conflict, Fenced, NotFound, Refused, RubackupError, Stopped
from rubackup.media.agent import MediaAgent
from rubackup.media.copying import Copier
from rubackup.media.pools import PoolKeeper
from rubackup.media.sessions import DataSessions
from rubackup.media.tape.host import TapeHost
from rubackup.wire import pki
from rubackup.wire.certificates import Role
from rubackup.wire.data import DataConnection, DataServer, connect_data
from rubackup.wire.messages import (
    PROTOCOL_VERSION,
    BackupOpened,
    DropRecord,
    KeepKey,
    LockRecord,
    MediaAddress,
    OpenBackup,
    Order,
    PoolConfig,
    Revoked,
    RunCopy,
    StorageConfig,
)
from rubackup.wire.tickets import Ticket, sign
from support.chunkstore import Client, noise, record_id, restore
from support.wire import CLIENT, MEDIA, SERVER, Installation

OTHER = "d" * 64
FIRST, SECOND, REMOTE = 1, 2, 3
TREE = {"/a": noise(900_000, 1), "/b": b"text " * 50_000, "/deep/c": noise(10, 3)}


def keeper(folder: Path, *pools: int) -> PoolKeeper:
    """A media server's pools, each with one storage."""
    found = PoolKeeper(folder / "metadata")
    found.configure(
        [
            PoolConfig(
                id=number, uuid=uuid.uuid4().hex, name=f"pool {number}", compression="fast", reserve_bytes=0,
                storages=[StorageConfig(id=number, path=str(folder / f"storage{number}"))],
            )
            for number in pools
        ]
    )  # fmt: skip
    return found


@dataclass
class Two:
    """A media server with two pools, and another one that serves a third."""

    here: PoolKeeper
    there: PoolKeeper
    copier: Copier
    seals: SealBook
    address: MediaAddress
    installation: Installation
    server_key: bytes

    def ticket(self, **changes: Any) -> bytes:
        """The server's word that this media server may read the first record of the other one."""
        good = {
            "task_id": 7, "fence": 1, "epoch": 1, "mode": "restore", "client_hwid": MEDIA, "media_hwid": OTHER,
            "pool_id": REMOTE, "record": record_id(1), "parent": "", "share": False, "server_hwid": SERVER,
            "expires_at": time.time() + 900,
        }  # fmt: skip
        return sign(Ticket(**(good | changes)), self.server_key)

    def connect(self, address: MediaAddress) -> DataConnection:
        """As a media server."""
        context = pki.client_context(self.installation.files("media", MEDIA))
        return connect_data(address.host, address.port, context, expect=("media", address.hwid))

    def order(self, source: int, target: int, number: int = 2, **changes: Any) -> RunCopy:
        """Copy the first record of a pool into another."""
        fields = {
            "order": Order(task_id=7, fence=1, epoch=1, ticket=self.ticket()), "pool_id": target, "record": record_id(number),
            "parent": "", "owner": CLIENT, "source_pool_id": source, "source_record": record_id(1),
            "source": self.address if source == REMOTE else None,
        }  # fmt: skip
        return RunCopy(**(fields | changes))


def fill(pools: PoolKeeper, pool: int) -> None:
    """The first record of a pool."""
    session = pools.get(pool).begin(owner=CLIENT, task_id=1, fence=1, record=record_id(1), parent=None, share=False)
    Client(owner=CLIENT).backup(session, TREE)


@pytest.fixture
def two(tmp_path: Path) -> Iterator[Two]:
    """Both media servers, each pool with the record; the other one listens."""
    installation, server_key = Installation(tmp_path), pki.new_key_pem()
    here, there = keeper(tmp_path / "here", FIRST, SECOND), keeper(tmp_path / "there", REMOTE)
    fill(here, FIRST)
    fill(there, REMOTE)
    public = load_pem_private_key(server_key, None).public_key()
    sessions = DataSessions(OTHER, there, SealBook(tmp_path / "theirs"), lambda: {SERVER: public})
    context = pki.server_context(installation.files("media", OTHER))
    server = DataServer("127.0.0.1", 0, context, sessions.serve, roles=(Role.CLIENT, Role.MEDIA))
    server.start()
    address = MediaAddress(host=server.address[0], port=server.address[1], hwid=OTHER)
    seals = SealBook(tmp_path / "ours")
    found = Two(here, there, None, seals, address, installation, server_key)  # type: ignore[arg-type]
    found.copier = Copier(here, seals, found.connect)
    yield found
    server.close()
    here.close()
    there.close()


def running(two: Two, ticket: bytes | None = None) -> RunningTask:
    """The task of the orders."""
    return RunningTask(7, 1, two.ticket() if ticket is None else ticket)


@pytest.mark.parametrize("source", [FIRST, REMOTE])
def test_a_record_is_copied_and_the_server_will_hear_of_it(two: Two, source: int) -> None:
    """From a pool of the same media server, and of another one, which the ticket opens."""
    task = running(two)
    outcome = two.copier.run(two.order(source, SECOND), task)

    assert outcome.outcome == "done"
    assert restore(two.here.get(SECOND), record_id(2)) == TREE
    assert [(note.pool_id, note.record) for note in two.seals.notes()] == [(SECOND, record_id(2))]
    state = task.state()
    assert (state.phase, state.bytes_done, state.bytes_total) == ("transmission", 1_150_010, 1_150_010)
    assert state.bytes_sent > 900_000


def test_a_renewed_ticket_is_shown_on_the_way(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    """A long copy goes on under the newer one."""
    task = running(two)
    connection = two.connect(two.address)
    shown = []
    send = connection.send

    def note(message: Any) -> None:
        shown.append(type(message).__name__)
        task.ticket = two.ticket(expires_at=time.time() + 1000 + len(shown))
        send(message)

    monkeypatch.setattr(connection, "send", note)
    copier = Copier(two.here, two.seals, lambda _address: connection)

    assert copier.run(two.order(REMOTE, SECOND), task).outcome == "done"
    assert "Renew" in shown
    assert restore(two.here.get(SECOND), record_id(2)) == TREE


@pytest.mark.parametrize(
    "changes",
    [{"record": record_id(9)}, {"client_hwid": CLIENT}, {"media_hwid": MEDIA}, {"mode": "backup"}, {"expires_at": 1.0}],
)
def test_a_media_server_reads_only_what_its_ticket_names(two: Two, changes: dict[str, Any]) -> None:
    """Without the right ticket there is nothing, and nothing is listed here."""
    with pytest.raises((Refused, NotFound)):
        two.copier.run(two.order(REMOTE, SECOND), running(two, two.ticket(**changes)))

    assert two.here.get(SECOND).records() == []


def test_a_media_server_cannot_write_into_another(two: Two) -> None:
    """It reads there; only clients write."""
    connection = two.connect(two.address)
    connection.send(OpenBackup(version=PROTOCOL_VERSION, ticket=two.ticket(mode="backup", record=record_id(5))))
    with pytest.raises(Refused, match="Only clients write"):
        connection.expect(BackupOpened)
    connection.close()


def test_a_stopped_copy_leaves_no_record(two: Two) -> None:
    """The server took the task away: nothing is sealed, and what arrived is kept for the next attempt."""
    task = running(two)
    task.stop()
    assert guarded(task, lambda one: two.copier.run(two.order(FIRST, SECOND), one)).outcome == "stopped"
    with pytest.raises(Stopped):
        two.copier.run(two.order(FIRST, SECOND), task)

    assert two.here.get(SECOND).records() == []
    assert two.seals.notes() == []


def test_an_older_attempt_is_refused(two: Two) -> None:
    """Once the task was begun under a higher fence, the older one gets nowhere."""
    newer = RunningTask(7, 2)
    assert two.copier.run(two.order(FIRST, SECOND, 3), newer).outcome == "done"
    with pytest.raises(Fenced):
        two.copier.run(two.order(FIRST, SECOND), running(two))


def test_another_owner_than_the_records_gets_nothing(two: Two) -> None:
    """A copied record belongs to the client whose record it is."""
    with pytest.raises(RubackupError, match="another record or client"):
        two.copier.run(two.order(FIRST, SECOND, owner="e" * 16), running(two))

    assert two.here.get(SECOND).records() == []


def test_damage_on_the_other_media_server_is_named(two: Two, tmp_path: Path) -> None:
    """The sentence says which pack; the task ends in an error, not in another attempt."""
    (pack,) = (tmp_path / "there").rglob("*.pack")
    with pack.open("r+b") as file:
        file.seek(pack.stat().st_size // 2)
        file.write(os.urandom(100))

    outcome = guarded(running(two), lambda one: two.copier.run(two.order(REMOTE, SECOND), one))

    assert outcome.outcome == "error"
    assert f"{pack.name} is damaged at offset" in outcome.message


def test_a_media_server_that_is_gone_is_worth_another_attempt(two: Two) -> None:
    """The target waits for it, as a client would."""
    nowhere = MediaAddress(host="127.0.0.1", port=1, hwid=OTHER)
    order = msgspec.structs.replace(two.order(REMOTE, SECOND), source=nowhere)

    assert guarded(running(two), lambda one: two.copier.run(order, one)).outcome == "retry"


class Clock:
    """A clock that the test moves."""

    now = 100.0

    def __call__(self) -> float:
        """Seconds."""
        return self.now


def scene(two: Two, clock: Clock) -> tuple[MediaAgent, Any]:
    """The media server's agent, and the server's end of its control connection."""

    async def call(*_: Any) -> Any:
        raise AssertionError

    chain = two.installation.files("server", SERVER).chain.read_bytes()
    certificate = load_pem_x509_certificate(chain)
    peer = SimpleNamespace(identity=SimpleNamespace(hwid=SERVER), certificate=certificate.public_bytes(Encoding.DER))
    return MediaAgent(two.here, two.seals, TaskRunner(call), TapeHost(), two.copier, clock), peer


def test_a_servers_key_counts_only_while_it_is_heard_of(two: Two) -> None:
    """`digital_signature_public_key_obsolence`: after that its tickets are refused until it has said what is revoked."""

    async def run() -> None:
        clock = Clock()
        agent, peer = scene(two, clock)
        await agent.handle(peer, KeepKey(key_seconds=60))
        assert agent.server_keys() == {}
        await agent.handle(peer, Revoked(serials=[], key_seconds=60))
        clock.now += 50
        await agent.handle(peer, KeepKey(key_seconds=60))
        clock.now += 50
        assert list(agent.server_keys()) == [SERVER]
        clock.now += 11
        assert agent.server_keys() == {}

    asyncio.run(run())


def test_a_locked_record_is_kept_even_from_the_server(two: Two) -> None:
    """DropRecord of one is refused; an older leader's lock too."""

    async def run() -> None:
        agent, peer = scene(two, Clock())
        until = time.time_ns() + 10**12
        await agent.handle(peer, LockRecord(epoch=5, pool_id=FIRST, record=record_id(1), until_ns=until))
        with pytest.raises(Conflict, match="locked against deletion"):
            await agent.handle(peer, DropRecord(epoch=5, pool_id=FIRST, record=record_id(1)))
        with pytest.raises(Fenced):
            await agent.handle(peer, LockRecord(epoch=4, pool_id=FIRST, record=record_id(1), until_ns=until))
        with pytest.raises(NotFound):
            await agent.handle(peer, LockRecord(epoch=5, pool_id=FIRST, record=record_id(9), until_ns=until))

    asyncio.run(run())
    assert restore(two.here.get(FIRST), record_id(1)) == TREE
