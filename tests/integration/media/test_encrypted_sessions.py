"""Encrypted copies over the wire: what a ticket asks for, listing and verifying by the client that has the key."""

from __future__ import annotations

import asyncio
import os
import uuid
from pathlib import Path

import msgspec
import pytest
from test_data_sessions import CLIENT, POOL, Place, make_source, place

from rubackup.agent.tasks import RunningTask, TaskRunner
from rubackup.chunkstore import ciphers, pack
from rubackup.chunkstore.ciphers import SUITES
from rubackup.chunkstore.group import Sealer
from rubackup.client.agent import ClientAgent
from rubackup.client.channels import BackupOverWire, RestoreOverWire
from rubackup.client.compare import compare_trees
from rubackup.client.contents import ContentCheck
from rubackup.client.encrypted import open_manifest
from rubackup.client.keys import KeyStore
from rubackup.client.modules.filesystem import FileSystemModule
from rubackup.client.ports import BackupJob, RestoreJob
from rubackup.client.record_file import EncryptedFiles
from rubackup.domain.errors import Conflict, Corrupt, Invalid, NotFound, RubackupError
from rubackup.wire import pki
from rubackup.wire.messages import (
    Ack,
    ListEncrypted,
    Order,
    ReadEncryptedFile,
    RecordListing,
    ReportFinished,
    RunBackup,
)
from support.own_pools import no_own_pools

__all__ = ["place"]
GCM = "aes-256-gcm"


@pytest.fixture
def keys(tmp_path: Path) -> KeyStore:
    """The keys of the client."""
    return KeyStore(tmp_path / "keys" / "master-key")


def session(place: Place, keys: KeyStore, record: str, **changes: str) -> BackupOverWire:
    """An encrypted backup session."""
    ticket = place.ticket(record=record, **{"crypto": GCM, **changes})
    return BackupOverWire(place.connection(), lambda: ticket, keys.current().id.hex())


def backed_up(place: Place, keys: KeyStore, source: Path) -> str:
    """An encrypted record of the source."""
    record = uuid.uuid4().hex
    channel = session(place, keys, record)
    job = BackupJob(record, "", CLIENT, str(source), sealer=Sealer(keys.current(), SUITES[0]))
    FileSystemModule().backup(job, channel, RunningTask(1, 1))
    channel.close()
    return record


def reading(place: Place, record: str) -> RestoreOverWire:
    """A session that reads the record."""
    ticket = place.ticket(record=record, mode="restore")
    return RestoreOverWire(place.connection(), lambda: ticket)


def test_an_encrypted_folder_goes_through_the_wire_and_back(place: Place, keys: KeyStore, tmp_path: Path) -> None:
    """The session tells how the record is encrypted, and with the key everything comes back."""
    source = make_source(tmp_path / "source")
    record = backed_up(place, keys, source)
    channel = reading(place, record)
    job = RestoreJob(record, CLIENT, str(source), str(tmp_path / "target"), keys=keys)
    FileSystemModule().restore(job, channel, RunningTask(2, 1))

    assert (channel.crypto, channel.key_id) == (GCM, keys.current().id.hex())
    assert compare_trees(source, tmp_path / "target" / str(source).lstrip("/")).equal


def test_the_ticket_decides_whether_a_copy_is_encrypted(place: Place, keys: KeyStore) -> None:
    """A client cannot send in clear what was ordered encrypted, nor the other way round."""
    clear = place.ticket(crypto=GCM)
    for open_session in (
        lambda: session(place, keys, uuid.uuid4().hex, crypto=""),
        lambda: BackupOverWire(place.connection(), lambda: clear),
    ):
        with pytest.raises(Invalid, match=r"a cipher and a key, or neither"):
            open_session()


