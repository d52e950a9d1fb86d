"""A disk that replays a log, and what of it a loss of power may leave.

The rules are harsher than any one file system: content is durable after fsync or fdatasync of the file, or when it was
written through O_DSYNC; a name is durable after fsync of its folder. Everything else may be there or not, each write and
each name by itself, in any combination; a write may also have left zeros (its length reached the disk, its content did
not). A rename is there wholly or not at all. Only the write under way may be torn, at a sector.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Final, TypeAlias

from powercut.log import DURABLE, EXCHANGE, FOLDER, Event, Kind

SECTOR_BYTES: Final = 512
UNRECORDED: Final = frozenset({"lock.mdb"})
"""Files whose content may be unknown: LMDB's lock table is mapped writable, and made anew by who opens it first."""


@dataclass(eq=False)
class Change:
    """A write or a new size of a file."""

    offset: int
    data: bytes | None
    """None: the file is cut, or grown, to `offset`."""
    durable: bool = False


@dataclass(eq=False)
class File:
    """Content that is durable for good, and what was done since."""

    base: bytearray = field(default_factory=bytearray)
    changes: list[Change] = field(default_factory=list)
    blind: bool = False

    def sync(self) -> None:
        """All that was done is durable."""
        self.base, self.changes = bytearray(self.content(_kept_whole)), []

    def content(self, keep: Keep) -> bytes:
        """What is there when `keep` decides about everything that is not durable."""
        data = bytearray(self.base)
        for change in self.changes:
            kept = change.data if change.durable else keep(change)
            if change.data is None:
                if kept is not None or change.durable:
                    del data[change.offset :]
                    data += bytes(max(0, change.offset - len(data)))
            elif kept:
                data += bytes(max(0, change.offset - len(data)))
                data[change.offset : change.offset + len(kept)] = kept
        return bytes(data)


@dataclass(eq=False)
class Renaming:
    """Names that change together: folder, name and what it now means (None: nothing)."""

    names: list[tuple[Folder, str, Node | None]]
    durable: bool = False


@dataclass(eq=False)
class Folder:
    """Names that are durable for good, and what was done since."""

    base: dict[str, Node] = field(default_factory=dict)
    changes: list[Renaming] = field(default_factory=list)

    def names(self, keep: Keep) -> dict[str, Node]:
        """As `File.content`."""
        found = dict(self.base)
        for change in self.changes:
            if change.durable or keep(change) is not None:
                for folder, name, node in change.names:
                    if folder is self:
                        found.pop(name, None) if node is None else found.update({name: node})
        return found

    def sync(self) -> None:
        """All names are durable, and with a rename its other side."""
        for change in self.changes:
            change.durable = True
        self.base, self.changes = self.names(_kept_whole), []


Link: TypeAlias = str
Node: TypeAlias = "File | Folder | Link"
Keep: TypeAlias = "Callable[[Change | Renaming], bytes | None]"
"""What of a change reached the disk: b"" for one that has no content, None for nothing."""


def _kept_whole(change: Change | Renaming) -> bytes | None:
    return (change.data or b"") if isinstance(change, Change) else b""


