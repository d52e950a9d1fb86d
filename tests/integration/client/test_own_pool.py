"""Copies in a client's own pool: a real pool, a real media server that keeps the manifests."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from rubackup.client.compare import compare_trees
from support.own_pools import OwnWorld, own_world


@pytest.fixture
def world(tmp_path: Path) -> Iterator[OwnWorld]:
    """A client and a media server."""
    with own_world(tmp_path) as found:
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
    assert world.pools.get(7).sealed(second).stored_bytes < 60_000 + 8_000
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
