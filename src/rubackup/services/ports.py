"""What the services ask of the outside; adapters are built in `roles`."""

from __future__ import annotations

from typing import Protocol

import msgspec


class FolderEntry(msgspec.Struct, frozen=True):
    """An entry of a live folder of a client."""

    name: str
    is_folder: bool
    size_bytes: int


class CopyEntry(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of a copy."""

    path: str
    type: str
    size_bytes: int
    mode: int
    uid: int
    gid: int
    user: str
    group: str
    mtime_ns: int
    target: str = ""


class DeviceFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a media server says of a device that may become a storage."""

    real_path: str
    """Where the path leads when symbolic links are followed."""
    disk: str
    """The whole disk that the device is a partition of, the file behind a loop device, else `real_path`."""
    kind: str
    """`block device` or `file`."""
    size_bytes: int
    signature: str
    """What it carries, such as `an ext4 file system`; '' when nothing known was found."""
    in_use: str
    """What uses it, such as `mounted at /home`; '' when nothing does."""


class Hosts(Protocol):
    """Live hosts, asked through the server. Unavailable names the host that does not answer in 10 s."""

    async def list_filesystem(self, client_hwid: str, path: str) -> list[FolderEntry]:
        """Entries of a folder of a client; Invalid when the client says that it cannot be listed."""
        ...

    async def list_record(
        self, media_hwid: str, pool_id: int, record_uuid: str, path: str, page: int, limit: int
    ) -> tuple[list[CopyEntry], int]:
        """A page of a folder of a copy, and how many entries the folder has."""
        ...

    async def check_folder(self, media_hwid: str, path: str) -> None:
        """Invalid when the folder cannot become a storage of the media server."""
        ...

    async def check_device(self, media_hwid: str, path: str) -> DeviceFacts:
        """What the device of a media server is; Invalid when it is none or cannot be read. Nothing is written."""
        ...
