"""A block device against a dictionary: random operations, ends of the process and losses of power."""

from __future__ import annotations

import random

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from rubackup.chunkstore.backends.base import Item
from rubackup.chunkstore.backends.block.backend import BlockAppender, BlockBackend
from rubackup.chunkstore.backends.block.file import blocks_for
from rubackup.chunkstore.backends.block.layout import BLOCK
from rubackup.domain.errors import Conflict, NotFound, StorageFull
from support.chunkstore import noise
from support.devices import MIB, MemoryDevice, formatted

NAMES = st.sampled_from([f"packs/ab/{'ab' * 16}.open", f"packs/ab/{'ab' * 16}.pack", "packs/x", "packs/y"])
SIZES = st.sampled_from([0, 1, 511, 4_096, 9_000, 65_536, 65_537, 200_000])
SEEDS = st.integers(0, 1 << 16)


class Machine(RuleBasedStateMachine):
    """`files` is what is seen, `durable` what survives."""

    def __init__(self) -> None:
        super().__init__()
        self.device = formatted(2 * MIB)
        self.backend = BlockBackend(self.device)
        self.files: dict[str, bytes] = {}
        self.durable: dict[str, bytes] = {}
        self.appender: BlockAppender | None = None
        self.growing = ""

    @rule(name=NAMES, size=SIZES, seed=SEEDS)
    def put(self, name: str, size: int, seed: int) -> None:
        data = noise(size, seed)
        try:
            self.backend.put(name, data)
        except Conflict:
            assert name in self.files
        except StorageFull:
            assert blocks_for(size) * BLOCK > self.backend.space().free_bytes
        else:
            assert name not in self.files
            self.files[name] = self.durable[name] = data

    @precondition(lambda self: self.appender is None)
    @rule(name=NAMES, keep=st.integers(0, 1 << 18))
    def open(self, name: str, keep: int) -> None:
        if name in self.files:
            at = min(keep, len(self.files[name]))
            self.appender = self.backend.append(name, at)
            if at < len(self.files[name]):
                self.appender.sync()  # until then the end that was cut off may come back
                self.durable[name] = self.files[name][:at]
            self.files[name] = self.files[name][:at]
        else:
            self.appender = self.backend.append(name)
            self.files[name] = b""
        self.growing = name

    @precondition(lambda self: self.appender)
    @rule(size=SIZES, seed=SEEDS)
    def write(self, size: int, seed: int) -> None:
        data = noise(size, seed)
        try:
            self.appender.write(data)
        except StorageFull:
            assert size > self.backend.space().free_bytes - 2 * BLOCK
        else:
            self.files[self.growing] += data
        assert self.appender.size_bytes == len(self.files[self.growing])

    @precondition(lambda self: self.appender)
    @rule(keep=st.integers(0, 1 << 18))
    def truncate(self, keep: int) -> None:
        """Not below what is durable: what is there after a loss of power would be open then."""
        durable = len(self.durable.get(self.growing, b""))
        size = max(durable, min(keep, len(self.files[self.growing])))
        self.appender.truncate(size)
        self.files[self.growing] = self.files[self.growing][:size]

    @precondition(lambda self: self.appender)
    @rule()
    def sync(self) -> None:
        self.appender.sync()
        self.durable[self.growing] = self.files[self.growing]

    @precondition(lambda self: self.appender)
    @rule()
    def close(self) -> None:
        self.appender.close()
        self.appender = None

    @precondition(lambda self: self.appender is None)
    @rule(name=NAMES, final=NAMES, over=st.booleans())
    def move(self, name: str, final: str, over: bool) -> None:
        possible = name != final and name in self.files and (final in self.files) == over
        if name == final:
            return
        try:
            (self.backend.replace if over else self.backend.publish)(name, final)
        except (NotFound, Conflict):
            assert not possible
        else:
            assert possible
            self.durable.pop(name, None)
            self.files[final] = self.durable[final] = self.files.pop(name)

    @precondition(lambda self: self.appender is None)
    @rule(name=NAMES, zero=st.booleans())
    def delete(self, name: str, zero: bool) -> None:
        (self.backend.erase if zero else self.backend.delete)(name)
        self.files.pop(name, None)
        self.durable.pop(name, None)

    @rule()
    def checkpoint(self) -> None:
        self.backend.checkpoint()

    @rule(seed=SEEDS)
    def power(self, seed: int) -> None:
        """Only what was promised is there."""
        self._start(self.device.after_power_loss(seed))

    @rule()
    def killed(self) -> None:
        """The process ends; what it wrote is in the kernel's cache, and is lost a moment after the next start."""
        self._start(MemoryDevice(self.device.size_bytes, data=self.device.data))

    def _start(self, device: MemoryDevice) -> None:
        self.device, self.backend = device, BlockBackend(device)
        self.appender = None
        self.files = dict(self.durable)

    @invariant()
    def is_as_the_model(self) -> None:
        assert self.backend.problems == []
        assert sorted(self.backend.list("packs")) == sorted(Item(name, len(data)) for name, data in self.files.items())
        toss = random.Random(len(self.files))
        for name, data in self.files.items():
            begin, end = sorted((toss.randint(0, len(data)), len(data)))
            assert self.backend.read(name, begin, end - begin) == data[begin:end]

    @invariant()
    def nothing_leaks(self) -> None:
        """Free is what files do not take, now or after a loss of power; what waits in memory counts."""
        durable = {name: blocks_for(len(data)) for name, data in self.durable.items()}
        used = sum(max(blocks_for(len(data)), durable.get(name, 0)) for name, data in self.files.items())
        space = self.backend.space()
        assert space.total_bytes - space.free_bytes == used * BLOCK


TestModel = Machine.TestCase
TestModel.settings = settings(
    max_examples=40, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)
