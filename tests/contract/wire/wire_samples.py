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
    AgentState,
    Answer,
    AskAgent,
    AskDeletion,
    AskElements,
    AskHeldPools,
    AskKept,
    AskOwnClient,
    AskOwnCopies,
    AskOwnRules,
    AskOwnTasks,
    AskPools,
    AskRecords,
    AskRoot,
    AskStorage,
    AskUnavailable,
    BackupOpened,
    BlockDevice,
    BlockDevices,
    BucketConfig,
    BucketProbed,
    Bye,
    Call,
    CheckDestinations,
    CheckDevice,
    CheckFolder,
    Checkpoint,
    Checkpointed,
    ClientPool,
    ConfigureClientPools,
    ConfigurePools,
    CopySegments,
    Deleted,
    Destination,
    DestinationsChecked,
    DeviceChecked,
    DeviceConfig,
    DeviceFormatted,
    DropKept,
    DropRecord,
    EmergencyState,
    Enrol,
    EnrolGranted,
    EnrolPending,
    Fault,
    FilesystemListing,
    FormatDevice,
    Groups,
    HeldPool,
    HeldPools,
    HeldStorage,
    Hello,
    Keep,
    KeepKey,
    KeptRecords,
    KeptSize,
    Known,
    ListBlockDevices,
    ListEncrypted,
    ListFilesystem,
    ListKept,
    ListRecord,
    ListResources,
    LocalUser,
    LockRecord,
    LogLine,
    MediaAddress,
    Message,
    ModuleResource,
    ModuleResources,
    MonitoringLimits,
    MonitoringSample,
    NewTicket,
    OpenBackup,
    OpenKept,
    OpenRestore,
    Order,
    OwnClient,
    OwnCopies,
    OwnCopy,
    OwnRule,
    OwnRules,
    OwnTask,
    OwnTasks,
    Ping,
    Pong,
    PoolConfig,
    PoolRecord,
    PoolRecords,
    PoolState,
    PoolStates,
    ProbeBucket,
    Progress,
    ProgressAnswer,
    Prove,
    Proved,
    Query,
    Queued,
    ReadChunks,
    ReadEncryptedFile,
    ReadKept,
    ReadManifest,
    ReadRecordFile,
    RecordEntry,
    RecordFacts,
    RecordFilePart,
    RecordListing,
    RecordSealed,
    Relay,
    Relayed,
    Renew,
    RenewCertificate,
    RenewTicket,
    ReportFinished,
    ReportKeys,
    ReportLog,
    ReportMonitoring,
    ReportProgress,
    ReportSessions,
    Requested,
    RequestRule,
    RequestRuleDeletion,
    RestoreOpened,
    Revoked,
    Root,
    RuleBandwidth,
    RunBackup,
    RunClean,
    RunCopy,
    RunRestore,
    RunVerify,
    ScanTape,
    Seal,
    Sealed,
    SealVerdict,
    SessionOf,
    SessionsAnswer,
    SetBandwidth,
    StartBackup,
    StartRestore,
    StorageConfig,
    StorageNeed,
    StorageState,
    TapeDevice,
    TapeDevices,
    TapeElement,
    TapeElements,
    UnavailableRecords,
    WaitingRequest,
    Welcome,
)

FOLDER = Path(__file__).resolve().parents[2] / "data" / "wire"

