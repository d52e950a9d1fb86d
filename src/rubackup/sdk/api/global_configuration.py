"""Global Configuration. Made by scripts/generate-client from docs/openapi.json. Do not edit."""

from __future__ import annotations

from typing import Any, NotRequired, TypedDict

from rubackup.sdk.caller import Answer, Family


class Configuration(TypedDict):
    """Every key of the global configuration with its value."""

    file_transfer_block_size: int
    """Bytes of a block on the network. Stored and shown; changes nothing: data travels as it is stored, in groups of about 1 MiB."""
    data_spred_into_pool: str
    """How data is spread over the storages of a pool: one after another, or always to the one with most room; sequentially or evenly."""
    emergency_storage_local_catalog: str
    """Folder on each media server for what no storage of a File system pool has room for; a lasting one, as hosts empty /tmp; empty: none."""
    done_tasks_remove_period: int
    """For how many minutes tasks that are Done stay in the queue."""
    error_tasks_remove_period: int
    """For how many minutes tasks with Error stay in the queue."""
    broken_tasks_remove_period: int
    """For how many minutes tasks that are Broken stay in the queue."""
    killed_tasks_remove_period: int
    """For how many minutes tasks that are Killed stay in the queue."""
    obsolete_backup_notification_period: int
    """Minutes before a copy ends that those are told whom its rule names."""
    rule_validity_end_notification_period: int
    """Minutes before a rule ends that somebody is told. Stored and shown; acts with the delivery of notifications."""
    strategy_validity_end_notification_period: int
    """Minutes before a strategy ends that somebody is told. Stored and shown; acts with the delivery of notifications."""
    rule_storage_capacity_reserve: int
    """Gigabytes of a rule's storage_capacity on which no backup is begun."""
    strategy_storage_capacity_reserve: int
    """Gigabytes of a strategy's storage_capacity on which no backup is begun."""
    rule_storage_capacity_notification_period: int
    """Minutes between notices that a rule's storage_capacity is used up."""
    strategy_storage_capacity_notification_period: int
    """Minutes between notices that a strategy's storage_capacity is used up."""
    service_window_start: str
    """Time of day from which verifications and moves may begin."""
    service_window_end: str
    """Time of day until which verifications and moves may begin; before the start: on the next day."""
    pool_storage_capacity_reserve: int
    """Bytes that a backup must leave free in a pool."""
    tape_library_mount_point: str
    """Folder in which cartridges are mounted. Stored and shown; acts with tape libraries."""
    suspended_task_restart_period: int
    """Minutes until a task is tried again whose second attempt failed because something was out of reach."""
    unload_tape_cartridges_whes_media_server_starts: str
    """Whether drives are emptied at the start; yes or no. Stored and shown; acts with tape libraries."""
    ltfs_umount_timeout: int
    """Seconds that unmounting a cartridge may take. Stored and shown; acts with tape libraries."""
    max_system_monitoring_records: int
    """How many records of the monitoring are kept of each server."""
    monitoring_period: int
    """Seconds between records of the monitoring."""
    digital_signature_public_key_obsolence: int
    """Minutes that a media server honours tickets of a server that it has not heard of again."""
    rb_key_hash: str
    """SHA-256 of the public key (DER) that signs certificates: no other key signs; empty: any."""
    verify_archive_after_creation: str
    """Whether every new copy is verified; yes or no."""
    kill_task_of_offline_client: str
    """Whether a task is killed whose client went offline in the middle and stays away for five minutes; yes or no."""
    create_new_task_if_client_offline: str
    """What becomes of a launch of the schedule whose client is offline; create new task or do not create new task."""
    auto_delete_archive_from_broken_chain: str
    """Whether copies are deleted that build on a deleted one; archives stay; yes or no."""
    consolidating_tape_library_tasks: str
    """Whether tasks on one cartridge are done together; yes or no. Stored and shown; acts with tape libraries."""
    clean_tape_drives_period: int
    """Days between cleanings of a tape drive. Stored and shown; acts with tape libraries."""
    auto_clean_tape_drives: str
    """Whether tape drives are cleaned without being asked; yes or no. Stored and shown; acts with tape libraries."""
    dedup_clean_unused_blocks: str
    """Whether space of deleted copies is freed by itself; yes or no."""
    dedup_clean_period: int
    """Days between cleanings of a pool."""
    dedup_provide_common_hash_table_for_client: str
    """Whether clients share the table of a client; yes or no. Stored and shown; changes nothing: a client always learns which of its own chunks are stored."""
    dedup_provide_common_hash_table: str
    """Whether a client need not send what another has stored, once it has proved to hold it; yes or no."""
    dedup_verify_only_meta_data: str
    """Whether a verification leaves out the contents; it then makes no copy Trusted; yes or no."""
    mandatory_storage_time: int
    """Days that no copy may be deleted before."""
    clients_capacity_limits: bool
    """Whether a client whose copies take its storage_capacity gets no more copies."""
    global_schedule_capacity_limits: bool
    """Whether a rule whose copies take its storage_capacity gets no more copies."""
    backup_strategies_capacity_limits: bool
    """Whether a strategy whose copies take its storage_capacity gets no more copies."""
    immutable_archives: bool
    """Whether new copies are locked against deletion until their store_until."""
    delete_archives_with_zeroing: bool
    """Whether deleted data is overwritten."""
    dont_delete_last_gs_rule_archive: bool
    """Whether the last good copy of a rule is kept."""
    dont_delete_last_strategy_rule_archive: bool
    """Whether the last good copy of a strategy's rule is kept."""
    wrong_auth_attempts_count: int
    """Failed logins after which a name is blocked for a network."""
    wrong_auth_block_period: int
    """For how many minutes such a block holds."""
    repository_remove_chain: str
    """Whether deleting a copy deletes those that build on it, archives excepted; each restores by itself; yes or no."""
    filesystems_clean_period: int
    """Days between cleanings of the folders of a pool."""
    show_previous_login_attempts_after_logging_in: str
    """Whether the answer to a login tells the last good and the last failed one; yes or no."""
    search_backup_in_cluster_group: bool
    """Whether copies of other nodes of a cluster are built on. Stored and shown; changes nothing: a copy builds on copies of the same client only, as a client must not name data that it never had."""
    bandwidth_limit_advantage: str
    """Which limit of bandwidth counts where the client and the rule of a task have one; client or rule."""
    bandwidth_client_limit: str
    """Which of several limits of a client that hold at a time counts; minimum or maximum."""
    bandwidth_rule_limit: str
    """Which of several limits of a rule that hold at a time counts; minimum or maximum."""


