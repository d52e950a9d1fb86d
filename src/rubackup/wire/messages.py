"""Every message on the wire, as tagged msgspec structs in msgpack maps.

A field is only ever added, with a default, so an older peer skips what it does not
know; a change of meaning raises PROTOCOL_VERSION. No message lets a client delete or
overwrite stored data. Golden bytes: `tests/contract/wire`. Design: `docs/design/wire.md`.
"""

from __future__ import annotations

from typing import Any

import msgspec

PROTOCOL_VERSION = 1


class Message(msgspec.Struct, tag_field="t"):
    """What travels in one frame of type MESSAGE."""


class Fault(Message, tag="fault"):
    """The other side's error: `code` is a `domain.errors` code, `message` a sentence."""

    code: str
    message: str


# --- enrolment: the only messages accepted without a client certificate ---


class Enrol(Message, tag="enrol"):
    """A host asks for a certificate; a repeated request with the same key only asks how it stands."""

    version: int
    role: str
    """`client` or `media`."""
    hwid: str
    hostname: str
    csr_pem: bytes
    package_version: str
    os_type: str = "Linux"
    os_version: str = ""
    data_endpoint: str = ""
    """`host:port` where a media server takes bulk data."""


class EnrolPending(Message, tag="enrol_pending"):
    """An administrator has not decided yet."""

    fingerprint: str
    """SHA-256 of the public key (DER), hex: what the administrator is shown."""
    retry_after_seconds: float


class EnrolGranted(Message, tag="enrol_granted"):
    """The signed leaf certificate, followed by the issuing CA."""

    chain_pem: bytes


class AskRoot(Message, tag="ask_root"):
    """Ask for the server's root certificate, whose fingerprint the host was given."""


class Root(Message, tag="root"):
    """The root certificate; worth nothing until its fingerprint was compared."""

    certificate_pem: bytes


# --- control channel ---


class Hello(Message, tag="hello"):
    """First message of every connection to the server; identity comes from the certificate."""

    version: int
    hostname: str
    package_version: str
    os_type: str = "Linux"
    os_version: str = ""
    resource_types: list[str] = []
    data_endpoint: str = ""


class Welcome(Message, tag="welcome"):
    """The server accepts the connection."""

    version: int
    server_hwid: str
    hostname: str
    epoch: int
    """Rises with every change of the leading server; orders of an older epoch are refused."""
    heartbeat_seconds: float


class Call(Message, tag="call"):
    """A request of either side; `body` is an encoded Message."""

    id: int
    body: bytes


class Answer(Message, tag="answer"):
    """The answer to the Call of the same id; an encoded Message, a Fault when it failed."""

    id: int
    body: bytes


class Ping(Message, tag="ping"):
    """Sent each `heartbeat_seconds` by the agent; three missed ones end the connection."""


class Pong(Message, tag="pong"):
    """The answer to Ping."""


class Ack(Message, tag="ack"):
    """Done; nothing to say."""


# --- orders: server to client or media server ---


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


class RunVerify(Message, tag="run_verify"):
    """Read every chunk of a record again (media server)."""

    order: Order
    pool_id: int
    record: str


class ListFilesystem(Message, tag="list_filesystem"):
    """List the folders of a client below `path`."""

    path: str


class FilesystemListing(Message, tag="filesystem_listing"):
    """Entries of one folder, sorted by name: name, is_folder, size_bytes."""

    path: str
    entries: list[tuple[str, bool, int]]
    truncated: bool = False


class StorageConfig(msgspec.Struct, frozen=True, kw_only=True):
    """One local catalogue of a pool."""

    id: int
    path: str


class PoolConfig(msgspec.Struct, frozen=True, kw_only=True):
    """A pool as its media server must serve it."""

    id: int
    uuid: str
    name: str
    compression: str
    reserve_bytes: int
    """Free space that a backup must leave."""
    storages: list[StorageConfig]


class ConfigurePools(Message, tag="configure_pools"):
    """The complete list of the media server's pools; sent at each connection and change."""

    epoch: int
    pools: list[PoolConfig]


class PoolState(msgspec.Struct, frozen=True, kw_only=True):
    """What a media server says of a pool: '' in `problem` when it can be used."""

    id: int
    problem: str
    free_bytes: int
    used_bytes: int
    total_bytes: int
    chunks: int
    records: int


class PoolStates(Message, tag="pool_states"):
    """The answer to ConfigurePools and AskPools."""

    pools: list[PoolState]


class AskPools(Message, tag="ask_pools"):
    """Ask how the pools are."""


class CheckFolder(Message, tag="check_folder"):
    """Can this folder become a local catalogue? Answered by Ack or by a Fault that says why not."""

    path: str


class DropRecord(Message, tag="drop_record"):
    """The catalogue has deleted the record: write its tombstone. Repeating it changes nothing."""

    epoch: int
    pool_id: int
    record: str


class ListRecord(Message, tag="list_record"):
    """List one folder of a record."""

    pool_id: int
    record: str
    path: str
    page: int
    limit: int


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


