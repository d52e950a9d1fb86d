"""The global schedule: its rules, and the log of what was done to them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from rubackup.api.resource import CRUD, LOG, Action, Answer, Body, Call, Created, Page, Resource, Source
from rubackup.domain.permissions import Permission
from rubackup.resources._adapters import limited, making, queued, with_body
from rubackup.resources._examples import EXTENSIONS
from rubackup.resources.task_queue import ExtensionQuery
from rubackup.services import cron, global_schedule, policy_fields, rule_execution, rule_log, rules, schedule_calendar, scopes, tasks
from rubackup.services.rule_columns import GROUPS

_CC = "Further e-mail addresses that are told the same."
_GROUP_REF = Meta(description="Id of that user group; null for Nobody.")
_OBSOLETED = Meta(description="User group that is told that a copy's storage_duration is over.")
_NORMAL = Meta(description="User group that is told that a task ended well.")
_EXCEPTION = Meta(description="User group that is told that a task failed.")
_VALIDITY = Meta(description="User group that is told that the validity ends.")
_VERIFY = Meta(description="User group that is told what a verification found.")
_CAPACITY = Meta(description="User group that is told that storage_capacity comes to its end.")
Parameters = dict[str, dict[str, bool | int | str]]


class RuleRow(msgspec.Struct, kw_only=True):
    """A rule. Keys are those of the bodies; there they stand below `global_schedule`, the extensions beside it."""

    id: Annotated[int, Meta(description="Id of the rule.")]
    name: Annotated[str, Meta(description="Name of the rule.")]
    client_id: Annotated[str, Meta(description="The client as `hostname (hwid)`, or the name of the client group.")]
    client_id_ref: Annotated[int | None, Meta(description="Id of the client; null: the rule is a group's.")]
    client_group_ref: Annotated[
        int | None,
        Meta(description="Id of the client group whose clients are backed up; null: the rule is one client's."),
    ]
    resource_type: Annotated[str, Meta(description="A name of resource_types.")]
    resource: Annotated[str, Meta(description="What is backed up.")]
    backup_type: Annotated[str, Meta(description="A name of backup_types.")]
    pool_id: Annotated[
        str, Meta(description="Name of the pool that stores the copies, or of the dynamic pool group that chooses it.")
    ]
    pool_id_ref: Annotated[int, Meta(description="Id of that pool; of a group: of a pool in it.")]
    storage_capacity: Annotated[
        int | None, Meta(description="Storage that the copies may take, in gigabytes; 0 or null: no limit.")
    ]
    priority: Annotated[int, Meta(description="Priority of the tasks; higher runs first.")]
    crypto: Annotated[str, Meta(description="A name of crypto.")]
    validity_start_period: Annotated[datetime | None, Meta(description="From when the rule makes tasks.")]
    validity_end_period: Annotated[datetime | None, Meta(description="Until when the rule makes tasks.")]
    periodic_launch: Annotated[str | None, Meta(description="Interval between tasks; null: the cron fields hold.")]
    min: cron.Min
    hour: cron.Hour
    dom: cron.Dom
    mon: cron.Mon
    dow: cron.Dow
    verify_flag: Annotated[bool, Meta(description="Whether copies are verified again and again.")]
    verify_interval: Annotated[str | None, Meta(description="Interval between verifications.")]
    storage_duration: Annotated[str, Meta(description="How long a copy is kept.")]
    move_copy_flag: Annotated[bool, Meta(description="Whether copies are moved into move_copy_pool.")]
    move_copy_pool: Annotated[str | None, Meta(description="Name of the pool that copies are moved into.")]
    move_copy_pool_ref: Annotated[int | None, Meta(description="Id of that pool.")]
    move_copy_while: Annotated[str | None, Meta(description="Age at which a copy is moved.")]
    auto_delete_obsoleted_copy_flag: Annotated[
        bool, Meta(description="Whether copies are deleted by themselves when their storage_duration is over.")
    ]
    inform_when_obsoleted_copy: Annotated[str, _OBSOLETED]
    inform_when_obsoleted_copy_ref: Annotated[int | None, _GROUP_REF]
    client_delete_flag: Annotated[bool, Meta(description="Whether the client's own tools may delete copies.")]
    notify_normal: Annotated[str, _NORMAL]
    notify_normal_ref: Annotated[int | None, _GROUP_REF]
    notify_normal_cc: Annotated[str, Meta(description=_CC)]
    notify_exception: Annotated[str, _EXCEPTION]
    notify_exception_ref: Annotated[int | None, _GROUP_REF]
    notify_exception_cc: Annotated[str, Meta(description=_CC)]
    notify_rule_validity: Annotated[str, _VALIDITY]
    notify_rule_validity_ref: Annotated[int | None, _GROUP_REF]
    notify_rule_validity_cc: Annotated[str, Meta(description=_CC)]
    notify_verify: Annotated[str, _VERIFY]
    notify_verify_ref: Annotated[int | None, _GROUP_REF]
    notify_verify_cc: Annotated[str, Meta(description=_CC)]
    status: Annotated[str, Meta(description="A name of status_of_rule.")]
    notify_normal_script: Annotated[str, Meta(description="Program on the client, run after a good backup.")]
    notify_exception_script: Annotated[str, Meta(description="Program on the client, run after a failed backup.")]
    notify_end_storage_capacity: Annotated[str, _CAPACITY]
    notify_end_storage_capacity_ref: Annotated[int | None, _GROUP_REF]
    notify_end_storage_capacity_cc: Annotated[str, Meta(description=_CC)]
    restore_script: Annotated[str, Meta(description="Program on the client, run after a restore.")]
    keep_last: Annotated[int, policy_fields.keep("keep_last")]
    keep_daily: Annotated[int, policy_fields.keep("keep_daily")]
    keep_weekly: Annotated[int, policy_fields.keep("keep_weekly")]
    keep_monthly: Annotated[int, policy_fields.keep("keep_monthly")]
    keep_yearly: Annotated[int, policy_fields.keep("keep_yearly")]
    second_copy_flag: Annotated[bool, Meta(description="Whether a second copy is kept in second_copy_pool.")]
    second_copy_pool: Annotated[str | None, Meta(description="Name of the pool of second copies.")]
    second_copy_pool_ref: Annotated[int | None, Meta(description="Id of that pool.")]
    second_copy_while: Annotated[str | None, Meta(description="Age at which the second copy is made; null: at once.")]
    second_copy_duration: Annotated[
        str | None, Meta(description="How long a second copy is kept, counted from the backup.")
    ]
    module_extensions: Annotated[Parameters, Meta(description="Parameters of the module, below `parameters`.")]
    common_modules_extensions: Annotated[
        Parameters, Meta(description="Parameters that every module knows, below `parameters`.")
    ]
    created_at: Annotated[datetime, Meta(description="When the rule was made.")]
    changed_at: Annotated[datetime, Meta(description="When the rule was changed last.")]
    schedule_since: Annotated[
        datetime, Meta(description="When it was last made, edited or set to run: earlier ticks were not missed.")
    ]


_OWN = (
    "id", "name", "resource_type", "resource", "backup_type", "storage_capacity", "priority", "crypto", "status",
    "validity_start_period", "validity_end_period", "periodic_launch", *cron.FIELDS, "verify_flag", "verify_interval",
    "storage_duration", "move_copy_flag", "move_copy_while", "auto_delete_obsoleted_copy_flag", "client_delete_flag",
    "notify_normal_cc", "notify_exception_cc", "notify_rule_validity_cc", "notify_verify_cc",
    "notify_end_storage_capacity_cc", "notify_normal_script", "notify_exception_script", "restore_script",
    *policy_fields.KEEPS, "second_copy_flag", "second_copy_while", "second_copy_duration",
    "created_at", "changed_at", "schedule_since",
)  # fmt: skip
_TABLE = (
    f"global_schedule s {rule_log.OWNER} JOIN pools p ON p.id = s.pool_id "
    "LEFT JOIN dynamic_pool_groups pg ON pg.id = s.pool_group_id "
    "LEFT JOIN pools mp ON mp.id = s.move_copy_pool_id LEFT JOIN pools sp ON sp.id = s.second_copy_pool_id "
)
_COLUMNS = {
    **{one: f"s.{one}" for one in _OWN},
    "client_id": rule_log.WHOSE,
    "client_id_ref": "s.client_id",
    "client_group_ref": "s.client_group_id",
    "pool_id": "coalesce(pg.name, p.pool_name)",
    "pool_id_ref": "s.pool_id",
    "move_copy_pool": "mp.pool_name",
    "move_copy_pool_ref": "s.move_copy_pool_id",
    "second_copy_pool": "sp.pool_name",
    "second_copy_pool_ref": "s.second_copy_pool_id",
    **{one: f"coalesce({one}.name, 'Nobody')" for one in GROUPS},
    **{f"{one}_ref": f"s.{one}_group_id" for one in GROUPS},
    "module_extensions": "jsonb_build_object('parameters', s.module_parameters)",
    "common_modules_extensions": "jsonb_build_object('parameters', s.common_parameters)",
}
_JOINED = " ".join(f"LEFT JOIN user_groups {one} ON {one}.id = s.{one}_group_id" for one in GROUPS)

_CHANGE: dict[str, Any] = {
    "name": "global_schedule_name", "pool_id": "Default", "storage_capacity": 10, "priority": 100,
    "validity_start_period": "2024-09-02T15:40:01.208623", "validity_end_period": "2025-09-02T15:40:01.208636",
    "periodic_launch": "1 min", "min": 0, "hour": 0, "dom": 1, "mon": 1, "dow": 1, "verify_flag": True,
    "verify_interval": "1 day", "storage_duration": "1 day", "move_copy_flag": False, "move_copy_pool": "Default",
    "move_copy_while": "1 day", "auto_delete_obsoleted_copy_flag": False, "inform_when_obsoleted_copy": "Nobody",
    "client_delete_flag": True, "notify_normal": "Nobody", "notify_normal_cc": "email@domain.ru",
    "notify_exception": "Nobody", "notify_exception_cc": "email@domain.ru", "notify_rule_validity": "Nobody",
    "notify_rule_validity_cc": "email@domain.ru", "notify_verify": "Nobody", "notify_verify_cc": "email@domain.ru",
    "status": "wait", "notify_normal_script": "", "notify_exception_script": "",
    "notify_end_storage_capacity": "Nobody", "notify_end_storage_capacity_cc": "email@domain.ru", "restore_script": "",
}  # fmt: skip
_RULE = _CHANGE | {
    "client_id": "rubackup-client (525a99154f3505a2)", "resource_type": "File system", "resource": "/home/",
    "backup_type": "full", "crypto": "nocrypt",
}  # fmt: skip


async def _extension(call: Call) -> tasks.Extensions:
    return await global_schedule.extensions(call.change, call.query.resource_type, call.query.rule_id)


async def _execute(call: Call) -> Created:
    assert call.id is not None
    return queued(await rule_execution.execute(call.change, call.id))


async def _calendar(call: Call) -> Page:
    asked: schedule_calendar.Span = call.query
    items, total = await schedule_calendar.show(call.change.db, call.change.principal, asked, call.zone)
    return Page(items, total, asked.page, asked.limit)


GLOBAL_SCHEDULE = Resource(
    path="global_schedule",
    name="Global Schedule",
    tag="Global Schedule",
    summary="What is backed up when",
    read=Permission.READ_POLICIES,
    write=Permission.WRITE_RULES,
    row=RuleRow,
    source=Source(
        _TABLE + _JOINED, "s.id", _COLUMNS,
        frozenset({"id", "name", "client_id_ref", "pool_id_ref", "move_copy_pool_ref", "validity_end_period"}),
    ),
    ops=CRUD,
    scope=limited(lambda principal: scopes.clients(principal, "og.id")),
    changeable=limited(lambda principal: scopes.clients(principal, "og.id", write=True)),
    create=making(global_schedule.create),
    create_body=Body(rules.NewRule, example={"data": {"global_schedule": _RULE, **EXTENSIONS}}),
    update=global_schedule.update,
    update_body=Body(rules.RuleChange, example={"data": {"global_schedule": _CHANGE, **EXTENSIONS}}),
    delete=global_schedule.delete,
    actions=(
        Action(
            "PATCH", "", "Stop or start rules, all or none", Permission.WRITE_RULES,
            with_body(global_schedule.set_status), operation_id="set_status_global_schedule",
            body=Body(rules.RuleStatusChange, many=True, example={"data": [{"id": 1, "status": "wait"}]}),
            statuses={404: "A rule was not found"},
        ),
        Action(
            "GET", "extension", "Extension parameters of backups, with the values of a rule",
            Permission.READ_POLICIES, _extension, answer=Answer.OBJECT, row=tasks.Extensions, query=ExtensionQuery,
            mutates=False,
        ),
        Action(
            "GET", "calendar", "What the schedule and strategies would back up, and when: a dry run",
            Permission.READ_POLICIES, _calendar, answer=Answer.LIST, row=schedule_calendar.LaunchRow,
            query=schedule_calendar.Span, mutates=False,
        ),
        Action(
            "POST", "{id}/execution", "Run a rule at once", Permission.WRITE_RULES, _execute, answer=Answer.TASKS,
            status=200, message="The rule was executed.",
            statuses={409: "A task of the rule waits already, or the rule cannot be executed now"},
        ),
    ),
)  # fmt: skip


class RuleLogRow(msgspec.Struct, kw_only=True):
    """What was done to a rule, or what it did."""

    id: Annotated[int, Meta(description="Number of the line.")]
    at: Annotated[datetime, Meta(description="When it happened.")]
    rule: Annotated[str, Meta(description="Name of the rule, as it was called then.")]
    rule_ref: Annotated[int, Meta(description="Id of the rule, also of one that was deleted.")]
    client: Annotated[
        str, Meta(description="Its client as `hostname (hwid)`, or its client group, as it was called then.")
    ]
    client_ref: Annotated[
        int | None, Meta(description="Id of the client, also of one that was deleted; null: about a rule of a group.")
    ]
    task: Annotated[int | None, Meta(description="Number of the task that the rule made.")]
    user_name: Annotated[str, Meta(description="Name of the user who did it; empty for the system.")]
    action: Annotated[str, Meta(description="created, changed, status, executed, skipped or deleted.")]
    text: Annotated[str, Meta(description="What there is to say about it.")]


GLOBAL_SCHEDULE_LOG = Resource(
    path="global_schedule_log",
    name="Global Schedule Log",
    tag="Global Schedule Log",
    summary="What happened to rules",
    read=Permission.READ_POLICIES,
    row=RuleLogRow,
    source=Source(
        "global_schedule_log l LEFT JOIN clients c ON c.id = l.client_id",
        "l.id",
        {
            "id": "l.id", "at": "l.at", "rule": "l.rule_name", "rule_ref": "l.rule_id", "client": "l.client",
            "client_ref": "l.client_id", "task": "l.task_id", "user_name": "l.user_name", "action": "l.action",
            "text": "l.text",
        },
        frozenset({"id", "rule_ref", "client_ref", "task"}),
        descending=True,
    ),
    ops=LOG,
    scope=limited(lambda principal: scopes.clients(principal, "coalesce(c.group_id, l.client_group_id)")),
)  # fmt: skip
