"""The global configuration as administrators see and change it; its defaults are `services.configuration`.

A key that nothing acts on yet can only be set to the value that it has, so that nobody relies
on a switch that does nothing. A change acts on what starts afterwards. Design section 9.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from rubackup.catalog.database import Connection
from rubackup.services.change import Change
from rubackup.services.configuration import DEFAULTS, Value
from rubackup.services.fields import Problems

_READ = "SELECT key, value FROM global_configuration"
_WRITE = """
INSERT INTO global_configuration (key, value) VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET value = excluded.value"""
_LOCK = "LOCK TABLE global_configuration IN SHARE ROW EXCLUSIVE MODE"
_YES_NO = ("yes", "no")
_MINUTES = "for how many minutes"


@dataclass(frozen=True)
class Key:
    """One key: what it says, and whether this version acts on it. Limits are for numbers."""

    description: str
    acts: bool = False
    minimum: int = 0
    maximum: int = 0
    choices: tuple[str, ...] = ()


_TEN_YEARS_IN_MINUTES = 5_256_000
_PERIOD = (1, _TEN_YEARS_IN_MINUTES)

KEYS: dict[str, Key] = {
    "file_transfer_block_size": Key("Bytes of a block on the network"),
    "data_spred_into_pool": Key("How data is spread over the storages of a pool"),
    "emergency_storage_local_catalog": Key("Folder for copies when a pool is full"),
    "done_tasks_remove_period": Key(f"{_MINUTES} tasks that are Done stay in the queue", True, *_PERIOD),
    "error_tasks_remove_period": Key(f"{_MINUTES} tasks with Error stay in the queue", True, *_PERIOD),
    "broken_tasks_remove_period": Key(f"{_MINUTES} tasks that are Broken stay in the queue", True, *_PERIOD),
    "killed_tasks_remove_period": Key(f"{_MINUTES} tasks that are Killed stay in the queue", True, *_PERIOD),
    "obsolete_backup_notification_period": Key("Minutes before a copy ends that somebody is told"),
    "rule_validity_end_notification_period": Key("Minutes before a rule ends that somebody is told"),
    "strategy_validity_end_notification_period": Key("Minutes before a strategy ends that somebody is told"),
    "rule_storage_capacity_reserve": Key("Gigabytes of a rule's capacity that are kept free"),
    "strategy_storage_capacity_reserve": Key("Gigabytes of a strategy's capacity that are kept free"),
    "rule_storage_capacity_notification_period": Key("Minutes between notices of a rule's capacity"),
    "strategy_storage_capacity_notification_period": Key("Minutes between notices of a strategy's capacity"),
    "service_window_start": Key("Time of day from which verification, moving and cleaning may start"),
    "service_window_end": Key("Time of day until which verification, moving and cleaning may start"),
    "pool_storage_capacity_reserve": Key("Bytes that a backup must leave free in a pool", True, 0, 2**60),
    "tape_library_mount_point": Key("Folder in which cartridges are mounted"),
    "suspended_task_restart_period": Key("Minutes until a suspended task is tried again"),
    "unload_tape_cartridges_whes_media_server_starts": Key("Whether drives are emptied at the start"),
    "ltfs_umount_timeout": Key("Seconds that unmounting a cartridge may take"),
    "max_system_monitoring_records": Key(
        "How many records of the monitoring are kept of each server", True, 1, 100_000
    ),
    "monitoring_period": Key("Seconds between records of the monitoring", True, 1, 3600),
    "digital_signature_public_key_obsolence": Key("Minutes that a public key for signatures is valid"),
    "rb_key_hash": Key("Hash of the key for signatures"),
    "verify_archive_after_creation": Key("Whether every new copy is verified"),
    "kill_task_of_offline_client": Key("Whether tasks of clients that are offline are killed"),
    "create_new_task_if_client_offline": Key("What becomes of a rule's task when its client is offline"),
    "auto_delete_archive_from_broken_chain": Key("Whether copies of broken chains are deleted"),
    "consolidating_tape_library_tasks": Key("Whether tasks on one cartridge are done together"),
    "clean_tape_drives_period": Key("Days between cleanings of a tape drive"),
    "auto_clean_tape_drives": Key("Whether tape drives are cleaned without being asked"),
    "dedup_clean_unused_blocks": Key("Whether space of deleted copies is freed"),
    "dedup_clean_period": Key("Days between cleanings of a pool"),
    "dedup_provide_common_hash_table_for_client": Key("Whether clients share the table of a client"),
    "dedup_provide_common_hash_table": Key(
        "Whether a client need not send what another has stored, once it has proved to hold it", True, choices=_YES_NO
    ),
    "dedup_verify_only_meta_data": Key("Whether a verification leaves out the contents"),
    "mandatory_storage_time": Key("Days that no copy may be deleted before"),
    "clients_capacity_limits": Key("Whether capacities of clients are enforced"),
    "global_schedule_capacity_limits": Key("Whether capacities of rules are enforced"),
    "backup_strategies_capacity_limits": Key("Whether capacities of strategies are enforced"),
    "immutable_archives": Key("Whether new copies are locked until they end"),
    "delete_archives_with_zeroing": Key("Whether deleted data is overwritten"),
    "dont_delete_last_gs_rule_archive": Key("Whether the last copy of a rule is kept"),
    "dont_delete_last_strategy_rule_archive": Key("Whether the last copy of a strategy's rule is kept"),
    "wrong_auth_attempts_count": Key("Failed logins after which a name is blocked for a network", True, 1, 1000),
    "wrong_auth_block_period": Key(f"{_MINUTES} such a block holds", True, 1, 100_000),
    "repository_remove_chain": Key("Whether deleting a copy deletes those that build on it"),
    "filesystems_clean_period": Key("Days between cleanings of storages"),
    "show_previous_login_attempts_after_logging_in": Key("Whether consoles show the last logins"),
    "search_backup_in_cluster_group": Key("Whether copies of other nodes of a cluster are built on"),
    "bandwidth_limit_advantage": Key("Which limit of bandwidth wins"),
    "bandwidth_client_limit": Key("Which of several limits of a client holds"),
    "bandwidth_rule_limit": Key("Which of several limits of a rule holds"),
}
"""Every key of the guide's body, in its order."""


