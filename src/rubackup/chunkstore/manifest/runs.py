"""Runs: entries of one folder that follow one another, packed so that whole folders compare byte by byte.

Byte table: `docs/design/chunkstore.md`, Manifest. Everything in a run is counted from the run itself, so it
may stand anywhere.
"""

from __future__ import annotations

import stat
import struct
import sys
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from operator import attrgetter
from typing import Final, Literal, NamedTuple

import msgspec

from rubackup.chunkstore.identity import Buffer
from rubackup.chunkstore.manifest import format as fmt
from rubackup.chunkstore.manifest.format import Entry, EntryType
from rubackup.domain.errors import Corrupt, Invalid

HEAD: Final = struct.Struct("<IIIIIIqQQII")
STAT: Final = struct.Struct("<IIIIQQqqQ")
"""mode, uid, gid, links; inode, size, mtime, ctime, rdev."""
STAT_FIELDS: Final = attrgetter(
    "st_mode", "st_uid", "st_gid", "st_nlink", "st_ino", "st_size", "st_mtime_ns", "st_ctime_ns", "st_rdev"
)
"""Of an os.stat_result, in the order of STAT."""
COUNT_BYTES: Final = 4
_WORDS: Final = STAT.size // 4
_LONGS: Final = STAT.size // 8

TYPES: Final = {
    stat.S_IFREG: EntryType.FILE,
    stat.S_IFDIR: EntryType.FOLDER,
    stat.S_IFLNK: EntryType.SYMLINK,
    stat.S_IFIFO: EntryType.FIFO,
    stat.S_IFSOCK: EntryType.SOCKET,
    stat.S_IFCHR: EntryType.CHAR,
    stat.S_IFBLK: EntryType.BLOCK,
}
_FORMATS: Final = {kind: mode for mode, kind in TYPES.items()}
_KINDS: Final = {mode >> 12: int(kind) for mode, kind in TYPES.items()}
_FOLDER: Final = stat.S_IFDIR >> 12
_FILE: Final = stat.S_IFREG >> 12
NO_TIME: Final = -(2**63)
"""The newest time of a run without entries."""


class Extras(msgspec.Struct, array_like=True):
    """What few entries have, by their position in the run, and the names of owners."""

    users: dict[int, str] = {}
    groups: dict[int, str] = {}
    targets: dict[int, bytes] = {}
    xattrs: dict[int, list[tuple[bytes, bytes]]] = {}
    hardlinks: dict[int, bytes] = {}
    devices: dict[int, int] = {}
    """Of entries that lie on another device than the run says."""

    def encode(self) -> bytes:
        """As it is stored: ascending, and nothing when there is nothing."""
        maps = (self.users, self.groups, self.targets, self.xattrs, self.hardlinks, self.devices)
        return fmt.encoder.encode([dict(sorted(m.items())) for m in maps]) if any(maps) else b""

    def shifted(self, by: int) -> Extras:
        """For entries that stand so many positions later."""
        return Extras(
            self.users,
            self.groups,
            {at + by: value for at, value in self.targets.items()},
            {at + by: pairs for at, pairs in self.xattrs.items()},
            {at + by: value for at, value in self.hardlinks.items()},
            {at + by: device for at, device in self.devices.items()},
        )

    def part(self, begin: int, end: int) -> Extras:
        """Of the entries at positions `begin` to `end`, counted from `begin`."""
        return Extras(
            self.users,
            self.groups,
            {at - begin: value for at, value in self.targets.items() if begin <= at < end},
            {at - begin: pairs for at, pairs in self.xattrs.items() if begin <= at < end},
            {at - begin: value for at, value in self.hardlinks.items() if begin <= at < end},
            {at - begin: device for at, device in self.devices.items() if begin <= at < end},
        )

    def sizes(self) -> dict[int, int]:
        """About how many bytes each entry takes here."""
        found: dict[int, int] = {}
        for at, value in (*self.targets.items(), *self.hardlinks.items()):
            found[at] = found.get(at, 0) + len(value) + 8
        for at, pairs in self.xattrs.items():
            found[at] = found.get(at, 0) + sum(len(name) + len(value) + 10 for name, value in pairs)
        return found


_extras = msgspec.msgpack.Decoder(Extras)


