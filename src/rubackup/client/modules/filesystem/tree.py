"""Copies the folders of a resource one by one: what stands as in the parent is taken over whole, the rest by entry.

A folder is compared by runs of the parent's manifest: names and stat records of all entries at once, as bytes.
"""

from __future__ import annotations

import os
import stat
import struct
from bisect import bisect_left
from collections.abc import Callable, Sequence
from functools import partial
from operator import attrgetter
from pathlib import Path

from rubackup.chunkstore.manifest.runs import STAT, STAT_FIELDS, Extras, Piece, RunView, modes_and_links, owners
from rubackup.client.modules.filesystem import listing, stretches
from rubackup.client.modules.filesystem.copier import NOT_WHOLE, Copier
from rubackup.client.modules.filesystem.early import EarlyReader, Take
from rubackup.client.modules.filesystem.folders import Folders, Pending, open_following
from rubackup.client.modules.filesystem.metadata import owner_names
from rubackup.client.modules.filesystem.mounts import Mounts
from rubackup.client.modules.filesystem.parent import Spot
from rubackup.client.modules.filesystem.paths import join, split
from rubackup.client.modules.filesystem.pieces import PieceBuilder
from rubackup.client.modules.filesystem.protected import WHY, Protected
from rubackup.client.modules.filesystem.report import Report
from rubackup.client.modules.filesystem.source import Source
from rubackup.client.modules.filesystem.stretches import Stretch
from rubackup.client.modules.filesystem.takeover import Output
from rubackup.domain.errors import Corrupt
from rubackup.domain.filenames import printable

ENTRIES_HELD = 1000
"""Entries of one folder held back before they go to the manifest."""
ENTRIES_A_TICK = 16
NO_OWNERS: tuple[dict[int, str], dict[int, str]] = ({}, {})
EMPTY = Piece([], b"", [], 0)
_FOLDER = stat.S_IFDIR >> 12
_DEVICE = attrgetter("st_dev")


