"""The global configuration as administrators see and change it; its defaults are `services.configuration`.

A key whose effect is part of what is still to come is checked, stored and shown, and its description says with
what it will act. A change acts on what starts afterwards. Design section 9.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from rubackup.catalog.database import Connection
from rubackup.domain.pools import cleared
from rubackup.services import bandwidth, emergency, service_window
from rubackup.services.change import Change
from rubackup.services.configuration import DEFAULTS, Value
from rubackup.services.fields import Problems

log = logging.getLogger(__name__)
UPDATED = "Resource with name 'Global Configuration' was updated successfully!"
_READ = "SELECT key, value FROM global_configuration"
_WRITE = """
INSERT INTO global_configuration (key, value) VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET value = excluded.value"""
_LOCK = "LOCK TABLE global_configuration IN SHARE ROW EXCLUSIVE MODE"
_YES_NO = ("yes", "no")
_MINUTES = "for how many minutes"


@dataclass(frozen=True)
class Form:
    """What a text must look like, and that in words."""

    pattern: re.Pattern[str]
    allowed: str


@dataclass(frozen=True)
class Key:
    """One key: what it says, and whether this version acts on it. Limits are for numbers; without a maximum: none."""

    description: str
    acts: bool = False
    minimum: int = 0
    maximum: int = 0
    choices: tuple[str, ...] = ()
    form: Form | None = None
    """What a text must look like."""
    later: str = ""
    """With what a key that does not act yet will act, or why it does not."""


_TEN_YEARS_IN_MINUTES = 5_256_000
_PERIOD = (1, _TEN_YEARS_IN_MINUTES)
_TEN_YEARS_IN_DAYS = 3650
_ANY = 2**53
"""The greatest number of a key without a maximum: every JSON reader has it exactly."""
_TIME = Form(re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]"), "must be a time of day as HH:MM:SS.")
_FOLDER = Form(re.compile(r"/[^\0-\x1f\x7f]{0,4095}"), "must be an absolute path without control characters.")
_FOLDER_OR_NONE = Form(
    re.compile(r"(?=.{0,4000}\Z)(?:(?:/(?!\.\.?(?:/|\Z))[^/\0-\x1f\x7f]+)+/?)?"),
    "must be an absolute path without control characters and without . and .. in it, or empty.",
)
_HASH = Form(re.compile(r"(?:[0-9a-f]{64})?"), "must be empty, or 64 hex digits in lower case.")
_LIMITS = ("minimum", "maximum")


def _switch(description: str, *, acts: bool = False, later: str = "") -> Key:
    return Key(description, acts, choices=_YES_NO, later=later)


def _period(description: str, later: str) -> Key:
    return Key(description, False, 0, _TEN_YEARS_IN_MINUTES, later=later)


def _days(description: str, later: str) -> Key:
    return Key(description, False, 1, _TEN_YEARS_IN_DAYS, later=later)


KEYS: dict[str, Key] = {
    "file_transfer_block_size": Key(
        "Bytes of a block on the network", False, 512, 2**30,
        later="nothing: data travels as it is stored, in groups of about 1 MiB",
    ),
    "data_spred_into_pool": Key(
        "How data is spread over the storages of a pool: one after another, or always to the one with most room", True,
        choices=("sequentially", "evenly"),
    ),
    "emergency_storage_local_catalog": Key(
        "Folder on each media server for what no storage of a File system pool has room for; a lasting one, as hosts empty /tmp; empty: none", True,
        form=_FOLDER_OR_NONE,
    ),
    "done_tasks_remove_period": Key(f"{_MINUTES} tasks that are Done stay in the queue", True, *_PERIOD),
    "error_tasks_remove_period": Key(f"{_MINUTES} tasks with Error stay in the queue", True, *_PERIOD),
    "broken_tasks_remove_period": Key(f"{_MINUTES} tasks that are Broken stay in the queue", True, *_PERIOD),
    "killed_tasks_remove_period": Key(f"{_MINUTES} tasks that are Killed stay in the queue", True, *_PERIOD),
    "obsolete_backup_notification_period": Key(
        "Minutes before a copy ends that those are told whom its rule names", True, 0, _TEN_YEARS_IN_MINUTES
    ),
    "rule_validity_end_notification_period": _period(
        "Minutes before a rule ends that somebody is told", "the delivery of notifications"
    ),
    "strategy_validity_end_notification_period": _period(
        "Minutes before a strategy ends that somebody is told", "the delivery of notifications"
    ),
    "rule_storage_capacity_reserve": Key(
        "Gigabytes of a rule's storage_capacity on which no backup is begun", True, 0, 2**40
    ),
    "strategy_storage_capacity_reserve": Key(
        "Gigabytes of a strategy's storage_capacity on which no backup is begun", True, 0, 2**40
    ),
    "rule_storage_capacity_notification_period": Key(
        "Minutes between notices that a rule's storage_capacity is used up", True, 0, _TEN_YEARS_IN_MINUTES
    ),
    "strategy_storage_capacity_notification_period": Key(
        "Minutes between notices that a strategy's storage_capacity is used up", True, 0, _TEN_YEARS_IN_MINUTES
    ),
    "service_window_start": Key("Time of day from which verifications and moves may begin", True, form=_TIME),
    "service_window_end": Key(
        "Time of day until which verifications and moves may begin; before the start: on the next day", True, form=_TIME
    ),
    "pool_storage_capacity_reserve": Key("Bytes that a backup must leave free in a pool", True, 0, 2**60),
    "tape_library_mount_point": Key("Folder in which cartridges are mounted", form=_FOLDER, later="tape libraries"),
    "suspended_task_restart_period": Key(
        "Minutes until a task is tried again whose second attempt failed because something was out of reach", True,
        *_PERIOD,
    ),
    "unload_tape_cartridges_whes_media_server_starts": _switch(
        "Whether drives are emptied at the start", later="tape libraries"
    ),
    "ltfs_umount_timeout": Key(
        "Seconds that unmounting a cartridge may take", False, 1, 86_400, later="tape libraries"
    ),
    "max_system_monitoring_records": Key(
        "How many records of the monitoring are kept of each server", True, 1, 100_000
    ),
    "monitoring_period": Key("Seconds between records of the monitoring", True, 1, 3600),
    "digital_signature_public_key_obsolence": Key(
        "Minutes that a media server honours tickets of a server that it has not heard of again", True, 1, 525_600
    ),
    "rb_key_hash": Key(
        "SHA-256 of the public key (DER) that signs certificates: no other key signs; empty: any", True, form=_HASH
    ),
    "verify_archive_after_creation": _switch("Whether every new copy is verified", acts=True),
    "kill_task_of_offline_client": _switch(
        "Whether a task is killed whose client went offline in the middle and stays away for five minutes", acts=True
    ),
    "create_new_task_if_client_offline": Key(
        "What becomes of a launch of the schedule whose client is offline", True,
        choices=("create new task", "do not create new task"),
    ),
    "auto_delete_archive_from_broken_chain": _switch(
        "Whether copies are deleted that build on a deleted one; archives stay", acts=True
    ),
    "consolidating_tape_library_tasks": _switch("Whether tasks on one cartridge are done together", later="tape libraries"),
    "clean_tape_drives_period": _days("Days between cleanings of a tape drive", "tape libraries"),
    "auto_clean_tape_drives": _switch("Whether tape drives are cleaned without being asked", later="tape libraries"),
    "dedup_clean_unused_blocks": _switch("Whether space of deleted copies is freed by itself", acts=True),
    "dedup_clean_period": Key("Days between cleanings of a pool", True, 1, _TEN_YEARS_IN_DAYS),
    "dedup_provide_common_hash_table_for_client": _switch(
        "Whether clients share the table of a client",
        later="nothing: a client always learns which of its own chunks are stored",
    ),
    "dedup_provide_common_hash_table": _switch(
        "Whether a client need not send what another has stored, once it has proved to hold it", acts=True
    ),
    "dedup_verify_only_meta_data": _switch(
        "Whether a verification leaves out the contents; it then makes no copy Trusted", acts=True
    ),
    "mandatory_storage_time": Key("Days that no copy may be deleted before", True, 0, 36_500),
    "clients_capacity_limits": Key("Whether a client whose copies take its storage_capacity gets no more copies", True),
    "global_schedule_capacity_limits": Key("Whether a rule whose copies take its storage_capacity gets no more copies", True),
    "backup_strategies_capacity_limits": Key(
        "Whether a strategy whose copies take its storage_capacity gets no more copies", True
    ),
    "immutable_archives": Key("Whether new copies are locked against deletion until their store_until", True),
    "delete_archives_with_zeroing": Key("Whether deleted data is overwritten", True),
    "dont_delete_last_gs_rule_archive": Key("Whether the last good copy of a rule is kept", True),
    "dont_delete_last_strategy_rule_archive": Key("Whether the last good copy of a strategy's rule is kept", True),
    "wrong_auth_attempts_count": Key("Failed logins after which a name is blocked for a network", True, 1, 1000),
    "wrong_auth_block_period": Key(f"{_MINUTES} such a block holds", True, 1, 100_000),
    "repository_remove_chain": _switch(
        "Whether deleting a copy deletes those that build on it, archives excepted; each restores by itself", acts=True
    ),
    "filesystems_clean_period": Key("Days between cleanings of the folders of a pool", True, 1, _TEN_YEARS_IN_DAYS),
    "show_previous_login_attempts_after_logging_in": _switch(
        "Whether the answer to a login tells the last good and the last failed one", acts=True
    ),
    "search_backup_in_cluster_group": Key(
        "Whether copies of other nodes of a cluster are built on",
        later="nothing: a copy builds on copies of the same client only, as a client must not name data that it never had",
    ),
    "bandwidth_limit_advantage": Key(
        "Which limit of bandwidth counts where the client and the rule of a task have one", True,
        choices=("client", "rule"),
    ),
    "bandwidth_client_limit": Key(
        "Which of several limits of a client that hold at a time counts", True, choices=_LIMITS
    ),
    "bandwidth_rule_limit": Key("Which of several limits of a rule that hold at a time counts", True, choices=_LIMITS),
}  # fmt: skip
"""Every key of the guide's body, in its order."""