class RunView:
    """A run where it stands in the raw content of an E frame."""

    __slots__ = (
        "count", "counts", "device", "extras_raw", "files", "first", "first_row", "names_raw", "newest_ns", "path",
        "raw", "rows", "size", "stats",
    )  # fmt: skip
    path: bytes
    first: int
    """Number of its first entry in the folder."""
    count: int
    rows: int
    newest_ns: int
    """Latest mtime or ctime."""
    device: int
    size: int
    """Sum of the sizes of its regular files that are no further names of one."""
    files: int
    """Entries that are no folders."""
    stats: memoryview
    counts: memoryview
    names_raw: bytes
    extras_raw: bytes
    raw: memoryview
    """All of it, as it is stored."""
    first_row: int
    """Number of its first row in the whole chunk table, where a reader gave it; else in its segment."""

    def names(self) -> list[bytes]:
        """The names, ascending."""
        return self.names_raw.split(b"\0") if self.count else []

    def folders(self) -> list[bytes]:
        """The names of those of its entries that are folders."""
        modes, names = words(self.stats)[0::_WORDS], self.names()
        return [name for name, mode in zip(names, modes, strict=False) if mode >> 12 == _FOLDER]

    def extras(self) -> Extras:
        """Decoded; Corrupt when they are damaged."""
        if not self.extras_raw:
            return Extras()
        return fmt.decode(_extras, self.extras_raw, 0)

    def row_counts(self) -> Sequence[int]:
        """Rows of each entry."""
        return words(self.counts)

    def starts(self) -> list[int]:
        """Number of the first row of each entry, as `first_row` counts."""
        return list(accumulate(self.row_counts(), initial=self.first_row))

    def pick(self, positions: Sequence[int]) -> list[Entry]:
        """Its entries at these positions; Corrupt where it does not have one."""
        if not positions:
            return []
        extras, names, starts, counts = self.extras(), self.names(), self.starts(), self.row_counts()
        found: list[Entry] = []
        if min(positions) < 0:
            raise Corrupt("A run of the manifest is damaged.")
        try:
            for at in positions:
                mode, uid, gid, links, inode, size, mtime, ctime, rdev = STAT.unpack_from(self.stats, at * STAT.size)
                kind = _KINDS[mode >> 12]
                found.append(
                    Entry(
                        names[at], kind, mode & 0o7777, uid, gid, extras.users.get(uid, ""), extras.groups.get(gid, ""),
                        0 if kind else size, mtime, ctime, inode, extras.devices.get(at, self.device), links, rdev,
                        extras.targets.get(at, b""), extras.xattrs.get(at, []), extras.hardlinks.get(at, b""),
                        starts[at], counts[at],
                    )
                )  # fmt: skip
        except (KeyError, IndexError, struct.error) as error:
            raise Corrupt("A run of the manifest is damaged.") from error
        return found

    def entries(self, begin: int = 0, end: int | None = None) -> list[Entry]:
        """Its entries at positions `begin` to `end`; rows are numbered as `first_row` counts."""
        extras = self.extras()
        users, groups, device = extras.users.get, extras.groups.get, self.device
        stop = self.count if end is None else min(end, self.count)
        counts = self.row_counts()
        at = self.first_row + sum(counts[:begin])
        found: list[Entry] = []
        add, kinds = found.append, _KINDS
        try:
            for name, (mode, uid, gid, links, inode, size, mtime, ctime, rdev), rows in zip(
                self.names()[begin:stop],
                STAT.iter_unpack(self.stats[begin * STAT.size : stop * STAT.size]),
                counts[begin:stop],
                strict=True,
            ):
                kind = kinds[mode >> 12]
                add(
                    Entry(
                        name, kind, mode & 0o7777, uid, gid, users(uid, ""), groups(gid, ""), 0 if kind else size,
                        mtime, ctime, inode, device, links, rdev, b"", [], b"", at, rows,
                    )
                )  # fmt: skip
                at += rows
            for position, target in extras.targets.items():
                if begin <= position < stop:
                    found[position - begin].target = target
            for position, pairs in extras.xattrs.items():
                if begin <= position < stop:
                    found[position - begin].xattrs = pairs
            for position, path in extras.hardlinks.items():
                if begin <= position < stop:
                    found[position - begin].hardlink = path
            for position, other in extras.devices.items():
                if begin <= position < stop:
                    found[position - begin].device = other
        except (KeyError, ValueError) as error:
            raise Corrupt("A run of the manifest is damaged.") from error
        return found


def words(view: Buffer) -> Sequence[int]:
    """Little-endian numbers of 32 bits."""
    return _numbers("I", view)


def _numbers(code: Literal["I", "Q", "q"], view: Buffer) -> Sequence[int]:
    if sys.byteorder == "little":
        return memoryview(view).cast(code)
    found = array(code, bytes(view))
    found.byteswap()
    return found


class Columns(NamedTuple):
    """Fields of stat records, each of all records."""

    modes: Sequence[int]
    """st_mode."""
    links: Sequence[int]
    uids: Sequence[int]
    gids: Sequence[int]
    sizes: Sequence[int]
    mtimes_ns: Sequence[int]


