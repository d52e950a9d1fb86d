"""The lookup tables: which words other resources take and show. Each is an enumeration of the domain."""

from __future__ import annotations

from rubackup.api.lookups import LookupRow
from rubackup.api.resource import LOG, Op, Resource
from rubackup.domain import lookups
from rubackup.domain.lookups import Lookup
from rubackup.domain.permissions import Permission


def _table(path: str, name: str, summary: str, lookup: type[Lookup], ops: Op = Op.LIST) -> Resource:
    return Resource(
        path=path,
        name=name,
        tag=name,
        summary=summary,
        read=Permission.READ_LOOKUPS,
        row=LookupRow,
        lookup=lookup,
        ops=ops,
    )


LOOKUPS = (
    _table("backup_types", "Backup Types", "What of a resource a backup reads", lookups.BackupType),
    _table("compression_type", "Compression Type", "How copies are compressed in a pool", lookups.CompressionType),
    _table("crypto", "Crypto", "How copies are encrypted on the client", lookups.Crypto),
    _table(
        "deduplication_hash_algorithm", "Deduplication Hash Algorithm",
        "Hash algorithms of Block device pools", lookups.HashAlgorithm,
    ),
    _table("destination_storage_types", "Destination Storage Types", "Types of pools", lookups.StorageType),
    _table(
        "disaster_recovery_record_status", "Disaster Recovery Record Status",
        "Status of entries of the disaster recovery plan", lookups.DisasterRecoveryStatus,
    ),
    _table("license_types", "License Types", "Types of licences", lookups.LicenseType, LOG),
    _table(
        "notifications_status", "Notification Status", "Delivery status of notifications", lookups.NotificationStatus
    ),
    _table("os_types", "OS Types", "Operating systems of clients", lookups.OsType),
    _table("resource_types", "Resource Types", "What clients can back up", lookups.ResourceType, LOG),
    _table("status_of_rule", "Status Of Rule", "Status of rules, strategies and reports", lookups.RuleStatus),
    _table("tape_types", "Tape Types", "Generations of tape cartridges", lookups.TapeType),
    _table("task_status", "Task Status", "States of a task", lookups.TaskStatus),
    _table(
        "verification_status", "Verification Status", "What the last verification found", lookups.VerificationStatus
    ),
)  # fmt: skip
