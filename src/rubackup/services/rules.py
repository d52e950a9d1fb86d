"""What a rule of the global schedule says: the bodies that make and change one.

Every key of a new rule can be changed but those that name what is backed up (client, resource type,
resource, backup type, crypto): another resource is another rule, with a series of copies of its own.
"""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from rubackup.domain.names import NAME
from rubackup.services import cron
from rubackup.services.fields import Ref
from rubackup.services.policy_fields import KEEPS, STATUS, copied, keep, notify
from rubackup.services.tasks import PRIORITY, Extension
from rubackup.services.user_groups import NOBODY

MODULE = Meta(description="Parameters of the resource type's module.")
COMMON = Meta(description="Parameters that every module knows.")
_INTERVAL_LENGTH = 100
_NAME = Meta(description="Name of the rule; several may have the same.", min_length=1, max_length=128, pattern=NAME)
_CLIENT = Meta(
    description="The client whose resource is backed up: `hostname (hwid)` or id; or the name of a client group: every "
    "client that is in it when the rule launches."
)
_RESOURCE_TYPE = Meta(description="A name of resource_types that the client can back up.")
_RESOURCE = Meta(description="What to back up; for File system an absolute path.", min_length=1, max_length=32768)
_POOL = Meta(
    description="Pool that stores the copies: name or id; or the name of a dynamic pool group, which chooses it for each."
)
_CAPACITY = Meta(
    description="Storage that the rule's copies may take, in gigabytes; 0 or null: no limit.", ge=0, le=2**40
)
_START = Meta(description="From when the rule makes tasks; null: from its creation.", tz=True)
_END = Meta(description="Until when the rule makes tasks; null: for ever.", tz=True)
_PERIODIC = Meta(
    description="Interval between tasks, such as '1 day', counted from validity_start_period or from the creation; "
    "wins over the cron fields; null or empty: the cron fields hold.",
    max_length=_INTERVAL_LENGTH,
)
_VERIFY = Meta(description="Whether the rule's copies are verified again and again.")
_VERIFY_INTERVAL = Meta(
    description="Interval between verifications, such as '1 day'; required while verify_flag is true.",
    max_length=_INTERVAL_LENGTH,
)
_DURATION = Meta(description="How long a copy is kept, such as '1 Years'.", max_length=_INTERVAL_LENGTH)
_MOVE = Meta(description="Whether copies are moved into move_copy_pool when they are older than move_copy_while.")
_MOVE_POOL = Meta(
    description="Pool that copies are moved into: name or id; null: none; another than pool_id while move_copy_flag "
    "is true."
)
_MOVE_WHILE = Meta(
    description="Age at which a copy is moved, such as '1 day'; required while move_copy_flag is true.",
    max_length=_INTERVAL_LENGTH,
)
_KEEP_LAST, _KEEP_DAILY, _KEEP_WEEKLY, _KEEP_MONTHLY, _KEEP_YEARLY = map(keep, KEEPS)
_SECOND = Meta(description="Whether a second copy of each copy is kept in second_copy_pool.")
_SECOND_POOL = Meta(
    description="Pool of second copies: name or id; null: none; another than pool_id while second_copy_flag is true."
)
_SECOND_WHILE = Meta(
    description="Age at which the second copy is made, such as '1 day'; null or empty: at once.",
    max_length=_INTERVAL_LENGTH,
)
_SECOND_DURATION = Meta(
    description="How long a second copy is kept, such as '1 Years', counted from the backup; required while second_copy_flag "
    "is true.",
    max_length=_INTERVAL_LENGTH,
)
_AUTO_DELETE = Meta(description="Whether copies are deleted by themselves when their storage_duration is over.")
_OBSOLETED = notify("that a copy's storage_duration is over")
_CLIENT_DELETE = Meta(description="Whether the client's own tools may delete copies of the rule.")
_NORMAL = notify("that a task of the rule ended well")
_NORMAL_CC = copied("that a task of the rule ended well")
_EXCEPTION = notify("that a task of the rule failed")
_EXCEPTION_CC = copied("that a task of the rule failed")
_VALIDITY = notify("that the rule's validity ends")
_VALIDITY_CC = copied("that the rule's validity ends")
_VERIFIED = notify("what a verification of a copy of the rule found")
_VERIFIED_CC = copied("what a verification of a copy of the rule found")
_CAPACITY_END = notify("that the rule's storage_capacity comes to its end")
_CAPACITY_END_CC = copied("that the rule's storage_capacity comes to its end")


def _script(when: str) -> Meta:
    return Meta(
        description=f"Program on the client's host, run {when}: an absolute path without '..'; empty: none.",
        max_length=4096,
    )