def columns(stats: Buffer) -> Columns:
    """What a restore needs of stat records, without an object for each."""
    numbers = words(stats)
    return Columns(
        numbers[0::_WORDS],
        numbers[3::_WORDS],
        numbers[1::_WORDS],
        numbers[2::_WORDS],
        _numbers("Q", stats)[3::_LONGS],
        _numbers("q", stats)[4::_LONGS],
    )


def modes_and_links(stats: Buffer) -> tuple[Sequence[int], Sequence[int]]:
    """st_mode and st_nlink of each stat record."""
    numbers = words(stats)
    return numbers[0::_WORDS], numbers[3::_WORDS]


def owners(stats: Buffer) -> tuple[set[int], set[int]]:
    """Users and groups of stat records."""
    numbers = words(stats)
    return set(numbers[1::_WORDS]), set(numbers[2::_WORDS])


def sums(stats: Buffer, hardlinks: dict[int, bytes]) -> tuple[int, int, int]:
    """Files, sum of the sizes of regular files, and newest time of stat records; further names have no size."""
    longs, times = _numbers("Q", stats), _numbers("q", stats)
    modes = words(stats)[0::_WORDS]
    sizes = longs[3::_LONGS]
    kinds = [mode >> 12 for mode in modes]
    size = sum([size for kind, size in zip(kinds, sizes, strict=True) if kind == _FILE])
    size -= sum(sizes[at] for at in hardlinks if kinds[at] == _FILE)
    newest = max(max(times[4::_LONGS], default=NO_TIME), max(times[5::_LONGS], default=NO_TIME))
    return len(kinds) - kinds.count(_FOLDER), size, newest


def parse_runs(raw: Buffer, first_row: int = 0) -> Iterator[RunView]:
    """The runs of an E frame; Corrupt where lengths do not fit. Contents are not looked at."""
    data = bytes(raw)
    view = memoryview(data)
    at, end = 0, len(data)
    while at < end:
        begin = at
        if at + HEAD.size > end:
            raise Corrupt("A run of the manifest is cut off.")
        path, first, count, names, extras, rows, newest, device, size, files, zero = HEAD.unpack_from(data, at)
        path_at = at + HEAD.size
        stats_at = path_at + path
        counts_at = stats_at + count * STAT.size
        names_at = counts_at + count * COUNT_BYTES
        extras_at = names_at + names
        at = extras_at + extras
        if at > end or zero:
            raise Corrupt("A run of the manifest is cut off.")
        run = RunView()
        run.path, run.first, run.count, run.rows = data[path_at:stats_at], first, count, rows
        run.newest_ns, run.device, run.size, run.files = newest, device, size, files
        run.stats, run.counts = view[stats_at:counts_at], view[counts_at:names_at]
        run.names_raw, run.extras_raw = data[names_at:extras_at], data[extras_at:at]
        run.raw, run.first_row = view[begin:at], first_row
        first_row += rows
        yield run


def check_run(run: RunView) -> None:
    """Invalid unless what the run says of its entries is possible, and its sums are right."""
    names = run.names()
    if run.count != len(names) or (not run.count and run.names_raw):
        raise Invalid("A run of the manifest has another number of names than of entries.")
    if any(map(_not_below, names, names[1:])):
        raise Invalid("Entries of the manifest do not ascend by name.")
    check_names(names)
    longs = _numbers("Q", run.stats)
    modes = words(run.stats)[0::_WORDS]
    kinds = {mode >> 12 for mode in set(modes)}
    if not kinds <= _KINDS.keys() or max(longs[3::_LONGS], default=0) >= 2**63:
        raise Invalid("An entry of the manifest has an impossible value.")
    counts = run.row_counts()
    if sum(counts) != run.rows:
        raise Invalid("Rows of the manifest are counted wrongly.")
    if kinds != {_FILE} and any(n and mode >> 12 != _FILE for n, mode in zip(counts, modes, strict=True)):
        raise Invalid("An entry of the manifest has an impossible value.")
    extras = run.extras()
    hard = extras.hardlinks
    for places in (extras.targets, extras.xattrs, hard, extras.devices):
        if places and not 0 <= min(places) <= max(places) < run.count:
            raise Invalid("A run of the manifest says something of an entry that it does not have.")
    for path in hard.values():
        fmt.check_path(path)
    if any(not 0 <= device < 2**64 for device in extras.devices.values()):
        raise Invalid("An entry of the manifest has an impossible value.")
    if (run.files, run.size, run.newest_ns) != sums(run.stats, hard) or run.size >= 2**63:
        raise Invalid("The sums of a run of the manifest are wrong.")


def _not_below(first: bytes, second: bytes) -> bool:
    return first >= second