class TreeCopier:
    """The folders of one backup, in the order of the manifest."""

    def __init__(
        self,
        *,
        source: Source,
        tree: Folders,
        protected: Protected,
        private: tuple[int, int] | None,
        numeric_owner: bool,
        copier: Copier,
        output: Output,
        report: Report,
        early: EarlyReader,
    ) -> None:
        """`private` is device and inode of the folder where snapshots are mounted."""
        self._source, self._tree, self._protected, self._private = source, tree, protected, private
        self._numeric_owner = numeric_owner
        self._copier, self._output, self._report = copier, output, report
        self._early = early
        self._mounts = Mounts()
        self._grafted = {split(path)[0] for path in source.grafts}
        output.again = self._again
        self._written = False

    def builder(self, path: bytes, device: int) -> PieceBuilder:
        """For entries of a folder on this device."""
        return PieceBuilder(self._output, path, device, numeric_owner=self._numeric_owner)

    def copy(self, resource: bytes) -> None:
        """Copy a folder and all below it."""
        pending = Pending()
        path: bytes | None = resource
        while path is not None:
            pending.push(path, self._folder(path))
            path = pending.pop()
        self._output.release()

    def enter(self, path: bytes) -> None:
        """The entries that follow are of this folder."""
        if self._copier.parent is not None:
            try:
                self._copier.parent.enter(path)
            except Corrupt as error:
                self._copier.orphan(error)

    # --- folders ---

    def _folder(self, path: bytes) -> list[bytes]:
        """Copy the entries of a folder; the names of the folders to go into."""
        self._report.tick()
        self.enter(path)
        self._written = False
        folders: list[bytes] = []
        try:
            fd = self._tree.open(path)
            device = os.fstat(fd).st_dev
            names = listing.list_names(fd)
            self._entries(fd, path, device, names, folders)
        except OSError as error:
            self._copier.lost(path, error)
        if not self._written:
            self._output.add_piece(path, EMPTY)
        return folders

    def _entries(self, fd: int, path: bytes, device: int, names: list[bytes], folders: list[bytes]) -> None:
        at = 0
        while at < len(names) or not self._written:
            parent = self._copier.parent
            spot = parent.spot if parent else None
            if parent is None or spot is None:
                end = min(at + ENTRIES_HELD, len(names))
                self._some(fd, path, device, names[at:end], folders)
            else:
                bound = parent.bound
                end = len(names) if bound is None else bisect_left(names, bound, at)
                self._beside(fd, path, device, names[at:end], spot, folders)
                if bound is not None and self._copier.parent is parent:
                    self._next(parent.leave)
            at = end
            if at == len(names):
                return
            self._report.tick()

    def _next(self, leave: Callable[[], None]) -> None:
        try:
            leave()
        except Corrupt as error:
            self._copier.orphan(error)

    def _beside(self, fd: int, path: bytes, device: int, names: list[bytes], spot: Spot, folders: list[bytes]) -> None:
        """Entries that a run of the parent is of, if they were there."""
        stats: list[os.stat_result] = []
        if path not in self._grafted:
            try:
                stats = list(map(_look(fd), names))
                same = len(names) == spot.run.count and b"\0".join(names) == spot.run.names_raw
                if same and self._take(path, device, names, stats, spot, folders):
                    return
            except OSError:
                stats = []  # told below, entry by entry
            except Corrupt as error:
                self._copier.orphan(error)
        for begin in range(0, len(names), ENTRIES_HELD):
            end = begin + ENTRIES_HELD
            self._some(fd, path, device, names[begin:end], folders, stats[begin:end])

    # --- taken over whole ---

    def _take(
        self,
        path: bytes,
        device: int,
        names: list[bytes],
        stats: list[os.stat_result],
        spot: Spot,
        folders: list[bytes],
    ) -> bool:
        """Take a run over if all of its entries are as they were; False when they have to be looked at one by one."""
        run, parent = spot.run, self._copier.parent
        if parent is None or not parent.is_old(run):
            return False
        try:
            packed = b"".join([STAT.pack(*STAT_FIELDS(st)) for st in stats])
        except struct.error:
            return False
        if packed != run.stats.tobytes():
            return False
        below = _folders(packed)
        if below is None or any(self._protected.holds(stats[at]) for at in below):
            return False
        extras = run.extras()
        wanted = NO_OWNERS if self._numeric_owner else owner_names(*map(frozenset, owners(packed)))
        if (extras.users, extras.groups) != wanted:
            return False
        pairs = _device_pairs(run, extras, stats)
        if not parent.same_devices(pairs):
            return False
        self._report.files += run.files
        self._report.folders += run.count - run.files
        self._report.bytes_done += run.size
        folders += [names[at] for at in below if self._enters(device, stats[at], join(path, names[at]))]
        if all(before == now for before, now in pairs):
            self._output.take(spot)
        else:
            self._renumbered(path, device, names, packed, stats, spot, extras)
        self._written = True
        return True

    def _renumbered(
        self, path: bytes, device: int, names: list[bytes], packed: bytes, stats: list[os.stat_result], spot: Spot,
        extras: Extras,
    ) -> None:  # fmt: skip
        """As taken over, but with the device numbers of today: a copy must not hold both."""
        extras.devices = {at: st.st_dev for at, st in enumerate(stats) if st.st_dev != device}
        parent = self._copier.parent
        try:
            if parent is not None and parent.is_whole(spot.run):
                for rows in parent.raw_rows(spot.run):
                    self._output.add_rows(rows)
                piece = Piece(names, packed, list(spot.run.row_counts()), device, extras)
                self._output.add_piece(path, piece)
                return
            self._again(spot, None)
        except Corrupt as error:
            self._again(spot, error)

    def _again(self, spot: Spot, why: Corrupt | None) -> None:
        """The rows of a run that was taken over cannot be had: its entries are copied anew."""
        run, parent = spot.run, self._copier.parent
        self._report.files -= run.files
        self._report.folders -= run.count - run.files
        self._report.bytes_done -= run.size
        if why is not None:
            self._copier.orphan(why)
            parent = None
        else:
            self._report.warn(run.path, NOT_WHOLE)
        written, self._written = self._written, False
        self._copier.parent = None  # it is at another folder
        tree = None
        try:
            tree = self._source.open()  # another one: opening folders in `_tree` may close the one that is being read
            fd = tree.open(run.path)
            self._some(fd, run.path, os.fstat(fd).st_dev, run.names(), [])
        except OSError as error:
            self._copier.lost(run.path, error)
        finally:
            if tree is not None:
                tree.close()
        if not self._written:
            self._output.add_piece(run.path, EMPTY)
        self._copier.parent, self._written = parent, written

    # --- entry by entry ---

    def _some(
        self,
        fd: int,
        path: bytes,
        device: int,
        names: Sequence[bytes],
        folders: list[bytes],
        stats: Sequence[os.stat_result | OSError] = (),
    ) -> None:
        if self._early.streams(device) == 1:
            self._one_by_one(fd, path, device, names, folders, stats, _none)
            return
        stats = stats or list(map(_look_or_error(fd), names))
        with self._early.reading(fd, device, names, stats, self._copier.parent_has) as early:
            self._one_by_one(fd, path, device, names, folders, stats, early)

    def _one_by_one(
        self, fd: int, path: bytes, device: int, names: Sequence[bytes], folders: list[bytes],
        stats: Sequence[os.stat_result | OSError], early: Take,
    ) -> None:  # fmt: skip
        builder = self.builder(path, device)
        look, grafted = _look(fd), path in self._grafted
        copy, tick = self._copier.copy, self._report.tick
        known = [st for st in stats if not isinstance(st, OSError)]
        same = self._same(path, names, known, device) if known and len(known) == len(names) else {}
        skip = 0
        for at, name in enumerate(names):
            if not at % ENTRIES_A_TICK:
                tick()
            if at < skip:
                continue
            if at in same and self._side_by_side(names[at : at + same[at].entries], same[at], builder):
                skip = at + same[at].entries
                continue
            try:
                st = _told(stats[at]) if stats else look(name)
            except OSError as error:
                self._copier.lost(join(path, name), error)
                continue
            if stat.S_ISDIR(st.st_mode):
                self._sub_folder(fd, path, device, name, st, builder, folders, grafted=grafted)
            else:
                copy(fd, path, name, st, builder, early(name))
        builder.flush()
        self._written |= builder.wrote

    def _same(
        self, path: bytes, names: Sequence[bytes], stats: Sequence[os.stat_result], device: int
    ) -> dict[int, Stretch]:
        """What of these entries can be taken over side by side."""
        parent = self._copier.parent
        if parent is None or parent.spot is None or parent.spot.run.path != path:
            return {}
        try:
            return stretches.find(parent, names, stats, device)
        except Corrupt as error:
            self._copier.orphan(error)
            return {}

    def _side_by_side(self, names: Sequence[bytes], stretch: Stretch, builder: PieceBuilder) -> bool:
        """Take a stretch over; False when its entries have to be looked at one by one."""
        parent = self._copier.parent
        if parent is None:
            return False
        try:
            if not stretches.take(parent, names, stretch, builder):
                return False
        except Corrupt as error:
            self._copier.orphan(error)
            return False
        self._report.files += stretch.entries
        self._report.bytes_done += stretch.size
        return True

    def _sub_folder(
        self, fd: int, path: bytes, device: int, name: bytes, st: os.stat_result, builder: PieceBuilder,
        folders: list[bytes], *, grafted: bool,
    ) -> None:  # fmt: skip
        """The entry of a folder; of one that is read elsewhere the one that stands there."""
        whole = join(path, name)
        graft = self._source.grafts.get(whole) if grafted else None
        if self._protected.holds(Path(os.fsdecode(graft)).stat() if graft else st):
            self._report.warn(whole, f"is not copied: {WHY}")
            return
        if graft is None:
            made = self._copier.copy(fd, path, name, st, builder)
        else:
            above = open_following(split(graft)[0])
            try:
                there = os.stat(name, dir_fd=above, follow_symlinks=False)
                made = self._copier.copy(above, path, name, there, builder)
            finally:
                os.close(above)
        if made and self._enters(device, st, whole):
            folders.append(name)

    def _enters(self, device: int, st: os.stat_result, path: bytes) -> bool:
        if (st.st_dev, st.st_ino) == self._private:
            self._report.info(f"{printable(path)}: snapshots are mounted here while they are read; it is not entered.")
            return False
        kind = listing.not_entered(self._mounts, device, st)
        if kind:
            self._report.info(f"{printable(path)}: a file system of type {kind} is mounted here; it is not entered.")
        return not kind


