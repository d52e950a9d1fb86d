"""The rows of the benchmark: what is done with each system on each tree, in turn, round after round."""

from __future__ import annotations

import contextlib
import filecmp
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench.engine import trees
from bench.engine.contestants import Contestant, Failed
from bench.engine.meter import Reading, measured

from rubackup.client.compare import compare_trees

FIRST, UNCHANGED, VERIFY, CHANGED, RESTORE, ONE, RECLAIM = (
    "first backup", "unchanged", "verify", "changed", "restore", "one file", "reclaim",
)  # fmt: skip
ROWS = (FIRST, UNCHANGED, VERIFY, CHANGED, RESTORE, ONE, RECLAIM)
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


class Scenario:
    """One tree, encrypted or not, with its contestants."""

    def __init__(
        self,
        tree: trees.Tree,
        contestants: Callable[[], Sequence[Contestant]],
        folder: Path,
        say: Callable[[str], None],
        *,
        encrypted: bool,
        snapshots: int = SNAPSHOTS,
        around: Around = lambda _row, _one: contextlib.nullcontext(),
    ) -> None:
        self._tree, self._make, self._folder, self._say, self._snapshots = tree, contestants, folder, say, snapshots
        self._around = around
        self.results = Results(tree.name, encrypted, tree.files, tree.size_bytes)

    def round(self, number: int, rows: Sequence[str]) -> None:
        """Every row once with every contestant, whose order turns from round to round; without a copy the rest is left out."""
        contestants = list(self._make())
        turn = number % len(contestants)
        contestants = contestants[turn:] + contestants[:turn]
        everybody = list(contestants)
        try:
            for one in contestants:
                one.prepare()
            for row in rows:
                self._change_for(row, number, contestants)
                contestants = [one for one in contestants if self._row(row, one) or row not in COPIES]
            for one in contestants:
                self.results.kept.setdefault(one.name, []).append(one.stored_bytes())
        finally:
            for one in everybody:
                one.close()

    def _change_for(self, row: str, number: int, contestants: list[Contestant]) -> None:
        """Change the tree before the rows that need it; ten copies more before reclaiming."""
        if row == CHANGED:
            trees.change(self._tree, 1000 * number)
        if row == RECLAIM:
            for copy in range(self._snapshots):
                trees.change(self._tree, 1000 * number + copy + 1)
                for one in contestants:
                    one.backup(self._tree.root)

    def _row(self, row: str, one: Contestant) -> bool:
        """Whether it did what it was asked for."""
        target = self._folder / "target"
        target.mkdir()
        try:
            with self._around(row, one), measured(one.group, one.database, self._folder) as reading:
                self._operate(row, one, target)
            if row == RESTORE:
                self._compare(target)
            elif row == ONE:
                self._compare_one(target)
        except Failed as error:
            self.results.failures.setdefault(row, {})[one.name] = str(error)
            self._say(f"  {row:13} {one.name:9} FAILED: {str(error)[:600]}")
            return False
        else:
            self.results.add(row, one.name, reading)
            self._say(
                f"  {row:13} {one.name:9} {reading.wall_s:8.2f} s {reading.cpu_s:8.2f} CPU s {reading.peak_mib:6.0f} MiB"
                + (f"  PostgreSQL {reading.database_cpu_s:.2f} CPU s" if one.database else "")
            )
            if row == FIRST:
                self.results.stored.setdefault(one.name, []).append(one.stored_bytes())
            return True
        finally:
            shutil.rmtree(target)

    def _operate(self, row: str, one: Contestant, target: Path) -> None:
        if row in {FIRST, UNCHANGED, CHANGED}:
            one.backup(self._tree.root)
        elif row == VERIFY:
            one.verify()
        elif row == RESTORE:
            one.restore(target)
        elif row == ONE:
            one.restore_one(self._tree.one, target)
        else:
            one.reclaim(self._snapshots)

    def _compare(self, target: Path) -> None:
        """Contents, modes, owners and times of everything."""
        found = compare_trees(str(self._tree.root), str(target / str(self._tree.root).lstrip("/")))
        if not found.equal:
            raise Failed(f"{found.difference_count} differences: {found.differences[:3]}")

    def _compare_one(self, target: Path) -> None:
        path = self._tree.one
        found = next((one for one in target.rglob(path.name) if one.is_file()), None)
        if found is None or not filecmp.cmp(path, found, shallow=False):
            raise Failed("the file is not what it was")
        left, right = path.stat(), found.stat()
        if (left.st_mode, left.st_mtime_ns) != (right.st_mode, right.st_mtime_ns):
            raise Failed("the file has another mode or time")
