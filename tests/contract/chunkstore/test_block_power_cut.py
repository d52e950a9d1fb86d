"""A block device loses power at every write and sync of a job: what was promised is there, nothing else is damaged."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pytest

from rubackup.chunkstore.backends.block import file as files
from rubackup.chunkstore.backends.block.backend import BlockBackend
from rubackup.chunkstore.backends.block.device import Device
from rubackup.chunkstore.identity import Buffer
from rubackup.domain.errors import NotFound, StorageFull
from support.chunkstore import noise
from support.devices import MIB, MemoryDevice, formatted

LOSSES = 3
"""Combinations of unsynced sectors that are tried at each event."""


@dataclass
class Watched(MemoryDevice):
    """Tells before each write and sync."""

    tell: Callable[[], None] = lambda: None

    def write(self, offset: int, *parts: Buffer) -> None:
        self.tell()
        super().write(offset, *parts)

    def sync(self) -> None:
        self.tell()
        super().sync()


@dataclass
class Job:
    """Changes names; `allowed` says for each what may be found after a loss of power now."""

    device: Watched
    toss: random.Random
    allowed: dict[str, set[bytes | None]] = field(default_factory=dict)
    states: int = 0
    events: int = 0

    def __post_init__(self) -> None:
        self.backend = BlockBackend(self.device)
        self.device.tell = self.lose_power

    def lose_power(self) -> None:
        """Look at what would be left."""
        self.events += 1
        for seed in range(LOSSES):
            self.states += 1
            left = self.device.after_power_loss(f"{self.events}/{seed}")
            survivor = BlockBackend(left)
            assert survivor.problems == []
            found = {name: content(survivor, name) for name in self.allowed}
            for name, data in found.items():
                assert data in self.allowed[name], (self.events, name)
            stored = [item.name for item in survivor.list("packs")]
            assert sorted(stored) == sorted(name for name, data in found.items() if data is not None)
            self._go_on(survivor, left, found)

    def _go_on(self, survivor: BlockBackend, left: MemoryDevice, found: dict[str, bytes | None]) -> None:
        """All free room is really free: filling it harms nothing, now or after another start."""
        used = sum(files.blocks_for(len(data)) for data in found.values() if data)
        space = survivor.space()
        assert space.total_bytes - space.free_bytes == used * files.BLOCK
        survivor.put("packs/filler", b"f" * space.free_bytes)
        again = BlockBackend(left.after_power_loss(0))
        assert {name: content(again, name) for name in found} == found

    def change(self, act: Callable[[], None], **new: bytes | None) -> None:
        """Until it returns, all or nothing; then the new state."""
        names = {f"packs/{name}": data for name, data in new.items()}
        for name, data in names.items():
            self.allowed.setdefault(name, {None}).add(data)
        act()
        for name, data in names.items():
            self.allowed[name] = {data}

    def put(self, name: str, size: int) -> None:
        """A whole file."""
        data = noise(size, self.toss.randrange(99))
        self.change(lambda: self.backend.put(f"packs/{name}", data), **{name: data})

    def grow(self, name: str, *sizes: int) -> bytes:
        """A file that is synced after each part."""
        file = self.backend.append(f"packs/{name}")
        self.allowed.setdefault(f"packs/{name}", {None})
        data = b""
        for size in sizes:
            part = noise(size, self.toss.randrange(99))
            file.write(part)
            data += part
            self.change(file.sync, **{name: data})
        file.close()
        return data


def content(backend: BlockBackend, name: str) -> bytes | None:
    """All of a file; None without one."""
    try:
        return backend.read(name, 0, backend.size(name))
    except NotFound:
        return None


@pytest.fixture
def job(monkeypatch: pytest.MonkeyPatch) -> Job:
    """On a device of a megabyte, whose directory is checkpointed every dozen changes."""
    monkeypatch.setattr(files, "AHEAD_BLOCKS", 4)
    monkeypatch.setattr(files, "SMALL_BYTES", 6_000)
    empty = formatted(MIB)
    return Job(Watched(MIB, data=empty.data), random.Random(1))


def work(job: Job) -> None:
    """Every operation, on files that are small, long, and in many pieces."""
    backend = job.backend
    for turn in range(3):
        job.put("small", 100)
        job.put("long", 30_000 + turn)
        grown = job.grow("open", 5_000, 5_000, 20_000, 1)
        job.change(lambda: backend.publish("packs/open", "packs/closed"), open=None, closed=grown)
        newer = job.grow("newer", 3_000)
        job.change(lambda: backend.replace("packs/newer", "packs/closed"), newer=None, closed=newer)
        job.change(lambda: backend.delete("packs/small"), small=None)
        job.put(f"kept{turn}", 40_000)
        volatile = backend.append("packs/volatile")
        job.allowed["packs/volatile"] = {None}
        volatile.write(noise(20_000))
        volatile.close()
        job.put("between", 9_000)
        backend.delete("packs/volatile")
        job.change(lambda: backend.delete("packs/between"), between=None)
        pack = backend.append("packs/unsynced")
        job.allowed["packs/unsynced"] = {None}
        pack.write(noise(20_000, turn))
        pack.close()
        job.change(lambda: backend.publish("packs/unsynced", "packs/pack"), pack=noise(20_000, turn))
        job.change(lambda: backend.delete("packs/pack"), pack=None)
        job.change(lambda: backend.delete("packs/long"), long=None)
        job.change(lambda: backend.delete("packs/closed"), closed=None)
    job.change(lambda: backend.delete("packs/kept1"), kept1=None)
    backend.checkpoint()


def test_nothing_promised_is_lost(job: Job) -> None:
    """At each event, whatever sectors arrived: old or new, whole; what is free may be filled."""
    work(job)

    assert job.backend._journal.superblock.generation > 3
    assert job.states > 300


def test_what_breaks_the_order_is_noticed(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of three syncs one is left out: else the test above would say nothing."""
    sync = MemoryDevice.sync
    skipped = 0

    def lazy(self: Device) -> None:
        nonlocal skipped
        skipped += 1
        if skipped % 3:
            sync(self)

    monkeypatch.setattr(Watched, "sync", lazy)
    with pytest.raises(AssertionError):
        work(job)