def list_by_agent(place: Place, keys: KeyStore, record: str, path: str, ticket: bytes | None = None) -> RecordListing:
    """What the client answers to the server's question."""

    async def call(*_: object) -> None:
        raise AssertionError

    async def ask() -> object:
        files = place.installation.files("client", CLIENT)
        agent = ClientAgent(CLIENT, files, {}, TaskRunner(call), keys, no_own_pools(Path(keys.path).parent))
        asked = ListEncrypted(
            pool_id=POOL, record=record, path=path, page=1, limit=50, media=place.address,
            ticket=ticket or place.ticket(record=record, mode="restore"),
        )  # fmt: skip
        return await agent.handle(None, asked)

    answer = asyncio.run(ask())
    assert isinstance(answer, RecordListing)
    return answer


def test_the_client_lists_its_own_encrypted_copy(place: Place, keys: KeyStore, tmp_path: Path) -> None:
    """Names and sizes, as the media server shows them of a copy in clear."""
    source = make_source(tmp_path / "source")
    record = backed_up(place, keys, source)
    listed = list_by_agent(place, keys, record, str(source))

    assert listed.total == 20
    assert {entry.path for entry in listed.entries} == {str(path) for path in source.iterdir()}
    with pytest.raises(NotFound):
        list_by_agent(place, keys, record, "/nowhere")


def test_a_client_without_the_key_says_which_it_lacks(place: Place, keys: KeyStore, tmp_path: Path) -> None:
    """Neither a listing nor an error of another kind."""
    record = backed_up(place, keys, make_source(tmp_path / "source"))

    with pytest.raises(Conflict, match=keys.current().id.hex()):
        list_by_agent(place, KeyStore(tmp_path / "none" / "master-key"), record, "/")


def _check(place: Place, keys: KeyStore, record: str) -> list[str]:
    channel = reading(place, record)
    return ContentCheck(channel, open_manifest(channel, keys), keys, lambda *_: None, lambda: None).run()


def test_contents_are_verified_by_the_client(place: Place, keys: KeyStore, tmp_path: Path) -> None:
    """Whole first; after a flipped bit in one group the files of that group are named, and no others."""
    source = tmp_path / "source"
    source.mkdir()
    for number in range(12):
        (source / f"file{number:02}").write_bytes(os.urandom(300_000))
    record = backed_up(place, keys, source)
    whole = _check(place, keys, record)
    (file,) = (tmp_path / "storage").rglob("*.pack")
    data = bytearray(file.read_bytes())
    data[pack.HEADER_BYTES + 1_700_000] ^= 1
    file.write_bytes(data)
    damaged = _check(place, keys, record)

    assert whole == []
    assert 1 <= len(damaged) <= 6
    assert set(damaged) < {str(path) for path in source.iterdir()}


def test_a_missing_pack_is_the_damage_of_every_file(place: Place, keys: KeyStore, tmp_path: Path) -> None:
    """Nothing is skipped because nothing came."""
    source = make_source(tmp_path / "source")
    record = backed_up(place, keys, source)
    (file,) = (tmp_path / "storage").rglob("*.pack")
    file.unlink()
    try:
        damaged = _check(place, keys, record)
    except RubackupError as error:
        pytest.fail(f"a missing pack is a finding: {error}")

    assert len(damaged) == 19  # file0 has no contents


