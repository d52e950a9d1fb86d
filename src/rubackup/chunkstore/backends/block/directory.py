"""The names of a device in memory. About 200 bytes a name: figures in `docs/design/pools.md`, Block devices."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from rubackup.chunkstore.backends.block import layout, records
from rubackup.chunkstore.backends.block.layout import Superblock
from rubackup.chunkstore.backends.block.records import END, Change, Entry, Read, Walk
from rubackup.chunkstore.backends.block.space import Extent
from rubackup.domain.errors import Corrupt

_SIZE = struct.Struct("<Q")
_EXTENT = struct.Struct("<QI")
_HEX: Final = 32
_FORMS: Final = (
    ("packs/{}/", ".pack"), ("packs/{}/", ".open"), ("packs/{}/", ".gone"),
    ("manifests/", ".manifest"), ("manifests/", ".tombstone"), ("manifests/", ".lock"),
)  # fmt: skip
_BY_SUFFIX: Final = {(form.partition("/")[0], suffix): code for code, (form, suffix) in enumerate(_FORMS, 1)}


def _key(name: str) -> bytes:
    """A name in memory: 17 bytes for those that there are millions of."""
    folder, _, rest = name.partition("/")
    stem, dot, suffix = rest.rpartition("/")[2].rpartition(".")
    code = _BY_SUFFIX.get((folder, dot + suffix))
    if code is not None and len(stem) == _HEX:
        try:
            key = bytes([code]) + bytes.fromhex(stem)
        except ValueError:
            return b"\0" + name.encode()
        if _name(key) == name:
            return key
    return b"\0" + name.encode()


def _name(key: bytes) -> str:
    if key[0] == 0:
        return key[1:].decode()
    folder, suffix = _FORMS[key[0] - 1]
    text = key[1:].hex()
    return folder.format(text[:2]) + text + suffix


class Directory:
    """Names and where their files lie."""

    def __init__(self) -> None:
        self._files: dict[bytes, bytes] = {}
        self.encoded_bytes = 0
        """What the names take in a checkpoint, without the heads of records."""

    def __len__(self) -> int:
        return len(self._files)

    def __contains__(self, name: str) -> bool:
        return _key(name) in self._files

    def get(self, name: str) -> Entry | None:
        """The file of this name."""
        found = self._files.get(_key(name))
        return None if found is None else _entry(found)

    def apply(self, change: Change) -> None:
        """Set or remove a name."""
        key = _key(change.name)
        before = self._files.pop(key, None)
        if before is not None:
            self.encoded_bytes -= records.encoded_bytes(change.name, len(before) // _EXTENT.size)
        if change.entry is not None:
            extents = b"".join([_EXTENT.pack(*one) for one in change.entry.extents])
            self._files[key] = _SIZE.pack(change.entry.size_bytes) + extents
            self.encoded_bytes += records.encoded_bytes(change.name, len(change.entry.extents))

    def items(self) -> Iterator[tuple[str, Entry]]:
        """All files as they are at this moment."""
        for key, found in list(self._files.items()):
            yield _name(key), _entry(found)

    def sizes(self) -> Iterator[tuple[str, int]]:
        """Names and lengths as they are at this moment."""
        for key, found in list(self._files.items()):
            yield _name(key), _SIZE.unpack_from(found)[0]

    def extents(self) -> list[Extent]:
        """Those of all files."""
        return [one for found in self._files.values() for one in _EXTENT.iter_unpack(found[_SIZE.size :])]


def _entry(data: bytes) -> Entry:
    return Entry(_SIZE.unpack_from(data)[0], tuple(_EXTENT.iter_unpack(data[_SIZE.size :])))


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


def load(read: Read, block: Superblock, label: str) -> Loaded:
    """Read a half; Corrupt when nothing of it is whole."""
    found = Loaded()
    walk = Walk(read, block.half_blocks, block.generation, block.epoch)
    ended = False
    for record in walk.records():
        if record.number != found.next_number:
            lost = record.number - found.next_number
            found.problems.append(f"{lost} record(s) before number {record.number} are lost")
        found.next_number = record.number + 1
        if record.kind == END:
            ended = True
            walk.limit = change_limit(walk.next_block, block.half_blocks)
            continue
        try:
            for change in record.changes():
                _check_extents(change, block)
                found.directory.apply(change)
        except Corrupt as error:
            found.problems.append(f"record {record.number}: {error.message}")
    if not found.next_number:
        raise Corrupt(f"The directory of the device {label} is lost: none of its records is whole.")
    if not ended:
        found.problems.append("the end of its last checkpoint is lost")
    found.problems += [
        f"the block at byte {block.half_start + at * layout.BLOCK} is damaged" for at in walk.damaged[:20]
    ]
    found.next_block, found.limit = walk.next_block, walk.limit if ended else walk.next_block
    return found


def _check_extents(change: Change, block: Superblock) -> None:
    if change.entry is None:
        return
    blocks = sum(length for _, length in change.entry.extents)
    outside = any(start + length > block.data_blocks for start, length in change.entry.extents)
    if outside or blocks * layout.BLOCK < change.entry.size_bytes:
        raise Corrupt(f"{change.name} lies outside of the device.")
