"""What lies in the storages of a pool, listed once, in few bytes a file: there may be millions of copies.

Nothing is changed while it is listed; what is found is worked on afterwards.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Final

from rubackup.chunkstore import astray, pack, seals
from rubackup.chunkstore.backends.base import Item
from rubackup.chunkstore.storage import Storage

_ID = re.compile(r"[0-9a-f]{32}")
_ID_BYTES: Final = 16
_BUCKETS: Final = 256
_ROW = struct.Struct(f"<{_ID_BYTES}sQ")


class Ids:
    """A set of ids of 16 bytes, which takes no more than these. Made for being filled first and asked then."""

    def __init__(self) -> None:
        self._buckets = [bytearray() for _ in range(_BUCKETS)]
        self._unsorted: set[int] = set()

    def add(self, name: bytes) -> None:
        """Add one; twice is fine."""
        self._buckets[name[0]] += name
        self._unsorted.add(name[0])

    def __contains__(self, name: bytes) -> bool:
        bucket = self._buckets[name[0]]
        if name[0] in self._unsorted:
            bucket[:] = b"".join(sorted(bucket[at : at + _ID_BYTES] for at in range(0, len(bucket), _ID_BYTES)))
            self._unsorted.discard(name[0])
        low, high = 0, len(bucket) // _ID_BYTES
        while low < high:
            middle = (low + high) // 2
            if bucket[middle * _ID_BYTES : (middle + 1) * _ID_BYTES] < name:
                low = middle + 1
            else:
                high = middle
        return bucket[low * _ID_BYTES : (low + 1) * _ID_BYTES] == name

    def __iter__(self) -> Iterator[bytes]:
        """Each as often as it was added, in no order; none may be added meanwhile."""
        for bucket in self._buckets:
            yield from (bytes(bucket[at : at + _ID_BYTES]) for at in range(0, len(bucket), _ID_BYTES))


class Sizes:
    """Ids with the lengths of their files, in the order in which they were added."""

    def __init__(self) -> None:
        self._rows = bytearray()

    def add(self, name: bytes, size_bytes: int) -> None:
        """Add one."""
        self._rows += _ROW.pack(name, size_bytes)

    def __iter__(self) -> Iterator[tuple[bytes, int]]:
        """None may be added meanwhile."""
        return _ROW.iter_unpack(self._rows)


class PackFiles:
    """The files among the packs of one storage, without those of hashes."""

    def __init__(self, storage: Storage, items: Iterator[Item], there: Ids) -> None:
        """The ids of packs go into `there`, but of those that are being erased."""
        self.storage = storage
        self._closed = Sizes()
        self._others: list[Item] = []
        for item in items:
            path = PurePosixPath(item.name)
            name = bytes.fromhex(path.stem) if _ID.fullmatch(path.stem) else b""
            if name and path.suffix != pack.GONE:
                there.add(name)
            if name and item.name == pack.closed_name(name):
                self._closed.add(name, item.size_bytes)
            else:
                self._others.append(item)

    def __iter__(self) -> Iterator[Item]:
        """Each file; closed packs come first."""
        for name, size_bytes in self._closed:
            yield Item(pack.closed_name(name), size_bytes)
        yield from self._others


class RecordFiles:
    """The files beside the packs of some storages."""

    def __init__(self) -> None:
        self.manifests: list[tuple[Storage, Sizes]] = []
        self.locks: list[tuple[Storage, Ids]] = []
        self.astray: list[tuple[Storage, Item]] = []
        self.tombstones = Ids()
        self.left: list[tuple[Storage, Item]] = []
        """What is no file of a sealed or dropped record: being received, being erased, or none of the pool's."""

    def list(self, storage: Storage) -> None:
        """Add the files of a storage."""
        manifests, locks = Sizes(), Ids()
        self.manifests.append((storage, manifests))
        self.locks.append((storage, locks))
        for item in storage.backend.list("manifests"):
            path = PurePosixPath(item.name)
            name = bytes.fromhex(path.stem) if _ID.fullmatch(path.stem) else b""
            if name and item.name == seals.manifest_name(path.stem):
                manifests.add(name, item.size_bytes)
            elif name and path.suffix == ".tombstone":
                self.tombstones.add(name)
            elif name and item.name == seals.lock_name(path.stem):
                locks.add(name)
            elif name and path.suffix == astray.SUFFIX:
                self.astray.append((storage, item))
            else:
                self.left.append((storage, item))