def check_names(names: Sequence[bytes]) -> None:
    """Invalid unless each of these can be the name of an entry."""
    joined = b"\0".join(names)
    if b"/" in joined or joined.count(b"\0") != max(0, len(names) - 1):
        raise Invalid("A manifest holds a name that no file can have.")
    if names and (b"." in names or b".." in names or not all(names) or max(map(len, names)) > fmt.MAX_NAME_BYTES):
        raise Invalid("A manifest holds a name that no file can have.")


@dataclass
class Piece:
    """Entries of one folder that follow one another, on their way into a manifest."""

    names: list[bytes]
    stats: bytes
    counts: list[int]
    """Rows of each."""
    device: int
    extras: Extras = field(default_factory=Extras)

    @classmethod
    def of(cls, entries: Sequence[Entry]) -> Piece:
        """The same as entries; Invalid when one has a value that cannot be stored."""
        device = entries[0].device if entries else 0
        extras = Extras({}, {}, {}, {}, {}, {})
        packed: list[bytes] = []
        for at, entry in enumerate(entries):
            if entry.user:
                extras.users[entry.uid] = entry.user
            if entry.group:
                extras.groups[entry.gid] = entry.group
            if entry.target:
                extras.targets[at] = entry.target
            if entry.xattrs:
                extras.xattrs[at] = entry.xattrs
            if entry.hardlink:
                extras.hardlinks[at] = entry.hardlink
            if entry.device != device:
                extras.devices[at] = entry.device
            packed.append(_pack_entry(entry))
        return cls([entry.name for entry in entries], b"".join(packed), [e.rows for e in entries], device, extras)

    def cut(self, begin: int, end: int) -> Piece:
        """A part of it."""
        return Piece(
            self.names[begin:end],
            self.stats[begin * STAT.size : end * STAT.size],
            self.counts[begin:end],
            self.device,
            self.extras.part(begin, end),
        )


def _pack_entry(entry: Entry) -> bytes:
    try:
        return STAT.pack(
            _FORMATS[EntryType(entry.type)] | entry.mode, entry.uid, entry.gid, entry.links, entry.inode, entry.size,
            entry.mtime_ns, entry.ctime_ns, entry.rdev,
        )  # fmt: skip
    except (struct.error, ValueError) as error:
        raise Invalid("An entry of a manifest has an impossible value.") from error


def encode_run(path: bytes, first: int, pieces: Sequence[Piece | RunView]) -> bytes:
    """The run that these parts of a folder make together, as it is stored."""
    if len(pieces) == 1 and isinstance(pieces[0], RunView) and (pieces[0].path, pieces[0].first) == (path, first):
        return bytes(pieces[0].raw)
    device = next((piece.device for piece in pieces if piece.stats), 0)
    stats = b"".join([piece.stats for piece in pieces])
    counts: list[bytes] = []
    names: list[bytes] = []
    for piece in pieces:
        if isinstance(piece, RunView):
            counts.append(bytes(piece.counts))
            if piece.count:
                names.append(piece.names_raw)
        else:
            counts.append(struct.pack(f"<{len(piece.counts)}I", *piece.counts))
            names += piece.names
    only = pieces[0] if len(pieces) == 1 else None
    if isinstance(only, RunView):
        raw_extras, files, size, newest, rows = only.extras_raw, only.files, only.size, only.newest_ns, only.rows
    else:
        extras = _joined(pieces, device)
        raw_extras = extras.encode()
        files, size, newest = sums(stats, extras.hardlinks)
        rows = sum(piece.rows if isinstance(piece, RunView) else sum(piece.counts) for piece in pieces)
    joined = b"\0".join(names)
    count = len(stats) // STAT.size
    head = HEAD.pack(len(path), first, count, len(joined), len(raw_extras), rows, newest, device, size, files, 0)
    return b"".join((head, path, stats, *counts, joined, raw_extras))


def _joined(pieces: Sequence[Piece | RunView], device: int) -> Extras:
    """The extras of all pieces together."""
    found = Extras({}, {}, {}, {}, {}, {})
    at = 0
    for piece in pieces:
        count = len(piece.stats) // STAT.size
        extras = (piece.extras() if isinstance(piece, RunView) else piece.extras).shifted(at)
        if piece.device != device:
            extras.devices = {**dict.fromkeys(range(at, at + count), piece.device), **extras.devices}
            extras.devices = {place: other for place, other in extras.devices.items() if other != device}
        found.users.update(extras.users)
        found.groups.update(extras.groups)
        found.targets.update(extras.targets)
        found.xattrs.update(extras.xattrs)
        found.hardlinks.update(extras.hardlinks)
        found.devices.update(extras.devices)
        at += count
    return found
