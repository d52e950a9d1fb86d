"""A small client of the chunk store: backs up and restores trees that are dictionaries."""

from __future__ import annotations

import random
import shutil
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from rubackup.chunkstore import group
from rubackup.chunkstore.backends.base import Backend
from rubackup.chunkstore.backends.block import format_device
from rubackup.chunkstore.backends.memory import MemoryBackend
from rubackup.chunkstore.backends.opening import open_backend
from rubackup.chunkstore.chunker import Chunker
from rubackup.chunkstore.digests import DigestSpec
from rubackup.chunkstore.frame_cipher import ManifestCipher
from rubackup.chunkstore.identity import chunk_id, possession_proof
from rubackup.chunkstore.keys import Keys
from rubackup.chunkstore.locations import Device, Folder, Location
from rubackup.chunkstore.manifest import Entry, EntryType, Header, ManifestWriter, Summary
from rubackup.chunkstore.pool import Pool, SealedRecord, WriteSession
from rubackup.client.encrypted import open_manifest

POOL = "0123456789abcdef0123456789abcdef"
Tree = Mapping[str, bytes]
"""Absolute paths of files, and their contents."""


def record_id(number: int) -> str:
    """The id of the test's record of this number."""
    return uuid.UUID(int=number).hex


def entry(
    name: str | bytes, *, size: int = 0, kind: EntryType = EntryType.FILE, first_row: int = 0, rows: int = 0, **more
) -> Entry:
    """An entry with plain metadata."""
    raw = name if isinstance(name, bytes) else name.encode()
    times = {"mtime_ns": 1, "ctime_ns": 2, "inode": 3, "device": 4, "links": 1}
    return Entry(
        raw, int(kind), 0o644, 1000, 1000, "user", "group", size, **{**times, **more}, first_row=first_row, rows=rows
    )


def noise(size: int, seed: int = 0) -> bytes:
    """Bytes that do not compress, the same for each seed."""
    return random.Random(f"{size}/{seed}").randbytes(size)


@dataclass
class Client:
    """Backs up to a session and restores from one."""

    chunker: Chunker = field(default_factory=lambda: Chunker(1024, 4096, 16384))
    level: int | None = 1
    owner: str = "00000000000000aa"
    group_bytes: int = 64 << 10
    sealer: group.Sealer | None = None
    """With one, everything is encrypted."""
    sent: int = 0
    """Groups sent by the last backup."""

    def chunks(self, data: bytes) -> list[tuple[bytes, memoryview]]:
        """The chunks of a file."""
        view = memoryview(data)
        found, at = [], 0
        for length in self.chunker.cut(view, final=True):
            found.append((self._identify(view[at : at + length]), view[at : at + length]))
            at += length
        return found

    def _identify(self, data: memoryview) -> bytes:
        return self.sealer.identify(data) if self.sealer else chunk_id(data)

    def send(self, session: WriteSession, chunks: list[tuple[bytes, memoryview]]) -> None:
        """Send what the pool does not know, proving what others stored."""
        chunks = list(dict(chunks).items())
        ids = b"".join(name for name, _ in chunks)
        states, nonce = session.query(ids)
        asked = [chunk for chunk, state in zip(chunks, states, strict=True) if state == 2]
        proofs = b"".join(possession_proof(data, nonce) for _, data in asked)
        answers = session.prove(b"".join(name for name, _ in asked), proofs) if asked else b""
        refused = [chunk for chunk, answer in zip(asked, answers, strict=True) if not answer]
        waiting: list[tuple[bytes, memoryview]] = []
        for chunk in [c for c, state in zip(chunks, states, strict=True) if state == 0] + refused:
            waiting.append(chunk)
            if sum(len(data) for _, data in waiting) >= self.group_bytes:
                self._put(session, waiting)
        self._put(session, waiting)

    def _put(self, session: WriteSession, waiting: list[tuple[bytes, memoryview]]) -> None:
        if waiting:
            session.put_group(group.encode(waiting, self.level, self.sealer))
            self.sent += 1
            waiting.clear()

    def manifest(self, session: WriteSession, tree: Tree, parts: list[bytes] | None = None) -> Summary:
        """Send the manifest of a tree whose chunks were sent."""
        sink = session.put_manifest if parts is None else parts.append
        cipher = ManifestCipher(self.sealer.key, self.sealer.suite) if self.sealer else None
        writer = ManifestWriter(sink, self.header(session.record, session.parent), cipher)
        summary = Summary(files=len(tree), size_bytes=sum(map(len, tree.values())))
        write_tree(writer, tree, lambda data: [(name, len(chunk)) for name, chunk in self.chunks(data)])
        writer.finish(summary)
        return summary

    def header(self, record: str, parent: str = "") -> Header:
        """The header of a manifest of this client."""
        c = self.chunker
        chunker = (c.minimum, c.average, c.maximum, c.seed)
        key_id = self.sealer.key.id.hex() if self.sealer else ""
        return Header(record, parent, self.owner, "File system", "/", "full", 5, chunker, key_id)

    def backup(self, session: WriteSession, tree: Tree) -> SealedRecord:
        """The whole of a backup."""
        self.sent = 0
        for data in tree.values():
            self.send(session, self.chunks(data))
        session.checkpoint()
        summary = self.manifest(session, tree)
        return session.seal(summary.files, summary.files_failed, summary.size_bytes)


