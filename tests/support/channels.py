"""A pool in memory: channels that a module can write to and read from without a media server."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from rubackup.chunkstore.group import decode
from rubackup.chunkstore.identity import HOLE, ID_BYTES, Buffer, possession_proof
from rubackup.chunkstore.manifest import ManifestReader
from rubackup.domain.errors import Corrupt, Stopped

NONCE = b"n" * 32


@dataclass
class MemoryPool:
    """Chunks and manifests; counts what it was asked."""

    groups: dict[int, bytes] = field(default_factory=dict)
    places: dict[bytes, int] = field(default_factory=dict)
    owned: set[bytes] = field(default_factory=set)
    manifests: dict[str, bytes] = field(default_factory=dict)

    def write(self, record: str, parent: str = "") -> MemoryBackup:
        """A session that writes `record`."""
        return MemoryBackup(self, record, self.manifests.get(parent, b""))

    def read(self, record: str) -> MemoryRestore:
        """A session that reads `record`."""
        return MemoryRestore(self, self.manifests[record])

    def reader(self, record: str) -> ManifestReader:
        """The manifest of `record`."""
        data = self.manifests[record]
        return ManifestReader(lambda offset, length: data[offset : offset + length], len(data))


@dataclass
class Sealed:
    """What seal gives back."""

    stored_bytes: int


class MemoryBackup:
    """client.ports.BackupChannel."""

    def __init__(self, pool: MemoryPool, record: str, parent: bytes) -> None:
        self.pool = pool
        self.record = record
        self.parent = parent
        self.parent_bytes = len(parent)
        self.block_bytes = 0
        self.manifest = bytearray()
        self.queried = 0
        self.proved = 0
        self.stored = 0
        self.checkpoints = 0
        self.copied = 0
        """Segments taken over from the parent's manifest."""
        self.sealed: tuple[int, int, int] | None = None

    def read_parent(self, offset: int, length: int) -> bytes:
        return self.parent[offset : offset + length]

    def query(self, ids: bytes) -> tuple[bytes, bytes]:
        names = [ids[i : i + ID_BYTES] for i in range(0, len(ids), ID_BYTES)]
        self.queried += len(names)
        return bytes(self._state(name) for name in names), NONCE

    def ask(self, ids: bytes) -> Callable[[], tuple[bytes, bytes]]:
        answer = self.query(ids)
        return lambda: answer

    def _state(self, name: bytes) -> int:
        if name in self.pool.owned:
            return 1
        return 2 if name in self.pool.places else 0

    def prove(self, ids: bytes, proofs: bytes) -> bytes:
        answer = []
        for i in range(0, len(ids), ID_BYTES):
            name, proof = ids[i : i + ID_BYTES], proofs[i : i + ID_BYTES]
            group = decode(self.pool.groups[self.pool.places[name]])
            right = possession_proof(group.chunk(group.ids.index(name)), NONCE) == proof
            answer.append(int(right))
            if right:
                self.proved += 1
                self.pool.owned.add(name)
        return bytes(answer)

    def put_group(self, *parts: Buffer) -> None:
        data = b"".join(parts)
        group = decode(data)
        group.check()
        number = len(self.pool.groups)
        self.pool.groups[number] = data
        for name in group.ids:
            self.pool.places[name] = number
            self.pool.owned.add(name)
        self.stored += len(data)

    def checkpoint(self) -> None:
        self.checkpoints += 1

    def put_manifest(self, data: bytes) -> None:
        self.manifest += data

    def copy_parent(self, first_segment: int, count: int) -> None:
        reader = ManifestReader(self.read_parent, self.parent_bytes)
        begin, end = reader.segment(first_segment).offset, reader.segment(first_segment + count - 1).end
        self.manifest += self.parent[begin:end]
        self.copied += count

    def seal(self, files: int, files_failed: int, size_bytes: int) -> Sealed:
        data = bytes(self.manifest)
        reader = ManifestReader(lambda offset, length: data[offset : offset + length], len(data))
        reader.verify()
        for name, _ in reader.rows(0, reader.row_count):
            assert name == HOLE or name in self.pool.owned, "the manifest names a chunk that was not sent"
        self.pool.manifests[self.record] = data
        self.sealed = (files, files_failed, size_bytes)
        return Sealed(self.stored)


class MemoryRestore:
    """client.ports.RestoreChannel; `damaged` groups are left out and told at the end, as a media server does it."""

    crypto = key_id = ""

    def __init__(self, pool: MemoryPool, manifest: bytes) -> None:
        self.pool = pool
        self.manifest = manifest
        self.manifest_bytes = len(manifest)
        self.damaged: set[int] = set()
        self.requests = 0
        self.sent = 0
        self.manifest_read = 0

    def read_manifest(self, offset: int, length: int) -> bytes:
        self.manifest_read += length
        return self.manifest[offset : offset + length]

    def groups(self, runs: Sequence[tuple[int, int]]) -> Iterator[bytes]:
        self.requests += 1
        reader = ManifestReader(lambda offset, length: self.manifest[offset : offset + length], self.manifest_bytes)
        numbers = set()
        for first, count in runs:
            numbers |= {self.pool.places[name] for name, _ in reader.rows(first, count) if name != HOLE}
        self.sent += len(numbers - self.damaged)
        for number in sorted(numbers - self.damaged):
            yield self.pool.groups[number]
        if numbers & self.damaged:
            raise Corrupt("Pack 7 is damaged.")


@dataclass
class RecordingWatch:
    """client.ports.Watch; `on_check` is called at each check, and may raise."""

    lines: list[tuple[str, str]] = field(default_factory=list)
    phases: list[str] = field(default_factory=list)
    shown: list[tuple[int, int, int, int, int]] = field(default_factory=list)
    stop_after: int = -1
    checks: int = 0
    delivered: int = 0
    on_check: Callable[[], None] = lambda: None

    def phase(self, name: str, /) -> None:
        self.phases.append(name)

    def progress(self, *counts: int) -> None:
        assert len(counts) == 5
        self.shown.append(counts)

    def log(self, level: str, text: str, /) -> None:
        self.lines.append((level, text))

    def deliver(self) -> None:
        self.delivered = len(self.lines)

    def check(self) -> None:
        self.checks += 1
        self.on_check()
        if 0 <= self.stop_after < self.checks:
            raise Stopped

    def texts(self, level: str) -> list[str]:
        """The lines of a level."""
        return [text for kind, text in self.lines if kind == level]
