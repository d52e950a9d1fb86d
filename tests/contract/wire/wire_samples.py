"""One message of each kind with a value in every field, and how its bytes are kept.

`.venv/bin/python tests/contract/wire/wire_samples.py` writes the golden files anew; a
changed golden means that older peers will read other bytes.
"""

from __future__ import annotations

import struct
from pathlib import Path

from rubackup.wire import framing
from rubackup.wire.messages import (
    Ack,
    Answer,
    AskPools,
    AskRoot,
    BackupOpened,
    Bye,
    Call,
    CheckFolder,
    Checkpoint,
    Checkpointed,
    ConfigurePools,
    DropRecord,
    Enrol,
    EnrolGranted,
    EnrolPending,
    Fault,
    FilesystemListing,
    Groups,
    Hello,
    KeepKey,
    Known,
    ListFilesystem,
    ListRecord,
    LockRecord,
    LogLine,
    MediaAddress,
    Message,
    NewTicket,
    OpenBackup,
    OpenRestore,
    Order,
    Ping,
    Pong,
    PoolConfig,
    PoolState,
    PoolStates,
    Progress,
    ProgressAnswer,
    Prove,
    Proved,
    Query,
    ReadChunks,
    ReadManifest,
    RecordEntry,
    RecordListing,
    RecordSealed,
    Relay,
    Relayed,
    Renew,
    RenewTicket,
    ReportFinished,
    ReportLog,
    ReportProgress,
    RestoreOpened,
    Revoked,
    Root,
    RunBackup,
    RunCopy,
    RunRestore,
    RunVerify,
    Seal,
    Sealed,
    SealVerdict,
    StorageConfig,
    Welcome,
)

FOLDER = Path(__file__).resolve().parents[2] / "data" / "wire"

CLIENT = "525a99154f3505a2"
MEDIA = "c3" * 32
RECORD = "0123456789abcdef0123456789abcdef"
PARENT = "fedcba9876543210fedcba9876543210"
ID = bytes(range(32))
ORDER = Order(task_id=7, fence=3, epoch=2, ticket=b"ticket")
MEDIA_ADDRESS = MediaAddress(host="media.example", port=9993, hwid=MEDIA)

