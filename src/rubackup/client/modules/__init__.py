"""One module a resource type."""

from collections.abc import Sequence
from pathlib import Path

from rubackup.client.modules.filesystem import FileSystemModule
from rubackup.client.modules.filesystem.snapshots import Snapshots
from rubackup.client.ports import Module


def modules(hwid: str, snapshots: Path, protected: Sequence[Path]) -> dict[str, Module]:
    """Those that this host can run, by resource type; snapshots of volumes are mounted below `snapshots`.

    None of them copies what lies in the `protected` folders, or writes there.
    """
    found: tuple[Module, ...] = (FileSystemModule(Snapshots(hwid, snapshots), protected),)
    return {module.resource_type: module for module in found}
