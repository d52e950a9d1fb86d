"""Global Schedule. Made by scripts/generate-client from docs/openapi.json. Do not edit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal, NotRequired, TypedDict

from rubackup.sdk.api._shared import Extension, Extensions, Ids
from rubackup.sdk.caller import Answer, Family, Page, segment


class LaunchRow(TypedDict):
    """A backup that a rule or a strategy would make."""

    at: str
    """When it is launched, in UTC."""
    local: str
    """The same instant in the zone of the schedule."""
    zone: str
    """That zone: an IANA name."""
    rule: str | None
    """Name of the rule; null: it is a strategy's."""
    rule_ref: int | None
    """Id of the rule of the global schedule."""
    strategy: str | None
    """Name of the strategy; null: it is a rule's."""
    strategy_ref: int | None
    """Id of the strategy."""
    strategy_rule_ref: int | None
    """Id of the strategy's rule."""
    client: str
    """The client as `hostname (hwid)`."""
    client_ref: int
    """Id of the client."""
    resource_type: str
    """A name of resource_types."""
    resource: str
    """What is backed up."""
    backup_type: str
    """A name of backup_types."""
    left_out: str
    """Why there will be no task; empty: there will be one."""


class NewRule(TypedDict):
    """A new rule of the global schedule."""

    global_schedule: RuleFields
    """The rule."""
    module_extensions: NotRequired[Extension]
    """Parameters of the resource type's module."""
    common_modules_extensions: NotRequired[Extension]
    """Parameters that every module knows."""


class RuleChange(TypedDict):
    """What to change of a rule; of the parameters, too, those that are given change."""

    global_schedule: NotRequired[RuleFieldsChange]
    """What to change of the rule."""
    module_extensions: NotRequired[Extension]
    """Parameters of the resource type's module."""
    common_modules_extensions: NotRequired[Extension]
    """Parameters that every module knows."""


