"""Storages of pools on the wire: where they are, and the questions whether a place can be one.

Texts are for people: an article and a name, or ''.
"""

from __future__ import annotations

import msgspec

from rubackup.wire.messages.base import Message


class DeviceConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What a device of a pool is beside its path."""

    uuid: str
    """Of its superblock, in hex: no other device is opened at that path. '' when it was never made ready."""
    workers: int = 1
    """So many threads read and write it at once."""


class BucketConfig(msgspec.Struct, frozen=True, kw_only=True):
    """A bucket, or a folder in one."""

    endpoint: str
    region: str
    bucket: str
    prefix: str
    access_key: str
    secret_sealed: bytes
    """For the media server's own key, with the pool's uuid as a part of the context (`domain.sealing`)."""
    ca_file: str = ""
    object_lock: str = "none"
    conditional_writes: bool = False
    """As the probe found it."""
    conditional_parts: bool = False


class StorageConfig(msgspec.Struct, frozen=True, kw_only=True):
    """One storage of a pool: a local catalogue, a device or a bucket. Ids are of its kind."""

    id: int
    path: str
    """Folder, device, or endpoint, bucket and prefix: what people know it by."""
    device: DeviceConfig | None = None
    bucket: BucketConfig | None = None


class CheckFolder(Message, tag="check_folder"):
    """Can this folder become a local catalogue? Answered by Ack or by a Fault that says why not."""

    path: str
    pool: str = ""
    """The pool's uuid: a folder that carries its marker need not be empty."""
    existing: bool = False
    """Whether only the folder of a pool will do; nothing is made."""


class AskStorage(Message, tag="ask_storage"):
    """Can a pool do without one of its storages? Answered by StorageNeed."""

    pool_id: int
    storage_id: int


class StorageNeed(Message, tag="storage_need"):
    """What a pool has in one of its storages."""

    in_pool: bool
    """False for a storage that never belonged to the pool and was left out."""
    reason: str
    """Why the pool cannot do without it, a sentence; '' when it can."""


class CheckDevice(Message, tag="check_device"):
    """Can this device become a storage? Read only. Answered by DeviceChecked or by a Fault that says why not."""

    path: str
    taken: list[tuple[str, str]] = []
    """Real path and disk of each device that is in a pool already."""


class DeviceChecked(Message, tag="device_checked"):
    """What the device is. Texts are for people: an article and a name, or ''."""

    real_path: str
    """Without symbolic links."""
    disk: str
    """The whole disk that the device is a partition of, the file behind a loop device, else `real_path`."""
    kind: str
    """`block device` or `file`."""
    size_bytes: int
    signature: str
    """What it carries; '' when nothing known was found."""
    in_use: str
    """What uses it; '' when nothing does."""
    same_as: str = ""
    """The real path of `taken` that is, holds or lies on the same device or file by another name; '' when none does."""
    pool: str = ""
    """Uuid in hex of the pool whose storage it carries; '' for none."""


class FormatDevice(Message, tag="format_device"):
    """Make this device an empty storage of a pool. Answered by DeviceFormatted or by a Fault that says why not.

    Everything is looked at again before anything is written. A device with this pool's storage is left as it is.
    """

    path: str
    pool: str
    """The pool's uuid."""
    taken: list[tuple[str, str]] = []
    """As in CheckDevice."""
    overwrite: bool = False
    """Whether something known that it carries may be lost."""


class DeviceFormatted(Message, tag="device_formatted"):
    """The device is a storage, and has this uuid, in hex."""

    uuid: str


class ProbeBucket(Message, tag="probe_bucket"):
    """What can this bucket do? What is tried there is removed again. Answered by BucketProbed."""

    pool: str
    """The pool's uuid: a part of the context of the sealed key."""
    bucket: BucketConfig


class BucketProbed(Message, tag="bucket_probed"):
    """What the probe found."""

    problems: list[tuple[str, str]]
    """Why a pool cannot use it: field and sentence."""
    notes: list[str]
    """What an administrator should know, a sentence each."""
    conditional_writes: bool = False
    conditional_parts: bool = False
    versioning: bool = False
    lockable: bool = False
    clock_ahead_seconds: float = 0.0
    pool: str = ""
    """Uuid in hex of the pool whose marker lies there; '' for none."""


class AskHeldPools(Message, tag="ask_held_pools"):
    """Ask a media server which pools it has served that it was not told of."""


class HeldStorage(msgspec.Struct, frozen=True, kw_only=True):
    """A storage of such a pool; `kind` is a `domain.pools.HeldKind`."""

    path: str
    kind: str
    away: bool = False
    """Whether a folder is not there, or has lost the pool's marker."""
    copies: int = 0
    """Lists of files in a folder."""
    client: str = ""
    """Hardware id of the client whose part of a Client defined pool it is."""


class HeldPool(msgspec.Struct, frozen=True, kw_only=True):
    """A pool that was served once; `name` '' is not known."""

    uuid: str
    name: str
    storages: list[HeldStorage]
    kept_in: str = ""
    """Name of the pool that keeps what its media server has of devices and of clients; '' is not known."""


class HeldPools(Message, tag="held_pools"):
    """The answer to AskHeldPools."""

    pools: list[HeldPool]
