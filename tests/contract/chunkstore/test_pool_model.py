"""Anything that may happen to two pools, in any order, against an independent model. Long runs: `scripts/robustness`."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from random import Random

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from robustness.world import World

RANDOMS = st.integers(0, 2**32).map(Random)


class PoolMachine(RuleBasedStateMachine):
    """Each rule is an operation of the world; hypothesis chooses their order and seeds, and shortens what fails."""

    def __init__(self) -> None:
        super().__init__()
        memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        self.folder = Path(tempfile.mkdtemp(prefix="rb-model-", dir=memory))
        self.world = World(self.folder)

    def teardown(self) -> None:
        """What was promised is there at the end."""
        try:
            self.world.close()
        finally:
            shutil.rmtree(self.folder)

    @invariant()
    def lists(self) -> None:
        """Each pool lists what the model has."""
        for side in self.world.sides:
            self.world.lists(side)


def _rule(name: str):
    @rule(toss=RANDOMS)
    def act(self: PoolMachine, toss: Random) -> None:
        getattr(self.world, name)(toss)

    act.__name__ = name
    return act


for _name in (
    "backup", "interrupted", "drop", "copies", "restores", "verifies", "reopens", "rebuilds", "crashes",
    "changes_storages",
    "collects", "damages", "replays", "steals",
):  # fmt: skip
    setattr(PoolMachine, _name, _rule(_name))


class TestPools(PoolMachine.TestCase):
    """A short run."""

    settings = settings(
        max_examples=12, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck),
    )  # fmt: skip


def test_a_long_row_of_operations_by_chance() -> None:
    """Every operation of the world is reached, with effect, and no promise is broken."""
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="rb-model-", dir=memory) as folder:
        world, toss = World(Path(folder)), Random(1)
        for _ in range(150):
            world.step(toss)
        world.close()

    assert {"backup full", "backup incremental", "backup differential", "interrupted", "drop", "copy"} <= set(
        world.done
    )
    assert {"crash", "rebuild", "damage healed", "theft", "fence", "storages"} <= set(world.done)
