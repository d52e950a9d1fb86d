"""The global configuration and the service mode."""

from __future__ import annotations

import msgspec

from rubackup.api.resource import Action, Answer, Body, Call, Resource
from rubackup.domain.permissions import Permission
from rubackup.resources._adapters import with_body
from rubackup.services import global_configuration

_EXAMPLE = {
    "data": {
        "file_transfer_block_size": 16384,
        "data_spred_into_pool": "sequentially",
        "emergency_storage_local_catalog": "/tmp/rubackup_emergency_storage_local_catalog",  # noqa: S108 - the guide's
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
        "pool_storage_capacity_reserve": 2000000000,
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
        "dedup_verify_only_meta_data": "yes",
        "mandatory_storage_time": 0,
        "clients_capacity_limits": False,
        "global_schedule_capacity_limits": False,
        "backup_strategies_capacity_limits": False,
        "immutable_archives": True,
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
    }
}
"""The guide's whole body; a call gives only what it wants to change."""


async def _read(call: Call) -> msgspec.Struct:
    return await global_configuration.read(call.change.db)


GLOBAL_CONFIGURATION = Resource(
    path="global_configuration",
    name="Global Configuration",
    tag="Global Configuration",
    summary="What holds for the whole system",
    read=Permission.READ_CONFIGURATION,
    actions=(
        Action(
            "GET", "", "Every key with its value", Permission.READ_CONFIGURATION, _read, answer=Answer.OBJECT,
            row=global_configuration.Configuration, mutates=False, operation_id="read_global_configuration",
        ),
        Action(
            "PATCH", "", "Change what is given", Permission.WRITE_CONFIGURATION,
            with_body(global_configuration.update), operation_id="update_global_configuration",
            body=Body(
                global_configuration.ConfigurationChange, example={"data": global_configuration.EXAMPLE}
            ),
            message="Resource with name 'Global Configuration' was updated successfully!",
        ),
        Action(
            "PATCH", "service_mode", "Switch the service mode", Permission.WRITE_CONFIGURATION,
            with_body(global_configuration.set_service_mode), operation_id="service_mode",
            body=Body(global_configuration.ServiceMode, wrapper=None, example={"service_mode": False}),
        ),
    ),
)  # fmt: skip