_NORMAL_SCRIPT = _script("after a backup that went well")
_EXCEPTION_SCRIPT = _script("after a backup that failed")
_RESTORE_SCRIPT = _script("after a restore of a copy of the rule")


class RuleFields(msgspec.Struct, kw_only=True):
    """A rule to be made. Left out, `min` and `hour` are 0: a rule without a schedule runs at midnight."""

    name: Annotated[str, _NAME]
    client_id: Annotated[Ref, _CLIENT]
    resource_type: Annotated[str, _RESOURCE_TYPE]
    resource: Annotated[str, _RESOURCE]
    backup_type: Annotated[str, Meta(description="A name of backup_types.")]
    pool_id: Annotated[Ref, _POOL]
    storage_duration: Annotated[str, _DURATION]
    storage_capacity: Annotated[int, _CAPACITY] | None = None
    priority: Annotated[int, PRIORITY] = 100
    crypto: Annotated[str, Meta(description="A name of crypto.")] = "nocrypt"
    validity_start_period: Annotated[dt.datetime, _START] | None = None
    validity_end_period: Annotated[dt.datetime, _END] | None = None
    periodic_launch: Annotated[str, _PERIODIC] | None = None
    min: cron.Min = 0
    hour: cron.Hour = 0
    dom: cron.Dom = None
    mon: cron.Mon = None
    dow: cron.Dow = None
    verify_flag: Annotated[bool, _VERIFY] = False
    verify_interval: Annotated[str, _VERIFY_INTERVAL] | None = None
    move_copy_flag: Annotated[bool, _MOVE] = False
    move_copy_pool: Annotated[Ref, _MOVE_POOL] | None = None
    move_copy_while: Annotated[str, _MOVE_WHILE] | None = None
    auto_delete_obsoleted_copy_flag: Annotated[bool, _AUTO_DELETE] = False
    inform_when_obsoleted_copy: Annotated[Ref, _OBSOLETED] = NOBODY
    client_delete_flag: Annotated[bool, _CLIENT_DELETE] = False
    notify_normal: Annotated[Ref, _NORMAL] = NOBODY
    notify_normal_cc: Annotated[str, _NORMAL_CC] = ""
    notify_exception: Annotated[Ref, _EXCEPTION] = NOBODY
    notify_exception_cc: Annotated[str, _EXCEPTION_CC] = ""
    notify_rule_validity: Annotated[Ref, _VALIDITY] = NOBODY
    notify_rule_validity_cc: Annotated[str, _VALIDITY_CC] = ""
    notify_verify: Annotated[Ref, _VERIFIED] = NOBODY
    notify_verify_cc: Annotated[str, _VERIFIED_CC] = ""
    status: Annotated[str, STATUS] = "wait"
    notify_normal_script: Annotated[str, _NORMAL_SCRIPT] = ""
    notify_exception_script: Annotated[str, _EXCEPTION_SCRIPT] = ""
    notify_end_storage_capacity: Annotated[Ref, _CAPACITY_END] = NOBODY
    notify_end_storage_capacity_cc: Annotated[str, _CAPACITY_END_CC] = ""
    restore_script: Annotated[str, _RESTORE_SCRIPT] = ""
    keep_last: Annotated[int, _KEEP_LAST] = 0
    keep_daily: Annotated[int, _KEEP_DAILY] = 0
    keep_weekly: Annotated[int, _KEEP_WEEKLY] = 0
    keep_monthly: Annotated[int, _KEEP_MONTHLY] = 0
    keep_yearly: Annotated[int, _KEEP_YEARLY] = 0
    second_copy_flag: Annotated[bool, _SECOND] = False
    second_copy_pool: Annotated[Ref, _SECOND_POOL] | None = None
    second_copy_while: Annotated[str, _SECOND_WHILE] | None = None
    second_copy_duration: Annotated[str, _SECOND_DURATION] | None = None


class NewRule(msgspec.Struct, kw_only=True):
    """A new rule of the global schedule."""

    global_schedule: Annotated[RuleFields, Meta(description="The rule.")]
    module_extensions: Annotated[Extension, MODULE] = msgspec.field(default_factory=Extension)
    common_modules_extensions: Annotated[Extension, COMMON] = msgspec.field(default_factory=Extension)


