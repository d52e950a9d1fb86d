"""What the server asks of clients and media servers.

Design: `docs/design/wire.md`.
"""

from __future__ import annotations

from typing import Any

import msgspec

from rubackup.wire.messages.base import Message
from rubackup.wire.messages.client_pools import ClientPool
from rubackup.wire.messages.storages import StorageConfig


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What every order carries."""

    task_id: int
    fence: int
    """Rises with every hand-off of the task."""
    epoch: int
    ticket: bytes = b""
    """Lets the client open a data session (`wire.tickets`)."""


class MediaAddress(msgspec.Struct, frozen=True, kw_only=True):
    """Where a data session is opened, and who must answer there."""

    host: str
    port: int
    hwid: str
    key: str = ""
    """SHA-256 of the public key (DER) with which it is authorised, hex; '' from an older server: any."""


class RunBackup(Message, tag="run_backup"):
    """Make a copy of `resource`."""

    order: Order
    media: MediaAddress
    record: str
    """UUID of the record to write, new for each attempt, hex without dashes."""
    parent: str
    """UUID of the record whose unchanged files are taken over, or ''."""
    resource_type: str
    resource: str
    backup_type: str
    compression: str
    module_parameters: dict[str, Any] = {}
    common_parameters: dict[str, Any] = {}
    normal_script: str = ""
    """Program on the client that runs after the copy was sealed; '' for none."""
    exception_script: str = ""
    """Program that runs when the task failed."""
    crypto: str = "nocrypt"
    """A name of domain.lookups.Crypto."""
    own: ClientPool | None = None
    """The client's own pool, when the copy lies there; `media` keeps its manifest then."""
    rule: int = 0
    """The rule of the global schedule that the task is of, for limits of bandwidth; 0 for none."""


class RunRestore(Message, tag="run_restore"):
    """Put a record back."""

    order: Order
    media: MediaAddress
    record: str
    resource_type: str
    resource: str
    destination: str
    """Absolute folder; files land below it at their full original path. '' with in_place."""
    in_place: bool
    paths: list[str]
    """Absolute paths to restore, folders with all below; empty: everything. Surrogate escapes as in os.fsdecode."""
    overwrite: str = "if_changed"
    module_parameters: dict[str, Any] = {}
    common_parameters: dict[str, Any] = {}
    restore_script: str = ""
    """Program on the client that runs after the restore; '' for none."""
    key_id: str = ""
    """Which key opens the record, '' for one in clear: a media server that says otherwise is not believed."""
    own: ClientPool | None = None
    """The client's own pool, when the copy lies there; `media` keeps its manifest then."""
    rule: int = 0
    """The rule that made the copy; 0 for none."""