class RuleFields(TypedDict):
    """A rule to be made. Left out, `min` and `hour` are 0: a rule without a schedule runs at midnight."""

    name: str
    """Name of the rule; several may have the same."""
    client_id: int | str
    """The client whose resource is backed up: `hostname (hwid)` or id; or the name of a client group: every client that is in it when the rule launches."""
    resource_type: str
    """A name of resource_types that the client can back up."""
    resource: str
    """What to back up; for File system an absolute path."""
    backup_type: str
    """A name of backup_types."""
    pool_id: int | str
    """Pool that stores the copies: name or id; or the name of a dynamic pool group, which chooses it for each."""
    storage_duration: str
    """How long a copy is kept, such as '1 Years'."""
    storage_capacity: NotRequired[int | None]
    priority: NotRequired[int]
    """Higher runs first."""
    crypto: NotRequired[str]
    """A name of crypto."""
    validity_start_period: NotRequired[str | None]
    validity_end_period: NotRequired[str | None]
    periodic_launch: NotRequired[str | None]
    min: NotRequired[int | str | None]
    """Minute: an integer from 0 to 59, null or '*' for any, or a cron list, range or step."""
    hour: NotRequired[int | str | None]
    """Hour: an integer from 0 to 23, null or '*' for any, or a cron list, range or step."""
    dom: NotRequired[int | str | None]
    """Day of the month: an integer from 1 to 31, null or '*' for any, or a cron list, range or step."""
    mon: NotRequired[int | str | None]
    """Month: an integer from 1 to 12, null or '*' for any, or a cron list, range or step."""
    dow: NotRequired[int | str | None]
    """Day of the week, Sunday 0 and 7: an integer from 0 to 7, null or '*' for any, or a cron list, range or step."""
    verify_flag: NotRequired[bool]
    """Whether the rule's copies are verified again and again."""
    verify_interval: NotRequired[str | None]
    move_copy_flag: NotRequired[bool]
    """Whether copies are moved into move_copy_pool when they are older than move_copy_while."""
    move_copy_pool: NotRequired[int | str | None]
    move_copy_while: NotRequired[str | None]
    auto_delete_obsoleted_copy_flag: NotRequired[bool]
    """Whether copies are deleted by themselves when their storage_duration is over."""
    inform_when_obsoleted_copy: NotRequired[int | str]
    """User group that is told that a copy's storage_duration is over: name or id; Nobody: no one."""
    client_delete_flag: NotRequired[bool]
    """Whether the client's own tools may delete copies of the rule."""
    notify_normal: NotRequired[int | str]
    """User group that is told that a task of the rule ended well: name or id; Nobody: no one."""
    notify_normal_cc: NotRequired[str]
    """Further e-mail addresses, separated by commas, that are told that a task of the rule ended well."""
    notify_exception: NotRequired[int | str]
    """User group that is told that a task of the rule failed: name or id; Nobody: no one."""
    notify_exception_cc: NotRequired[str]
    """Further e-mail addresses, separated by commas, that are told that a task of the rule failed."""
    notify_rule_validity: NotRequired[int | str]
    """User group that is told that the rule's validity ends: name or id; Nobody: no one."""
    notify_rule_validity_cc: NotRequired[str]
    """Further e-mail addresses, separated by commas, that are told that the rule's validity ends."""
    notify_verify: NotRequired[int | str]
    """User group that is told what a verification of a copy of the rule found: name or id; Nobody: no one."""
    notify_verify_cc: NotRequired[str]
    """Further e-mail addresses, separated by commas, that are told what a verification of a copy of the rule found."""
    status: NotRequired[str]
    """A name of status_of_rule: wait (stopped) or run (started)."""
    notify_normal_script: NotRequired[str]
    """Program on the client's host, run after a backup that went well: an absolute path without '..'; empty: none."""
    notify_exception_script: NotRequired[str]
    """Program on the client's host, run after a backup that failed: an absolute path without '..'; empty: none."""
    notify_end_storage_capacity: NotRequired[int | str]
    """User group that is told that the rule's storage_capacity comes to its end: name or id; Nobody: no one."""
    notify_end_storage_capacity_cc: NotRequired[str]
    """Further e-mail addresses, separated by commas, that are told that the rule's storage_capacity comes to its end."""
    restore_script: NotRequired[str]
    """Program on the client's host, run after a restore of a copy of the rule: an absolute path without '..'; empty: none."""
    keep_last: NotRequired[int]
    """How many of the newest copies stay when their storage_duration is over; 0: none."""
    keep_daily: NotRequired[int]
    """How many of the newest days keep their last copy when its storage_duration is over; 0: none."""
    keep_weekly: NotRequired[int]
    """How many of the newest weeks keep their last copy when its storage_duration is over; 0: none."""
    keep_monthly: NotRequired[int]
    """How many of the newest months keep their last copy when its storage_duration is over; 0: none."""
    keep_yearly: NotRequired[int]
    """How many of the newest years keep their last copy when its storage_duration is over; 0: none."""
    second_copy_flag: NotRequired[bool]
    """Whether a second copy of each copy is kept in second_copy_pool."""
    second_copy_pool: NotRequired[int | str | None]
    second_copy_while: NotRequired[str | None]
    second_copy_duration: NotRequired[str | None]