SAMPLES: tuple[Message, ...] = (
    Fault(code="storage_full", message="There is no room left in the pool."),
    Enrol(
        version=1,
        role="media",
        hwid=MEDIA,
        hostname="media.example",
        csr_pem=b"-----BEGIN CERTIFICATE REQUEST-----",
        package_version="1.0.0",
        os_type="Linux",
        os_version="Debian 12",
        data_endpoint="media.example:9993",
    ),
    EnrolPending(fingerprint="ab" * 32, retry_after_seconds=30.0),
    EnrolGranted(chain_pem=b"-----BEGIN CERTIFICATE-----"),
    AskRoot(),
    Root(certificate_pem=b"-----BEGIN CERTIFICATE-----"),
    Hello(
        version=1,
        hostname="client.example",
        package_version="1.0.0",
        os_type="Linux",
        os_version="Debian 12",
        resource_types=["File system"],
        data_endpoint="media.example:9993",
    ),
    Welcome(version=1, server_hwid="a1" * 32, hostname="server.example", epoch=5, heartbeat_seconds=10.0),
    Call(id=1, body=b"\x81\xa1t\xa4ping"),
    Answer(id=1, body=b"\x81\xa1t\xa4pong"),
    Ping(),
    Pong(),
    Ack(),
    RunBackup(
        order=ORDER,
        media=MEDIA_ADDRESS,
        record=RECORD,
        parent=PARENT,
        resource_type="File system",
        resource="/home/u",
        backup_type="incremental",
        compression="fast",
        module_parameters={"one": [1, None, True, 2.5]},
        common_parameters={"two": {"three": "four"}},
    ),
    RunRestore(
        order=ORDER,
        media=MEDIA_ADDRESS,
        record=RECORD,
        resource_type="File system",
        resource="/home/u",
        destination="/restored",
        in_place=False,
        paths=["/home/u/файл", "/home/u/\udcff"],
        overwrite="always",
        module_parameters={"one": 1},
        common_parameters={"two": 2},
    ),
    RunVerify(order=ORDER, pool_id=1, record=RECORD, contents=False),
    RunCopy(
        order=ORDER,
        pool_id=2,
        record=RECORD,
        parent=PARENT,
        owner=CLIENT,
        source_pool_id=1,
        source_record="89abcdef0123456789abcdef01234567",
        source=MEDIA_ADDRESS,
    ),
    ListFilesystem(path="/home/\udcff"),
    FilesystemListing(path="/home", entries=[("u", True, 4096), ("\udc80\U0010dc80", False, 1 << 40)], truncated=True),
    ConfigurePools(
        epoch=5,
        pools=[
            PoolConfig(
                id=1,
                uuid=PARENT,
                name="Default",
                compression="fast",
                reserve_bytes=1 << 30,
                storages=[StorageConfig(id=2, path="/var/pool")],
            )
        ],
    ),
    PoolStates(
        pools=[
            PoolState(
                id=1, problem="", free_bytes=3, used_bytes=2, total_bytes=5, chunks=1 << 33, records=12
            )
        ]
    ),
    AskPools(),
    CheckFolder(path="/var/pool"),
    DropRecord(epoch=5, pool_id=1, record=RECORD),
    LockRecord(epoch=5, pool_id=1, record=RECORD, until_ns=1_700_000_000_000_000_000),
    Revoked(serials=["0a1b2c", "ff"], key_seconds=3600.0),
    KeepKey(key_seconds=3600.0),
    ListRecord(pool_id=1, record=RECORD, path="/home", page=2, limit=50),
    RecordListing(
        entries=[
            RecordEntry(
                path="/home/link",
                type="symlink",
                size_bytes=6,
                mode=0o777,
                uid=1000,
                gid=1001,
                user="u",
                group="g",
                mtime_ns=-1,
                target="target",
            )
        ],
        total=51,
    ),
    ReportProgress(
        tasks=[
            Progress(
                task_id=7,
                fence=3,
                phase="transmission",
                files_done=1,
                files_total=2,
                bytes_done=3,
                bytes_total=4,
                bytes_sent=5,
            )
        ]
    ),
    ProgressAnswer(drop=[7, 8]),
    ReportLog(task_id=7, fence=3, first=10, lines=[LogLine(at_ns=1_700_000_000_000_000_000, level="error", text="no")]),
    ReportFinished(
        task_id=7,
        fence=3,
        outcome="error",
        message="Files failed.",
        files_done=9,
        files_failed=1,
        bytes_done=100,
        damaged=["/home/u/a"],
    ),
    RenewTicket(task_id=7, fence=3),
    NewTicket(ticket=b"ticket"),
    RecordSealed(
        task_id=7,
        fence=3,
        pool_id=1,
        record=RECORD,
        parent=PARENT,
        client_hwid=CLIENT,
        resource_type="File system",
        resource="/home/u",
        backup_type="full",
        files=9,
        files_failed=1,
        size_bytes=100,
        stored_bytes=50,
        sealed_at_ns=1_700_000_000_000_000_000,
    ),
    SealVerdict(keep=True),
    Relay(role="client", hwid=CLIENT, body=b"\x81\xa1t\xa4ping"),
    Relayed(body=b"\x81\xa1t\xa4pong"),
    OpenBackup(version=1, ticket=b"ticket"),
    BackupOpened(parent_bytes=4096),
    OpenRestore(version=1, ticket=b"ticket"),
    RestoreOpened(manifest_bytes=4096),
    ReadManifest(offset=1, length=2),
    Query(ids=ID),
    Known(states=b"\x00\x01\x02", nonce=ID),
    Prove(ids=ID, proofs=ID[::-1]),
    Proved(states=b"\x01"),
    Checkpoint(),
    Checkpointed(),
    Renew(ticket=b"ticket"),
    Seal(files=9, files_failed=1, size_bytes=100),
    Sealed(record=RECORD, stored_bytes=50),
    ReadChunks(runs=[(0, 5), (1 << 33, 1)]),
    Groups(count=3, problem="A pack is damaged."),
    Bye(),
)  # fmt: skip


def tag_of(message: Message) -> str:
    """What `t` says."""
    return str(message.__struct_config__.tag)


def frames() -> dict[str, bytes]:
    """Name of a golden file to the bytes of the frame in it."""
    found = {tag_of(message): framing.frame(message) for message in SAMPLES}
    for kind in (framing.FrameType.GROUP, framing.FrameType.MANIFEST, framing.FrameType.DATA):
        found[f"frame-{kind.name.lower()}"] = framing.HEADER.pack(4, kind) + struct.pack(">I", 0xDEADBEEF)
    return found


def golden(name: str) -> bytes:
    """The bytes in a golden file."""
    return bytes.fromhex((FOLDER / f"{name}.hex").read_text("ascii"))


def renew() -> None:
    """Writes every golden file, 32 bytes a line, and removes those of no message."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for old in FOLDER.glob("*.hex"):
        old.unlink()
    for name, data in frames().items():
        lines = [data[start : start + 32].hex() for start in range(0, len(data), 32)]
        (FOLDER / f"{name}.hex").write_text("\n".join(lines) + "\n", "ascii")


if __name__ == "__main__":
    renew()
