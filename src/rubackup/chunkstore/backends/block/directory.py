"""The names of a device in memory. About 200 bytes a name: figures in `docs/design/pools.md`, Block devices."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from rubackup.chunkstore.backends.block import names, records
from rubackup.chunkstore.backends.block.layout import BLOCK, Superblock
from rubackup.chunkstore.backends.block.records import END, Change, Entry, Read, Walk
from rubackup.chunkstore.backends.block.space import Extent
from rubackup.domain.errors import Corrupt

_ROW_BYTES: Final = len(records.row(b"", b""))


class Directory:
    """Names and where their files lie, both as they are stored."""

    def __init__(self) -> None:
        self._files: dict[bytes, bytes] = {}
        self.encoded_bytes = 0
        """What the names take in a checkpoint, without the heads of records."""

    def __len__(self) -> int:
        return len(self._files)

    def __contains__(self, name: str) -> bool:
        return names.shorten(name) in self._files

    def get(self, name: str) -> Entry | None:
        """The file of this name."""
        found = self._files.get(names.shorten(name))
        return None if found is None else records.decode(found)

    def apply(self, change: Change) -> None:
        """Set or remove a name."""
        self.put(names.shorten(change.name), None if change.entry is None else change.entry.encode())

    def put(self, name: bytes, entry: bytes | None) -> None:
        """Set or remove a stored name."""
        before = self._files.pop(name, None)
        if before is not None:
            self.encoded_bytes -= _ROW_BYTES + len(name) + len(before)
        if entry is not None:
            self._files[name] = entry
            self.encoded_bytes += _ROW_BYTES + len(name) + len(entry)

    def rows(self) -> Iterator[bytes]:
        """All files, as a checkpoint has them."""
        for name, entry in self._files.items():
            yield records.row(name, entry)

    def items(self) -> Iterator[tuple[str, Entry]]:
        """All files as they are at this moment."""
        for name, entry in list(self._files.items()):
            yield names.full(name), records.decode(entry)

    def sizes(self) -> Iterator[tuple[str, int]]:
        """Names and lengths."""
        for name, entry in self._files.items():
            yield names.full(name), records.size_of(entry)

    def extents(self) -> Iterator[Extent]:
        """Those of all files."""
        for entry in self._files.values():
            yield from records.extents_of(entry)


@dataclass
class Loaded:
    """A directory as its records tell it."""

    directory: Directory = field(default_factory=Directory)
    next_block: int = 0
    """Where the next record goes."""
    next_number: int = 0
    limit: int = 0
    """Before this block the next checkpoint begins."""
    problems: list[str] = field(default_factory=list)


def change_limit(checkpoint_blocks: int, half_blocks: int) -> int:
    """Where changes end and the next checkpoint is due: they take as much as the checkpoint, at least 4 MiB."""
    return min(half_blocks, checkpoint_blocks + max(checkpoint_blocks, 1024))


def load(read: Read, block: Superblock, label: str, blocks: int | None = None) -> Loaded:
    """Read a half, or so many blocks of it; Corrupt when nothing is whole."""
    found = Loaded()
    walk = Walk(read, block.half_blocks if blocks is None else blocks, block.generation, block.epoch)
    ended = False
    for record in walk.records():
        if record.number != found.next_number:
            lost = record.number - found.next_number
            found.problems.append(f"{lost} record(s) before number {record.number} are lost")
        found.next_number = record.number + 1
        if record.kind == END:
            ended = True
            walk.limit = min(walk.limit, change_limit(walk.next_block, block.half_blocks))
            continue
        try:
            for name, entry in record.rows():
                if entry is not None:
                    _check(name, entry, block)
                found.directory.put(name, entry)
        except Corrupt as error:
            found.problems.append(f"record {record.number}: {error.message}")
    if not found.next_number:
        raise Corrupt(f"The directory of the device {label} is lost: none of its records is whole.")
    if not ended:
        found.problems.append("the end of its last checkpoint is lost")
    found.problems += [f"the block at byte {block.half_start + at * BLOCK} is damaged" for at in walk.damaged[:20]]
    found.next_block, found.limit = walk.next_block, walk.limit if ended else walk.next_block
    return found


def _check(name: bytes, entry: bytes, block: Superblock) -> None:
    blocks = 0
    for start, length in records.extents_of(entry):
        blocks += length
        if not length or start + length > block.data_blocks:
            raise Corrupt("a file lies outside of the device.")
    if blocks * BLOCK < records.size_of(entry):
        raise Corrupt("a file is longer than its blocks.")
    try:
        names.full(name)
    except ValueError as error:
        raise Corrupt(f"{error}.") from error