def test_blocks_are_not_free_before_their_record_is_durable(job: Job) -> None:
    """Another thread could write over a file that a loss of power brings back."""
    job.allowed["packs/going"] = {None, bytes(50_000)}
    job.backend.put("packs/going", bytes(50_000))
    before = job.backend.space().free_bytes
    seen: list[int] = []
    job.device.tell = lambda: seen.append(job.backend._free.free_blocks * files.BLOCK)
    job.backend.delete("packs/going")

    assert len(seen) == 2
    assert set(seen) == {before}
    assert job.backend.space().free_bytes > before


def test_erasing_leaves_nothing_of_the_file(job: Job) -> None:
    """Once the name is gone, at no event its bytes are still there; before, the file may be zeroes in part."""
    secret = b"secret" * 3_000
    job.allowed["packs/secret"] = {None, secret}
    job.backend.put("packs/secret", secret)
    lost = []

    def look() -> None:
        left = job.device.after_power_loss(len(lost))
        lost.append(content(BlockBackend(left), "packs/secret"))
        assert lost[-1] is not None or b"secretsecret" not in left.data

    job.device.tell = look
    job.backend.erase("packs/secret")

    assert b"secretsecret" not in job.device.durable
    assert len(lost) >= 4
    assert {len(one) for one in lost if one is not None} == {len(secret)}


def test_a_full_device_is_not_harmed(job: Job) -> None:
    """What does not fit is refused whole, and room comes back with what is deleted."""
    free = job.backend.space().free_bytes
    job.put("kept", 100_000)
    with pytest.raises(StorageFull):
        job.backend.put("packs/huge", bytes(free))
    file = job.backend.append("packs/growing")
    job.allowed["packs/growing"] = {None}
    file.write(noise(50_000))
    with pytest.raises(StorageFull):
        file.write(bytes(free))
    assert file.size_bytes == 50_000
    job.change(file.sync, growing=noise(50_000))
    file.close()
    for name in ("kept", "growing"):
        job.change(lambda name=name: job.backend.delete(f"packs/{name}"), **{name: None})

    assert job.backend.space().free_bytes == free


@dataclass
class Frozen(MemoryDevice):
    """For threads: each write and sync is whole, and now and then somebody looks at what a loss of power would leave."""

    turn: threading.Lock = field(default_factory=threading.Lock)
    look: Callable[[], None] = lambda: None

    def write(self, offset: int, *parts: Buffer) -> None:
        with self.turn:
            self.look()
            super().write(offset, *parts)

    def sync(self) -> None:
        with self.turn:
            self.look()
            super().sync()


def test_nothing_promised_to_threads_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads share records and syncs, and get blocks that others freed: what a call returned for is there."""
    monkeypatch.setattr(files, "AHEAD_BLOCKS", 4)
    device = Frozen(MIB, data=formatted(MIB).data)
    backend = BlockBackend(device)
    put: dict[str, bytes] = {}
    """Each name is put once; what was promised of it at each moment."""
    begun: dict[str, set[str]] = {"put": set(), "deleted": set()}
    done: dict[str, set[str]] = {"put": set(), "deleted": set()}
    events = looks = 0

    def look() -> None:
        nonlocal events, looks
        events += 1
        if events % 7:
            return
        looks += 1
        sure = {word: set(names) for word, names in done.items()}
        may_go = set(begun["deleted"])
        survivor = BlockBackend(device.after_power_loss(events))
        assert survivor.problems == []
        found = {name: content(survivor, name) for name in list(begun["put"])}
        for name, data in found.items():
            assert data is None or data == put[name]
            assert data is None or name not in sure["deleted"]
            assert data is not None or name not in sure["put"] or name in may_go

    device.look = look

    def work(thread: int) -> None:
        toss = random.Random(thread)
        mine: list[str] = []
        for step in range(40):
            if len(mine) > 3 or (mine and toss.random() < 0.3):
                name = mine.pop(toss.randrange(len(mine)))
                begun["deleted"].add(name)
                backend.delete(name)
                done["deleted"].add(name)
                continue
            name = f"packs/{thread}-{step}"
            put[name] = noise(toss.choice((100, 5_000, 30_000, 70_000)), thread * 100 + step)
            begun["put"].add(name)
            try:
                backend.put(name, put[name])
            except StorageFull:
                continue
            done["put"].add(name)
            mine.append(name)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(work, range(4)))

    assert looks > 20
    assert len(done["deleted"]) > 20