class RuleFieldsChange(msgspec.Struct, kw_only=True):
    """What to change of a rule."""

    name: Annotated[str, _NAME] | UnsetType = UNSET
    pool_id: Annotated[Ref, _POOL] | UnsetType = UNSET
    storage_duration: Annotated[str, _DURATION] | UnsetType = UNSET
    storage_capacity: Annotated[int, _CAPACITY] | UnsetType | None = UNSET
    priority: Annotated[int, PRIORITY] | UnsetType = UNSET
    validity_start_period: Annotated[dt.datetime, _START] | UnsetType | None = UNSET
    validity_end_period: Annotated[dt.datetime, _END] | UnsetType | None = UNSET
    periodic_launch: Annotated[str, _PERIODIC] | UnsetType | None = UNSET
    min: cron.Min | UnsetType = UNSET
    hour: cron.Hour | UnsetType = UNSET
    dom: cron.Dom | UnsetType = UNSET
    mon: cron.Mon | UnsetType = UNSET
    dow: cron.Dow | UnsetType = UNSET
    verify_flag: Annotated[bool, _VERIFY] | UnsetType = UNSET
    verify_interval: Annotated[str, _VERIFY_INTERVAL] | UnsetType | None = UNSET
    move_copy_flag: Annotated[bool, _MOVE] | UnsetType = UNSET
    move_copy_pool: Annotated[Ref, _MOVE_POOL] | UnsetType | None = UNSET
    move_copy_while: Annotated[str, _MOVE_WHILE] | UnsetType | None = UNSET
    auto_delete_obsoleted_copy_flag: Annotated[bool, _AUTO_DELETE] | UnsetType = UNSET
    inform_when_obsoleted_copy: Annotated[Ref, _OBSOLETED] | UnsetType = UNSET
    client_delete_flag: Annotated[bool, _CLIENT_DELETE] | UnsetType = UNSET
    notify_normal: Annotated[Ref, _NORMAL] | UnsetType = UNSET
    notify_normal_cc: Annotated[str, _NORMAL_CC] | UnsetType = UNSET
    notify_exception: Annotated[Ref, _EXCEPTION] | UnsetType = UNSET
    notify_exception_cc: Annotated[str, _EXCEPTION_CC] | UnsetType = UNSET
    notify_rule_validity: Annotated[Ref, _VALIDITY] | UnsetType = UNSET
    notify_rule_validity_cc: Annotated[str, _VALIDITY_CC] | UnsetType = UNSET
    notify_verify: Annotated[Ref, _VERIFIED] | UnsetType = UNSET
    notify_verify_cc: Annotated[str, _VERIFIED_CC] | UnsetType = UNSET
    status: Annotated[str, STATUS] | UnsetType = UNSET
    notify_normal_script: Annotated[str, _NORMAL_SCRIPT] | UnsetType = UNSET
    notify_exception_script: Annotated[str, _EXCEPTION_SCRIPT] | UnsetType = UNSET
    notify_end_storage_capacity: Annotated[Ref, _CAPACITY_END] | UnsetType = UNSET
    notify_end_storage_capacity_cc: Annotated[str, _CAPACITY_END_CC] | UnsetType = UNSET
    restore_script: Annotated[str, _RESTORE_SCRIPT] | UnsetType = UNSET
    keep_last: Annotated[int, _KEEP_LAST] | UnsetType = UNSET
    keep_daily: Annotated[int, _KEEP_DAILY] | UnsetType = UNSET
    keep_weekly: Annotated[int, _KEEP_WEEKLY] | UnsetType = UNSET
    keep_monthly: Annotated[int, _KEEP_MONTHLY] | UnsetType = UNSET
    keep_yearly: Annotated[int, _KEEP_YEARLY] | UnsetType = UNSET
    second_copy_flag: Annotated[bool, _SECOND] | UnsetType = UNSET
    second_copy_pool: Annotated[Ref, _SECOND_POOL] | UnsetType | None = UNSET
    second_copy_while: Annotated[str, _SECOND_WHILE] | UnsetType | None = UNSET
    second_copy_duration: Annotated[str, _SECOND_DURATION] | UnsetType | None = UNSET


class RuleChange(msgspec.Struct, kw_only=True):
    """What to change of a rule; of the parameters, too, those that are given change."""

    global_schedule: Annotated[RuleFieldsChange, Meta(description="What to change of the rule.")] = msgspec.field(
        default_factory=RuleFieldsChange
    )
    module_extensions: Annotated[Extension, MODULE] = msgspec.field(default_factory=Extension)
    common_modules_extensions: Annotated[Extension, COMMON] = msgspec.field(default_factory=Extension)


class RuleStatusChange(msgspec.Struct):
    """The status that a rule gets."""

    id: Annotated[int, Meta(description="Id of the rule.", ge=1)]
    status: Annotated[str, STATUS]


def given(fields: RuleFields | RuleFieldsChange) -> dict[str, Any]:
    """What a body says, by key; what it left out of a change is not there."""
    values = {name: getattr(fields, name) for name in fields.__struct_fields__}
    return {name: value for name, value in values.items() if value is not UNSET}
