"""What the services ask of the outside; adapters are built in `roles`."""

from __future__ import annotations

from typing import Protocol

import msgspec


class FolderEntry(msgspec.Struct, frozen=True):
    """An entry of a live folder of a client."""

    name: str
    is_folder: bool
    size_bytes: int


class Device(msgspec.Struct, frozen=True, kw_only=True):
    """A block device of a client."""

    name: str
    path: str
    type: str
    size_bytes: int
    filesystem: str
    mount_points: list[str]
    read_only: bool


class Resource(msgspec.Struct, frozen=True, kw_only=True):
    """Something that a module of a client can back up; sizes are None where they are not known."""

    resource: str
    kind: str
    size_bytes: int | None
    used_bytes: int | None


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


class Hosts(Protocol):
    """Live hosts, asked through the server. Unavailable names the host that does not answer in 10 s."""

    async def list_filesystem(self, client_hwid: str, path: str) -> list[FolderEntry]:
        """Entries of a folder of a client; Invalid when the client says that it cannot be listed."""
        ...

    async def list_block_devices(self, client_hwid: str, path: str) -> list[Device]:
        """Block devices of a client at or below `path`; Invalid when there is no such path."""
        ...

    async def list_resources(self, client_hwid: str, resource_type: str, secret_method: int) -> list[Resource]:
        """What a module of a client can back up; Invalid when it has no such module."""
        ...

    async def list_record(
        self, media_hwid: str, pool_id: int, record_uuid: str, path: str, page: int, limit: int
    ) -> tuple[list[CopyEntry], int]:
        """A page of a folder of a copy, and how many entries the folder has."""
        ...

    async def check_folder(self, media_hwid: str, path: str) -> None:
        """Invalid when the folder cannot become a storage of the media server."""
        ...
