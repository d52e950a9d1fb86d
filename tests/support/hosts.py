"""Hosts that answer, for tests of the API: one folder, one copy, any storage but `/refused`, a robot with two drives."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

import msgspec

from rubackup.domain.errors import Conflict, Corrupt, Invalid, NotFound, Unavailable
from rubackup.services.ports import (
    FILE_PART_BYTES,
    BucketPlace,
    BucketReport,
    CopyEntry,
    Destination,
    Device,
    DeviceFacts,
    FilePart,
    FolderEntry,
    HeldPool,
    PoolRecord,
    PoolRecordsFound,
    RecordsPage,
    Resource,
    StorageNeed,
    TapeDevice,
    TapeElement,
)

GIB = 1 << 30
FILE = bytes(range(256)) * 9216
"""What every file of a copy holds: two parts and a quarter."""
EMPTY: frozenset[int] = frozenset()
"""Ids of storages in which nothing of their pool lies; tests set their own."""
RECORDS: list[PoolRecord] = []
"""What every pool has; tests set their own."""
HELD: list[HeldPool] = []
"""Pools that every media server has served, and was not told of."""
AWAY: list[str] = []
"""Storages of every pool that are not there."""
LEFT_OUT: frozenset[int] = frozenset()
"""Ids of storages that never belonged to their pool."""
OFFLINE = "0" * 16
"""The client that does not answer."""
NO_ROBOT, SILENT_ROBOT = "/dev/sg8", "/dev/sg9"
"""Where no robot is, and one that does not answer."""
ROBOT = TapeDevice(
    kind="medium_changer", scsi_path="[8:0:0:3]", device="/dev/sg4", vendor="STK", product="L700", revision="0104",
    serial="VTL0001",
)  # fmt: skip
DRIVES = tuple(
    TapeDevice(
        kind="tape_drive", scsi_path=f"[8:0:0:{number}]", device=f"/dev/sg{number}", tape_device=f"/dev/nst{number}",
        vendor="IBM", product="ULT3580-TD9", revision="P370", serial=f"10WT00000{number}",
    )
    for number in (1, 2, 3)
)  # fmt: skip
"""The third is none of the robot's."""


def tags_of(media_hwid: str) -> list[str]:
    """Labels of the three cartridges in the robot of a media server."""
    return [f"{media_hwid[-5:].upper()}{number}L9" for number in (1, 2, 3)]


def elements_of(media_hwid: str) -> list[TapeElement]:
    """A picker, an empty drive and a loaded one, an import/export slot, four slots with two cartridges and a cleaner."""
    one, two, three = tags_of(media_hwid)
    names = [f"IBM ULT3580-TD9 {drive.serial}" for drive in DRIVES]

    def element(address: int, kind: str, tag: str = "", **fields: Any) -> TapeElement:
        return TapeElement(address=address, kind=kind, full=bool(tag), accessible=True, volume_tag=tag, **fields)

    return [
        element(1, "picker"), element(16, "import_export"), element(256, "drive", identifier=names[0]),
        element(257, "drive", one, identifier=names[1], source=1024), element(1024, "slot"),
        element(1025, "slot", two), element(1026, "slot", three), element(1027, "slot", "CLN001L1"),
    ]  # fmt: skip