CLIENT = "525a99154f3505a2"
MEDIA = "c3" * 32
KEY_ID = "0123456789abcdef" * 2
RECORD = "0123456789abcdef0123456789abcdef"
PARENT = "fedcba9876543210fedcba9876543210"
BUCKET = BucketConfig(
    endpoint="https://s3.example.org", region="eu", bucket="backups", prefix="pool", access_key="AKEXAMPLE",
    secret_sealed=bytes(range(98)), ca_file="/etc/ca.pem", object_lock="governance", conditional_writes=True,
    conditional_parts=True,
)  # fmt: skip
ID = bytes(range(32))
ROBOT = TapeDevice(
    kind="medium_changer", scsi_path="[8:0:0:3]", device="/dev/sg4", vendor="STK", product="L700", revision="0104",
    serial="VTL0001",
)  # fmt: skip
OWN = ClientPool(
    id=9,
    uuid="00" * 16,
    name="Mine",
    storages=[(1, "nas"), (2, "")],
    metadata_pool=1,
    reserve_bytes=1 << 30,
    evenly=True,
)
KEPT = f"{'00' * 16}-525a99154f3505a2"
ORDER = Order(task_id=7, fence=3, epoch=2, ticket=b"ticket")
MEDIA_ADDRESS = MediaAddress(host="media.example", port=9993, hwid=MEDIA, key="ab" * 32)

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
    RenewCertificate(csr_pem=b"-----BEGIN CERTIFICATE REQUEST-----"),
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
        ciphers=["aes-256-gcm"],
        key_ids=[KEY_ID],
        storages=["nas"],
        tasks=8,
        sessions=64,
    ),
    Welcome(version=1, server_hwid="a1" * 32, hostname="server.example", epoch=5, heartbeat_seconds=10.0),
    Call(id=1, body=b"\x81\xa1t\xa4ping"),
    Answer(id=1, body=b"\x81\xa1t\xa4pong"),
    Ping(),
    Pong(),
    Ack(failed=True),
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
        normal_script="/opt/rubackup/scripts/normal",
        exception_script="/opt/rubackup/scripts/exception",
        crypto="aes-256-gcm",
        own=OWN,
        rule=12,
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
        restore_script="/opt/rubackup/scripts/restore",
        key_id=KEY_ID,
        own=OWN,
        rule=13,
    ),
    SetBandwidth(
        epoch=3, backup=1 << 20, restore=1 << 41, rules=[RuleBandwidth(rule=12, backup=1024, restore=2048)],
        rule_first=True,
    ),
    RunVerify(
        order=ORDER,
        pool_id=1,
        record=RECORD,
        contents=False,
        media=MEDIA_ADDRESS,
        facts=RecordFacts(
            client_hwid="00000000000000aa",
            resource_type="File system",
            resource="/home",
            backup_type="full",
            files=7,
            size_bytes=1 << 40,
        ),
        own=OWN,
    ),
    RunClean(order=ORDER, pool_id=1, blocks=False, storages=True, zeroing=True, unfinished=[7, 9], media=MEDIA_ADDRESS, own=OWN),
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
    CheckDestinations(paths=["/restored", "/\udcff"]),
    DestinationsChecked(
        destinations=[
            Destination(
                path="/restored", problem="p", folder="/", filesystem="ext4", device="254:0", pseudo=True, read_only=True,
                writable=True, free_bytes=1 << 40, size_bytes=1 << 41,
            )
        ]
    ),
    ListBlockDevices(path="/dev/"),
    BlockDevices(
        devices=[
            BlockDevice(
                name="dm-0", path="/dev/volumes/home", type="lvm", size_bytes=1 << 40, filesystem="ext4",
                mount_points=["/home"], read_only=True,
            )
        ]
    ),
    ListResources(resource_type="File system", secret_method=1),
    ModuleResources(
        resources=[ModuleResource(resource="/home", kind="ext4", size_bytes=1 << 40, used_bytes=1 << 39)]
    ),
    ConfigurePools(
        epoch=5,
        pools=[
            PoolConfig(
                id=1,
                uuid=PARENT,
                name="Default",
                compression="fast",
                reserve_bytes=1 << 30,
                storages=[
                    StorageConfig(id=2, path="/var/pool"),
                    StorageConfig(id=3, path="/dev/sdb", device=DeviceConfig(uuid=RECORD, workers=4)),
                    StorageConfig(id=4, path="https://s3.example.org/backups/pool", bucket=BUCKET),
                ],
                reconciled=True,
                evenly=True,
                emergency="/var/emergency",
                metadata_pool=3,
                algorithm="sha2",
                hash_length=256,
                block_size=131072,
            )
        ],
        terms=[(5, PARENT)],
    ),
    PoolStates(
        pools=[
            PoolState(
                id=1,
                problem="",
                free_bytes=3,
                used_bytes=2,
                total_bytes=5,
                chunks=1 << 33,
                reconciled=False,
                contact=6,
                records=12,
                storages=[StorageState(id=2, problem="its disk is gone", free_bytes=3, used_bytes=2, total_bytes=5)],
                emergency=[
                    EmergencyState(
                        path=f"/var/emergency/{PARENT}", problem="", free_bytes=3, used_bytes=2, total_bytes=5
                    )
                ],
                away=["/var/pool"],
                code="unusable",
            )
        ]
    ),
    AskPools(contacts=[(1, 7), (2, 1 << 40)]),
    AskRecords(pool_id=1, after=RECORD, limit=10, kept_of="00" * 16, by_time=True, after_ns=9),
    PoolRecords(
        records=[
            PoolRecord(
                record=RECORD, parent=RECORD, task_id=7, client_hwid="a" * 16, resource_type="File system", resource="/home",
                backup_type="full", files=3, files_failed=1, size_bytes=5, stored_bytes=4, sealed_at_ns=6, locked_until_ns=8, away=True,
            )
        ],
        more=True,
        away=["/srv/vault"],
    ),
    AskHeldPools(),
    HeldPools(
        pools=[
            HeldPool(
                uuid=PARENT,
                name="Later",
                storages=[HeldStorage(path="/srv/later", kind="folder", away=True, copies=7)],
            ),
            HeldPool(
                uuid=RECORD,
                name="",
                storages=[HeldStorage(path=f"{RECORD}-{'ab' * 8}", kind="client", copies=2, client="ab" * 8)],
                kept_in="Default",
            ),
        ]
    ),
    AskUnavailable(pool_id=1, after=RECORD, limit=10),
    UnavailableRecords(records=[RECORD], after=RECORD),
    AskStorage(pool_id=1, storage_id=2),
    StorageNeed(in_pool=True, reason="The folder holds data of the pool."),
    CheckFolder(path="/var/pool", pool=RECORD, existing=True),
    CheckDevice(path="/dev/disk/by-id/one-part1", taken=[("/dev/sda1", "/dev/sda")]),
    DeviceChecked(
        real_path="/dev/sdb1",
        disk="/dev/sdb",
        kind="block device",
        size_bytes=1 << 40,
        signature="an ext4 file system",
        in_use="mounted at /home",
        same_as="/dev/sdb1",
        pool=RECORD,
    ),
    FormatDevice(path="/dev/sdb1", pool=RECORD, taken=[("/dev/sda1", "/dev/sda")], overwrite=True),
    DeviceFormatted(uuid=RECORD),
    ProbeBucket(pool=RECORD, bucket=BUCKET),
    BucketProbed(
        problems=[("object_lock", "The bucket backups was created without Object Lock.")],
        notes=["The bucket keeps old versions."],
        conditional_writes=True,
        conditional_parts=True,
        versioning=True,
        lockable=True,
        clock_ahead_seconds=-0.5,
        pool=RECORD,
    ),
    DropRecord(epoch=5, pool_id=1, record=RECORD, zeroing=True),
    LockRecord(epoch=5, pool_id=1, record=RECORD, until_ns=1_700_000_000_000_000_000),
    Revoked(serials=["0a1b2c", "ff"], key_seconds=3600.0),
    KeepKey(key_seconds=3600.0),
    ListEncrypted(
        pool_id=1, record=RECORD, path="/home", page=1, limit=100, media=MEDIA_ADDRESS, ticket=b"ticket", own=OWN
    ),
    ListRecord(pool_id=1, record=RECORD, path="/home", page=2, limit=50, kept=KEPT),
    ReadEncryptedFile(
        pool_id=3, record=RECORD, path="/home/\udcff", offset=1 << 40, length=1 << 20, media=MEDIA_ADDRESS, ticket=b"ticket",
        holes=True,
    ),
    ReadRecordFile(
        pool_id=3, record="0123456789abcdef0123456789abcdef", path="/home/\udcff", offset=1 << 40, length=1 << 20, holes=True
    ),
    RecordFilePart(
        size_bytes=1 << 41, tag="0f" * 16, mtime_ns=1_700_000_000_000_000_001, data=b"content", hole=1 << 40
    ),
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
        bytes_sent=80,
    ),
    RenewTicket(task_id=7, fence=3),
    NewTicket(ticket=b"ticket", media=MEDIA_ADDRESS),
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
        crypto="aes-256-gcm",
        key_id=KEY_ID,
        emergency="/srv/emergency",
        emergency_bytes=50,
        emergency_reason="The storage /a has 3 bytes free.",
    ),
    SealVerdict(keep=True),
    ReportKeys(key_ids=[KEY_ID]),
    ReportSessions(sessions=[SessionOf(task_id=7, fence=1 << 40)]),
    SessionsAnswer(over=[1 << 40]),
    ReportMonitoring(
        samples=[
            MonitoringSample(
                before_ns=1_700_000_000_000_000_000, after_ns=1_700_000_001_000_000_000, general_cpu_percent=12.5,
                own_cpu_percent=0.25, general_ram_percent=50.0, own_ram_percent=1.5, general_ram_megabytes=2048.0,
                own_ram_megabytes=64.5, general_read_per_second=1.0, general_written_per_second=2.0,
                own_read_per_second=3.0, own_written_per_second=4.0, general_received_per_second=5.0,
                general_sent_per_second=6.0, load=0.75,
            )
        ]
    ),
    MonitoringLimits(period_seconds=30),
    Relay(role="client", hwid=CLIENT, body=b"\x81\xa1t\xa4ping"),
    Relayed(body=b"\x81\xa1t\xa4pong"),
    ScanTape(),
    TapeDevices(
        devices=[
            ROBOT,
            TapeDevice(
                kind="tape_drive",
                scsi_path="[8:0:0:1]",
                device="/dev/sg5",
                tape_device="/dev/nst0",
                vendor="IBM",
                product="ULT3580-TD9",
                revision="P370",
                serial="10WT000001",
            ),
        ]
    ),
    AskElements(device="/dev/sg4", scsi_path="[8:0:0:3]", serial="VTL0001"),
    TapeElements(
        robot=ROBOT,
        elements=[
            TapeElement(
                address=256,
                kind="drive",
                full=True,
                accessible=True,
                volume_tag="RB10001L9",
                source=1024,
                problem="additional sense code 83/00",
                identifier="IBM ULT3580-TD9 10WT000001",
            )
        ],
    ),
    AskAgent(),
    AgentState(
        hostname="client.example",
        hwid=CLIENT,
        package_version="1.0.0",
        servers=[("server.example:9991", True), ("other.example:9991", False)],
        tasks=[7, 8],
    ),
    AskOwnClient(),
    OwnClient(
        client=f"client.example ({CLIENT})",
        group="office",
        description="in room 3",
        client_side_backup=True,
        client_side_restore=False,
        centralized_restore=True,
        lrl_flag=True,
        lsf_flag=True,
        ls_pool="Default",
        storage_capacity=10,
        waiting_requests=2,
    ),
    AskOwnRules(),
    OwnRules(
        rules=[
            OwnRule(
                id=4,
                name="nightly",
                resource_type="File system",
                resource="/home/u",
                backup_type="full",
                pool="Default",
                status="run",
                schedule="0 2 * * *",
                storage_duration="1 months",
                client_delete_flag=True,
            )
        ],
        requests=[
            WaitingRequest(
                id=5,
                kind="delete",
                name="nightly",
                resource="/home/u",
                rule=4,
                requested_by="root",
                requested_at="2024-09-02T15:40:01+00:00",
                comment="not needed any more",
            )
        ],
    ),
    AskOwnCopies(resource="/home/u", before=12, limit=50),
    OwnCopies(
        copies=[
            OwnCopy(
                id=11,
                parent=10,
                rule=4,
                resource_type="File system",
                resource="/home/u",
                backup_type="incremental",
                pool="Default",
                crypto="nocrypt",
                size_bytes=100,
                files=9,
                files_failed=1,
                created_at="2024-09-02T15:40:01+00:00",
                store_until="2025-09-02T15:40:01+00:00",
                verification_status="Trusted",
            )
        ],
        more=True,
    ),
    AskOwnTasks(task=7, before=9, limit=1),
    OwnTasks(
        tasks=[
            OwnTask(
                id=7,
                task_type="Backup",
                resource_type="File system",
                resource="/home/u",
                backup_type="full",
                status="Done",
                record=11,
                created_by="root at client.example",
                created_at="2024-09-02T15:40:01+00:00",
                finished_at="2024-09-02T15:41:01+00:00",
                bytes_done=100,
                bytes_total=100,
                message="9 files",
            )
        ],
        more=True,
    ),
    RequestRule(
        name="nightly",
        resource_type="File system",
        resource="/home/u",
        backup_type="full",
        pool="Default",
        storage_duration="1 month",
        priority=100,
        crypto="nocrypt",
        min="0",
        hour="2",
        dom="*",
        mon="*",
        dow="1-5",
        periodic_launch="1 day",
        comment="please",
        user=LocalUser(name="root", uid=0),
    ),
    RequestRuleDeletion(rule=4, comment="not needed any more", user=LocalUser(name="root", uid=0)),
    Requested(id=5),
    StartBackup(
        resource_type="File system",
        resource="/home/u",
        backup_type="incremental",
        pool="Default",
        storage_duration="1 month",
        crypto="nocrypt",
        user=LocalUser(name="root", uid=0),
    ),
    StartRestore(
        record=11,
        destination="/restored",
        in_place=False,
        paths=["/home/u/a"],
        overwrite="always",
        user=LocalUser(name="root", uid=0),
    ),
    Queued(task=7),
    AskDeletion(record=11, user=LocalUser(name="root", uid=0)),
    Deleted(record=11),
    OpenBackup(version=1, ticket=b"ticket", key_id=KEY_ID),
    BackupOpened(parent_bytes=4096, block_bytes=131072),
    OpenRestore(version=1, ticket=b"ticket"),
    RestoreOpened(manifest_bytes=4096, crypto="aes-256-gcm", key_id=KEY_ID),
    CopySegments(first=3, count=1 << 20),
    ReadManifest(offset=1, length=2),
    Query(ids=ID),
    Known(states=b"\x00\x01\x02", nonce=ID),
    Prove(ids=ID, proofs=ID[::-1]),
    Proved(states=b"\x01"),
    Checkpoint(),
    Checkpointed(),
    ConfigureClientPools(epoch=2, pools=[OWN]),
    OpenKept(version=1, ticket=b"ticket"),
    AskKept(record=RECORD),
    KeptSize(size_bytes=1 << 33),
    ReadKept(record=RECORD, offset=1 << 32, length=1 << 20),
    Keep(record=RECORD, size_bytes=1 << 33),
    ListKept(after=RECORD),
    KeptRecords(records=[RECORD], more=True),
    DropKept(epoch=2, folder=KEPT, record=RECORD),
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