def test_a_cipher_that_is_not_here_ends_the_task(
    place: Place, keys: KeyStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is sent in clear instead, and no key is made; the task's message names what there is."""
    monkeypatch.setattr(ciphers, "available", lambda: ("aes-256-gcm",))
    outcomes: list[ReportFinished] = []

    async def scenario() -> None:
        ended = asyncio.Event()

        async def call(message: object, *_: object) -> Ack:
            if isinstance(message, ReportFinished):
                outcomes.append(message)
                ended.set()
            return Ack()

        runner = TaskRunner(call)
        module = FileSystemModule()
        files = place.installation.files("client", CLIENT)
        own = no_own_pools(tmp_path)
        agent = ClientAgent(CLIENT, files, {module.resource_type: module}, runner, keys, own)
        order = Order(task_id=1, fence=1, epoch=1, ticket=place.ticket(crypto="serpent-256"))
        await agent.handle(None, RunBackup(
            order=order, media=place.address, record=uuid.uuid4().hex, parent="", resource_type=module.resource_type,
            resource=str(tmp_path), backup_type="full", compression="fast", crypto="serpent-256",
        ))  # fmt: skip
        reporting = asyncio.create_task(runner.report())
        await asyncio.wait_for(ended.wait(), 60)
        reporting.cancel()

    asyncio.run(scenario())
    assert [one.outcome for one in outcomes] == ["error"]
    assert "serpent-256; it can run: aes-256-gcm" in outcomes[0].message
    assert not keys.path.exists()


def _asked(place: Place, record: str, path: Path, offset: int, length: int) -> ReadEncryptedFile:
    ticket = place.ticket(record=record, mode="restore", task_id=0, fence=0)
    return ReadEncryptedFile(pool_id=POOL, record=record, path=str(path), offset=offset, length=length, ticket=ticket)


def test_parts_of_a_file_are_read_by_the_client(place: Place, keys: KeyStore, tmp_path: Path) -> None:
    """Any range, holes too, over one session that takes each new ticket; a folder is named as what it is."""
    source = tmp_path / "source"
    source.mkdir()
    content = os.urandom(2_500_000)
    with (source / "file").open("wb") as file:
        file.write(content)
        file.truncate(3_000_000)
    content += bytes(500_000)
    record = backed_up(place, keys, source)
    files = EncryptedFiles(lambda: pki.client_context(place.installation.files("client", CLIENT)), keys)
    wanted = [(0, 1 << 20), (1 << 20, 1 << 20), (2 << 20, 1 << 20), (2_499_990, 20), (3_000_000, 5), (7, 0)]
    parts = [files.read(_asked(place, record, source / "file", *one), place.address) for one in wanted]

    assert [part.data for part in parts] == [content[offset : offset + length] for offset, length in wanted]
    assert {(part.size_bytes, part.tag) for part in parts} == {(3_000_000, parts[0].tag)}
    assert {part.hole for part in parts} == {0}  # an API of an older version knows nothing of them
    for offset, length, least in ((2 << 20, 1 << 20, 490_000), (2_600_000, 1, 400_000), (2_499_980, 10, 0)):
        asked = msgspec.structs.replace(_asked(place, record, source / "file", offset, length), holes=True)
        part = files.read(asked, place.address)
        assert part.hole >= least
        assert part.data + bytes(part.hole) == content[offset : max(offset + length, 3_000_000 if least else 0)]
    assert len(place.opened) == 1
    with pytest.raises(NotFound, match="folder"):
        files.read(_asked(place, record, source, 0, 1), place.address)
    with pytest.raises(Invalid):
        files.read(_asked(place, record, source / "file", 0, 1 << 21), place.address)
    files.close()


def test_a_damaged_file_is_not_given(place: Place, keys: KeyStore, tmp_path: Path) -> None:
    """Damage is told, and what is whole can be read on."""
    source = tmp_path / "source"
    source.mkdir()
    (source / "file").write_bytes(os.urandom(3_000_000))
    record = backed_up(place, keys, source)
    (pack_file,) = (tmp_path / "storage").rglob("*.pack")
    data = bytearray(pack_file.read_bytes())
    data[pack.HEADER_BYTES + 2_900_000] ^= 1
    pack_file.write_bytes(data)
    files = EncryptedFiles(lambda: pki.client_context(place.installation.files("client", CLIENT)), keys)

    with pytest.raises(Corrupt):
        files.read(_asked(place, record, source / "file", 2_500_000, 400_000), place.address)
    whole = files.read(_asked(place, record, source / "file", 0, 500_000), place.address).data
    files.close()

    assert whole == (source / "file").read_bytes()[:500_000]
