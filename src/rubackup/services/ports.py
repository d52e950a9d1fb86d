"""What the services ask of the outside; adapters are built in `roles`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

FILE_PART_BYTES = 1 << 20
"""The longest range of a file in one answer."""


class FolderEntry(msgspec.Struct, frozen=True):
    """An entry of a live folder of a client."""

    name: str
    is_folder: bool
    size_bytes: int


class Destination(msgspec.Struct, frozen=True, kw_only=True):
    """A folder of a client to restore below, or why it cannot be reached: `problem`, with the rest unknown."""

    path: str
    problem: str = ""
    folder: str = ""
    """The folder itself, or the nearest one above that is there: missing ones are made in it."""
    filesystem: str = ""
    device: str = ""
    """What tells file systems apart."""
    pseudo: bool = False
    """Whether the file system is one of the kernel's, which keeps no data."""
    read_only: bool = False
    writable: bool = False
    free_bytes: int = 0
    size_bytes: int = 0


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


class FilePart(msgspec.Struct, frozen=True, kw_only=True):
    """A range of a file of a copy, and what the file is."""

    size_bytes: int
    """Of the whole file."""
    tag: str
    """The same for the same content."""
    mtime_ns: int
    data: bytes
    hole: int = 0
    """So many bytes of zeros follow `data`, maybe beyond the range, never beyond the end of the file."""


class TapeDevice(msgspec.Struct, frozen=True, kw_only=True):
    """A robot (`kind` medium_changer) or a drive (tape_drive) of a media server; '' in what it does not tell."""

    kind: str
    scsi_path: str
    device: str
    tape_device: str = ""
    vendor: str = ""
    product: str = ""
    revision: str = ""
    serial: str = ""


class TapeElement(msgspec.Struct, frozen=True, kw_only=True):
    """A place for a cartridge: `kind` is picker, slot, import_export, drive. A drive's `identifier` ends in its serial."""

    address: int
    kind: str
    full: bool
    accessible: bool
    volume_tag: str = ""
    source: int | None = None
    problem: str = ""
    identifier: str = ""


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
    same_as: str = ""
    """The real path of a taken device that it is, holds or lies on by another name; '' when there is none."""
    pool: str = ""
    """Uuid in hex of the pool whose storage it carries; '' for none. An empty storage of no pool counts as nothing."""


class BucketPlace(msgspec.Struct, frozen=True, kw_only=True):
    """A bucket as a media server uses it."""

    endpoint: str
    region: str
    bucket: str
    prefix: str
    access_key: str
    secret_sealed: bytes
    """Readable for the pool's media server alone (`domain.sealing`)."""
    ca_file: str = ""
    object_lock: str = "none"
    conditional_writes: bool = False
    """The object storage refuses to overwrite when it is asked so, as its probe has shown."""
    conditional_parts: bool = False
    """The same for what is sent in parts."""


class BucketReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a media server's probe of a bucket found."""

    problems: list[tuple[str, str]]
    """Why it cannot be used: the field that must change, and a sentence."""
    notes: list[str]
    """What an administrator should know, a sentence each."""
    conditional_writes: bool = False
    conditional_parts: bool = False
    versioning: bool = False
    lockable: bool = False
    clock_ahead_seconds: float = 0.0
    pool: str = ""
    """Uuid of the pool whose marker lies there, in hex; '' when there is none."""


class PoolRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A record that lies in a pool; uuids in hex without dashes, `parent` may be ''."""

    record: str
    parent: str
    task_id: int
    client_hwid: str
    resource_type: str
    resource: str
    backup_type: str
    files: int
    files_failed: int
    size_bytes: int
    stored_bytes: int
    sealed_at_ns: int
    crypto: str = ""
    """Cipher of an encrypted record, else ''."""
    key_id: str = ""
    locked_until_ns: int = 0
    """Unix time until when it cannot be dropped; 0 when it never was locked."""
    away: bool = False
    """Whether it lies in a storage that is not there now, with its lock: `locked_until_ns` tells nothing then."""


class PoolRecordsFound(msgspec.Struct, frozen=True, kw_only=True):
    """Records that a pool has, or some of them."""

    records: list[PoolRecord]
    more: bool = False
    """Whether there are others behind the last."""
    away: list[str] = []
    """Storages of the pool that are not there: it may have records that are not listed."""


class RecordsPage(msgspec.Struct, frozen=True, kw_only=True):
    """Which records are asked for: so many behind `after` ('': from the first), by their ids or in the order of time."""

    limit: int
    after: str = ""
    by_time: bool = False
    after_ns: int = 0
    """When `after` was sealed; counts with `by_time`."""
    kept_of: str = ""
    """As of `pool_records`; these come by their ids always."""


class HeldStorage(msgspec.Struct, frozen=True, kw_only=True):
    """A storage of a HeldPool; `kind` is a `domain.pools.HeldKind`."""

    path: str
    kind: str
    away: bool = False
    """Whether a folder is not there, or has lost the pool's marker."""
    copies: int = 0
    """Lists of files in a folder."""
    client: str = ""
    """Hardware id of the client whose part of a Client defined pool it is."""


