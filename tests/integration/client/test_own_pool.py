"""Copies in a client's own pool: a real pool, a real media server that keeps the manifests."""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from rubackup.agent.record_listing import list_folder
from rubackup.chunkstore import ciphers
from rubackup.chunkstore.group import Sealer
from rubackup.client.compare import compare_trees
from rubackup.client.contents import ContentCheck
from rubackup.client.encrypted import open_manifest
from rubackup.client.keys import KeyStore
from rubackup.client.own_pools import OwnPools
from rubackup.domain.errors import Conflict, NotFound, StorageFault, Unavailable
from rubackup.wire.messages import ConfigureClientPools, DropRecord, ListRecord, LockRecord, Message, PoolStates
from support.own_pools import METADATA, POOL, OwnWorld, own_world
from support.wire import Installation

OTHER = "00000000000000ff"


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """Keys and certificates."""
    return Installation(tmp_path_factory.mktemp("keys"))


@pytest.fixture
def world(tmp_path: Path, installation: Installation) -> Iterator[OwnWorld]:
    """A client and a media server."""
    with own_world(tmp_path, installation) as found:
        yield found


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A few files."""
    folder = tmp_path / "source"
    folder.mkdir()
    for number in range(8):
        (folder / f"file{number}").write_bytes(os.urandom(number * 20_000))
    return folder


def test_a_copy_goes_into_the_clients_folder_and_comes_back(world: OwnWorld, source: Path, tmp_path: Path) -> None:
    """Packs lie there and nowhere else, the manifest is on both sides, and the server was told after that."""
    record = world.backup(source)

    assert world.server.listed == {record}
    assert world.seals.notes() == []
    assert world.is_kept(record)
    assert list((world.storage / "packs").rglob("*.pack"))
    assert not list((tmp_path / "storage").rglob("*.pack"))
    assert compare_trees(source, world.restore(record, source, tmp_path / "target")).equal
    (source / "file3").write_bytes(os.urandom(50_000))
    second = world.backup(source, parent=record)
    assert world.pools.get(POOL).sealed(second).stored_bytes < 60_000 + 8_000
    assert compare_trees(source, world.restore(second, source, tmp_path / "more")).equal


def test_a_lost_folder_of_manifests_costs_nothing(world: OwnWorld, source: Path, tmp_path: Path) -> None:
    """While the client runs, and after it has started without them: they are taken back from the media server."""
    record = world.backup(source)
    shutil.rmtree(world.storage / "manifests")
    assert compare_trees(source, world.restore(record, source, tmp_path / "one")).equal
    shutil.rmtree(world.storage / "manifests")
    world.restart()
    assert compare_trees(source, world.restore(record, source, tmp_path / "two")).equal
    shutil.rmtree(world.storage / "manifests")
    world.restart()
    outcome, lines = world.verify(record)
    assert outcome.outcome == "done"
    assert any("taken back" in line for line in lines)


def test_what_goes_is_dropped_and_cleaned_and_what_stays_restores(
    world: OwnWorld, source: Path, tmp_path: Path
) -> None:
    """A cleaning frees the packs of a dropped copy, and first brings back manifests that either side has lost."""
    first = world.backup(source)
    for file in source.iterdir():
        file.write_bytes(os.urandom(40_000))
    second = world.backup(source, parent=first)
    before = sum(file.stat().st_size for file in world.storage.rglob("*.pack"))
    world.pools.get(POOL).drop(first)
    world.desk.drop(world.kept, first)
    shutil.rmtree(world.storage / "manifests")
    third = world.backup(source)
    world.desk.drop(world.kept, third)

    (world.storage / "manifests" / f"{first}.tombstone").touch()
    world.restart()
    outcome, lines = world.clean()
    assert outcome.outcome == "done"
    assert sorted(line.split(second)[0] for line in lines if second in line) == ["The manifest of record "]
    assert any(third in line and "had lost" in line for line in lines)
    assert all(map(world.is_kept, (second, third)))
    world.clean()
    assert sum(file.stat().st_size for file in world.storage.rglob("*.pack")) < before
    assert compare_trees(source, world.restore(second, source, tmp_path / "two")).equal


def test_nothing_is_cleaned_while_the_keeper_is_away(world: OwnWorld, source: Path) -> None:
    """Which manifests were lost is not known then: the task is tried again later."""
    world.backup(source)
    world.address = msgspec.structs.replace(world.address, port=1)

    with pytest.raises(Unavailable):
        world.clean()


def test_a_copy_whose_manifest_cannot_be_kept_is_not_reported(world: OwnWorld, source: Path) -> None:
    """The next attempt has nothing to write but the manifest."""
    good, world.address = world.address, msgspec.structs.replace(world.address, port=1)
    with pytest.raises(Unavailable):
        world.backup(source)
    world.address = good
    world.server.held.clear()
    world.report()
    assert world.server.listed == set()
    assert world.seals.notes() == []
    record = world.backup(source)
    assert world.server.listed == {record}
    assert world.pools.get(POOL).sealed(record).stored_bytes < 8_000


def test_clients_that_share_a_folder_share_nothing(world: OwnWorld, source: Path, tmp_path: Path) -> None:
    """Each has a folder of its own in it, which the other cannot open as its own."""
    record = world.backup(source)
    with own_world(tmp_path / "other", world.installation, hwid=OTHER, uuid=world.uuid) as other:
        other.pools = OwnPools(OTHER, {"nas": tmp_path / "own"}, tmp_path / "other" / "pools", other.ground)
        with pytest.raises(NotFound):
            other.pools.told(other.config).sealed(record)
        assert len(list((tmp_path / "own").iterdir())) == 2
        other.pools.close()
        (tmp_path / "own" / other.kept).rename(tmp_path / "aside")
        shutil.copytree(world.storage, tmp_path / "own" / other.kept)
        with pytest.raises(StorageFault, match="belongs to another pool"):
            other.pools.told(other.config)


def test_an_encrypted_copy_is_listed_and_verified_by_its_client(world: OwnWorld, source: Path, tmp_path: Path) -> None:
    """The media server keeps a manifest that it cannot read."""
    keys = KeyStore(tmp_path / "keys" / "master")
    record = world.backup(source, sealer=Sealer(keys.current(), ciphers.by_name("aes-256-gcm")))
    asked = ListRecord(pool_id=METADATA, record=record, path=str(source), page=1, limit=10, kept=world.kept)
    with pytest.raises(Conflict, match="encrypted with the key"):
        world.desk.list_folder(asked)
    task = world.task(record)
    channel = world.tasks.restore(world.config, record, world.address, lambda: task.ticket)
    reader = open_manifest(channel, keys)
    listed = list_folder(reader, str(source), 1, 50)
    assert len(listed.entries) == len(list(source.iterdir()))
    assert ContentCheck(channel, reader, keys, lambda *_: None, lambda: None).run() == []


def test_damage_is_told_file_by_file(world: OwnWorld, source: Path) -> None:
    """As a media server tells it."""
    record = world.backup(source)
    (pack,) = world.storage.rglob("*.pack")
    with pack.open("r+b") as file:
        file.seek(pack.stat().st_size // 2)
        file.write(bytes(64))

    outcome, _ = world.verify(record)

    assert outcome.outcome == "error"
    assert outcome.damaged
    assert all(str(source) in name for name in outcome.damaged)


def test_the_servers_orders_about_a_pool(world: OwnWorld, source: Path) -> None:
    """It is configured and tells how it is; a locked copy is not dropped, another one is, as often as it is said."""
    first, second = world.backup(source), world.backup(source)

    def say(message: ConfigureClientPools | DropRecord | LockRecord) -> Message:
        return asyncio.run(world.tasks.answer(message))

    states = say(ConfigureClientPools(epoch=1, pools=[world.config]))
    assert isinstance(states, PoolStates)
    assert [(one.id, one.problem, one.records, len(one.storages)) for one in states.pools] == [(POOL, "", 2, 1)]
    assert states.pools[0].storages[0].used_bytes > 0
    say(LockRecord(epoch=1, pool_id=POOL, record=first, until_ns=time.time_ns() + 10**12))
    with pytest.raises(Conflict, match="locked"):
        say(DropRecord(epoch=1, pool_id=POOL, record=first))
    for _ in range(2):
        say(DropRecord(epoch=1, pool_id=POOL, record=second))
    assert [one.record for one in world.pools.get(POOL).records()] == [first]
    with pytest.raises(StorageFault, match="has not been told"):
        say(DropRecord(epoch=1, pool_id=99, record=first))
