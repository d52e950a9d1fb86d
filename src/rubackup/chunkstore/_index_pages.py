"""Whether the pages of an LMDB file are what its writer relies on.

LMDB believes what a page says of itself: the next write moves bytes by it, takes pages that are told to be free, and kills
the process, or spoils another page, when a bit of that is wrong, although every row could be read. So everything is
held against everything here: the numbers and kinds of pages, where their nodes lie, which keys belong below which branch,
the counts of each database, and the list of free pages.

Format: LMDB 0.9, version 1 of its files (`mdb.c`: MDB_page, MDB_node, MDB_db, MDB_meta), in the byte order of the host.
"""

from __future__ import annotations

import mmap
import operator
import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice, pairwise
from pathlib import Path
from typing import Final, NamedTuple

_MAGIC: Final = 0xBEEFC0DE
_VERSION: Final = 1
_NO_PAGE: Final = (1 << 64) - 1
_PAGE_SIZES: Final = frozenset(1 << bits for bits in range(9, 16))
_BRANCH, _LEAF, _OVERFLOW, _META = 1, 2, 4, 8
_BIG, _DATABASE = 1, 2
"""Flags of nodes: the value lies in pages of its own; it describes a database."""
_INTEGER_KEYS: Final = 8
_STEP: Final = -1 if sys.byteorder == "little" else 1
"""Bytes of an integer key read in these steps are in the order of the integers."""
_MOST_KEY: Final = 511
_MOST_UNWRITTEN: Final = 1 << 16
"""Pages that a transaction took and gave back are free without having been written: the file may end before them."""

_HEAD = struct.Struct("=QHHHH")
"""Number of the page, unused, kind, begin and end of the room that is free in it."""
_BIG_HEAD = struct.Struct("=QHHI")
"""The same of pages with one big value: how many pages there are."""
_NODE_BYTES: Final = 8
_NODE = struct.Struct("=HHHH")
"""Of a leaf: size of the value, low and high half, flags, size of the key; of a branch: a page's number, then the key's size."""
_NUMBER = struct.Struct("=Q")
_TREE = struct.Struct("=IHHQQQQQ")
_META_HEAD = struct.Struct("=IIQQ")
_META_TAIL = struct.Struct("=QQ")


class _Wrong(Exception):
    """What does not fit."""


class _Tree(NamedTuple):
    """MDB_db: what is told of a database."""

    pad: int
    flags: int
    depth: int
    branches: int
    leaves: int
    overflows: int
    entries: int
    root: int


class _Node(NamedTuple):
    """Where key and value begin in the file, size of the value, and flags; of a branch the page: low 32 bits, the others."""

    key: int
    value: int
    size: int
    bits: int


@dataclass
class _Counts:
    """What was found of a database."""

    branches: int = 0
    leaves: int = 0
    overflows: int = 0
    entries: int = 0


@dataclass(frozen=True)
class _Waiting:
    """A page that is still to be read: at which depth, and between which keys (the second is outside) its own lie."""

    page: int
    depth: int
    first: bytes
    behind: bytes | None


def check(file: Path) -> str:
    """What is wrong with the pages of an LMDB file that nobody writes to, or ''."""
    with file.open("rb") as opened:
        try:
            with mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as data:
                _File(data).check()
        except (_Wrong, ValueError, struct.error) as wrong:
            return str(wrong)
    return ""


