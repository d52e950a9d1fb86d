"""Manifests that a media server keeps for clients: what is taken in, who gets it, and what goes."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from rubackup.client.channels import RestoreOverWire, connect
from rubackup.client.kept import KeptOverWire
from rubackup.domain.errors import Conflict, Corrupt, Invalid, NotFound, Refused, RubackupError
from rubackup.wire import pki
from rubackup.wire.data import DataConnection
from rubackup.wire.messages import AskRecords, ListRecord
from support.own_pools import METADATA, OwnWorld, own_world
from support.wire import Installation

OTHER = "00000000000000ff"


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """Keys and certificates."""
    return Installation(tmp_path_factory.mktemp("keys"))


@pytest.fixture
def world(tmp_path: Path, installation: Installation) -> Iterator[OwnWorld]:
    """A client with a copy in its own pool, and a media server."""
    with own_world(tmp_path, installation) as found:
        (tmp_path / "source").mkdir()
        (tmp_path / "source" / "file").write_bytes(os.urandom(100_000))
        yield found


OPENED: list[DataConnection] = []


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    """No session stays open."""
    yield
    while OPENED:
        OPENED.pop().close()


def dialled(world: OwnWorld, hwid: str = "") -> DataConnection:
    """A connection of this client."""
    OPENED.append(connect(world.address, pki.client_context(world.installation.files("client", hwid or world.hwid))))
    return OPENED[-1]


def session(world: OwnWorld, ticket: bytes, hwid: str = "") -> KeptOverWire:
    """A session of this client with the ticket."""
    return KeptOverWire(dialled(world, hwid), lambda: ticket)


def kept_file(world: OwnWorld, record: str) -> Path:
    """Where it is."""
    return world.folder / "storage" / "clients" / world.kept / f"{record}.manifest"


def test_what_is_kept_is_the_sealed_file(world: OwnWorld, tmp_path: Path) -> None:
    """Byte for byte, and it is listed from there without the client."""
    record = world.backup(tmp_path / "source")
    kept = kept_file(world, record).read_bytes()

    assert kept == (world.storage / "manifests" / f"{record}.manifest").read_bytes()
    channel = session(world, world.ticket(record))
    assert (channel.size(record), channel.read(record, 10, 20)) == (len(kept), kept[10:30])
    channel.close()
    asked = ListRecord(pool_id=METADATA, record=record, path=str(tmp_path / "source"), page=1, limit=9, kept=world.kept)
    assert [entry.path for entry in world.desk.list_folder(asked).entries] == [str(tmp_path / "source" / "file")]
    told = world.desk.list_records(AskRecords(pool_id=METADATA, kept_of=world.uuid))
    assert [(one.record, one.client_hwid) for one in told.records] == [(record, world.hwid)]


def test_a_ticket_opens_its_clients_manifests_and_no_others(world: OwnWorld, tmp_path: Path) -> None:
    """Nor does it open a backup or a restore."""
    record = world.backup(tmp_path / "source")
    with pytest.raises(Refused, match="another record"):
        session(world, world.ticket(uuid.uuid4().hex)).size(record)
    with pytest.raises(Refused, match="one record"):
        session(world, world.ticket(record)).records()
    assert session(world, world.ticket("")).records() == [record]
    with pytest.raises(Refused, match="another client"):
        session(world, world.ticket(record), OTHER)
    with pytest.raises(Refused, match="not for manifests of this client"):
        session(world, world.ticket(record, client_hwid=OTHER), OTHER)
    with pytest.raises(Refused, match="for a restore"):
        session(world, world.ticket(record, mode="restore"))
    with pytest.raises(Refused, match="for kept manifests"):
        RestoreOverWire(dialled(world), lambda: world.ticket(record))


def test_only_a_whole_manifest_of_the_clients_own_record_is_taken(world: OwnWorld, tmp_path: Path) -> None:
    """Whatever else is sent is refused, and nothing is left of it."""
    record, other = world.backup(tmp_path / "source"), uuid.uuid4().hex
    data = kept_file(world, record).read_bytes()
    kept_file(world, record).unlink()
    flipped = bytearray(data)
    flipped[len(data) // 3] ^= 1
    for name, content in ((record, b"x" * 5000), (record, bytes(flipped)), (record, data[:-1]), (other, data)):
        with pytest.raises(RubackupError) as refused:
            session(world, world.ticket("")).keep(name, len(content), lambda at, n, c=content: c[at : at + n])  # type: ignore[misc]
        assert isinstance(refused.value, Corrupt | Invalid)
    with own_world(tmp_path / "other", world.installation, hwid=OTHER) as foreign:
        theirs = foreign.backup(tmp_path / "source")
        stolen = kept_file(foreign, theirs).read_bytes()
    with pytest.raises(Corrupt):
        session(world, world.ticket("")).keep(theirs, len(stolen), lambda at, n: stolen[at : at + n])
    assert list(kept_file(world, record).parent.iterdir()) == []


def test_what_is_kept_whole_stays_and_what_is_damaged_is_replaced(world: OwnWorld, tmp_path: Path) -> None:
    """A client cannot overwrite a manifest, but mend one."""
    record = world.backup(tmp_path / "source")
    data = kept_file(world, record).read_bytes()
    read = lambda at, n: data[at : at + n]  # noqa: E731
    with kept_file(world, record).open("r+b") as file:
        file.truncate(len(data) - 100)
    session(world, world.ticket(record)).keep(record, len(data), read)
    assert kept_file(world, record).read_bytes() == data
    inode = kept_file(world, record).stat().st_ino
    session(world, world.ticket(record)).keep(record, len(data), read)
    assert kept_file(world, record).stat().st_ino == inode


def test_a_storage_with_kept_manifests_holds_data(world: OwnWorld, tmp_path: Path) -> None:
    """So it does not leave its pool; a dropped manifest is gone, and dropping it again changes nothing."""
    record = world.backup(tmp_path / "source")
    path = str(tmp_path / "storage")
    assert "holds data" in world.keeper.get(METADATA).needs(path)
    left = kept_file(world, record).with_suffix(".open")
    left.write_bytes(b"cut off")
    world.keeper.close()
    world.keeper.configure(world.served)
    assert not left.exists()
    assert world.is_kept(record)
    for _ in range(2):
        world.desk.drop(world.kept, record)
    assert not world.is_kept(record)
    assert world.keeper.get(METADATA).needs(path) == ""
    asked = ListRecord(pool_id=METADATA, record=record, path="/", page=1, limit=9, kept=world.kept)
    with pytest.raises(NotFound):
        world.desk.list_folder(asked)
    with pytest.raises(Invalid):
        world.keeper.get(METADATA).kept_manifests("../../etc")
    with pytest.raises((Conflict, NotFound)):
        session(world, world.ticket(record)).read(record, 0, 10)