# --- reports: client or media server to server ---


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far a task is; totals are 0 while unknown."""

    task_id: int
    fence: int
    phase: str
    """`execution` or `transmission`."""
    files_done: int = 0
    files_total: int = 0
    bytes_done: int = 0
    bytes_total: int = 0
    bytes_sent: int = 0


class ReportProgress(Message, tag="report_progress"):
    """Progress and heartbeat of every task the agent holds, at most once a second."""

    tasks: list[Progress]


class ProgressAnswer(Message, tag="progress_answer"):
    """Tasks that the agent must drop because their fence is old or they ended."""

    drop: list[int]


class LogLine(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a task's log; `level` is info, warning or error; `at_ns` unix time."""

    at_ns: int
    level: str
    text: str


class ReportLog(Message, tag="report_log"):
    """Lines for the task log. `first` numbers the first line of the attempt, so a repeat is stored once."""

    task_id: int
    fence: int
    first: int
    lines: list[LogLine]


class ReportFinished(Message, tag="report_finished"):
    """The agent is through with the task. `outcome`: done, error, stopped, retry (something was out of reach)."""

    task_id: int
    fence: int
    outcome: str
    message: str
    files_done: int = 0
    files_failed: int = 0
    bytes_done: int = 0
    damaged: list[str] = []


class RenewTicket(Message, tag="renew_ticket"):
    """The ticket of a running task is about to expire."""

    task_id: int
    fence: int


class NewTicket(Message, tag="new_ticket"):
    """A ticket with a later expiry."""

    ticket: bytes


class RecordSealed(Message, tag="record_sealed"):
    """A manifest is durable (media server). Repeated until it is answered; the answer decides its fate."""

    task_id: int
    fence: int
    pool_id: int
    record: str
    parent: str
    client_hwid: str
    resource_type: str
    resource: str
    backup_type: str
    files: int
    files_failed: int
    size_bytes: int
    """Sum of the sizes of all files."""
    stored_bytes: int
    """What this backup added to the pool."""
    sealed_at_ns: int


class SealVerdict(Message, tag="seal_verdict"):
    """`keep`: the record is in the catalogue; otherwise the manifest gets a tombstone."""

    keep: bool


class Relay(Message, tag="relay"):
    """The API asks the server to pass an encoded Message to a host and to return its answer."""

    role: str
    hwid: str
    body: bytes


class Relayed(Message, tag="relayed"):
    """The host's encoded answer."""

    body: bytes


# --- data channel: client to media server ---


class OpenBackup(Message, tag="open_backup"):
    """Open a session that writes the ticket's record."""

    version: int
    ticket: bytes


class BackupOpened(Message, tag="backup_opened"):
    """`parent_bytes`: size of the parent's manifest, 0 when it cannot be used."""

    parent_bytes: int


class OpenRestore(Message, tag="open_restore"):
    """Open a session that reads the ticket's record."""

    version: int
    ticket: bytes


class RestoreOpened(Message, tag="restore_opened"):
    """Size of the record's manifest."""

    manifest_bytes: int


class ReadManifest(Message, tag="read_manifest"):
    """Read a range of the manifest (in a backup session: the parent's); answered by one DATA frame."""

    offset: int
    length: int


class Query(Message, tag="query"):
    """Ask which of these chunks (32 bytes each, concatenated) must be sent."""

    ids: bytes


class Known(Message, tag="known"):
    """One byte a chunk: 0 send it, 1 stored already, 2 stored by others: prove that you have it."""

    states: bytes
    nonce: bytes = b""


class Prove(Message, tag="prove"):
    """BLAKE3 of each chunk keyed with the nonce (32 bytes each), in the order of the 2s."""

    ids: bytes
    proofs: bytes


class Proved(Message, tag="proved"):
    """One byte a chunk: 1 accepted, 0 send it."""

    states: bytes


class Checkpoint(Message, tag="checkpoint"):
    """Make everything sent so far durable."""


class Checkpointed(Message, tag="checkpointed"):
    """It is durable; a later attempt of this task need not send it again."""


class Renew(Message, tag="renew"):
    """The session goes on under this ticket; answered by Ack."""

    ticket: bytes


class Seal(Message, tag="seal"):
    """The manifest is complete: check it, make it durable, publish it."""

    files: int
    files_failed: int
    size_bytes: int


class Sealed(Message, tag="sealed"):
    """The record exists."""

    record: str
    stored_bytes: int


class ReadChunks(Message, tag="read_chunks"):
    """Rows of the record's chunk table: (first row, count) each. Answered by GROUP frames, then Groups."""

    runs: list[tuple[int, int]]


class Groups(Message, tag="groups"):
    """How many GROUP frames came; unless `problem` says what is damaged they hold every chunk asked for."""

    count: int
    problem: str = ""


class Bye(Message, tag="bye"):
    """The session ends in order."""


AnyMessage = (
    Fault | Enrol | EnrolPending | EnrolGranted | AskRoot | Root | Hello | Welcome | Call | Answer | Ping | Pong | Ack
    | RunBackup | RunRestore | RunVerify | ListFilesystem | FilesystemListing
    | ConfigurePools | PoolStates | AskPools | CheckFolder | DropRecord | ListRecord | RecordListing
    | ReportProgress | ProgressAnswer | ReportLog | ReportFinished | RenewTicket | NewTicket
    | RecordSealed | SealVerdict | Relay | Relayed
    | OpenBackup | BackupOpened | OpenRestore | RestoreOpened | ReadManifest | Query | Known | Prove | Proved
    | Checkpoint | Checkpointed | Renew | Seal | Sealed | ReadChunks | Groups | Bye
)  # fmt: skip
"""The union of all messages; the tag in `t` tells which."""
