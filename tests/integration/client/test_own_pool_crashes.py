"""A client's process that dies at any step of making a copy in its own pool: no copy is listed that does not restore, none is left behind.

What a dead process would leave is made by an exception that nothing of the product catches, and a new start.
"""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rubackup.agent.seals import SealBook
from rubackup.chunkstore.pool import WriteSession
from rubackup.client.compare import compare_trees
from rubackup.client.kept import KeptOverWire
from rubackup.domain.errors import NotFound
from support.own_pools import Decider, OwnWorld, own_world
from support.wire import Installation


class Died(BaseException):
    """kill -9."""


def die(*_: object, **__: object) -> None:
    """At once."""
    raise Died


def before(owner: type, name: str) -> Callable[[pytest.MonkeyPatch], None]:
    """Die when this is called."""
    return lambda patch: patch.setattr(owner, name, die)


def after(owner: type, name: str) -> Callable[[pytest.MonkeyPatch], None]:
    """Die when this has returned."""

    def change(patch: pytest.MonkeyPatch) -> None:
        real = getattr(owner, name)

        def then(*arguments: Any, **named: Any) -> None:
            real(*arguments, **named)
            raise Died

        patch.setattr(owner, name, then)

    return change


def after_the_answer(patch: pytest.MonkeyPatch) -> None:
    """Die when the server has decided, before the client knows it."""
    real = Decider.call

    async def then(self: Decider, message: Any, *rest: float) -> Any:
        await real(self, message, *rest)
        raise Died

    patch.setattr(Decider, "call", then)


STEPS = {
    "before the note": before(SealBook, "sealing"),
    "after the note": before(WriteSession, "seal"),
    "after the seal": after(WriteSession, "seal"),
    "within the manifest": before(KeptOverWire, "keep"),
    "after the manifest": after(KeptOverWire, "keep"),
    "before the report": before(Decider, "call"),
    "after the report": after_the_answer,
    "before the note goes": before(SealBook, "settle"),
}
LISTED = {"after the report", "before the note goes"}
"""Steps at which the server has listed the copy."""


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
    for number in range(4):
        (folder / f"file{number}").write_bytes(os.urandom(number * 50_000))
    return folder


@pytest.mark.parametrize("goes_on", [True, False], ids=["its task is held still", "its task was handed on"])
@pytest.mark.parametrize("step", STEPS)
def test_a_client_that_dies_while_it_makes_a_copy(
    world: OwnWorld, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, goes_on: bool
) -> None:
    """What is listed afterwards restores, on this side and after the folder of manifests is lost; the rest is gone everywhere."""
    first = world.backup(source)
    (source / "new").write_bytes(os.urandom(70_000))
    record = uuid.uuid4().hex
    with monkeypatch.context() as patch:
        STEPS[step](patch)
        with pytest.raises(Died):
            world.backup(source, parent=first, record=record)
    if not goes_on:
        world.server.held.clear()
    world.restart()
    world.report()
    world.report()

    sealed = step not in {"before the note", "after the note"}
    assert (record in world.server.listed) == (step in LISTED or (goes_on and sealed))
    assert world.seals.notes() == []
    assert world.is_kept(record) == (record in world.server.listed)
    if record in world.server.listed:
        assert compare_trees(source, world.restore(record, source, tmp_path / "one")).equal
        shutil.rmtree(world.storage / "manifests")
        world.restart()
        assert compare_trees(source, world.restore(record, source, tmp_path / "two")).equal
    else:
        with pytest.raises(NotFound):
            world.pools.get(7).sealed(record)
    again = world.backup(source, parent=first)
    assert compare_trees(source, world.restore(again, source, tmp_path / "three")).equal
