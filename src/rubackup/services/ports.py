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