class HeldPool(msgspec.Struct, frozen=True, kw_only=True):
    """A pool that a media server has served and was not told of now; uuid in hex, `name` '' is not known."""

    uuid: str
    name: str
    storages: list[HeldStorage]
    kept_in: str = ""
    """Name of the pool that keeps what its media server has of devices and of clients; '' is not known."""


class StorageNeed(msgspec.Struct, frozen=True, kw_only=True):
    """What a pool has in one of its storages."""

    in_pool: bool
    """False for a storage that never belonged to the pool and was left out."""
    reason: str
    """Why the pool cannot do without it, a sentence; '' when it can."""


class Hosts(Protocol):
    """Live hosts, asked through the server. Unavailable names the host that does not answer in 10 s."""

    async def list_filesystem(self, client_hwid: str, path: str) -> list[FolderEntry]:
        """Entries of a folder of a client; Invalid when the client says that it cannot be listed."""
        ...

    async def check_destinations(self, client_hwid: str, paths: Sequence[str]) -> list[Destination]:
        """What a client says of folders to restore below, in their order; nothing is made."""
        ...

    async def list_block_devices(self, client_hwid: str, path: str) -> list[Device]:
        """Block devices of a client at or below `path`; Invalid when there is no such path."""
        ...

    async def list_resources(self, client_hwid: str, resource_type: str, secret_method: int) -> list[Resource]:
        """What a module of a client can back up; Invalid when it has no such module."""
        ...

    async def list_encrypted(
        self, client_hwid: str, pool_id: int, record_uuid: str, path: str, page: int, limit: int
    ) -> tuple[list[CopyEntry], int]:
        """As `list_record`, for an encrypted copy: asked of the client that has its key."""
        ...

    async def list_record(
        self, media_hwid: str, pool_id: int, record_uuid: str, path: str, page: int, limit: int, kept: str = ""
    ) -> tuple[list[CopyEntry], int]:
        """A page of a folder of a copy, and how many entries the folder has.

        `kept`: of a copy that lies with its client, what its manifest is called in the pool that keeps it.
        """
        ...

    async def read_file(
        self, media_hwid: str, pool_id: int, record_uuid: str, path: str, offset: int, length: int
    ) -> FilePart:
        """A range of at most FILE_PART_BYTES of one regular file of a copy, cut at its end; a hole that ends it comes unfilled.

        NotFound says what the path is instead; Corrupt when what is asked for is damaged.
        """
        ...

    async def read_encrypted_file(
        self, client_hwid: str, pool_id: int, record_uuid: str, path: str, offset: int, length: int
    ) -> FilePart:
        """As `read_file`, for an encrypted copy: asked of the client that has its key."""
        ...

    async def check_folder(self, media_hwid: str, path: str, pool_uuid: str, *, existing: bool = False) -> None:
        """Invalid when the folder cannot become a storage of the pool, or with `existing` is no pool's; Conflict when it is another's."""
        ...

    async def storage_need(self, media_hwid: str, pool_id: int, storage_id: int) -> StorageNeed:
        """Whether a pool can do without one of its folders, as its media server sees it now."""
        ...

    async def pool_records(self, media_hwid: str, pool_id: int, kept_of: str = "") -> PoolRecordsFound:
        """Every record that a pool has, by uuid; `kept_of`: those of this Client defined pool whose manifests it keeps."""
        ...

    async def pool_page(self, media_hwid: str, pool_id: int, page: RecordsPage) -> PoolRecordsFound:
        """At most so many records that a pool has."""
        ...

    async def held_pools(self, media_hwid: str) -> list[HeldPool]:
        """Pools that a media server has served and that it was not told of."""
        ...

    async def scan_tape(self, media_hwid: str) -> list[TapeDevice]:
        """The robots and tape drives of a media server."""
        ...

    async def tape_elements(
        self, media_hwid: str, device: str, scsi_path: str = "", serial: str = ""
    ) -> tuple[TapeDevice, list[TapeElement]]:
        """The robot at a device, and its elements by address.

        NotFound when there is no robot, Conflict when it has another address or serial number than
        those given, Busy and Unavailable when it does not answer.
        """

    async def check_device(self, media_hwid: str, path: str, taken: Sequence[tuple[str, str]]) -> DeviceFacts:
        """What the device of a media server is; Invalid when it is none or cannot be read. Nothing is written.

        `taken`: real path and disk of each device of the media server that is in a pool.
        """
        ...

    async def format_device(
        self, media_hwid: str, path: str, taken: Sequence[tuple[str, str]], pool_uuid: str, *, overwrite: bool
    ) -> str:
        """Make a device an empty storage; its uuid in hex. One that carries this pool's storage is left as it is.

        Everything is looked at again before anything is written: Conflict when the device is in use, the same as a taken
        one, or carries something known and may not be overwritten; Invalid when it cannot be used.
        """
        ...

    async def probe_bucket(self, media_hwid: str, pool_uuid: str, bucket: BucketPlace) -> BucketReport:
        """What a bucket can do, tried by the pool's media server, which leaves nothing there."""
        ...
