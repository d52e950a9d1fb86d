"""A verification as a media server's task: what it reports, and that it does not call a copy damaged for the index's fault."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from rubackup.agent.folders import Ground
from rubackup.agent.tasks import Outcome, RunningTask
from rubackup.agent.verifying import REBUILT, verify
from rubackup.chunkstore import pack
from rubackup.chunkstore.backends.local import LocalBackend
from rubackup.chunkstore.index import Place
from rubackup.media.pools import PoolKeeper
from rubackup.wire.messages import Order, PoolConfig, RunVerify, StorageConfig
from support.chunkstore import Client, begin, noise, record_id

TREE = {"/big": noise(200_000), "/small": noise(3_000, 2)}


@pytest.fixture
def pools(tmp_path: Path) -> Iterator[PoolKeeper]:
    """One pool with one copy."""
    found = PoolKeeper(tmp_path / "metadata", Ground((tmp_path / "metadata",), memory=True))
    storages = [StorageConfig(id=1, path=str(tmp_path / "store"))]
    found.configure(
        [PoolConfig(id=1, uuid=uuid.uuid4().hex, name="p", compression="fast", reserve_bytes=0, storages=storages)]
    )
    Client(group_bytes=1).backup(begin(found.get(1), 1), TREE)
    yield found
    found.close()


def _verified(pools: PoolKeeper) -> tuple[Outcome, list[str]]:
    task = RunningTask(7, 1)
    outcome = verify(
        lambda: pools.wait_for(1),
        RunVerify(order=Order(task_id=7, fence=1, epoch=1), pool_id=1, record=record_id(1)),
        task,
    )
    report = task.unsent()
    return outcome, [line.text for line in report.lines] if report else []


def test_files_are_reported_and_places_logged(pools: PoolKeeper, tmp_path: Path) -> None:
    """The outcome names the file, the log the pack and the offset."""
    file = next((tmp_path / "store" / "packs").rglob("*.pack"))
    name = str(file.relative_to(tmp_path / "store"))
    last = pack.read_extents(LocalBackend(tmp_path / "store"), name)[-1]
    data = bytearray(file.read_bytes())
    data[last.offset + last.length - 1] ^= 1
    file.write_bytes(data)
    outcome, lines = _verified(pools)

    assert (outcome.outcome, outcome.damaged) == ("error", ("/small",))
    assert len(lines) == 1
    assert f"{name} is damaged at offset {last.offset}" in lines[0]


def test_a_wrong_index_is_rebuilt_and_the_copy_is_whole(pools: PoolKeeper) -> None:
    """A bit that flipped in the index makes no copy Not Trusted; the pool that is served then is another one."""
    pool = pools.get(1)
    index, name = pool._index, Client().chunks(TREE["/small"])[0][0]
    place = Place.decode(index.places([name])[name])
    wrong = place._replace(offset=place.offset ^ 64).encode()
    index._env.write(lambda txn: txn.put(name, wrong, db=index._db["chunks"]))
    outcome, lines = _verified(pools)

    assert (outcome.outcome, outcome.damaged) == ("done", ())
    assert lines == [REBUILT]
    assert pools.get(1) is not pool


def test_a_copy_that_the_index_forgot_is_whole(pools: PoolKeeper) -> None:
    """That the index does not know a copy whose manifest is there proves nothing against the copy."""
    pools.get(1)._index.delete_record(record_id(1))
    outcome, lines = _verified(pools)

    assert (outcome.outcome, outcome.damaged) == ("done", ())
    assert [line.partition("does not know it. ")[2] for line in lines] == [REBUILT]


def test_a_damaged_manifest_is_made_anew(pools: PoolKeeper, tmp_path: Path) -> None:
    """As long as nothing is lost with it the copy is whole; else it is named as a whole, and the manifest stays."""
    file = tmp_path / "store" / "manifests" / f"{record_id(1)}.manifest"
    whole = file.read_bytes()
    stream = pools.get(1).read(record_id(1)).manifest_bytes
    segment, footer = bytearray(whole), bytearray(whole)
    segment[stream // 2] ^= 1
    footer[stream - 3] ^= 1
    file.write_bytes(footer)
    outcome, lines = _verified(pools)
    repaired = file.read_bytes()
    file.write_bytes(segment)
    lost, _ = _verified(pools)

    assert (outcome.outcome, outcome.damaged) == ("done", ())
    assert "made anew from its segments" in lines[0]
    assert repaired == whole
    assert lost.outcome == "error"
    assert lost.damaged[0].startswith("the whole copy: ")
    assert file.read_bytes() == bytes(segment)


def test_a_damaged_seal_is_made_anew(pools: PoolKeeper, tmp_path: Path) -> None:
    """It costs nothing, and the copy is sealed as it was; the next verification has nothing to tell."""
    file = tmp_path / "store" / "manifests" / f"{record_id(1)}.manifest"
    whole = file.read_bytes()
    damaged = bytearray(whole)
    damaged[-60] ^= 1
    file.write_bytes(damaged)
    outcome, lines = _verified(pools)

    assert (outcome.outcome, outcome.damaged) == ("done", ())
    assert "sealed anew" in lines[0]
    assert file.read_bytes() == whole
    assert _verified(pools)[1] == []