def _described(key: Key, *, limited: bool = False) -> Meta:
    text = f"{key.description[0].upper()}{key.description[1:]}"
    if key.choices:
        text += f"; {' or '.join(key.choices)}"
    text += "."
    if not key.acts:
        later = key.later or "what is to come"
        text += f" Stored and shown; {'changes' if later.startswith('nothing') else 'acts with'} {later}."
    return Meta(description=text, ge=key.minimum, le=key.maximum or _ANY) if limited else Meta(description=text)


def _wanted(kind: type, key: Key) -> Any:
    return Annotated[kind, _described(key, limited=kind is int)] | UnsetType


Configuration = msgspec.defstruct(
    "Configuration",
    [(name, Annotated[type(DEFAULTS[name]), _described(key)]) for name, key in KEYS.items()],
    frozen=True,
    kw_only=True,
)
Configuration.__doc__ = "Every key of the global configuration with its value."
ConfigurationChange = msgspec.defstruct(
    "ConfigurationChange",
    [(name, _wanted(type(DEFAULTS[name]), key), UNSET) for name, key in KEYS.items()],
    kw_only=True,
)
ConfigurationChange.__doc__ = "What to change of the global configuration."


EXAMPLE: dict[str, Value] = {name: DEFAULTS[name] for name in KEYS} | {
    "immutable_archives": True, "dedup_verify_only_meta_data": "yes",
    "emergency_storage_local_catalog": "/tmp/rubackup_emergency_storage_local_catalog",  # noqa: S108
}  # fmt: skip
"""The guide's own body."""