class RuleFieldsChange(TypedDict):
    """What to change of a rule."""

    name: NotRequired[str]
    """Name of the rule; several may have the same."""
    pool_id: NotRequired[int | str]
    """Pool that stores the copies: name or id; or the name of a dynamic pool group, which chooses it for each."""
    storage_duration: NotRequired[str]
    """How long a copy is kept, such as '1 Years'."""
    storage_capacity: NotRequired[int | None]
    priority: NotRequired[int]
    """Higher runs first."""
    validity_start_period: NotRequired[str | None]
    validity_end_period: NotRequired[str | None]
    periodic_launch: NotRequired[str | None]
    min: NotRequired[int | str | None]
    """Minute: an integer from 0 to 59, null or '*' for any, or a cron list, range or step."""
    hour: NotRequired[int | str | None]
    """Hour: an integer from 0 to 23, null or '*' for any, or a cron list, range or step."""
    dom: NotRequired[int | str | None]
    """Day of the month: an integer from 1 to 31, null or '*' for any, or a cron list, range or step."""
    mon: NotRequired[int | str | None]
    """Month: an integer from 1 to 12, null or '*' for any, or a cron list, range or step."""
    dow: NotRequired[int | str | None]
    """Day of the week, Sunday 0 and 7: an integer from 0 to 7, null or '*' for any, or a cron list, range or step."""
    verify_flag: NotRequired[bool]
    """Whether the rule's copies are verified again and again."""
    verify_interval: NotRequired[str | None]
    move_copy_flag: NotRequired[bool]
    """Whether copies are moved into move_copy_pool when they are older than move_copy_while."""
    move_copy_pool: NotRequired[int | str | None]
    move_copy_while: NotRequired[str | None]
    auto_delete_obsoleted_copy_flag: NotRequired[bool]
    """Whether copies are deleted by themselves when their storage_duration is over."""
    inform_when_obsoleted_copy: NotRequired[int | str]
    """User group that is told that a copy's storage_duration is over: name or id; Nobody: no one."""
    client_delete_flag: NotRequired[bool]
    """Whether the client's own tools may delete copies of the rule."""
    notify_normal: NotRequired[int | str]
    """User group that is told that a task of the rule ended well: name or id; Nobody: no one."""
    notify_normal_cc: NotRequired[str]
    """Further e-mail addresses, separated by commas, that are told that a task of the rule ended well."""
    notify_exception: NotRequired[int | str]
    """User group that is told that a task of the rule failed: name or id; Nobody: no one."""
    notify_exception_cc: NotRequired[str]
    """Further e-mail addresses, separated by commas, that are told that a task of the rule failed."""
    notify_rule_validity: NotRequired[int | str]
    """User group that is told that the rule's validity ends: name or id; Nobody: no one."""
    notify_rule_validity_cc: NotRequired[str]
    """Further e-mail addresses, separated by commas, that are told that the rule's validity ends."""
    notify_verify: NotRequired[int | str]
    """User group that is told what a verification of a copy of the rule found: name or id; Nobody: no one."""
    notify_verify_cc: NotRequired[str]
    """Further e-mail addresses, separated by commas, that are told what a verification of a copy of the rule found."""
    status: NotRequired[str]
    """A name of status_of_rule: wait (stopped) or run (started)."""
    notify_normal_script: NotRequired[str]
    """Program on the client's host, run after a backup that went well: an absolute path without '..'; empty: none."""
    notify_exception_script: NotRequired[str]
    """Program on the client's host, run after a backup that failed: an absolute path without '..'; empty: none."""
    notify_end_storage_capacity: NotRequired[int | str]
    """User group that is told that the rule's storage_capacity comes to its end: name or id; Nobody: no one."""
    notify_end_storage_capacity_cc: NotRequired[str]
    """Further e-mail addresses, separated by commas, that are told that the rule's storage_capacity comes to its end."""
    restore_script: NotRequired[str]
    """Program on the client's host, run after a restore of a copy of the rule: an absolute path without '..'; empty: none."""
    keep_last: NotRequired[int]
    """How many of the newest copies stay when their storage_duration is over; 0: none."""
    keep_daily: NotRequired[int]
    """How many of the newest days keep their last copy when its storage_duration is over; 0: none."""
    keep_weekly: NotRequired[int]
    """How many of the newest weeks keep their last copy when its storage_duration is over; 0: none."""
    keep_monthly: NotRequired[int]
    """How many of the newest months keep their last copy when its storage_duration is over; 0: none."""
    keep_yearly: NotRequired[int]
    """How many of the newest years keep their last copy when its storage_duration is over; 0: none."""
    second_copy_flag: NotRequired[bool]
    """Whether a second copy of each copy is kept in second_copy_pool."""
    second_copy_pool: NotRequired[int | str | None]
    second_copy_while: NotRequired[str | None]
    second_copy_duration: NotRequired[str | None]


