"""Every message on the wire, as tagged msgspec structs in msgpack maps.

A field is only ever added, with a default, so an older peer skips what it does not
know; a change of meaning raises PROTOCOL_VERSION. No message lets a client delete or
overwrite stored data. Golden bytes: `tests/contract/wire`. Design: `docs/design/wire.md`.
"""

from rubackup.wire.messages.base import PROTOCOL_VERSION, Fault, Message
from rubackup.wire.messages.control import (
    Ack,
    Answer,
    AskRoot,
    Call,
    Enrol,
    EnrolGranted,
    EnrolPending,
    Hello,
    Ping,
    Pong,
    Root,
    Welcome,
)
from rubackup.wire.messages.data import (
    BackupOpened,
    Bye,
    Checkpoint,
    Checkpointed,
    Groups,
    Known,
    OpenBackup,
    OpenRestore,
    Prove,
    Proved,
    Query,
    ReadChunks,
    ReadManifest,
    Renew,
    RestoreOpened,
    Seal,
    Sealed,
)
from rubackup.wire.messages.orders import (
    AskPools,
    CheckFolder,
    ConfigurePools,
    DropRecord,
    FilesystemListing,
    KeepKey,
    ListFilesystem,
    ListRecord,
    LockRecord,
    MediaAddress,
    Order,
    PoolConfig,
    PoolState,
    PoolStates,
    RecordEntry,
    RecordListing,
    Revoked,
    RunBackup,
    RunCopy,
    RunRestore,
    RunVerify,
    StorageConfig,
)
from rubackup.wire.messages.reports import (
    LogLine,
    NewTicket,
    Progress,
    ProgressAnswer,
    RecordSealed,
    Relay,
    Relayed,
    RenewTicket,
    ReportFinished,
    ReportLog,
    ReportProgress,
    SealVerdict,
)

__all__ = ["PROTOCOL_VERSION", "Ack", "Answer", "AnyMessage", "AskPools", "AskRoot", "BackupOpened", "Bye", "Call", "CheckFolder", "Checkpoint", "Checkpointed", "ConfigurePools", "DropRecord", "Enrol", "EnrolGranted", "EnrolPending", "Fault", "FilesystemListing", "Groups", "Hello", "KeepKey", "Known", "ListFilesystem", "ListRecord", "LockRecord", "LogLine", "MediaAddress", "Message", "NewTicket", "OpenBackup", "OpenRestore", "Order", "Ping", "Pong", "PoolConfig", "PoolState", "PoolStates", "Progress", "ProgressAnswer", "Prove", "Proved", "Query", "ReadChunks", "ReadManifest", "RecordEntry", "RecordListing", "RecordSealed", "Relay", "Relayed", "Renew", "RenewTicket", "ReportFinished", "ReportLog", "ReportProgress", "RestoreOpened", "Revoked", "Root", "RunBackup", "RunCopy", "RunRestore", "RunVerify", "Seal", "SealVerdict", "Sealed", "StorageConfig", "Welcome"]  # fmt: skip

AnyMessage = (
    Fault | Enrol | EnrolPending | EnrolGranted | AskRoot | Root | Hello | Welcome | Call | Answer | Ping | Pong | Ack
    | RunBackup | RunRestore | RunVerify | RunCopy | ListFilesystem | FilesystemListing
    | ConfigurePools | PoolStates | AskPools | CheckFolder | DropRecord | LockRecord | Revoked | KeepKey | ListRecord | RecordListing
    | ReportProgress | ProgressAnswer | ReportLog | ReportFinished | RenewTicket | NewTicket
    | RecordSealed | SealVerdict | Relay | Relayed
    | OpenBackup | BackupOpened | OpenRestore | RestoreOpened | ReadManifest | Query | Known | Prove | Proved
    | Checkpoint | Checkpointed | Renew | Seal | Sealed | ReadChunks | Groups | Bye
)  # fmt: skip
"""The union of all messages; the tag in `t` tells which."""
