"""Every message on the wire, as tagged msgspec structs in msgpack maps.

A field is only ever added, with a default, so an older peer skips what it does not
know; a change of meaning raises PROTOCOL_VERSION. No message lets a client delete or
overwrite stored data. Golden bytes: `tests/contract/wire`. Design: `docs/design/wire.md`.
"""

from rubackup.wire.messages.base import OLDEST_PROTOCOL_VERSION, PROTOCOL_VERSION, Fault, Message
from rubackup.wire.messages.client_pools import (
    AskKept,
    ClientPool,
    ConfigureClientPools,
    DropKept,
    Keep,
    KeptRecords,
    KeptSize,
    ListKept,
    OpenKept,
    ReadKept,
)
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
    RenewCertificate,
    Root,
    Welcome,
)
from rubackup.wire.messages.data import (
    BackupOpened,
    Bye,
    Checkpoint,
    Checkpointed,
    CopySegments,
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
    AskRecords,
    AskUnavailable,
    BlockDevice,
    BlockDevices,
    CheckDestinations,
    ConfigurePools,
    Destination,
    DestinationsChecked,
    DropRecord,
    EmergencyState,
    FilesystemListing,
    KeepKey,
    ListBlockDevices,
    ListEncrypted,
    ListFilesystem,
    ListRecord,
    ListResources,
    LockRecord,
    MediaAddress,
    ModuleResource,
    ModuleResources,
    Order,
    PoolConfig,
    PoolRecord,
    PoolRecords,
    PoolState,
    PoolStates,
    ReadEncryptedFile,
    ReadRecordFile,
    RecordEntry,
    RecordFacts,
    RecordFilePart,
    RecordListing,
    Revoked,
    RuleBandwidth,
    RunBackup,
    RunClean,
    RunCopy,
    RunRestore,
    RunVerify,
    SetBandwidth,
    StorageState,
    UnavailableRecords,
)
from rubackup.wire.messages.reports import (
    LogLine,
    MonitoringLimits,
    MonitoringSample,
    NewTicket,
    Progress,
    ProgressAnswer,
    RecordSealed,
    Relay,
    Relayed,
    RenewTicket,
    ReportFinished,
    ReportKeys,
    ReportLog,
    ReportMonitoring,
    ReportProgress,
    ReportSessions,
    SealVerdict,
    SessionOf,
    SessionsAnswer,
)
from rubackup.wire.messages.storages import (
    AskStorage,
    BucketConfig,
    BucketProbed,
    CheckDevice,
    CheckFolder,
    DeviceChecked,
    DeviceConfig,
    DeviceFormatted,
    FormatDevice,
    ProbeBucket,
    StorageConfig,
    StorageNeed,
)
from rubackup.wire.messages.tape import AskElements, ScanTape, TapeDevice, TapeDevices, TapeElement, TapeElements
from rubackup.wire.messages.tools import (
    AgentState,
    AskAgent,
    AskDeletion,
    AskOwnClient,
    AskOwnCopies,
    AskOwnRules,
    AskOwnTasks,
    Deleted,
    LocalUser,
    OwnClient,
    OwnCopies,
    OwnCopy,
    OwnRule,
    OwnRules,
    OwnTask,
    OwnTasks,
    Queued,
    Requested,
    RequestRule,
    RequestRuleDeletion,
    StartBackup,
    StartRestore,
    WaitingRequest,
)