class ServiceMode(msgspec.Struct):
    """Whether the service mode is on."""

    service_mode: Annotated[bool, Meta(description="true: background work and new tasks are stopped.")]


async def read(db: Connection) -> msgspec.Struct:
    """The whole configuration."""
    return Configuration(**await _values(db))


async def _values(db: Connection) -> dict[str, Value]:
    stored = {row["key"]: row["value"] for row in await db.fetch(_READ)}
    return {name: stored.get(name, DEFAULTS[name]) for name in KEYS}


async def update(change: Change, wanted: Any) -> str | None:
    """Change what is given; a sentence when something is to be thought of. Invalid names every value out of its limits."""
    problems = Problems()
    await change.db.execute(_LOCK)
    before = await _values(change.db)
    values = {name: value for name in KEYS if (value := getattr(wanted, name)) is not UNSET}
    changed = {name: value for name, value in values.items() if value != before[name]}
    for name, value in changed.items():
        _check(problems, name, value)
    problems.raise_any()
    for name, value in changed.items():
        await change.db.execute(_WRITE, name, value)
    change.before = {name: before[name] for name in changed}
    change.after = changed
    await change.event("changed", "global_configuration", 0, data={"keys": sorted(changed)})
    if changed.keys() & {"service_window_start", "service_window_end"}:
        await service_window.changed(change.db)
        await change.wake("tasks")
    await change.wake("pools")
    await change.wake(bandwidth.CHANNEL)
    folder = str(values.get(emergency.KEY, ""))
    if not cleared(folder):
        return None
    log.warning("emergency_storage_local_catalog is %s: %s", folder, cleared(folder))
    return f"{UPDATED} But: {cleared(folder)}"


def _check(problems: Problems, name: str, value: Value) -> None:
    key, field = KEYS[name], f"data.{name}"
    if key.choices and value not in key.choices:
        problems.add(field, f"must be one of: {', '.join(key.choices)}.")
    elif key.form and not key.form.pattern.fullmatch(str(value)):
        problems.add(field, key.form.allowed)
    elif isinstance(value, int) and not isinstance(value, bool) and not key.minimum <= value <= (key.maximum or _ANY):
        problems.add(field, f"must be an integer from {key.minimum} to {key.maximum or _ANY}.")


async def set_service_mode(change: Change, wanted: ServiceMode) -> str:
    """Switch the service mode; a sentence."""
    await change.db.execute(_WRITE, "service_mode", wanted.service_mode)
    change.after = {"service_mode": wanted.service_mode}
    await change.event("changed", "global_configuration", 0, data={"keys": ["service_mode"]})
    await change.wake("tasks")
    await change.wake("schedule")
    return f"The service mode is {'on' if wanted.service_mode else 'off'}."