def _described(key: Key) -> Meta:
    end = "." if key.acts else "; not changeable in this version."
    return Meta(description=key.description[0].upper() + key.description[1:] + end)


Configuration = msgspec.defstruct(
    "Configuration",
    [(name, Annotated[type(DEFAULTS[name]), _described(key)]) for name, key in KEYS.items()],
    frozen=True,
    kw_only=True,
)
Configuration.__doc__ = "Every key of the global configuration with its value."
ConfigurationChange = msgspec.defstruct(
    "ConfigurationChange",
    [(name, Annotated[type(DEFAULTS[name]), _described(key)] | UnsetType, UNSET) for name, key in KEYS.items()],
    kw_only=True,
)
ConfigurationChange.__doc__ = "What to change of the global configuration."


class ServiceMode(msgspec.Struct):
    """Whether the service mode is on."""

    service_mode: Annotated[bool, Meta(description="true: background work and new tasks are stopped.")]


async def read(db: Connection) -> msgspec.Struct:
    """The whole configuration."""
    return Configuration(**await _values(db))


async def _values(db: Connection) -> dict[str, Value]:
    stored = {row["key"]: row["value"] for row in await db.fetch(_READ)}
    return {name: stored.get(name, DEFAULTS[name]) for name in KEYS}


async def update(change: Change, wanted: Any) -> None:
    """Change what is given. Invalid for values out of range and for keys that this version does not act on."""
    problems = Problems()
    await change.db.execute(_LOCK)
    before = await _values(change.db)
    values = {name: value for name in KEYS if (value := getattr(wanted, name)) is not UNSET}
    changed = {name: value for name, value in values.items() if value != before[name]}
    for name, value in changed.items():
        _check(problems, name, value, before[name])
    problems.raise_any()
    for name, value in changed.items():
        await change.db.execute(_WRITE, name, value)
    change.before = {name: before[name] for name in changed}
    change.after = changed
    await change.event("changed", "global_configuration", 0, data={"keys": sorted(changed)})
    await change.wake("pools")


def _check(problems: Problems, name: str, value: Value, before: Value) -> None:
    key, field = KEYS[name], f"data.{name}"
    if not key.acts:
        problems.add(field, f"is not changeable in this version; its value is {msgspec.json.encode(before).decode()}.")
    elif key.choices and value not in key.choices:
        problems.add(field, f"must be one of: {', '.join(key.choices)}.")
    elif isinstance(value, int) and not isinstance(value, bool) and not key.minimum <= value <= key.maximum:
        problems.add(field, f"must be an integer from {key.minimum} to {key.maximum}.")


async def set_service_mode(change: Change, wanted: ServiceMode) -> str:
    """Switch the service mode; a sentence."""
    await change.db.execute(_WRITE, "service_mode", wanted.service_mode)
    change.after = {"service_mode": wanted.service_mode}
    await change.event("changed", "global_configuration", 0, data={"keys": ["service_mode"]})
    await change.wake("tasks")
    return f"The service mode is {'on' if wanted.service_mode else 'off'}."
