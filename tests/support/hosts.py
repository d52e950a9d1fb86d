"""Hosts that answer, for tests of the API: one folder, one copy, any storage but `/refused`."""

from __future__ import annotations

from rubackup.domain.errors import Invalid, Unavailable
from rubackup.services.ports import CopyEntry, DeviceFacts, FolderEntry

GIB = 1 << 30
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

    async def check_device(self, media_hwid: str, path: str) -> DeviceFacts:
        """A disk of 1 GiB, but `/dev/refused` is none, `/dev/tiny` is small; words of the name tell the rest.

        `/dev/disk7-part1` lies on `/dev/disk7`; `/dev/link-to-x` leads to `/dev/x`; `ext4` and `mounted` in a name.
        """
        if path == "/dev/refused":
            raise Invalid("cannot be read on the media server: No such file or directory.")
        real = path.replace("/dev/link-to-", "/dev/")
        return DeviceFacts(
            real_path=real,
            disk=real.partition("-part")[0],
            kind="block device" if real.startswith("/dev/") else "file",
            size_bytes=4096 if path == "/dev/tiny" else GIB,
            signature="an ext4 file system" if "ext4" in path else "",
            in_use="mounted at /home" if "mounted" in path else "",
        )
