"""The module `File system` as the agent starts it."""

from __future__ import annotations

from rubackup.client.modules.filesystem.backup import Backup
from rubackup.client.modules.filesystem.restore import Restore
from rubackup.client.ports import (
    BackupChannel,
    BackupJob,
    BackupSummary,
    RestoreChannel,
    RestoreJob,
    RestoreSummary,
    Watch,
)
from rubackup.domain.lookups import ResourceType


class FileSystemModule:
    """Backs up and restores folders, files and links of this host."""

    resource_type = ResourceType.FILE_SYSTEM.label

    def backup(self, job: BackupJob, channel: BackupChannel, watch: Watch) -> BackupSummary:
        """Copy the resource; Invalid when it cannot be read at all, Stopped when the watch says so."""
        return Backup(job, channel, watch).run()

    def restore(self, job: RestoreJob, channel: RestoreChannel, watch: Watch) -> RestoreSummary:
        """Put files back; Invalid when the order cannot be carried out at all."""
        return Restore(job, channel, watch).run()