class RuleBandwidth(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes per second that tasks of a rule may take on this client; 0: no limit."""

    rule: int
    backup: int
    restore: int


class SetBandwidth(Message, tag="set_bandwidth"):
    """What data sessions of the client's tasks may take of the line, from now until the next such message.

    Bytes per second, 0: no limit. A task takes from one limit: its rule's or the client's.
    """

    epoch: int
    backup: int
    """What backups send."""
    restore: int
    """What restores, and verifications by the client, receive."""
    rules: list[RuleBandwidth] = []
    rule_first: bool = False
    """Whether a rule's limit counts where the client has one, too."""


class RecordFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What the catalogue says of a record."""

    client_hwid: str
    resource_type: str
    resource: str
    backup_type: str
    files: int
    size_bytes: int


class RunVerify(Message, tag="run_verify"):
    """Read every chunk of a record again; without `contents` only look whether it is there.

    Said to the media server, or for the contents of an encrypted record, with `media`, to the client that has its key.
    """

    order: Order
    pool_id: int
    record: str
    contents: bool = True
    media: MediaAddress | None = None
    facts: RecordFacts | None = None
    """Held against the sealed record: a row of the catalogue may be of another one. None compares nothing."""
    own: ClientPool | None = None
    """The client's own pool, when the copy lies there; `media` keeps its manifest then."""


class RunCopy(Message, tag="run_copy"):
    """Copy a record into another pool (the media server of that pool), read it back, and seal it there."""

    order: Order
    """With a ticket when the source is on another media server: it lets this one read the source's record there."""
    pool_id: int
    """The target."""
    record: str
    """UUID of the record to write, new for each attempt."""
    parent: str
    """UUID of the copy of the source's parent in the target, or ''."""
    owner: str
    """Hardware id of the client whose record it is."""
    source_pool_id: int
    source_record: str
    source: MediaAddress | None = None
    """The media server of the source, when it is another one."""


class RunClean(Message, tag="run_clean"):
    """Free what no copy in a pool needs (media server, or the client whose own pool it is); with `storages` tidy its folders, too."""

    order: Order
    pool_id: int
    blocks: bool = True
    """Whether chunks are collected."""
    storages: bool = False
    """Whether old tombstones and what interrupted writing left are removed."""
    zeroing: bool = False
    """Whether what goes is overwritten first."""
    unfinished: list[int] | None = None
    """Tasks of the pool that are not over: what they have sent stays. None: nothing is known of any task."""
    media: MediaAddress | None = None
    own: ClientPool | None = None
    """The client's own pool, when the copy lies there; `media` keeps its manifest then."""


class ListFilesystem(Message, tag="list_filesystem"):
    """List the folders of a client below `path`."""

    path: str


class FilesystemListing(Message, tag="filesystem_listing"):
    """Entries of one folder, sorted by name: name, is_folder, size_bytes."""

    path: str
    entries: list[tuple[str, bool, int]]
    truncated: bool = False


class CheckDestinations(Message, tag="check_destinations"):
    """Ask a client whether files could be restored below these folders; nothing is made."""

    paths: list[str]


class Destination(msgspec.Struct, frozen=True, kw_only=True):
    """A folder to restore below, or why it cannot be reached: `problem`, with the rest unknown."""

    path: str
    problem: str = ""
    folder: str = ""
    """The folder itself, or the nearest one above that is there: missing ones are made in it."""
    filesystem: str = ""
    """Type of its file system; '' is unknown."""
    device: str = ""
    """What tells file systems apart."""
    pseudo: bool = False
    """Whether the file system is one of the kernel's, which keeps no data."""
    read_only: bool = False
    writable: bool = False
    """Whether the client's process may make something in `folder`."""
    free_bytes: int = 0
    size_bytes: int = 0
    """Of the whole file system."""


class DestinationsChecked(Message, tag="destinations_checked"):
    """The folders of CheckDestinations, in their order."""

    destinations: list[Destination]


class ListBlockDevices(Message, tag="list_block_devices"):
    """List the block devices of a client whose node is `path` or lies below it."""

    path: str


class BlockDevice(msgspec.Struct, frozen=True, kw_only=True):
    """A block device: `type` is disk, part, lvm, loop, crypt, raid, rom, ram or dm."""

    name: str
    """The kernel's name, such as sda1."""
    path: str
    """Its node, such as /dev/sda1."""
    type: str
    size_bytes: int
    filesystem: str = ""
    """Only of what is mounted or swapped to; '' is unknown."""
    mount_points: list[str] = []
    read_only: bool = False


class BlockDevices(Message, tag="block_devices"):
    """Block devices, sorted by path."""

    devices: list[BlockDevice]


class ListResources(Message, tag="list_resources"):
    """List what a module of a client can back up. `secret_method` 0: the client's own configuration has what it needs."""

    resource_type: str
    secret_method: int = 0


class ModuleResource(msgspec.Struct, frozen=True, kw_only=True):
    """Something that a module can back up; sizes are -1 where they are not known."""

    resource: str
    kind: str
    """What it is, such as the type of a file system."""
    size_bytes: int = -1
    used_bytes: int = -1


class ModuleResources(Message, tag="module_resources"):
    """The resources of a module, sorted by name."""

    resources: list[ModuleResource]


class PoolConfig(msgspec.Struct, frozen=True, kw_only=True):
    """A pool as its media server must serve it."""

    id: int
    uuid: str
    name: str
    compression: str
    reserve_bytes: int
    """Free space that a backup must leave."""
    storages: list[StorageConfig]
    evenly: bool = False
    """Whether new packs go to the storage with most room, not to the first that has some."""
    emergency: str = ""
    """Folder below which there is one for what no storage of the pool has room for; '' for none."""
    reconciled: bool = False
    """An administrator has made catalogue and pool agree: the pool belongs to this catalogue from now on."""
    contact: int = 0
    """Number of this contact with the pool, one more than the catalogue knows to be confirmed."""
    metadata_pool: int = 0
    """Pool of this media server that keeps metafiles of this one's devices; 0 for none."""
    algorithm: str = ""
    """Hash that is recorded of each chunk in clear; '' for none."""
    hash_length: int = 0
    """In bits."""
    block_size: int = 0
    """Files are cut at multiples of so many bytes; 0: by content."""


class ConfigurePools(Message, tag="configure_pools"):
    """The complete list of the media server's pools; sent at each connection and change."""

    epoch: int
    pools: list[PoolConfig]
    terms: list[tuple[int, str]] = []
    """Epoch and name of the last take-overs, oldest first: by these a pool knows its catalogue."""


class StorageState(msgspec.Struct, frozen=True, kw_only=True):
    """How a storage is: '' in `problem` when it can be used."""

    id: int
    problem: str
    free_bytes: int
    used_bytes: int
    total_bytes: int


class EmergencyState(msgspec.Struct, frozen=True, kw_only=True):
    """How the emergency storage of a pool is, in which something of it lies."""

    path: str
    problem: str
    free_bytes: int
    used_bytes: int
    total_bytes: int


class PoolState(msgspec.Struct, frozen=True, kw_only=True):
    """What a media server says of a pool: '' in `problem` when it can be used."""

    id: int
    problem: str
    free_bytes: int
    used_bytes: int
    total_bytes: int
    chunks: int
    records: int
    storages: list[StorageState] = []
    reconciled: bool = True
    """Whether the pool knows this catalogue; if not, nothing is deleted in it."""
    contact: int = 0
    """Number of the last contact that the pool has kept."""
    emergency: list[EmergencyState] = []
    away: list[str] = []
    """Folders of the pool that are not there."""
    code: str = ""
    """A `domain.pools.PoolProblem`; '' without a problem, and of hosts that are older."""


class AskUnavailable(Message, tag="ask_unavailable"):
    """Ask which of the records behind `after`, in the order of their ids, need what lies in storages that are away."""

    pool_id: int
    after: str = ""
    limit: int = 1000


class UnavailableRecords(Message, tag="unavailable_records"):
    """The answer to AskUnavailable."""

    records: list[str]
    after: str = ""
    """The last record that was looked at; '' when there are none behind it."""


class AskRecords(Message, tag="ask_records"):
    """Ask which records a pool has: those behind `after`, in the order of their ids or `by_time`."""

    pool_id: int
    after: str = ""
    limit: int = 1000
    kept_of: str = ""
    """Uuid of a Client defined pool: its records are asked for, by the manifests that are kept here."""
    by_time: bool = False
    """In the order in which they were sealed, then of their ids; not with `kept_of`. `after` was sealed at `after_ns`."""
    after_ns: int = 0


class PoolRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A sealed record of a pool."""

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
    key_id: str = ""
    locked_until_ns: int = 0
    """Unix time until when it cannot be dropped; 0 when it never was locked."""
    away: bool = False
    """Whether it lies in a storage that is not there now, with its lock: `locked_until_ns` tells nothing then."""


class PoolRecords(Message, tag="pool_records"):
    """The answer to AskRecords; `more`: there are others behind the last."""

    records: list[PoolRecord]
    more: bool = False
    away: list[str] = []
    """Folders of the pool that are not there: it may have records that are not listed."""


class PoolStates(Message, tag="pool_states"):
    """The answer to ConfigurePools and AskPools."""

    pools: list[PoolState]


class AskPools(Message, tag="ask_pools"):
    """Ask how the pools are."""

    contacts: list[tuple[int, int]] = []
    """Pools, and the numbers of these contacts with them, as in PoolConfig."""


class DropRecord(Message, tag="drop_record"):
    """The catalogue has deleted the record: write its tombstone. Repeating it changes nothing."""

    epoch: int
    pool_id: int
    record: str
    zeroing: bool = False
    """Whether its manifest is overwritten first."""


class LockRecord(Message, tag="lock_record"):
    """Nobody can drop the record before this instant, the server neither. An earlier one than before changes nothing."""

    epoch: int
    pool_id: int
    record: str
    until_ns: int
    """Unix time."""


class Revoked(Message, tag="revoked"):
    """Certificates of hosts that were revoked, all that have not expired: their data sessions end and open no more."""

    serials: list[str]
    key_seconds: float = 86_400.0
    """How long tickets that this server signed are honoured; after that it has to say so again (KeepKey)."""


class KeepKey(Message, tag="keep_key"):
    """Honour the tickets of this server for so long from now on. Only for one that has told what is revoked."""

    key_seconds: float


class ListRecord(Message, tag="list_record"):
    """List one folder of a record."""

    pool_id: int
    record: str
    path: str
    page: int
    limit: int
    kept: str = ""
    """Of a record that lies with its client: where its manifest is kept, as `domain.pools.kept_folder` names it."""


class ListEncrypted(Message, tag="list_encrypted"):
    """List one folder of a record of this client, which has its key.

    The API names pool and record; the server that relays it adds where the record is, and a ticket to read it.
    """

    pool_id: int
    record: str
    path: str
    page: int
    limit: int
    media: MediaAddress | None = None
    ticket: bytes = b""
    own: ClientPool | None = None


class ReadEncryptedFile(Message, tag="read_encrypted_file"):
    """A range of one regular file of a record of this client, which has its key; answered by RecordFilePart.

    As with ListEncrypted the server that relays it adds where the record is, and a ticket.
    """

    pool_id: int
    record: str
    path: str
    offset: int
    length: int
    media: MediaAddress | None = None
    ticket: bytes = b""
    holes: bool = False
    """As in ReadRecordFile."""


class RecordEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of a copy: `type` is file, folder, symlink, fifo, socket, char, block."""

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


class RecordListing(Message, tag="record_listing"):
    """A page of a folder of a record."""

    entries: list[RecordEntry]
    total: int


class ReadRecordFile(Message, tag="read_record_file"):
    """Ask a media server for a range of one regular file of a record, whose content goes to whoever downloads it."""

    pool_id: int
    record: str
    path: str
    """Absolute; bytes that are not UTF-8 as in ListRecord."""
    offset: int = 0
    length: int = 0
    """At most 1 MiB; 0 only asks what the file is."""
    holes: bool = False
    """Whether a hole at the end of the range may be told by its length; an older asker knows no `hole`."""


class RecordFilePart(Message, tag="record_file_part"):
    """The range, cut at the end of the file."""

    size_bytes: int
    """Of the whole file."""
    tag: str
    """The same for the same content."""
    mtime_ns: int
    data: bytes = b""
    hole: int = 0
    """So many bytes of zeros follow `data`, maybe beyond the range; never unless `holes` was asked for."""
