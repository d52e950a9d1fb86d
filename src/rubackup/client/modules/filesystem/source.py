"""Where the tree of a resource is read: the live folder, or a snapshot that stands for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from rubackup.client.modules.filesystem.folders import Folders, open_following
from rubackup.client.modules.filesystem.paths import ROOT, split


@dataclass(frozen=True)
class Source:
    """A tree that is copied under the names of `resource`."""

    resource: bytes
    folder: bytes
    """What stands for the folder that holds the resource; for `/` what stands for itself."""
    grafts: Mapping[bytes, bytes] = field(default_factory=dict)
    """Folders below the resource, under its names, that are read elsewhere: file systems that a snapshot does not hold."""
    as_of_ns: int = 0
    """When the tree was frozen; 0: it is read as it is. What has a later time in it cannot be told from a later change."""
    check: Callable[[], None] = lambda: None
    """Raises Invalid when what was read is worth nothing after all."""

    def open(self) -> Folders:
        """The folders at and below the one that holds the resource. OSError when it is not there."""
        return Folders(anchor_of(self.resource), open_following(self.folder), grafts=self.grafts)


def anchor_of(resource: bytes) -> bytes:
    """The folder that holds the resource; `/` holds itself."""
    return ROOT if resource == ROOT else split(resource)[0]


def live(resource: bytes) -> Source:
    """The resource as it is."""
    return Source(resource, anchor_of(resource))
