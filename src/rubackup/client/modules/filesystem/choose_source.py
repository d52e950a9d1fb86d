"""Decides what a backup reads: the live folder, or a snapshot with the task's scripts around it.

Order: is a snapshot possible at all; `script_before_snapshot`; the snapshot; `script_after_snapshot`;
mount. What fails on this way is a failure of the snapshot: `script_error_snapshot` runs, then
`ignore_errors_snapshot` decides between the live folder and the end of the task. Only the script
after the snapshot may fail without that: the snapshot is good, and the log has an error.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from rubackup.client.modules.filesystem.options import BackupOptions
from rubackup.client.modules.filesystem.snapshots import Snapshots, Taken
from rubackup.client.modules.filesystem.source import Source, live
from rubackup.client.ports import BackupJob, Watch
from rubackup.client.programs import run_program
from rubackup.domain.errors import Invalid

SCRIPT_SECONDS = 600.0
"""How long a script may run."""
SCRIPT_LINES = 200
"""Lines of its output that go into the task's log."""


@contextlib.contextmanager
def chosen_source(
    resource: bytes, job: BackupJob, options: BackupOptions, snapshots: Snapshots, watch: Watch
) -> Iterator[Source]:
    """What is read; a snapshot is removed afterwards, whatever happens."""
    if not options.use_snapshot:
        yield live(resource)
        return
    run = _SnapshotRun(resource, job, options, snapshots, watch)
    try:
        source = run.prepare()
        if source is None:
            watch.log("warning", "The live folder is read instead of a snapshot.")
        yield source or live(resource)
    finally:
        run.remove()


class _SnapshotRun:
    def __init__(
        self, resource: bytes, job: BackupJob, options: BackupOptions, snapshots: Snapshots, watch: Watch
    ) -> None:
        self._resource = resource
        self._job = job
        self._options = options
        self._snapshots = snapshots
        self._watch = watch
        self._taken: Taken | None = None

    def prepare(self) -> Source | None:
        """The snapshot; None when it failed and the live folder is to be read, Invalid when the task is to end."""
        try:
            return self._take()
        except (Invalid, OSError) as error:
            self._watch.log("error", f"The snapshot failed: {error}")
            self.remove()
            self._script("script_error_snapshot")
            if not self._options.ignore_errors_snapshot:
                raise Invalid(f"The snapshot failed: {error}") from error
            return None

    def remove(self) -> None:
        """Take the snapshot away if there is one."""
        taken, self._taken = self._taken, None
        if taken is None:
            return
        try:
            self._snapshots.remove(taken)
            self._watch.log("info", f"The snapshot {taken.volume.label} is removed.")
        except (Invalid, OSError) as error:
            text = f"The snapshot {taken.volume.label} could not be removed; the next start of the client tries again: {error}"
            self._watch.log("warning", text)

    def _take(self) -> Source:
        place = self._snapshots.locate(self._resource)
        if not self._script("script_before_snapshot"):
            raise Invalid("script_before_snapshot did not end well.")
        self._taken = self._snapshots.take(place, self._job.record, self._options.snapshot_size)
        self._watch.log("info", f"The snapshot {self._taken.volume.label} of {place.volume.label} is taken.")
        self._script("script_after_snapshot")
        source = self._snapshots.mount(place, self._taken)
        for path in sorted(source.grafts):
            text = path.decode("utf-8", "backslashreplace")
            self._watch.log(
                "warning",
                f"{text}: another file system is mounted here; the snapshot does not hold it, it is read live.",
            )
        return source

    def _script(self, name: str) -> bool:
        """Whether the script ended well; what it wrote stands in the log. Without a script all is well."""
        path: str = getattr(self._options, name)
        if not path:
            return True
        environment = {
            "RUBACKUP_SCRIPT": name,
            "RUBACKUP_RESOURCE": self._job.resource,
            "RUBACKUP_RECORD": self._job.record,
            "RUBACKUP_BACKUP_TYPE": self._job.backup_type,
        }
        try:
            result = run_program(path, (), environment, SCRIPT_SECONDS, check=self._watch.check)
        except Invalid as error:
            self._watch.log("error", f"{name}: {error}")
            return False
        lines = result.output.splitlines()
        for line in lines[:SCRIPT_LINES]:
            self._watch.log("info", f"{name}: {line}")
        if len(lines) > SCRIPT_LINES:
            self._watch.log("warning", f"{name}: {len(lines) - SCRIPT_LINES} more lines are left out.")
        ended = f"{name} {path} ended with status {result.exit_code}."
        self._watch.log("error" if result.exit_code else "info", ended)
        return result.exit_code == 0
