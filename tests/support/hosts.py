"""Hosts that answer, for tests of the API: one folder, one copy, any storage but `/refused`."""

from __future__ import annotations

import msgspec

from rubackup.domain.errors import Invalid, Unavailable
from rubackup.services.ports import CopyEntry, Device, FolderEntry, Resource

OFFLINE = "0" * 16
"""The client that does not answer."""


class AnsweringHosts:
    """Every host is online, save OFFLINE."""

    async def list_filesystem(self, client_hwid: str, path: str) -> list[FolderEntry]:
        """A folder and a file, in whatever folder."""
        if client_hwid == OFFLINE:
            raise Unavailable(f"The client {client_hwid} did not answer in 10 s.")
        if path == "/refused":
            raise Invalid("/refused is no folder.")
        return [FolderEntry("inner", is_folder=True, size_bytes=0), FolderEntry("file", is_folder=False, size_bytes=5)]

    async def list_block_devices(self, client_hwid: str, path: str) -> list[Device]:
        """A disk with a mounted partition, wherever."""
        if client_hwid == OFFLINE:
            raise Unavailable(f"The client {client_hwid} did not answer in 10 s.")
        if path == "/dev/refused":
            raise Invalid("There is no /dev/refused.")
        disk = Device(
            name="sda",
            path="/dev/sda",
            type="disk",
            size_bytes=1 << 40,
            filesystem="",
            mount_points=[],
            read_only=False,
        )
        return [disk, msgspec.structs.replace(disk, name="sda1", path="/dev/sda1", type="part", mount_points=["/"])]

    async def list_resources(self, client_hwid: str, resource_type: str, secret_method: int) -> list[Resource]:
        """One file system."""
        if client_hwid == OFFLINE:
            raise Unavailable(f"The client {client_hwid} did not answer in 10 s.")
        return [Resource(resource="/", kind="ext4", size_bytes=10, used_bytes=None)]

    async def list_record(
        self, media_hwid: str, pool_id: int, record_uuid: str, path: str, page: int, limit: int
    ) -> tuple[list[CopyEntry], int]:
        """A folder of 25 files."""
        first = (page - 1) * limit
        entries = [
            CopyEntry(
                path=f"{path.rstrip('/')}/file{number:02}", type="file", size_bytes=number, mode=0o644, uid=0, gid=0,
                user="root", group="root", mtime_ns=0,
            )
            for number in range(25)
        ]  # fmt: skip
        return entries[first : first + limit], len(entries)

    async def check_folder(self, media_hwid: str, path: str) -> None:
        """Every folder can become a storage, but one."""
        if path == "/refused":
            raise Invalid("The folder /refused cannot be written.")
