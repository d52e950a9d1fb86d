"""The rows of the benchmark: what is done with each system on each tree, in turn, round after round."""

from __future__ import annotations

import contextlib
import filecmp
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench.engine import meter, trees
from bench.engine.contestants import Contestant, Failed
from bench.engine.disk import Workplace
from bench.engine.meter import Reading, measured

from rubackup.client.compare import compare_trees

FIRST, UNCHANGED, VERIFY, COLD, CHANGED, RESTORE, ONE, RECLAIM = (
    "first backup", "unchanged", "verify", "verify, cold", "changed", "restore", "one file", "reclaim",
)  # fmt: skip
ROWS = (FIRST, UNCHANGED, VERIFY, COLD, CHANGED, RESTORE, ONE, RECLAIM)
"""In this order. Verification comes while all copies hold the same, so that each system reads the same data."""
COPIES = {FIRST, UNCHANGED, CHANGED}
SNAPSHOTS = 10
Around = Callable[[str, Contestant], contextlib.AbstractContextManager[None]]
"""What goes on beside a row of a contestant, as a profile."""


@dataclass
class Results:
    """What was measured: readings by row and contestant, a failure's reason in place of them."""

    tree: str
    encrypted: bool
    files: int = 0
    size_bytes: int = 0
    readings: dict[str, dict[str, list[Reading]]] = field(default_factory=dict)
    failures: dict[str, dict[str, str]] = field(default_factory=dict)
    stored: dict[str, list[int]] = field(default_factory=dict)
    """Bytes after the first backup, by contestant."""
    kept: dict[str, list[int]] = field(default_factory=dict)
    """Bytes after the last row."""

    def add(self, row: str, name: str, reading: Reading) -> None:
        """One round's reading."""
        self.readings.setdefault(row, {}).setdefault(name, []).append(reading)

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Entrant:
    """A contestant and the tables that its readings belong to: restic, which always encrypts, is in both."""

    one: Contestant
    kinds: tuple[bool, ...]
    """Encrypted or not."""

    @property
    def label(self) -> str:
        """For people."""
        return self.one.folder.name