def write_tree(writer: ManifestWriter, tree: Tree, rows: Callable[[bytes], list[tuple[bytes, int]]]) -> None:
    """Write all folders of a tree in order."""
    folders: dict[str, dict[str, bytes | None]] = {"/": {}}
    for path, data in tree.items():
        parent, _, name = path.rpartition("/")
        folders.setdefault(parent or "/", {})[name] = data
        while parent:
            above, _, name = parent.rpartition("/")
            folders.setdefault(above or "/", {}).setdefault(name, None)
            parent = above
    for folder in sorted(folders, key=lambda p: p.strip("/").replace("/", "\0").encode()):
        entries = []
        for name, data in sorted(folders[folder].items(), key=lambda item: item[0].encode()):
            if data is None:
                entries.append(entry(name, kind=EntryType.FOLDER))
            else:
                found = rows(data)
                first = writer.add_rows(found)
                entries.append(entry(name, size=len(data), first_row=first, rows=len(found)))
        writer.add_folder(folder.encode(), entries)


def restore(pool: Pool, record: str, keys: Keys | None = None) -> dict[str, bytes]:
    """Every file of a record; `keys` open an encrypted one."""
    session = pool.read(record)
    reader = open_manifest(session, keys)
    chunks: dict[bytes, bytes] = {bytes(32): b""}
    for data in session.groups([(0, reader.row_count)]):
        found = group.open_group(data, keys)
        found.check()
        chunks.update((name, bytes(found.chunk(i))) for i, name in enumerate(found.ids))
    tree: dict[str, bytes] = {}
    for folder, entries in reader.folders():
        for one in entries:
            if one.type == EntryType.FILE:
                path = folder.decode().rstrip("/") + "/" + one.name.decode()
                tree[path] = b"".join(chunks[name] for name, _ in reader.rows(one.first_row, one.rows))
    return tree


@dataclass
class Place:
    """A pool's folders: in memory storages by default, its metadata in a real folder."""

    folder: Path
    backends: dict[str, Backend] = field(default_factory=dict)
    reserve_bytes: int = 0
    wrap: Callable[[Backend], Backend] = lambda backend: backend
    opened: list[Pool] = field(default_factory=list)
    storages: list[str] = field(default_factory=lambda: ["one"])
    map_bytes: int = 1 << 20
    now_ns: int = 1_700_000_000_000_000_000
    set_ns: int = 0
    """By so much the clock was set ahead."""
    digest: DigestSpec | None = None
    """Which hash is recorded of each chunk."""
    block_bytes: int = 0

    @property
    def metadata(self) -> Path:
        """Where the index is."""
        return self.folder / "metadata"

    def set_clock(self, ahead_ns: int) -> None:
        """Somebody sets the clock of the host."""
        self.now_ns += ahead_ns
        self.set_ns += ahead_ns

    def memory(self, name: str = "one") -> MemoryBackend:
        """The storage of this name, made when it is new."""
        backend = self.backends.setdefault(name, MemoryBackend(name))
        assert isinstance(backend, MemoryBackend)
        return backend

    def make_device(self, name: str = "one", size_bytes: int = 64 << 20) -> Path:
        """From now on the storage of this name is a block device."""
        path = self.folder / f"{name}.device"
        format_device(path, size_bytes=size_bytes)
        return path

    def location(self, name: str) -> Location:
        """Where the storage of this name is."""
        path = self.folder / f"{name}.device"
        return Device(path) if path.exists() else Folder(Path(name))

    def open(self) -> Pool:
        """The pool, recovered."""

        def make(location: Location) -> Backend:
            if isinstance(location, Device):
                return self.wrap(open_backend(location))
            return self.wrap(self.backends.setdefault(location.label, MemoryBackend(location.label)))

        pool = Pool.open(
            uuid=POOL,
            metadata=self.metadata,
            storages=[self.location(name) for name in self.storages],
            reserve_bytes=self.reserve_bytes,
            level=1,
            make_backend=make,
            map_bytes=self.map_bytes,
            digest=self.digest,
            block_bytes=self.block_bytes,
            now_ns=lambda: self.now_ns,
            steady_ns=lambda: self.now_ns - self.set_ns,
        )
        self.opened.append(pool)
        return pool

    def reopen(self) -> Pool:
        """Close what is open and open again."""
        self.close()
        return self.open()

    def close(self) -> None:
        """Close every pool that is open."""
        while self.opened:
            self.opened.pop().close()

    def lose_index(self) -> None:
        """Delete the index of a closed pool."""
        shutil.rmtree(self.metadata / "index")


def begin(pool: Pool, number: int, *, owner: str = "00000000000000aa", share: bool = False, **more) -> WriteSession:
    """A session for the test's record and task of this number."""
    arguments = {"task_id": number, "fence": 1, "record": record_id(number), "parent": None, **more}
    return pool.begin(owner=owner, share=share, **arguments)