class RuleRow(TypedDict):
    """A rule. Keys are those of the bodies; there they stand below `global_schedule`, the extensions beside it."""

    id: int
    """Id of the rule."""
    name: str
    """Name of the rule."""
    client_id: str
    """The client as `hostname (hwid)`, or the name of the client group."""
    client_id_ref: int | None
    """Id of the client; null: the rule is a group's."""
    client_group_ref: int | None
    """Id of the client group whose clients are backed up; null: the rule is one client's."""
    resource_type: str
    """A name of resource_types."""
    resource: str
    """What is backed up."""
    backup_type: str
    """A name of backup_types."""
    pool_id: str
    """Name of the pool that stores the copies, or of the dynamic pool group that chooses it."""
    pool_id_ref: int
    """Id of that pool; of a group: of a pool in it."""
    storage_capacity: int | None
    """Storage that the copies may take, in gigabytes; 0 or null: no limit."""
    priority: int
    """Priority of the tasks; higher runs first."""
    crypto: str
    """A name of crypto."""
    validity_start_period: str | None
    """From when the rule makes tasks."""
    validity_end_period: str | None
    """Until when the rule makes tasks."""
    periodic_launch: str | None
    """Interval between tasks; null: the cron fields hold."""
    min: int | str | None
    """Minute: an integer from 0 to 59, null or '*' for any, or a cron list, range or step."""
    hour: int | str | None
    """Hour: an integer from 0 to 23, null or '*' for any, or a cron list, range or step."""
    dom: int | str | None
    """Day of the month: an integer from 1 to 31, null or '*' for any, or a cron list, range or step."""
    mon: int | str | None
    """Month: an integer from 1 to 12, null or '*' for any, or a cron list, range or step."""
    dow: int | str | None
    """Day of the week, Sunday 0 and 7: an integer from 0 to 7, null or '*' for any, or a cron list, range or step."""
    verify_flag: bool
    """Whether copies are verified again and again."""
    verify_interval: str | None
    """Interval between verifications."""
    storage_duration: str
    """How long a copy is kept."""
    move_copy_flag: bool
    """Whether copies are moved into move_copy_pool."""
    move_copy_pool: str | None
    """Name of the pool that copies are moved into."""
    move_copy_pool_ref: int | None
    """Id of that pool."""
    move_copy_while: str | None
    """Age at which a copy is moved."""
    auto_delete_obsoleted_copy_flag: bool
    """Whether copies are deleted by themselves when their storage_duration is over."""
    inform_when_obsoleted_copy: str
    """User group that is told that a copy's storage_duration is over."""
    inform_when_obsoleted_copy_ref: int | None
    """Id of that user group; null for Nobody."""
    client_delete_flag: bool
    """Whether the client's own tools may delete copies."""
    notify_normal: str
    """User group that is told that a task ended well."""
    notify_normal_ref: int | None
    """Id of that user group; null for Nobody."""
    notify_normal_cc: str
    """Further e-mail addresses that are told the same."""
    notify_exception: str
    """User group that is told that a task failed."""
    notify_exception_ref: int | None
    """Id of that user group; null for Nobody."""
    notify_exception_cc: str
    """Further e-mail addresses that are told the same."""
    notify_rule_validity: str
    """User group that is told that the validity ends."""
    notify_rule_validity_ref: int | None
    """Id of that user group; null for Nobody."""
    notify_rule_validity_cc: str
    """Further e-mail addresses that are told the same."""
    notify_verify: str
    """User group that is told what a verification found."""
    notify_verify_ref: int | None
    """Id of that user group; null for Nobody."""
    notify_verify_cc: str
    """Further e-mail addresses that are told the same."""
    status: str
    """A name of status_of_rule."""
    notify_normal_script: str
    """Program on the client, run after a good backup."""
    notify_exception_script: str
    """Program on the client, run after a failed backup."""
    notify_end_storage_capacity: str
    """User group that is told that storage_capacity comes to its end."""
    notify_end_storage_capacity_ref: int | None
    """Id of that user group; null for Nobody."""
    notify_end_storage_capacity_cc: str
    """Further e-mail addresses that are told the same."""
    restore_script: str
    """Program on the client, run after a restore."""
    keep_last: int
    """How many of the newest copies stay when their storage_duration is over; 0: none."""
    keep_daily: int
    """How many of the newest days keep their last copy when its storage_duration is over; 0: none."""
    keep_weekly: int
    """How many of the newest weeks keep their last copy when its storage_duration is over; 0: none."""
    keep_monthly: int
    """How many of the newest months keep their last copy when its storage_duration is over; 0: none."""
    keep_yearly: int
    """How many of the newest years keep their last copy when its storage_duration is over; 0: none."""
    second_copy_flag: bool
    """Whether a second copy is kept in second_copy_pool."""
    second_copy_pool: str | None
    """Name of the pool of second copies."""
    second_copy_pool_ref: int | None
    """Id of that pool."""
    second_copy_while: str | None
    """Age at which the second copy is made; null: at once."""
    second_copy_duration: str | None
    """How long a second copy is kept, counted from the backup."""
    module_extensions: dict[str, dict[str, bool | int | str]]
    """Parameters of the module, below `parameters`."""
    common_modules_extensions: dict[str, dict[str, bool | int | str]]
    """Parameters that every module knows, below `parameters`."""
    created_at: str
    """When the rule was made."""
    changed_at: str
    """When the rule was changed last."""
    schedule_since: str
    """When it was last made, edited or set to run: earlier ticks were not missed."""