class Scenario:
    """One tree with its contestants, encrypted and not."""

    def __init__(
        self,
        tree: trees.Tree,
        entrants: Callable[[], Sequence[Entrant]],
        place: Workplace,
        say: Callable[[str], None],
        *,
        kinds: Sequence[bool],
        snapshots: int = SNAPSHOTS,
        around: Around = lambda _row, _one: contextlib.nullcontext(),
    ) -> None:
        self._tree, self._make, self._place, self._say, self._snapshots = tree, entrants, place, say, snapshots
        self._around = around
        self.results = {kind: Results(tree.name, kind, tree.files, tree.size_bytes) for kind in kinds}

    def run(self, rounds: int, rows: Sequence[str], before: Callable[[int], None]) -> None:
        """Every row with every contestant, whose order turns from round to round; who has no copy takes no further part.

        Reclaiming comes after the last round. Its copies are made once and kept, and put back for each of its rounds.
        """
        for number in range(rounds):
            before(number)
            entrants = list(self._make())
            everybody = list(entrants)
            try:
                for entrant in entrants:
                    entrant.one.prepare()
                for row in (row for row in rows if row != RECLAIM):
                    if row == CHANGED:
                        trees.change(self._tree, 1000 * number)
                    done = [
                        one for one in _turned(entrants, number) if self._row(row, one, number) or row not in COPIES
                    ]
                    entrants = [one for one in entrants if one in done]
                if RECLAIM in rows and number == rounds - 1:
                    self._reclaim(rounds, len(COPIES.intersection(rows)), entrants)
                for entrant in entrants:
                    self._note(entrant, "kept", entrant.one.stored_bytes())
            finally:
                for entrant in everybody:
                    entrant.one.close()

    def _reclaim(self, rounds: int, made: int, entrants: list[Entrant]) -> None:
        """More copies, until one stays when those that go are gone; then each round on what was kept."""
        for copy in range(max(self._snapshots + 1 - made, 1)):
            trees.change(self._tree, 1_000_000 + copy, few=True)
            with ThreadPoolExecutor(max_workers=2) as pool:
                entrants[:] = [
                    one for one, well in zip(entrants, pool.map(self._copied, entrants), strict=True) if well
                ]
        for entrant in entrants:
            if rounds > 1:
                entrant.one.keep()
        for number in range(rounds):
            for entrant in entrants if number else ():
                entrant.one.put_back()
            for entrant in _turned(entrants, number):
                self._row(RECLAIM, entrant, number)

    def _copied(self, entrant: Entrant) -> bool:
        try:
            entrant.one.backup(self._tree.root)
        except Failed as error:
            self._failed(RECLAIM, entrant, error)
            return False
        return True

    def _failed(self, row: str, entrant: Entrant, error: Failed) -> None:
        for kind in entrant.kinds:
            self.results[kind].failures.setdefault(row, {})[entrant.one.name] = str(error)
        self._say(f"  {row:13} {entrant.label:17} FAILED: {str(error)[:600]}")

    def _note(self, entrant: Entrant, what: str, size_bytes: int) -> None:
        for kind in entrant.kinds:
            getattr(self.results[kind], what).setdefault(entrant.one.name, []).append(size_bytes)

    def _row(self, row: str, entrant: Entrant, number: int) -> bool:
        """Whether it did what it was asked for."""
        one, target = entrant.one, self._place.folder / "target"
        target.mkdir()
        if row in COPIES:
            meter.warm(self._tree.root)  # borg gives back the pages of what it has read
        elif row == COLD:
            meter.chill(one.folder)
        else:
            meter.warm(one.folder)  # some write past the page cache
        try:
            with self._around(row, one), measured(one.group, one.database, self._place.folder) as reading:
                self._operate(row, one, target)
            if row == RESTORE:
                self._compare(target, whole=number == 0)
            elif row == ONE:
                self._compare_one(target)
        except Failed as error:
            self._failed(row, entrant, error)
            return False
        else:
            for kind in entrant.kinds:
                self.results[kind].add(row, one.name, reading)
            self._say(
                f"  {row:13} {entrant.label:17} {reading.wall_s:8.2f} s {reading.cpu_s:8.2f} CPU s"
                f" {reading.peak_mib:6.0f} MiB"
                + (f"  PostgreSQL {reading.database_cpu_s:.2f} CPU s" if one.database else "")
            )
            if row == FIRST:
                self._note(entrant, "stored", one.stored_bytes())
            return True
        finally:
            self._place.remove(target)

    def _operate(self, row: str, one: Contestant, target: Path) -> None:
        if row in COPIES:
            one.backup(self._tree.root)
        elif row in {VERIFY, COLD}:
            one.verify()
        elif row == RESTORE:
            one.restore(target)
        elif row == ONE:
            one.restore_one(self._tree.one, target)
        else:
            one.reclaim(self._snapshots)

    def _compare(self, target: Path, *, whole: bool) -> None:
        """In the first round contents, modes, owners and times of everything; later how many files of how many bytes."""
        root, found = self._tree.root, target / str(self._tree.root).lstrip("/")
        if not whole:
            wanted, there = trees.count(root), trees.count(found)
            if wanted != there:
                raise Failed(f"files and bytes are {there}, not {wanted}")
            return
        compared = compare_trees(str(root), str(found))
        if not compared.equal:
            raise Failed(f"{compared.difference_count} differences: {compared.differences[:3]}")

    def _compare_one(self, target: Path) -> None:
        path = self._tree.one
        found = next((one for one in target.rglob(path.name) if one.is_file()), None)
        if found is None or not filecmp.cmp(path, found, shallow=False):
            raise Failed("the file is not what it was")
        left, right = path.stat(), found.stat()
        if (left.st_mode, left.st_mtime_ns) != (right.st_mode, right.st_mtime_ns):
            raise Failed("the file has another mode or time")


def _turned(entrants: Sequence[Entrant], number: int) -> list[Entrant]:
    turn = number % len(entrants) if entrants else 0
    return [*entrants[turn:], *entrants[:turn]]
