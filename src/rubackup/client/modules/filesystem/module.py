"""The module `File system` as the agent starts it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rubackup.client.modules.filesystem.backup import Backup
from rubackup.client.modules.filesystem.protected import Protected
from rubackup.client.modules.filesystem.resources import file_systems
from rubackup.client.modules.filesystem.restore import Restore
from rubackup.client.modules.filesystem.snapshots import Snapshots
from rubackup.client.ports import (
    BackupChannel,
    BackupJob,
    BackupSummary,
    Found,
    RestoreChannel,
    RestoreJob,
    RestoreSummary,
    Watch,
)
from rubackup.domain.lookups import ResourceType


class FileSystemModule:
    """Backs up and restores folders, files and links of this host."""

    resource_type = ResourceType.FILE_SYSTEM.label

    def __init__(self, snapshots: Snapshots | None = None, protected: Sequence[Path] = ()) -> None:
        """`protected` folders are never copied and never restored into."""
        self._snapshots = snapshots or Snapshots()
        self._protected = tuple(protected)

    def backup(self, job: BackupJob, channel: BackupChannel, watch: Watch) -> BackupSummary:
        """Copy the resource; Invalid when it cannot be read at all, Stopped when the watch says so."""
        return Backup(job, channel, watch, snapshots=self._snapshots, protected=Protected(self._protected)).run()

    def restore(self, job: RestoreJob, channel: RestoreChannel, watch: Watch) -> RestoreSummary:
        """Put files back; Invalid when the order cannot be carried out at all."""
        return Restore(job, channel, watch, Protected(self._protected)).run()

    def resources(self) -> list[Found]:
        """The mounted local file systems, but for snapshots that are just read."""
        return file_systems(self._snapshots.base)

    def clean_up(self) -> None:
        """Remove the snapshots of a process that was killed."""
        self._snapshots.clean_up()
