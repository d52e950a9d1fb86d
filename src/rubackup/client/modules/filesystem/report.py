"""Counts what was done, and tells the watch: progress at most four times a second, failures one by one."""

from __future__ import annotations

import time
from collections.abc import Callable

from rubackup.client.ports import Watch
from rubackup.domain.filenames import printable

PROGRESS_SECONDS = 0.25
LINES = 10_000
"""Lines about single files in one task's log; what exceeds them is counted in one line at the end."""


class Report:
    """The running sums of one task."""

    def __init__(self, watch: Watch, clock: Callable[[], float] = time.monotonic) -> None:
        self._watch = watch
        self._clock = clock
        self._told_at = -PROGRESS_SECONDS
        self._lines = 0
        self._kinds: dict[str, object] = {}
        self.files = 0
        self.folders = 0
        self.files_failed = 0
        self.bytes_done = 0
        self.totals: Callable[[], tuple[int, int]] = lambda: (0, 0)
        self.sent: Callable[[], int] = lambda: 0

    def tick(self) -> None:
        """Tell progress if it is due; raises Stopped when the task must end."""
        self._watch.check()
        now = self._clock()
        if now - self._told_at >= PROGRESS_SECONDS:
            self._told_at = now
            self._tell()

    def finish(self) -> None:
        """Tell the final sums: what was done is the total."""
        if self._lines > LINES:
            self._watch.log("warning", f"{self._lines - LINES} more lines about single files were left out.")
        done = self.files + self.files_failed
        self._watch.progress(done, done, self.bytes_done, self.bytes_done, self.sent())

    def deliver(self) -> None:
        """Have the task's log complete, as far as it goes, before what ends the task."""
        self._watch.deliver()

    def left(self) -> None:
        """Tell how far a task came that was stopped."""
        self._tell()

    def failed(self, path: bytes, why: str, count: int = 1) -> None:
        """A file that could not be copied or restored; `count` 0 when it is listed but counted elsewhere."""
        self.files_failed += count
        self._line("error", path, why)

    def warn(self, path: bytes, why: str) -> None:
        """Something about a file that the administrator must know, though the file was copied or restored."""
        self._line("warning", path, why)

    def warn_once(self, kind: str, text: str) -> None:
        """A warning that would otherwise come for every file. Safe for threads."""
        mine = object()
        if self._kinds.setdefault(kind, mine) is mine:
            self._watch.log("warning", text)

    def info(self, text: str) -> None:
        """A line about the task as a whole."""
        self._watch.log("info", text)

    def _line(self, level: str, path: bytes, why: str) -> None:
        self._lines += 1
        if self._lines <= LINES:
            self._watch.log("error" if level == "error" else "warning", f"{printable(path)}: {why}")

    def _tell(self) -> None:
        files, size = self.totals()
        done = self.files + self.files_failed
        if files:  # the total is an estimate: never below what is done
            files, size = max(files, done), max(size, self.bytes_done)
        self._watch.progress(done, files, self.bytes_done, size, self.sent())