def _look(fd: int) -> Callable[[bytes], os.stat_result]:
    """What lstat says of names in a folder."""
    return partial(os.stat, dir_fd=fd, follow_symlinks=False)


def _look_or_error(fd: int) -> Callable[[bytes], os.stat_result | OSError]:
    look = _look(fd)

    def found(name: bytes) -> os.stat_result | OSError:
        try:
            return look(name)
        except OSError as error:
            return error

    return found


def _told(st: os.stat_result | OSError) -> os.stat_result:
    if isinstance(st, OSError):
        raise st
    return st


def _none(_name: bytes) -> None:
    """Nothing was read early."""


def _folders(packed: bytes) -> list[int] | None:
    """Positions of folders; None when a file has several names: which is the first may have changed."""
    found: list[int] = []
    for at, (mode, links) in enumerate(zip(*modes_and_links(packed), strict=True)):
        if mode >> 12 == _FOLDER:
            found.append(at)
        elif links > 1:
            return None
    return found


def _device_pairs(run: RunView, extras: Extras, stats: Sequence[os.stat_result]) -> set[tuple[int, int]]:
    """Device numbers of entries, before and now."""
    now = list(map(_DEVICE, stats))
    if not extras.devices:
        return {(run.device, device) for device in set(now)}
    before = [run.device] * len(now)
    for at, device in extras.devices.items():
        before[at] = device
    return set(zip(before, now, strict=True))