class AnsweringHosts:
    """Every host is online, save OFFLINE."""

    async def list_filesystem(self, client_hwid: str, path: str) -> list[FolderEntry]:
        """A folder and a file, in whatever folder."""
        if client_hwid == OFFLINE:
            raise Unavailable(f"The client {client_hwid} did not answer in 10 s.")
        if path == "/refused":
            raise Invalid("/refused is no folder.")
        return [FolderEntry("inner", is_folder=True, size_bytes=0), FolderEntry("file", is_folder=False, size_bytes=5)]

    async def check_destinations(self, client_hwid: str, paths: Sequence[str]) -> list[Destination]:
        """Everything is a writable folder of one large disk."""
        if client_hwid == OFFLINE:
            raise Unavailable(f"The client {client_hwid} did not answer in 10 s.")
        return [
            Destination(
                path=path, folder=path, filesystem="ext4", device="8:1", writable=True, free_bytes=1 << 40,
                size_bytes=1 << 41,
            )
            for path in paths
        ]  # fmt: skip

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

    async def list_encrypted(
        self, client_hwid: str, pool_id: int, record_uuid: str, path: str, page: int, limit: int
    ) -> tuple[list[CopyEntry], int]:
        """The same folder, read by the client."""
        return await self.list_record(client_hwid, pool_id, record_uuid, path, page, limit)

    async def list_record(
        self, media_hwid: str, pool_id: int, record_uuid: str, path: str, page: int, limit: int, kept: str = ""
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

    async def read_file(
        self, media_hwid: str, pool_id: int, record_uuid: str, path: str, offset: int, length: int
    ) -> FilePart:
        """FILE at every path, but two; `/damaged` is so behind its first part, `/offline` does not answer."""
        if path == "/folder":
            raise NotFound("/folder is a folder, not a file.")
        if path == "/offline":
            raise Unavailable(f"The media {media_hwid} did not answer in 10 s.")
        if path == "/damaged" and offset >= FILE_PART_BYTES:
            raise Corrupt("Pack packs/ab/ab.pack is damaged at offset 144.")
        return FilePart(
            size_bytes=len(FILE), tag="0f" * 16, mtime_ns=1_700_000_000_000_000_000, data=FILE[offset : offset + length]
        )

    async def read_encrypted_file(
        self, client_hwid: str, pool_id: int, record_uuid: str, path: str, offset: int, length: int
    ) -> FilePart:
        """The same file, read by the client."""
        return await self.read_file(client_hwid, pool_id, record_uuid, path, offset, length)

    async def check_folder(self, media_hwid: str, path: str, pool_uuid: str, *, existing: bool = False) -> None:
        """Every folder can become a storage, but two; none is a pool's already."""
        if existing:
            raise Invalid("is the folder of no pool on the media server.")
        if path == "/refused":
            raise Invalid("The folder /refused cannot be written.")
        if path == "/foreign":
            raise Conflict(f"The folder /foreign belongs to another pool than {pool_uuid}.")

    async def pool_records(self, media_hwid: str, pool_id: int, kept_of: str = "") -> PoolRecordsFound:
        """What the test says that lies in pools."""
        return PoolRecordsFound(records=list(RECORDS), away=list(AWAY))

    async def pool_page(self, media_hwid: str, pool_id: int, page: RecordsPage) -> PoolRecordsFound:
        """These, in order."""
        if page.by_time:
            behind = sorted((one.sealed_at_ns, one.record) for one in RECORDS)
            names = [name for at, name in behind if (at, name) > (page.after_ns, page.after) or not page.after]
        else:
            names = sorted(one.record for one in RECORDS if one.record > page.after)
        held = {one.record: one for one in RECORDS}
        found = [held[name] for name in names[: page.limit]]
        return PoolRecordsFound(records=found, more=len(names) > page.limit, away=list(AWAY))

    async def storage_need(self, media_hwid: str, pool_id: int, storage_id: int) -> StorageNeed:
        """Every storage holds data, but those of `EMPTY` and of `LEFT_OUT`."""
        if storage_id in LEFT_OUT:
            return StorageNeed(in_pool=False, reason="")
        return StorageNeed(in_pool=True, reason="" if storage_id in EMPTY else "It holds data of the pool.")

    async def held_pools(self, media_hwid: str) -> list[HeldPool]:
        """What the test says that lies around."""
        return list(HELD)

    async def scan_tape(self, media_hwid: str) -> list[TapeDevice]:
        """A robot and three drives."""
        return [*DRIVES, ROBOT]

    async def tape_elements(
        self, media_hwid: str, device: str, scsi_path: str = "", serial: str = ""
    ) -> tuple[TapeDevice, list[TapeElement]]:
        """The elements of the robot, at whatever device, but two."""
        if device == NO_ROBOT:
            raise NotFound(f"The media server has no robot at {device}; its robots: /dev/sg4.")
        if device == SILENT_ROBOT:
            raise Unavailable(f"{device} did not answer a SCSI command (host status 0x3).")
        return ROBOT, elements_of(media_hwid)

    async def format_device(
        self, media_hwid: str, path: str, taken: Sequence[tuple[str, str]], pool_uuid: str, *, overwrite: bool
    ) -> str:
        """Every device gets a uuid of its path, but `/dev/raced`: something took it since it was looked at; `/dev/silent`."""
        if path == "/dev/silent":
            raise Unavailable(f"The media {media_hwid} did not answer in 10 s.")
        if path == "/dev/raced":
            raise Conflict("/dev/raced is in use: mounted at /home.")
        return uuid.uuid5(uuid.NAMESPACE_URL, media_hwid + path).hex

    async def probe_bucket(self, media_hwid: str, pool_uuid: str, bucket: BucketPlace) -> BucketReport:
        """Every bucket can be used, but `missing`, and `foreign`, which is another pool's; `plain` has no Object Lock; `silent`."""
        if bucket.bucket == "silent":
            raise Unavailable(f"The media {media_hwid} did not answer in 10 s.")
        problems = [("bucket", "the bucket does not exist: create it.")] if bucket.bucket == "missing" else []
        if bucket.bucket == "plain" and bucket.object_lock != "none":
            problems.append(("object_lock", "The bucket plain was created without Object Lock."))
        return BucketReport(
            problems=problems, notes=["It keeps old versions."], conditional_writes=True, versioning=True,
            lockable=bucket.bucket != "plain", clock_ahead_seconds=0.5,
            pool={"foreign": "f" * 32, "replica": pool_uuid}.get(bucket.bucket, ""),
        )  # fmt: skip

    async def check_device(self, media_hwid: str, path: str, taken: Sequence[tuple[str, str]]) -> DeviceFacts:
        """A disk of 1 GiB, but `/dev/refused` is none, `/dev/tiny` is small; words of the name tell the rest.

        `/dev/disk7-part1` lies on `/dev/disk7`; `/dev/link-to-x` leads to `/dev/x`; `/node-of-x` is another node of
        `/dev/x`; `ext4` and `mounted` in a name.
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
            same_as=next((one for one, _ in taken if one == path.replace("/node-of-", "/dev/")), ""),
        )