class RuleStatusChange(TypedDict):
    """The status that a rule gets."""

    id: int
    """Id of the rule."""
    status: str
    """A name of status_of_rule: wait (stopped) or run (started)."""


ListColumn = Literal[
    "id", "name", "client_id", "client_id_ref", "client_group_ref", "resource_type", "resource", "backup_type",
    "pool_id", "pool_id_ref", "storage_capacity", "priority", "crypto", "validity_start_period",
    "validity_end_period", "periodic_launch", "min", "hour", "dom", "mon", "dow", "verify_flag", "verify_interval",
    "storage_duration", "move_copy_flag", "move_copy_pool", "move_copy_pool_ref", "move_copy_while",
    "auto_delete_obsoleted_copy_flag", "inform_when_obsoleted_copy", "inform_when_obsoleted_copy_ref",
    "client_delete_flag", "notify_normal", "notify_normal_ref", "notify_normal_cc", "notify_exception",
    "notify_exception_ref", "notify_exception_cc", "notify_rule_validity", "notify_rule_validity_ref",
    "notify_rule_validity_cc", "notify_verify", "notify_verify_ref", "notify_verify_cc", "status",
    "notify_normal_script", "notify_exception_script", "notify_end_storage_capacity",
    "notify_end_storage_capacity_ref", "notify_end_storage_capacity_cc", "restore_script", "keep_last",
    "keep_daily", "keep_weekly", "keep_monthly", "keep_yearly", "second_copy_flag", "second_copy_pool",
    "second_copy_pool_ref", "second_copy_while", "second_copy_duration", "created_at", "changed_at",
    "schedule_since",
]  # fmt: skip