class _File:
    """All pages of the newest state."""

    def __init__(self, data: mmap.mmap) -> None:
        self._data = data
        metas = [self._meta(0)]
        self._size = metas[0][0].pad
        if self._size not in _PAGE_SIZES:
            raise _Wrong(f"a size of pages of {self._size} bytes")
        metas.append(self._meta(self._size))
        self._free, self._main, self._last, self._now = max(metas, key=lambda meta: meta[3])
        if self._free.pad != self._size:
            raise _Wrong("the two first pages tell different sizes of pages")
        self._pages = len(data) // self._size
        if not 1 <= self._last < 2 * self._pages + _MOST_UNWRITTEN:
            raise _Wrong(f"the last page is {self._last}, and the file has {self._pages}")
        self._seen = bytearray(self._last + 1)
        self._seen[:2] = b"\1\1"

    def _meta(self, at: int) -> tuple[_Tree, _Tree, int, int]:
        _, _, kind, _, _ = _HEAD.unpack_from(self._data, at)
        magic, version, _, _ = _META_HEAD.unpack_from(self._data, at := at + _HEAD.size)
        if (kind, magic, version) != (_META, _MAGIC, _VERSION):
            raise _Wrong("a first page of another format")
        free, main = (
            _Tree(*_TREE.unpack_from(self._data, at + _META_HEAD.size + turn * _TREE.size)) for turn in (0, 1)
        )
        last, number = _META_TAIL.unpack_from(self._data, at + _META_HEAD.size + 2 * _TREE.size)
        return free, main, last, number

    def check(self) -> None:
        """Raise _Wrong at the first thing that does not fit."""
        trees = []
        for key, flags, value in self._check_tree("main", self._main):
            if flags != _DATABASE or len(value) != _TREE.size:
                raise _Wrong(f"the description of the database {key!r}")
            trees.append((key.decode(errors="replace"), _Tree(*_TREE.unpack(value))))
        if len(trees) != self._main.entries:
            raise _Wrong("a row beside the databases")
        for name, tree in trees:
            for key, flags, _ in self._check_tree(name, tree):
                if flags:
                    raise _Wrong(f"{name}: the flags {flags} of {key!r}")
        self._check_free()

    # --- one database ---

    def _check_tree(self, name: str, tree: _Tree, flags: int = 0) -> Iterator[tuple[bytes, int, bytes]]:
        """Check a tree while it is walked; key, flags and value of each row that is `big`, or a database."""
        found = _Counts()
        if tree.flags != flags:
            raise _Wrong(f"{name}: the flags {tree.flags}")
        waiting = [] if tree.root == _NO_PAGE else [_Waiting(tree.root, 1, b"", None)]
        if bool(waiting) != bool(tree.depth):
            raise _Wrong(f"{name}: a depth of {tree.depth}")
        while waiting:
            one = waiting.pop()
            kind, nodes = self._nodes(one.page)
            if (kind == _LEAF) != (one.depth == tree.depth):
                raise _Wrong(f"{name}: page {one.page} is at the depth {one.depth} of {tree.depth}")
            keys = [self._data[node.key : node.value] for node in nodes]
            ordered = [key[::_STEP] for key in keys] if flags else keys
            if kind == _BRANCH:
                found.branches += 1
                waiting += reversed([*self._below(one, nodes, ordered)])
                continue
            found.leaves += 1
            found.entries += len(nodes)
            self._check_keys(one, ordered)
            for key, node in zip(keys, nodes, strict=True):
                if node.bits or flags:
                    yield key, node.bits & ~_BIG, self._value(node, found)
        told = _Counts(tree.branches, tree.leaves, tree.overflows, tree.entries)
        if found != told:
            raise _Wrong(f"{name}: {found} instead of {told}")

    def _nodes(self, page: int) -> tuple[int, list[_Node]]:
        """Kind of a branch or leaf, and its nodes, which fill it from the end without a gap, in the order of their keys."""
        self._take(page)
        size, at = self._size, page * self._size
        number, _, kind, lower, upper = _HEAD.unpack_from(self._data, at)
        if number != page or kind not in {_BRANCH, _LEAF}:
            raise _Wrong(f"page {page} is one of the kind {kind} with the number {number}")
        if not _HEAD.size < lower <= upper <= size or lower % 2:
            raise _Wrong(f"page {page} is free from {lower} to {upper}")
        places = struct.unpack_from(f"={(lower - _HEAD.size) // 2}H", self._data, at + _HEAD.size)
        nodes, reached, unpack = {}, upper, _NODE.unpack_from
        for place in sorted(places):
            if place != reached or place + _NODE_BYTES > size:
                raise _Wrong(f"page {page} has a node at {place} instead of {reached}")
            low, high, bits, key = unpack(self._data, at + place)
            if key > _MOST_KEY:
                raise _Wrong(f"page {page} has a key of {key} bytes")
            value = low | high << 16
            reached += _NODE_BYTES + key
            nodes[place] = _Node(at + place + _NODE_BYTES, at + reached, value, bits)
            if kind == _LEAF:
                reached += _NUMBER.size if bits & _BIG else value
            reached += reached & 1
        if reached != size:
            raise _Wrong(f"the nodes of page {page} end at {reached}")
        return kind, [nodes[place] for place in places]

    def _take(self, page: int, pages: int = 1, *, free: bool = False) -> None:
        """Note what these pages are; _Wrong when they are used twice, or used and not there."""
        if not 2 <= page <= self._last + 1 - pages or (not free and page + pages > self._pages):
            raise _Wrong(f"there is no page {page}")
        if self._seen.count(0, page, page + pages) != pages:
            raise _Wrong(f"page {page} is used twice")
        self._seen[page : page + pages] = b"\1" * pages

    def _below(self, branch: _Waiting, nodes: list[_Node], keys: list[bytes]) -> Iterator[_Waiting]:
        # The first key of a branch stands for all that is before the second.
        self._check_keys(branch, keys[1:])
        begins, ends = [branch.first, *keys[1:]], [*keys[1:], branch.behind]
        for node, begin, end in zip(nodes, begins, ends, strict=True):
            yield _Waiting(node.size | node.bits << 32, branch.depth + 1, begin, end)

    @staticmethod
    def _check_keys(page: _Waiting, keys: list[bytes]) -> None:
        if not all(map(operator.lt, keys, islice(keys, 1, None))):
            raise _Wrong(f"the keys of page {page.page} do not ascend")
        if keys and (keys[0] < page.first or (page.behind is not None and keys[-1] >= page.behind)):
            raise _Wrong(f"page {page.page} has keys that do not belong there")

    def _value(self, node: _Node, found: _Counts) -> bytes:
        begin = node.value
        if node.bits & _BIG:
            page = _NUMBER.unpack_from(self._data, begin)[0]
            found.overflows += self._big(page, node.size)
            begin = page * self._size + _BIG_HEAD.size
        return self._data[begin : begin + node.size]

    def _big(self, page: int, size: int) -> int:
        """The number of pages of a big value."""
        self._take(page)
        number, _, kind, pages = _BIG_HEAD.unpack_from(self._data, page * self._size)
        needed = (_BIG_HEAD.size + size + self._size - 1) // self._size
        if (number, kind) != (page, _OVERFLOW) or pages < needed:
            raise _Wrong(f"page {page} begins no value of {size} bytes")
        if pages > 1:
            self._take(page + 1, pages - 1)
        return int(pages)

    # --- free pages ---

    def _check_free(self) -> None:
        lists = []
        for key, flags, value in self._check_tree("free pages", self._free, _INTEGER_KEYS):
            if flags or len(key) != _NUMBER.size or len(value) < _NUMBER.size or len(value) % _NUMBER.size:
                raise _Wrong("a list of free pages that is none")
            lists.append((_NUMBER.unpack(key)[0], value))
        if lists and lists[-1][0] > self._now:
            raise _Wrong(f"pages were freed by the transaction {lists[-1][0]}, and the last was {self._now}")
        for _, value in lists:
            count, *pages = struct.unpack(f"={len(value) // _NUMBER.size}Q", value)
            if count > len(pages):
                raise _Wrong(f"{count} free pages in a list of {len(pages)}")
            for page in pages[:count]:
                self._take(page, free=True)
            if any(one <= other for one, other in pairwise(pages[:count])):
                raise _Wrong("the free pages do not descend")