class Disk:
    """The watched folder after some of the events."""

    def __init__(self) -> None:
        self.root = Folder()
        self._inodes: dict[int, File] = {}
        self.last: Change | None = None
        """The write that the last event was."""
        self._returns_durable = False

    # --- replay ---

    def apply(self, event: Event) -> None:
        """One more event; ValueError when it could not be recorded.

        A write through O_DSYNC is durable when it has returned: when the next event begins.
        """
        if self.last is not None and self._returns_durable:
            self.last.durable = True
        self.last = None
        if event.kind in {Kind.WRITE, Kind.TRUNCATE, Kind.SYNC, Kind.SYNC_ALL, Kind.BLIND}:
            self._apply_to_content(event)
        else:
            self._apply_to_names(event)

    def _apply_to_content(self, event: Event) -> None:
        match event.kind:
            case Kind.WRITE:
                self.last, self._returns_durable = Change(event.offset, event.data), bool(event.flags & DURABLE)
                self._inode(event).changes.append(self.last)
            case Kind.TRUNCATE:
                self._inode(event).changes.append(Change(event.offset, None))
            case Kind.SYNC:
                self._sync(event)
            case Kind.SYNC_ALL:
                self.sync()
            case Kind.BLIND:
                if PurePosixPath(event.path).name not in UNRECORDED:
                    raise ValueError(f"what was done to {event.path} cannot be recorded: {event.target}")
                self._inode(event).blind = True

    def _apply_to_names(self, event: Event) -> None:
        match event.kind:
            case Kind.OPEN:
                self._inodes[event.inode] = made = File()
                self._name((event.path, made))
            case Kind.RENAME:
                moved = self._find(event.path)
                other = self._find(event.target) if event.flags & EXCHANGE else None
                self._name((event.path, other), (event.target, moved))
            case Kind.LINK:
                self._name((event.target, self._find(event.path)))
            case Kind.SYMLINK:
                self._name((event.path, event.target))
            case Kind.UNLINK:
                self._name((event.path, None))
            case Kind.MKDIR:
                self._name((event.path, Folder()))

    def sync(self) -> None:
        """Everything is durable."""
        for node in list(self._walk(self.root)):
            node.sync()

    def _walk(self, folder: Folder) -> Iterator[File | Folder]:
        yield folder
        for node in folder.names(_kept_whole).values():
            if isinstance(node, Folder):
                yield from self._walk(node)
            elif isinstance(node, File):
                yield node

    def _sync(self, event: Event) -> None:
        if event.flags & FOLDER:
            if (folder := self._look(event.path)) is not None:
                assert isinstance(folder, Folder)
                folder.sync()
        else:
            self._inode(event).sync()

    def _inode(self, event: Event) -> File:
        try:
            return self._inodes[event.inode]
        except KeyError:
            raise ValueError(f"{event.path} was there before the recording began") from None

    def _look(self, path: str) -> Node | None:
        node: Node | None = self.root
        for part in PurePosixPath(path).parts:
            node = node.names(_kept_whole).get(part) if isinstance(node, Folder) else None
        return node

    def _find(self, path: str) -> Node:
        node = self._look(path)
        if node is None:
            raise ValueError(f"the log names {path}, which nobody made")
        return node

    def _name(self, *changes: tuple[str, Node | None]) -> None:
        names: list[tuple[Folder, str, Node | None]] = []
        for path, node in changes:
            pure = PurePosixPath(path)
            folder = self._find(str(pure.parent) if pure.parent.parts else "")
            assert isinstance(folder, Folder)
            names.append((folder, pure.name, node))
        change = Renaming(names)
        for folder in dict.fromkeys(folder for folder, _, _ in names):
            folder.changes.append(change)

    # --- what is left ---

    def image(self, keep: Keep) -> Image:
        """What a loss of power leaves: content of files, target of links, None for folders; by path, folders first."""
        return dict(_image(self.root, "", keep))


Image: TypeAlias = "dict[str, bytes | Link | None]"


def _image(node: Folder, path: str, keep: Keep) -> Iterator[tuple[str, bytes | Link | None]]:
    for name, one in node.names(keep).items():
        below = f"{path}{name}"
        if isinstance(one, Folder):
            yield below, None
            yield from _image(one, f"{below}/", keep)
        elif isinstance(one, File):
            if not one.blind:
                yield below, one.content(keep)
        else:
            yield below, one


def write(image: Image, folder: Path) -> None:
    """Make it in an empty folder."""
    for name, content in image.items():
        if content is None:
            (folder / name).mkdir()
        elif isinstance(content, bytes):
            (folder / name).write_bytes(content)
        else:
            (folder / name).symlink_to(content)


def nothing(change: Change | Renaming) -> bytes | None:
    """Nothing that was not synced is there."""
    return None


def everything(change: Change | Renaming) -> bytes | None:
    """All that was done is there."""
    return _kept_whole(change)


class Some:
    """Each change is there or not, or left zeros, by the toss of a coin; asked twice, it says the same."""

    def __init__(self, seed: str) -> None:
        self._random = random.Random(seed)
        self._share = self._random.random()
        self._told: dict[int, bytes | None] = {}

    def __call__(self, change: Change | Renaming) -> bytes | None:
        """As `Keep`."""
        if id(change) not in self._told:
            self._told[id(change)] = self._toss(change)
        return self._told[id(change)]

    def _toss(self, change: Change | Renaming) -> bytes | None:
        if self._random.random() > self._share:
            return None
        whole = _kept_whole(change)
        zeros = isinstance(change, Change) and whole and self._random.random() < 0.2
        return bytes(len(whole)) if zeros and whole else whole


def torn(disk: Disk, seed: str) -> Keep | None:
    """The last write reached the disk up to a sector, all else by the toss of a coin: nothing, or everything.

    None when the last event was no write.
    """
    last = disk.last
    if last is None or not last.data:
        return None
    toss = random.Random(seed)
    begin = last.offset % SECTOR_BYTES
    sectors = (begin + len(last.data) - 1) // SECTOR_BYTES
    part = last.data[: max(0, toss.randint(0, sectors) * SECTOR_BYTES - begin)]
    rest = toss.choice((nothing, everything))
    return lambda change: part if change is last else rest(change)
