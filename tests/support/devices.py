"""Devices for tests: one in memory that records what is written and can lose power, and loop devices."""

from __future__ import annotations

import random
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rubackup.chunkstore.backends.block.backend import BlockBackend
from rubackup.chunkstore.backends.block.prepare import format_on
from rubackup.domain.errors import StorageFault

SECTOR = 512
MIB = 1 << 20


@dataclass
class MemoryDevice:
    """A device whose writes since the last sync may each be lost, or be there in part, by sectors."""

    size_bytes: int = 4 * MIB
    label: str = "memory device"
    data: bytearray = field(default_factory=bytearray)
    durable: bytearray = field(default_factory=bytearray)
    unsynced: list[tuple[int, bytes]] = field(default_factory=list)
    log: list[tuple[int, bytes] | None] = field(default_factory=list)
    """Every write, and None for each sync."""
    bad: set[int] = field(default_factory=set)
    """Blocks of 4 KiB that cannot be read."""
    failing: str = ""
    """Fail these: `write` or `sync`, once."""
    failed: bool = False
    """Whether a sync failed for good; tests set it."""

    def __post_init__(self) -> None:
        self.data = self.data or bytearray(self.size_bytes)
        self.durable = bytearray(self.data)

    def set_workers(self, workers: int) -> None:
        pass

    def read(self, offset: int, length: int) -> bytes:
        if offset + length > self.size_bytes or self.bad.intersection(
            range(offset // 4096, -(-(offset + length) // 4096))
        ):
            raise StorageFault(f"The device {self.label} is lost: Input/output error.")
        return bytes(self.data[offset : offset + length])

    def write(self, offset: int, *parts) -> None:
        self._fail("write")
        data = b"".join(parts)
        assert offset % 4096 == len(data) % 4096 == 0
        assert offset + len(data) <= self.size_bytes
        self.data[offset : offset + len(data)] = data
        self.unsynced.append((offset, data))
        self.log.append((offset, data))

    def sync(self) -> None:
        self._fail("sync")
        for offset, data in self.unsynced:
            self.durable[offset : offset + len(data)] = data
        self.unsynced = []
        self.log.append(None)

    def _fail(self, what: str) -> None:
        if self.failing == what:
            raise StorageFault(f"The device {self.label} is lost: Input/output error.")

    def check(self, *, writable: bool = False) -> None:
        pass

    def close(self) -> None:
        pass

    def after_power_loss(self, seed: object) -> MemoryDevice:
        """What is left: each write that was not synced as a whole, not at all, or some of its sectors."""
        toss = random.Random(str(seed))
        share = toss.random()
        left = bytearray(self.durable)
        for offset, data in self.unsynced:
            way = toss.random()
            for at in range(0, len(data), SECTOR):
                if way < 0.3 or (way < 0.7 and toss.random() < share):
                    left[offset + at : offset + at + SECTOR] = data[at : at + SECTOR]
        return MemoryDevice(self.size_bytes, self.label, left)


def formatted(size_bytes: int = 4 * MIB) -> MemoryDevice:
    """An empty storage in memory."""
    device = MemoryDevice(size_bytes)
    format_on(device)
    return device


def reopened(device: MemoryDevice) -> BlockBackend:
    """The storage on what is durable of a device, as after the end of its process."""
    return BlockBackend(MemoryDevice(device.size_bytes, device.label, bytearray(device.data)))


class NoLoopDevices(Exception):
    """This host gives none; the message says why."""


@contextmanager
def loop_device(image: Path, size_bytes: int) -> Iterator[Path]:
    """A real block device over a new file."""
    if shutil.which("losetup") is None:
        raise NoLoopDevices("there is no losetup")
    with image.open("xb") as file:
        file.truncate(size_bytes)
    done = subprocess.run(["losetup", "--find", "--show", str(image)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise NoLoopDevices(f"losetup: {done.stderr.strip()}")
    path = Path(done.stdout.strip())
    try:
        yield path
    finally:
        subprocess.run(["losetup", "--detach", str(path)], check=True)