__all__ = ["OLDEST_PROTOCOL_VERSION", "PROTOCOL_VERSION", "Ack", "AgentState", "Answer", "AnyMessage", "AskAgent", "AskDeletion", "AskElements", "AskKept", "AskOwnClient", "AskOwnCopies", "AskOwnRules", "AskOwnTasks", "AskPools", "AskRecords", "AskRoot", "AskStorage", "AskUnavailable", "BackupOpened", "BlockDevice", "BlockDevices", "BucketConfig", "BucketProbed", "Bye", "Call", "CheckDestinations", "CheckDevice", "CheckFolder", "Checkpoint", "Checkpointed", "ClientPool", "ConfigureClientPools", "ConfigurePools", "CopySegments", "Deleted", "Destination", "DestinationsChecked", "DeviceChecked", "DeviceConfig", "DeviceFormatted", "DropKept", "DropRecord", "EmergencyState", "Enrol", "EnrolGranted", "EnrolPending", "Fault", "FilesystemListing", "FormatDevice", "Groups", "Hello", "Keep", "KeepKey", "KeptRecords", "KeptSize", "Known", "ListBlockDevices", "ListEncrypted", "ListFilesystem", "ListKept", "ListRecord", "ListResources", "LocalUser", "LockRecord", "LogLine", "MediaAddress", "Message", "ModuleResource", "ModuleResources", "MonitoringLimits", "MonitoringSample", "NewTicket", "OpenBackup", "OpenKept", "OpenRestore", "Order", "OwnClient", "OwnCopies", "OwnCopy", "OwnRule", "OwnRules", "OwnTask", "OwnTasks", "Ping", "Pong", "PoolConfig", "PoolRecord", "PoolRecords", "PoolState", "PoolStates", "ProbeBucket", "Progress", "ProgressAnswer", "Prove", "Proved", "Query", "Queued", "ReadChunks", "ReadEncryptedFile", "ReadKept", "ReadManifest", "ReadRecordFile", "RecordEntry", "RecordFacts", "RecordFilePart", "RecordListing", "RecordSealed", "Relay", "Relayed", "Renew", "RenewCertificate", "RenewTicket", "ReportFinished", "ReportKeys", "ReportLog", "ReportMonitoring", "ReportProgress", "ReportSessions", "RequestRule", "RequestRuleDeletion", "Requested", "RestoreOpened", "Revoked", "Root", "RuleBandwidth", "RunBackup", "RunClean", "RunCopy", "RunRestore", "RunVerify", "ScanTape", "Seal", "SealVerdict", "Sealed", "SessionOf", "SessionsAnswer", "SetBandwidth", "StartBackup", "StartRestore", "StorageConfig", "StorageNeed", "StorageState", "TapeDevice", "TapeDevices", "TapeElement", "TapeElements", "UnavailableRecords", "WaitingRequest", "Welcome"]  # fmt: skip

AnyMessage = (
    Fault | Enrol | EnrolPending | EnrolGranted | RenewCertificate | AskRoot | Root | Hello | Welcome | Call | Answer | Ping | Pong | Ack
    | RunBackup | RunRestore | RunVerify | RunClean | RunCopy | SetBandwidth | ListFilesystem | FilesystemListing
    | ConfigurePools | PoolStates | AskPools | AskRecords | PoolRecords | AskStorage | AskUnavailable | UnavailableRecords | StorageNeed
    | CheckFolder | CheckDevice | DeviceChecked | FormatDevice | DeviceFormatted | ProbeBucket | BucketProbed | DropRecord | LockRecord | Revoked | KeepKey
    | ListRecord | ListEncrypted | RecordListing | ReadRecordFile | ReadEncryptedFile | RecordFilePart
    | ReportProgress | ProgressAnswer | ReportSessions | SessionsAnswer | ReportLog | ReportFinished | RenewTicket | NewTicket
    | RecordSealed | ReportKeys | SealVerdict | Relay | Relayed
    | ScanTape | TapeDevices | AskElements | TapeElements
    | CheckDestinations | DestinationsChecked | ListBlockDevices | BlockDevices | ListResources | ModuleResources | ReportMonitoring | MonitoringLimits
    | AskAgent | AgentState | AskOwnClient | OwnClient | AskOwnRules | OwnRules | AskOwnCopies | OwnCopies | AskOwnTasks | OwnTasks | RequestRule | RequestRuleDeletion | Requested | StartBackup | StartRestore | Queued | AskDeletion | Deleted
    | OpenBackup | BackupOpened | OpenRestore | RestoreOpened | ReadManifest | Query | Known | Prove | Proved
    | Checkpoint | Checkpointed | CopySegments | Renew | Seal | Sealed | ReadChunks | Groups | Bye
    | ConfigureClientPools | OpenKept | AskKept | KeptSize | ReadKept | Keep | ListKept | KeptRecords | DropKept
)  # fmt: skip
"""The union of all messages; the tag in `t` tells which."""