class GlobalSchedule(Family):
    """Global Schedule."""

    def list(
        self,
        *,
        page: int | None = None,
        limit: int | None = None,
        sort_by: ListColumn | None = None,
        sort_order: Literal["asc", "desc"] | None = None,
        filter_data: str | Sequence[str] | None = None,
        cursor: str | None = None,
    ) -> Answer[Page[RuleRow]]:
        """List: Global Schedule. Permission: See schedules, strategies, their rules, the requests of clients and the disaster recovery plan."""
        return self._call(
            "GET",
            "/global_schedule",
            query={
                "page": page,
                "limit": limit,
                "sort_by": sort_by,
                "sort_order": sort_order,
                "filter_data": filter_data,
                "cursor": cursor,
            },
        )

    def all(
        self,
        *,
        sort_by: ListColumn | None = None,
        sort_order: Literal["asc", "desc"] | None = None,
        filter_data: str | Sequence[str] | None = None,
    ) -> Iterator[RuleRow]:
        """Every row, page by page behind a cursor."""
        return self._rows(
            "/global_schedule", {"sort_by": sort_by, "sort_order": sort_order, "filter_data": filter_data}
        )

    def create(self, data: NewRule, *, idempotency_key: str | None = None) -> Answer[dict[str, Any]]:
        """Create: Global Schedule. Permission: Create, change, delete and execute rules of the global schedule; keep the disaster recovery plan."""
        return self._call(
            "POST", "/global_schedule", body={"data": data}, idempotency_key=idempotency_key, repeatable=True
        )

    def delete_many(
        self, body: Ids, *, if_match: str | None = None, idempotency_key: str | None = None
    ) -> Answer[dict[str, Any]]:
        """Delete several, all or none: Global Schedule. Permission: Create, change, delete and execute rules of the global schedule; keep the disaster recovery plan."""
        return self._call(
            "DELETE", "/global_schedule", body=body, if_match=if_match, idempotency_key=idempotency_key, repeatable=True
        )

    def set_status(
        self, data: Sequence[RuleStatusChange], *, idempotency_key: str | None = None
    ) -> Answer[dict[str, Any]]:
        """Stop or start rules, all or none. Permission: Create, change, delete and execute rules of the global schedule; keep the disaster recovery plan."""
        return self._call(
            "PATCH", "/global_schedule", body={"data": data}, idempotency_key=idempotency_key, repeatable=True
        )

    def read(self, row_id: int) -> Answer[RuleRow]:
        """Read one: Global Schedule. Permission: See schedules, strategies, their rules, the requests of clients and the disaster recovery plan."""
        return self._call("GET", f"/global_schedule/{segment(row_id)}")

    def update(
        self, row_id: int, data: RuleChange, *, if_match: str | None = None, idempotency_key: str | None = None
    ) -> Answer[dict[str, Any]]:
        """Change one: Global Schedule. Permission: Create, change, delete and execute rules of the global schedule; keep the disaster recovery plan."""
        return self._call(
            "PATCH",
            f"/global_schedule/{segment(row_id)}",
            body={"data": data},
            if_match=if_match,
            idempotency_key=idempotency_key,
            repeatable=True,
        )

    def delete(
        self, row_id: int, *, if_match: str | None = None, idempotency_key: str | None = None
    ) -> Answer[dict[str, Any]]:
        """Delete one: Global Schedule. Permission: Create, change, delete and execute rules of the global schedule; keep the disaster recovery plan."""
        return self._call(
            "DELETE",
            f"/global_schedule/{segment(row_id)}",
            if_match=if_match,
            idempotency_key=idempotency_key,
            repeatable=True,
        )

    def extension(self, *, resource_type: str | None = None, rule_id: int | None = None) -> Answer[Extensions]:
        """Extension parameters of backups, with the values of a rule. Permission: See schedules, strategies, their rules, the requests of clients and the disaster recovery plan."""
        return self._call(
            "GET", "/global_schedule/extension", query={"resource_type": resource_type, "rule_id": rule_id}
        )

    def calendar(
        self, *, from_: str | None = None, to: str | None = None, page: int | None = None, limit: int | None = None
    ) -> Answer[Page[LaunchRow]]:
        """What the schedule and strategies would back up, and when: a dry run. Permission: See schedules, strategies, their rules, the requests of clients and the disaster recovery plan."""
        return self._call(
            "GET", "/global_schedule/calendar", query={"from": from_, "to": to, "page": page, "limit": limit}
        )

    def execution(
        self, row_id: int, *, if_match: str | None = None, idempotency_key: str | None = None
    ) -> Answer[dict[str, Any]]:
        """Run a rule at once. Permission: Create, change, delete and execute rules of the global schedule; keep the disaster recovery plan."""
        return self._call(
            "POST",
            f"/global_schedule/{segment(row_id)}/execution",
            if_match=if_match,
            idempotency_key=idempotency_key,
            repeatable=True,
        )
