"""The parameters of a backup as the module's description (`domain.parameters`) completes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rubackup.domain import parameters
from rubackup.domain.lookups import ResourceType


@dataclass(frozen=True)
class BackupOptions:
    """What each of them means is said where they are described."""

    file_list: bool
    numeric_owner: bool
    use_snapshot: bool
    ignore_errors_snapshot: bool
    snapshot_type: str
    snapshot_size: int
    script_before_snapshot: str
    script_after_snapshot: str
    script_error_snapshot: str

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> BackupOptions:
        """The options of a task; Invalid names what is wrong."""
        return cls(**parameters.complete(given, parameters.BACKUP[ResourceType.FILE_SYSTEM.label]))
