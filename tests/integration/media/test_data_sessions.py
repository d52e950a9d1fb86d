"""Data sessions over real TLS, with a real pool: what a ticket opens, and that nothing else does."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from rubackup.agent.seals import SealBook
from rubackup.agent.tasks import RunningTask
from rubackup.chunkstore import group
from rubackup.chunkstore.identity import chunk_id
from rubackup.chunkstore.manifest import ManifestReader
from rubackup.client.channels import BackupOverWire, RestoreOverWire, connect
from rubackup.client.compare import compare_trees
from rubackup.client.modules.filesystem import FileSystemModule
from rubackup.client.modules.filesystem.backup import Backup
from rubackup.client.ports import BackupJob, RestoreJob
from rubackup.domain.errors import Corrupt, Fenced, Refused, RubackupError, WireFault
from rubackup.media.pools import PoolKeeper
from rubackup.media.sessions import DataSessions
from rubackup.wire import pki
from rubackup.wire.data import DataConnection, DataServer
from rubackup.wire.framing import FrameType
from rubackup.wire.messages import (
    PROTOCOL_VERSION,
    Ack,
    Groups,
    Hello,
    MediaAddress,
    OpenRestore,
    PoolConfig,
    ReadChunks,
    StorageConfig,
)
from rubackup.wire.tickets import Ticket, sign
from support.wire import CLIENT, MEDIA, SERVER, Installation

POOL = 7


@dataclass
class Place:
    """A media server with one pool, and what a client needs to reach it."""

    installation: Installation
    address: MediaAddress
    server_key: bytes
    seals: SealBook
    sessions: DataSessions
    ahead: list[float]
    """One number: by how many seconds the media server's clock is ahead."""
    opened: list[DataConnection] = field(default_factory=list)
    used: dict[str, pki.TlsFiles] = field(default_factory=dict)

    def connection(self, hwid: str = CLIENT) -> DataConnection:
        """A connection of a client with a good certificate."""
        files = self.used.setdefault(hwid, self.installation.files("client", hwid))
        found = connect(self.address, pki.client_context(files))
        self.opened.append(found)
        return found

    def ticket(self, **changes: Any) -> bytes:
        """A good ticket of CLIENT, with changes."""
        good = Ticket(
            task_id=1, fence=1, epoch=1, mode="backup", client_hwid=CLIENT, media_hwid=MEDIA, pool_id=POOL,
            record=uuid.uuid4().hex, parent="", share=True, server_hwid=SERVER, expires_at=time.time() + 900,
        )  # fmt: skip
        fields = {name: getattr(good, name) for name in good.__struct_fields__}
        return sign(Ticket(**{**fields, **changes}), self.server_key)

    def backup(self, **changes: Any) -> BackupOverWire:
        """An open backup session."""
        ticket = self.ticket(**changes)
        return BackupOverWire(self.connection(changes.get("client_hwid", CLIENT)), lambda: ticket)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """A media server on a port of its own."""
    installation = Installation(tmp_path)
    server_key = pki.new_key_pem()
    pools = PoolKeeper(tmp_path / "metadata")
    storage = StorageConfig(id=1, path=str(tmp_path / "storage"))
    config = PoolConfig(
        id=POOL, uuid=uuid.uuid4().hex, name="Default", compression="fast", reserve_bytes=0, storages=[storage]
    )
    pools.configure([config])
    public = load_pem_private_key(server_key, None).public_key()
    seals = SealBook(tmp_path / "unreported")
    ahead = [0.0]
    sessions = DataSessions(MEDIA, pools, seals, lambda: {SERVER: public}, clock=lambda: time.time() + ahead[0])
    server = DataServer("127.0.0.1", 0, pki.server_context(installation.files("media", MEDIA)), sessions.serve)
    server.start()
    address = MediaAddress(host=server.address[0], port=server.address[1], hwid=MEDIA)
    found = Place(installation, address, server_key, seals, sessions, ahead)
    yield found
    for connection in found.opened:
        connection.close()
    server.close()
    pools.close()


def make_source(folder: Path) -> Path:
    """A few files."""
    folder.mkdir()
    for number in range(20):
        (folder / f"file{number}").write_bytes(os.urandom(number * 10_000))
    return folder


def backed_up(place: Place, source: Path, record: str) -> None:
    """One record of the source."""
    channel = place.backup(record=record)
    FileSystemModule().backup(BackupJob(record, "", CLIENT, str(source)), channel, RunningTask(1, 1))
    channel.close()


