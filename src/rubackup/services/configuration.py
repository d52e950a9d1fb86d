"""The global configuration: one typed default a key, overlaid by what administrators stored.

Keys and defaults are the guide's example body (its misspelt keys are the contract), save three: `immutable_archives`
ships off (design section 8), and `dedup_verify_only_meta_data` too, as only a verification that reads contents
finds what rotted. The emergency storage does not lie below /tmp, which hosts empty; each installation keeps its own
folder at its first start (`services.emergency`). A change acts on what starts afterwards.
"""

from __future__ import annotations

from types import MappingProxyType

from rubackup.catalog.database import Connection

Value = str | int | bool

DEFAULTS: MappingProxyType[str, Value] = MappingProxyType(
    {
        "file_transfer_block_size": 16384,
        "data_spred_into_pool": "sequentially",
        "emergency_storage_local_catalog": "/opt/rubackup/var/emergency",
        "done_tasks_remove_period": 1440,
        "error_tasks_remove_period": 10080,
        "broken_tasks_remove_period": 10080,
        "killed_tasks_remove_period": 10080,
        "obsolete_backup_notification_period": 1440,
        "rule_validity_end_notification_period": 1440,
        "strategy_validity_end_notification_period": 1440,
        "rule_storage_capacity_reserve": 0,
        "strategy_storage_capacity_reserve": 0,
        "rule_storage_capacity_notification_period": 1440,
        "strategy_storage_capacity_notification_period": 1440,
        "service_window_start": "00:00:00",
        "service_window_end": "23:59:59",
        "pool_storage_capacity_reserve": 2_000_000_000,
        "tape_library_mount_point": "/opt/rubackup/mnt",
        "suspended_task_restart_period": 1,
        "unload_tape_cartridges_whes_media_server_starts": "yes",
        "ltfs_umount_timeout": 50,
        "max_system_monitoring_records": 3600,
        "monitoring_period": 1,
        "digital_signature_public_key_obsolence": 1440,
        "rb_key_hash": "",
        "verify_archive_after_creation": "no",
        "kill_task_of_offline_client": "yes",
        "create_new_task_if_client_offline": "create new task",
        "auto_delete_archive_from_broken_chain": "no",
        "consolidating_tape_library_tasks": "yes",
        "clean_tape_drives_period": 30,
        "auto_clean_tape_drives": "no",
        "dedup_clean_unused_blocks": "yes",
        "dedup_clean_period": 30,
        "dedup_provide_common_hash_table_for_client": "yes",
        "dedup_provide_common_hash_table": "yes",
        "dedup_verify_only_meta_data": "no",
        "mandatory_storage_time": 0,
        "clients_capacity_limits": False,
        "global_schedule_capacity_limits": False,
        "backup_strategies_capacity_limits": False,
        "immutable_archives": False,
        "delete_archives_with_zeroing": True,
        "dont_delete_last_gs_rule_archive": True,
        "dont_delete_last_strategy_rule_archive": True,
        "wrong_auth_attempts_count": 5,
        "wrong_auth_block_period": 30,
        "repository_remove_chain": "yes",
        "filesystems_clean_period": 30,
        "show_previous_login_attempts_after_logging_in": "yes",
        "search_backup_in_cluster_group": True,
        "bandwidth_limit_advantage": "client",
        "bandwidth_client_limit": "minimum",
        "bandwidth_rule_limit": "minimum",
        "service_mode": False,
    }
)

_READ = "SELECT value FROM global_configuration WHERE key = $1"


async def value(connection: Connection, key: str) -> Value:
    """What is configured for a key of DEFAULTS; KeyError for another key."""
    default = DEFAULTS[key]
    stored: Value | None = await connection.fetchval(_READ, key)
    return default if stored is None else stored


async def number(connection: Connection, key: str) -> int:
    """The value of a key that holds a number."""
    return int(await value(connection, key))


async def enabled(connection: Connection, key: str) -> bool:
    """The value of a switch, which the guide writes as yes and no or as true and false."""
    return str(await value(connection, key)).lower() in {"yes", "true"}