class ConfigurationChange(TypedDict):
    """What to change of the global configuration."""

    file_transfer_block_size: NotRequired[int]
    """Bytes of a block on the network. Stored and shown; changes nothing: data travels as it is stored, in groups of about 1 MiB."""
    data_spred_into_pool: NotRequired[str]
    """How data is spread over the storages of a pool: one after another, or always to the one with most room; sequentially or evenly."""
    emergency_storage_local_catalog: NotRequired[str]
    """Folder on each media server for what no storage of a File system pool has room for; a lasting one, as hosts empty /tmp; empty: none."""
    done_tasks_remove_period: NotRequired[int]
    """For how many minutes tasks that are Done stay in the queue."""
    error_tasks_remove_period: NotRequired[int]
    """For how many minutes tasks with Error stay in the queue."""
    broken_tasks_remove_period: NotRequired[int]
    """For how many minutes tasks that are Broken stay in the queue."""
    killed_tasks_remove_period: NotRequired[int]
    """For how many minutes tasks that are Killed stay in the queue."""
    obsolete_backup_notification_period: NotRequired[int]
    """Minutes before a copy ends that those are told whom its rule names."""
    rule_validity_end_notification_period: NotRequired[int]
    """Minutes before a rule ends that somebody is told. Stored and shown; acts with the delivery of notifications."""
    strategy_validity_end_notification_period: NotRequired[int]
    """Minutes before a strategy ends that somebody is told. Stored and shown; acts with the delivery of notifications."""
    rule_storage_capacity_reserve: NotRequired[int]
    """Gigabytes of a rule's storage_capacity on which no backup is begun."""
    strategy_storage_capacity_reserve: NotRequired[int]
    """Gigabytes of a strategy's storage_capacity on which no backup is begun."""
    rule_storage_capacity_notification_period: NotRequired[int]
    """Minutes between notices that a rule's storage_capacity is used up."""
    strategy_storage_capacity_notification_period: NotRequired[int]
    """Minutes between notices that a strategy's storage_capacity is used up."""
    service_window_start: NotRequired[str]
    """Time of day from which verifications and moves may begin."""
    service_window_end: NotRequired[str]
    """Time of day until which verifications and moves may begin; before the start: on the next day."""
    pool_storage_capacity_reserve: NotRequired[int]
    """Bytes that a backup must leave free in a pool."""
    tape_library_mount_point: NotRequired[str]
    """Folder in which cartridges are mounted. Stored and shown; acts with tape libraries."""
    suspended_task_restart_period: NotRequired[int]
    """Minutes until a task is tried again whose second attempt failed because something was out of reach."""
    unload_tape_cartridges_whes_media_server_starts: NotRequired[str]
    """Whether drives are emptied at the start; yes or no. Stored and shown; acts with tape libraries."""
    ltfs_umount_timeout: NotRequired[int]
    """Seconds that unmounting a cartridge may take. Stored and shown; acts with tape libraries."""
    max_system_monitoring_records: NotRequired[int]
    """How many records of the monitoring are kept of each server."""
    monitoring_period: NotRequired[int]
    """Seconds between records of the monitoring."""
    digital_signature_public_key_obsolence: NotRequired[int]
    """Minutes that a media server honours tickets of a server that it has not heard of again."""
    rb_key_hash: NotRequired[str]
    """SHA-256 of the public key (DER) that signs certificates: no other key signs; empty: any."""
    verify_archive_after_creation: NotRequired[str]
    """Whether every new copy is verified; yes or no."""
    kill_task_of_offline_client: NotRequired[str]
    """Whether a task is killed whose client went offline in the middle and stays away for five minutes; yes or no."""
    create_new_task_if_client_offline: NotRequired[str]
    """What becomes of a launch of the schedule whose client is offline; create new task or do not create new task."""
    auto_delete_archive_from_broken_chain: NotRequired[str]
    """Whether copies are deleted that build on a deleted one; archives stay; yes or no."""
    consolidating_tape_library_tasks: NotRequired[str]
    """Whether tasks on one cartridge are done together; yes or no. Stored and shown; acts with tape libraries."""
    clean_tape_drives_period: NotRequired[int]
    """Days between cleanings of a tape drive. Stored and shown; acts with tape libraries."""
    auto_clean_tape_drives: NotRequired[str]
    """Whether tape drives are cleaned without being asked; yes or no. Stored and shown; acts with tape libraries."""
    dedup_clean_unused_blocks: NotRequired[str]
    """Whether space of deleted copies is freed by itself; yes or no."""
    dedup_clean_period: NotRequired[int]
    """Days between cleanings of a pool."""
    dedup_provide_common_hash_table_for_client: NotRequired[str]
    """Whether clients share the table of a client; yes or no. Stored and shown; changes nothing: a client always learns which of its own chunks are stored."""
    dedup_provide_common_hash_table: NotRequired[str]
    """Whether a client need not send what another has stored, once it has proved to hold it; yes or no."""
    dedup_verify_only_meta_data: NotRequired[str]
    """Whether a verification leaves out the contents; it then makes no copy Trusted; yes or no."""
    mandatory_storage_time: NotRequired[int]
    """Days that no copy may be deleted before."""
    clients_capacity_limits: NotRequired[bool]
    """Whether a client whose copies take its storage_capacity gets no more copies."""
    global_schedule_capacity_limits: NotRequired[bool]
    """Whether a rule whose copies take its storage_capacity gets no more copies."""
    backup_strategies_capacity_limits: NotRequired[bool]
    """Whether a strategy whose copies take its storage_capacity gets no more copies."""
    immutable_archives: NotRequired[bool]
    """Whether new copies are locked against deletion until their store_until."""
    delete_archives_with_zeroing: NotRequired[bool]
    """Whether deleted data is overwritten."""
    dont_delete_last_gs_rule_archive: NotRequired[bool]
    """Whether the last good copy of a rule is kept."""
    dont_delete_last_strategy_rule_archive: NotRequired[bool]
    """Whether the last good copy of a strategy's rule is kept."""
    wrong_auth_attempts_count: NotRequired[int]
    """Failed logins after which a name is blocked for a network."""
    wrong_auth_block_period: NotRequired[int]
    """For how many minutes such a block holds."""
    repository_remove_chain: NotRequired[str]
    """Whether deleting a copy deletes those that build on it, archives excepted; each restores by itself; yes or no."""
    filesystems_clean_period: NotRequired[int]
    """Days between cleanings of the folders of a pool."""
    show_previous_login_attempts_after_logging_in: NotRequired[str]
    """Whether the answer to a login tells the last good and the last failed one; yes or no."""
    search_backup_in_cluster_group: NotRequired[bool]
    """Whether copies of other nodes of a cluster are built on. Stored and shown; changes nothing: a copy builds on copies of the same client only, as a client must not name data that it never had."""
    bandwidth_limit_advantage: NotRequired[str]
    """Which limit of bandwidth counts where the client and the rule of a task have one; client or rule."""
    bandwidth_client_limit: NotRequired[str]
    """Which of several limits of a client that hold at a time counts; minimum or maximum."""
    bandwidth_rule_limit: NotRequired[str]
    """Which of several limits of a rule that hold at a time counts; minimum or maximum."""


class ServiceMode(TypedDict):
    """Whether the service mode is on."""

    service_mode: bool
    """true: background work and new tasks are stopped."""


class GlobalConfiguration(Family):
    """Global Configuration."""

    def read(self) -> Answer[Configuration]:
        """Every key with its value. Permission: See the global configuration."""
        return self._call("GET", "/global_configuration")

    def update(self, data: ConfigurationChange, *, idempotency_key: str | None = None) -> Answer[dict[str, Any]]:
        """Change what is given. Permission: Change the global configuration and the service mode."""
        return self._call(
            "PATCH", "/global_configuration", body={"data": data}, idempotency_key=idempotency_key, repeatable=True
        )

    def service_mode(self, body: ServiceMode, *, idempotency_key: str | None = None) -> Answer[dict[str, Any]]:
        """Switch the service mode. Permission: Change the global configuration and the service mode."""
        return self._call(
            "PATCH", "/global_configuration/service_mode", body=body, idempotency_key=idempotency_key, repeatable=True
        )