def test_a_folder_goes_through_the_wire_and_back(place: Place, tmp_path: Path) -> None:
    """A backup session writes a record that a restore session reads byte for byte; the server will hear of it."""
    source, record = make_source(tmp_path / "source"), uuid.uuid4().hex
    backed_up(place, source, record)
    ticket = place.ticket(record=record, mode="restore")
    channel = RestoreOverWire(place.connection(), lambda: ticket)
    job = RestoreJob(record, CLIENT, str(source), str(tmp_path / "target"))

    FileSystemModule().restore(job, channel, RunningTask(2, 1))

    assert compare_trees(source, tmp_path / "target" / str(source).lstrip("/")).equal
    assert [note.record for note in place.seals.notes()] == [record]


def test_damage_costs_the_files_that_it_hits(place: Place, tmp_path: Path) -> None:
    """A damaged group is left out and named; every other group of the same request comes behind it."""
    source, record = tmp_path / "source", uuid.uuid4().hex
    source.mkdir()
    for number in range(6):
        (source / f"file{number}").write_bytes(os.urandom(1_000_000))
    backed_up(place, source, record)
    [pack] = (tmp_path / "storage").glob("packs/**/*.*")
    with pack.open("r+b") as file:
        file.seek(pack.stat().st_size // 2)
        file.write(bytes(100))
    ticket = place.ticket(record=record, mode="restore")
    channel = RestoreOverWire(place.connection(), lambda: ticket)
    job = RestoreJob(record, CLIENT, str(source), str(tmp_path / "target"))
    task = RunningTask(2, 1)

    done = FileSystemModule().restore(job, channel, task)

    assert done.files_failed in {1, 2}  # a group holds parts of two of them at most
    assert done.files == 6 - done.files_failed
    report = task.unsent()
    assert report is not None
    assert all("is damaged at offset" in line.text for line in report.lines)


def test_chunks_may_be_asked_for_ahead(place: Place, tmp_path: Path) -> None:
    """A client may ask for the next groups before it has read the last answer: answers come in order."""
    source, record = tmp_path / "source", uuid.uuid4().hex
    source.mkdir()
    (source / "file").write_bytes(os.urandom(3_000_000))
    backed_up(place, source, record)
    ticket = place.ticket(record=record, mode="restore")
    connection = place.connection()
    channel = RestoreOverWire(connection, lambda: ticket)
    rows = ManifestReader(channel.read_manifest, channel.manifest_bytes).row_count
    first = channel.groups([(0, rows)])
    came = [group.decode(next(first)).ids]
    connection.send(ReadChunks(runs=[(rows - 1, 1)]))
    came += [group.decode(data).ids for data in first]

    last = group.decode(bytes(connection.expect_frame(FrameType.GROUP))).ids
    assert connection.expect(Groups).count == 1
    assert len(came) > 1
    assert last in came


def test_an_unchanged_folder_crosses_the_wire_by_number(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the second copy only the first segment is sent, and which others the first copy has; it restores."""
    source = tmp_path / "source"
    for number in range(16):
        (source / f"{number:02}").mkdir(parents=True)
        for file in range(60):
            (source / f"{number:02}" / f"{file:03}{'x' * 200}").write_text(f"{number} {file}")
    first, second = uuid.uuid4().hex, uuid.uuid4().hex
    taken: list[int] = []
    real = BackupOverWire.copy_parent
    monkeypatch.setattr(
        BackupOverWire, "copy_parent", lambda self, at, count: (taken.append(count), real(self, at, count))[1]
    )
    for record, parent, later in ((first, "", 60), (second, first, 120)):
        channel = place.backup(record=record, parent=parent, task_id=later)
        now = time.time_ns() + later * 10**9
        job = BackupJob(record, parent, CLIENT, str(source), "incremental" if parent else "full")
        Backup(job, channel, RunningTask(later, 1), now_ns=lambda now=now: now).run()
        channel.close()
    ticket = place.ticket(record=second, mode="restore")
    job = RestoreJob(second, CLIENT, str(source), str(tmp_path / "target"))
    FileSystemModule().restore(job, RestoreOverWire(place.connection(), lambda: ticket), RunningTask(2, 1))

    assert compare_trees(source, tmp_path / "target" / str(source).lstrip("/")).equal
    assert sum(taken) >= 1


@pytest.mark.parametrize(
    "changes",
    [
        {"expires_at": time.time() - 1},
        {"client_hwid": "d" * 16},
        {"media_hwid": "e" * 64},
        {"server_hwid": "f" * 64},
        {"mode": "restore"},
    ],
)
def test_a_ticket_for_something_else_opens_nothing(place: Place, changes: dict[str, Any]) -> None:
    """Expired, another client's, another media server's, an unknown server's, another mode's: all are refused."""
    ticket = place.ticket(**changes)

    with pytest.raises(Refused):
        BackupOverWire(place.connection(), lambda: ticket)


def test_a_forged_ticket_opens_nothing(place: Place) -> None:
    """A ticket that another key has signed is refused."""
    forger = replace(place, server_key=pki.new_key_pem())

    with pytest.raises(Refused):
        forger.backup()


def test_an_older_attempt_is_fenced(place: Place) -> None:
    """Once a task was begun under a fence, a lower one writes nothing any more."""
    place.backup(task_id=5, fence=9).close()

    with pytest.raises(Fenced):
        place.backup(task_id=5, fence=8)


def test_a_revoked_certificate_ends_its_session_and_opens_no_other(place: Place) -> None:
    """Once a media server knows of a revocation the live session ends, good tickets or not; others go on."""
    other = place.backup(task_id=3, client_hwid="d" * 16)
    channel = place.backup(task_id=2)
    leaf = x509.load_pem_x509_certificate(place.used[CLIENT].chain.read_bytes())
    place.sessions.revoke([f"{leaf.serial_number:x}"])

    with pytest.raises(RubackupError):
        channel.checkpoint()
    with pytest.raises(Refused):
        place.backup(task_id=4)
    other.checkpoint()


def test_a_session_lives_no_longer_than_its_ticket(place: Place) -> None:
    """Without a renewed ticket a session ends when the ticket does; a renewed one carries on."""
    record = uuid.uuid4().hex
    tickets = [place.ticket(record=record)]
    channel = BackupOverWire(place.connection(), lambda: tickets[-1])
    tickets.append(place.ticket(record=record, expires_at=time.time() + 3600))
    channel.checkpoint()
    dying = place.backup(task_id=2)
    dying.checkpoint()
    place.ahead[0] = 1000

    with pytest.raises(Refused):
        dying.checkpoint()
    channel.checkpoint()


def test_a_renewed_ticket_for_another_record_is_refused(place: Place) -> None:
    """A session cannot be turned to another record."""
    tickets = [place.ticket()]
    channel = BackupOverWire(place.connection(), lambda: tickets[-1])
    tickets.append(place.ticket())

    with pytest.raises(Refused):
        channel.checkpoint()


def test_chunks_of_others_cannot_be_named(place: Place) -> None:
    """A chunk that another client stored is not 'known': it must be proved, and a wrong proof gives nothing."""
    data = os.urandom(50_000)
    owner = place.backup(task_id=1)
    owner.put_group(group.encode([(chunk_id(data), data)], 1))
    owner.checkpoint()
    thief = place.backup(task_id=2, client_hwid="d" * 16)

    states, nonce = thief.ask(chunk_id(data))()
    accepted = thief.prove(chunk_id(data), bytes(32))

    assert states == b"\2"
    assert len(nonce) == 32
    assert accepted == b"\0"


def test_a_reader_gets_no_chunk_of_others(place: Place, tmp_path: Path) -> None:
    """A client that knows one file of another's group reads its copy back: the rest of that group does not come.

    It restores byte for byte all the same; and a third host, with a ticket for the first copy, gets what it asks for.
    """
    source, first, second, thief = tmp_path / "source", uuid.uuid4().hex, uuid.uuid4().hex, "d" * 16
    source.mkdir()
    (source / "known").write_bytes(b"a public licence " * 500)
    (source / "secret").write_bytes(b"a secret of the owner " * 500)
    backed_up(place, source, first)
    (source / "secret").unlink()
    channel = place.backup(record=second, client_hwid=thief, task_id=2)
    FileSystemModule().backup(BackupJob(second, "", thief, str(source)), channel, RunningTask(2, 1))
    channel.close()

    def handed(record: str, hwid: str, rows: int) -> bytes:
        ticket = place.ticket(record=record, mode="restore", client_hwid=hwid)
        groups = RestoreOverWire(place.connection(hwid), lambda: ticket).groups([(0, rows)])
        return b"".join(bytes(group.decode(data).raw) for data in groups)

    ticket = place.ticket(record=second, mode="restore", client_hwid=thief)
    job = RestoreJob(second, thief, str(source), str(tmp_path / "target"))
    FileSystemModule().restore(job, RestoreOverWire(place.connection(thief), lambda: ticket), RunningTask(3, 1))

    third = place.ticket(record=first, mode="restore", client_hwid="e" * 16)
    job = RestoreJob(first, "e" * 16, str(source), str(tmp_path / "third"))
    FileSystemModule().restore(job, RestoreOverWire(place.connection("e" * 16), lambda: third), RunningTask(4, 1))

    assert handed(second, thief, 1) == b"a public licence " * 500
    assert b"secret" in handed(first, CLIENT, 1)
    assert b"secret" not in handed(first, "e" * 16, 1)
    assert (tmp_path / "third" / str(source / "secret").lstrip("/")).read_bytes() == b"a secret of the owner " * 500
    assert compare_trees(source, tmp_path / "target" / str(source).lstrip("/")).equal


def test_a_chunk_under_a_false_id_ends_the_session(place: Place) -> None:
    """Content that does not hash to its id is never admitted."""
    channel = place.backup()
    channel.put_group(group.encode([(bytes(range(32)), b"something else")], 1))

    with pytest.raises(RubackupError):
        channel.checkpoint()


def test_control_messages_do_not_belong_here(place: Place) -> None:
    """A data session answers a message of the control channel by ending."""
    connection = place.connection()
    connection.send(Hello(version=1, hostname="x", package_version="1"))

    with pytest.raises(WireFault):
        connection.expect(Ack)


@pytest.mark.parametrize(("step", "which"), [(1, "it"), (-1, "the other side")])
def test_another_version_of_the_protocol(place: Place, step: int, which: str) -> None:
    """The side that is too old is named."""
    connection = place.connection()
    connection.send(OpenRestore(version=PROTOCOL_VERSION + step, ticket=b"x"))

    with pytest.raises(
        Refused, match=rf"speaks 1 to 1 of the protocol, not {PROTOCOL_VERSION + step}: upgrade {which}\."
    ):
        connection.expect(Ack)


def test_questions_asked_ahead(place: Place) -> None:
    """Answers come in the order of the questions, whatever is sent and asked between them."""
    channel = place.backup()
    chunks = [os.urandom(1000) for _ in range(3)]
    names = [chunk_id(data) for data in chunks]
    first, second = channel.ask(names[0]), channel.ask(names[0] + names[1])
    channel.put_group(group.encode([(names[0], chunks[0])], 1))
    third = channel.ask(names[0] + names[2])
    channel.checkpoint()
    fourth = channel.ask(names[0])

    assert [answer()[0] for answer in (first, second, third, fourth)] == [b"\0", b"\0\0", b"\1\0", b"\1"]


def test_many_groups_at_once(place: Place) -> None:
    """Groups that are hashed beside the connection are all there when the next answer comes, in the order they were sent."""
    channel = place.backup()
    chunks = [os.urandom(300_000) for _ in range(40)]
    names = [chunk_id(data) for data in chunks]
    for name, data in zip(names, chunks, strict=True):
        channel.put_group(group.encode([(name, data)], 1))

    assert channel.ask(b"".join(names))()[0] == bytes([1]) * 40
    channel.checkpoint()
    packs = list((place.installation.folder / "storage").rglob("*.open"))
    stored = b"".join(file.read_bytes() for file in packs)
    places = [stored.find(data) for data in chunks]
    assert places == sorted(places)
    assert -1 not in places


def test_a_false_id_among_many_is_not_admitted(place: Place) -> None:
    """The session that sends one learns it at the next answer; groups before it stay, neither it nor what follows does."""
    channel = place.backup()
    chunks = [os.urandom(100_000) for _ in range(8)]
    names = [chunk_id(data) for data in chunks]
    names[4] = chunk_id(b"something else")

    def send() -> None:
        for name, data in zip(names, chunks, strict=True):
            channel.put_group(group.encode([(name, data)], 1))
        channel.checkpoint()

    with pytest.raises(Corrupt, match=names[4].hex()):
        send()

    answer = place.backup(task_id=2).ask(b"".join(names))()[0]
    assert answer == bytes([1, 1, 1, 1, 0, 0, 0, 0])
