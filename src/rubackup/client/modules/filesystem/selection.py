"""Which entries of a copy a restore takes, and the shortest way to them through the manifest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import Enum

from rubackup.chunkstore.manifest import Entry, EntryType, ManifestReader
from rubackup.chunkstore.manifest.runs import RunView
from rubackup.client.modules.filesystem.paths import (
    ROOT,
    absolute,
    ancestors,
    is_safe_folder,
    is_within,
    join,
    order,
    split,
)
from rubackup.domain import filenames

DIRECT = 256
"""Up to so many chosen paths are looked up in the manifest's index; for more it is read through."""

Block = tuple[bytes, "RunView | Sequence[Entry]"]
"""A folder, and some of its entries: those of a run, or a few that were looked up."""


class Place(Enum):
    """Where a path stands to what was chosen."""

    INSIDE = "chosen, or below what was chosen"
    ABOVE = "on the way to what was chosen"
    OUTSIDE = "neither"


class Selection:
    """The chosen paths; without any the resource itself, which is everything."""

    def __init__(self, resource: bytes, chosen: Sequence[bytes]) -> None:
        self.resource = resource
        # A folder above the resource stands for the resource: nothing else of it is in the copy.
        self.roots = {resource if is_within(resource, path) else path for path in chosen} or {resource}
        self._above = {folder for root in self.roots for folder in ancestors(root)}
        self._last = max(self.roots, key=order)
        self.missing = set(self.roots) - {ROOT}

    def folder(self, path: bytes) -> Place:
        """Where a folder stands."""
        if any(root == path or is_within(path, root) for root in self._candidates(path)):
            return Place.INSIDE
        return Place.ABOVE if path in self._above else Place.OUTSIDE

    def entry(self, place: Place, path: bytes) -> Place:
        """Where an entry of a folder at `place` stands; a chosen one counts as found."""
        if path in self.roots:
            self.missing.discard(path)
            return Place.INSIDE
        if place is Place.INSIDE:
            return place
        return Place.ABOVE if path in self._above else Place.OUTSIDE

    def is_past(self, folder: bytes) -> bool:
        """Whether nothing that was chosen can follow in the order of the manifest."""
        return order(folder) > order(self._last) and not is_within(folder, self._last)

    def _candidates(self, path: bytes) -> Iterator[bytes]:
        while path != ROOT:
            if path in self.roots:
                yield path
            path, _ = split(path)
        if ROOT in self.roots:
            yield ROOT


def choose(paths: Sequence[str], reader: ManifestReader) -> list[bytes]:
    """The paths of an order as bytes; Invalid when one is not absolute.

    Each is what is shown so, if the copy has that, else the name as it stands.
    """
    chosen = []
    for text in paths:
        if text:
            path = absolute(text, "data.granular_restore_files")
            others = [one for one in filenames.meant(path)[:-1] if is_safe_folder(one)]
            chosen.append(next((one for one in others if reader.find(one) is not None), path))
    return chosen


def blocks(reader: ManifestReader, selection: Selection) -> Iterator[Block]:
    """The folders of the manifest in which something was chosen, in its order."""
    direct = _direct(reader, selection) if len(selection.roots) <= DIRECT else None
    if direct is not None:
        yield from direct
        return
    for _, _, runs in reader.runs():
        for run in runs:
            if selection.folder(run.path) is not Place.OUTSIDE:
                yield run.path, run
            elif selection.is_past(run.path):
                return


def _direct(reader: ManifestReader, selection: Selection) -> Iterator[Block] | None:
    """The same, looked up by the manifest's index; None when all of the copy was chosen."""
    found: dict[bytes, dict[bytes, Entry]] = {}
    trees: set[bytes] = set()
    for root in selection.roots:
        if root in {ROOT, selection.resource}:
            return None
        entry = reader.find(root)
        if entry is None:
            continue
        if entry.type == EntryType.FOLDER:
            trees.add(root)
        for path in (*ancestors(root)[1:], root):
            folder, name = split(path)
            if name in found.setdefault(folder, {}):
                continue
            part = entry if path == root else reader.find(path)
            if part is not None:
                found[folder][name] = part
    return _ordered(reader, found, trees)


def _ordered(reader: ManifestReader, found: dict[bytes, dict[bytes, Entry]], trees: set[bytes]) -> Iterator[Block]:
    """Single entries by folder, and whole trees, in the manifest's order; a tree takes what lies in it with it."""
    inside = b""
    for folder in sorted(found.keys() | trees, key=order):
        if inside and is_within(folder, inside):
            continue
        if folder in trees:
            inside = folder
            yield from _tree(reader, folder)
        else:
            yield folder, [found[folder][name] for name in sorted(found[folder])]


def _tree(reader: ManifestReader, root: bytes) -> Iterator[Block]:
    """A folder and all below it."""
    pending = [(split(root)[0], [split(root)[1]])]
    while pending:
        above, names = pending[-1]
        folder = join(above, names.pop())
        if not names:
            pending.pop()
        below: list[bytes] = []
        for run in reader.folder_runs(folder):
            below += run.folders()
            yield folder, run
        if below:
            pending.append((folder, below[::-1]))
