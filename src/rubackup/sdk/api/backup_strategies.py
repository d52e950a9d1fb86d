"""Backup Strategies. Made by scripts/generate-client from docs/openapi.json. Do not edit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal, NotRequired, TypedDict

from rubackup.sdk.api._shared import Ids
from rubackup.sdk.caller import Answer, Family, Page, segment


class NewStrategy(TypedDict):
    """A strategy to be made."""

    name: str
    """Name of the strategy; unique."""
    status: NotRequired[str]
    """A name of status_of_rule: wait (stopped) or run (started)."""
    pool_id: int | str
    """Pool that stores the copies: name or id."""
    crypto: NotRequired[str]
    """A name of crypto."""
    storage_capacity: NotRequired[int]
    """Storage that the strategy's copies may take, in gigabytes; 0: no limit."""
    description: NotRequired[str]
    """Free text."""
    validity_start_period: NotRequired[str | None]
    """When the strategy begins to act; null: when it was made."""
    validity_end_period: NotRequired[str | None]
    """When the strategy ends to act; null: never."""
    verify_flag: NotRequired[bool]
    """Whether copies are verified again and again."""
    verify_interval: NotRequired[str | None]
    auto_delete_obsoleted_copy_flag: NotRequired[bool]
    """Whether copies whose time is over are deleted by themselves."""
    inform_when_obsoleted_copy: NotRequired[int | str]
    """User group that is told when the time of a copy is over: name or id; Nobody: no one."""
    client_delete_flag: NotRequired[bool]
    """Whether clients may delete the strategy's copies of theirs."""
    full_archive_enabled: NotRequired[bool]
    """Whether the strategy makes full copies."""
    full_periodic_launch: NotRequired[str | None]
    full_storage_duration: NotRequired[str | None]
    full_min: NotRequired[int | str | None]
    """Minute: an integer from 0 to 59, null or '*' for any, or a cron list, range or step. When full copies are made."""
    full_hour: NotRequired[int | str | None]
    """Hour: an integer from 0 to 23, null or '*' for any, or a cron list, range or step. When full copies are made."""
    full_dom: NotRequired[int | str | None]
    """Day of the month: an integer from 1 to 31, null or '*' for any, or a cron list, range or step. When full copies are made."""
    full_mon: NotRequired[int | str | None]
    """Month: an integer from 1 to 12, null or '*' for any, or a cron list, range or step. When full copies are made."""
    full_dow: NotRequired[int | str | None]
    """Day of the week, Sunday 0 and 7: an integer from 0 to 7, null or '*' for any, or a cron list, range or step. When full copies are made."""
    full_move_copy_flag: NotRequired[bool]
    """Whether full copies move to another pool after a while."""
    full_move_copy_while: NotRequired[str | None]
    full_move_copy_pool: NotRequired[int | str | None]
    """Pool that full copies move to: name or id; null: none."""
    inc_archive_enabled: NotRequired[bool]
    """Whether the strategy makes incremental copies."""
    inc_periodic_launch: NotRequired[str | None]
    inc_storage_duration: NotRequired[str | None]
    inc_min: NotRequired[int | str | None]
    """Minute: an integer from 0 to 59, null or '*' for any, or a cron list, range or step. When incremental copies are made."""
    inc_hour: NotRequired[int | str | None]
    """Hour: an integer from 0 to 23, null or '*' for any, or a cron list, range or step. When incremental copies are made."""
    inc_dom: NotRequired[int | str | None]
    """Day of the month: an integer from 1 to 31, null or '*' for any, or a cron list, range or step. When incremental copies are made."""
    inc_mon: NotRequired[int | str | None]
    """Month: an integer from 1 to 12, null or '*' for any, or a cron list, range or step. When incremental copies are made."""
    inc_dow: NotRequired[int | str | None]
    """Day of the week, Sunday 0 and 7: an integer from 0 to 7, null or '*' for any, or a cron list, range or step. When incremental copies are made."""
    inc_move_copy_flag: NotRequired[bool]
    """Whether incremental copies move to another pool after a while."""
    inc_move_copy_while: NotRequired[str | None]
    inc_move_copy_pool: NotRequired[int | str | None]
    """Pool that incremental copies move to: name or id; null: none."""
    diff_archive_enabled: NotRequired[bool]
    """Whether the strategy makes differential copies."""
    diff_periodic_launch: NotRequired[str | None]
    diff_storage_duration: NotRequired[str | None]
    diff_min: NotRequired[int | str | None]
    """Minute: an integer from 0 to 59, null or '*' for any, or a cron list, range or step. When differential copies are made."""
    diff_hour: NotRequired[int | str | None]
    """Hour: an integer from 0 to 23, null or '*' for any, or a cron list, range or step. When differential copies are made."""
    diff_dom: NotRequired[int | str | None]
    """Day of the month: an integer from 1 to 31, null or '*' for any, or a cron list, range or step. When differential copies are made."""
    diff_mon: NotRequired[int | str | None]
    """Month: an integer from 1 to 12, null or '*' for any, or a cron list, range or step. When differential copies are made."""
    diff_dow: NotRequired[int | str | None]
    """Day of the week, Sunday 0 and 7: an integer from 0 to 7, null or '*' for any, or a cron list, range or step. When differential copies are made."""
    diff_move_copy_flag: NotRequired[bool]
    """Whether differential copies move to another pool after a while."""
    diff_move_copy_while: NotRequired[str | None]
    diff_move_copy_pool: NotRequired[int | str | None]
    """Pool that differential copies move to: name or id; null: none."""
    notify_normal: NotRequired[int | str]
    """User group that is told when a task of the strategy ended well: name or id; Nobody: no one."""
    notify_normal_cc: NotRequired[str]
    """Further e-mail addresses, separated by commas, that are told when a task of the strategy ended well."""
    notify_exception: NotRequired[int | str]
    """User group that is told when a task of the strategy failed: name or id; Nobody: no one."""
    notify_exception_cc: NotRequired[str]
    """Further e-mail addresses, separated by commas, that are told when a task of the strategy failed."""
    notify_verify: NotRequired[int | str]
    """User group that is told when a verification of the strategy's copies ended: name or id; Nobody: no one."""
    notify_verify_cc: NotRequired[str]
    """Further e-mail addresses, separated by commas, that are told when a verification of the strategy's copies ended."""
    notify_strategy_validity: NotRequired[int | str]
    """User group that is told before the strategy ends: name or id; Nobody: no one."""
    notify_strategy_validity_cc: NotRequired[str]
    """Further e-mail addresses, separated by commas, that are told before the strategy ends."""
    notify_end_storage_capacity: NotRequired[int | str]
    """User group that is told when the storage of the strategy is used up: name or id; Nobody: no one."""
    notify_end_storage_capacity_cc: NotRequired[str]
    """Further e-mail addresses, separated by commas, that are told when the storage of the strategy is used up."""
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
    full_second_copy_flag: NotRequired[bool]
    """Whether a second copy of each full copy is kept in full_second_copy_pool."""
    full_second_copy_while: NotRequired[str | None]
    full_second_copy_pool: NotRequired[int | str | None]
    """Pool of second copies of full copies: name or id; null: none."""
    full_second_copy_duration: NotRequired[str | None]
    inc_second_copy_flag: NotRequired[bool]
    """Whether a second copy of each incremental copy is kept in inc_second_copy_pool."""
    inc_second_copy_while: NotRequired[str | None]
    inc_second_copy_pool: NotRequired[int | str | None]
    """Pool of second copies of incremental copies: name or id; null: none."""
    inc_second_copy_duration: NotRequired[str | None]
    diff_second_copy_flag: NotRequired[bool]
    """Whether a second copy of each differential copy is kept in diff_second_copy_pool."""
    diff_second_copy_while: NotRequired[str | None]
    diff_second_copy_pool: NotRequired[int | str | None]
    """Pool of second copies of differential copies: name or id; null: none."""
    diff_second_copy_duration: NotRequired[str | None]


class StrategyChange(TypedDict):
    """What to change of a strategy."""

    name: NotRequired[str]
    """Name of the strategy; unique."""
    status: NotRequired[str]
    """A name of status_of_rule: wait (stopped) or run (started)."""
    pool_id: NotRequired[int | str]
    """Pool that stores the copies: name or id."""
    crypto: NotRequired[str]
    """A name of crypto."""
    storage_capacity: NotRequired[int]
    """Storage that the strategy's copies may take, in gigabytes; 0: no limit."""
    description: NotRequired[str]
    """Free text."""
    validity_start_period: NotRequired[str | None]
    """When the strategy begins to act; null: when it was made."""
    validity_end_period: NotRequired[str | None]
    """When the strategy ends to act; null: never."""
    verify_flag: NotRequired[bool]
    """Whether copies are verified again and again."""
    verify_interval: NotRequired[str | None]
    auto_delete_obsoleted_copy_flag: NotRequired[bool]
    """Whether copies whose time is over are deleted by themselves."""
    inform_when_obsoleted_copy: NotRequired[int | str]
    """User group that is told when the time of a copy is over: name or id; Nobody: no one."""
    client_delete_flag: NotRequired[bool]
    """Whether clients may delete the strategy's copies of theirs."""
    full_archive_enabled: NotRequired[bool]
    """Whether the strategy makes full copies."""
    full_periodic_launch: NotRequired[str | None]
    full_storage_duration: NotRequired[str | None]
    full_min: NotRequired[int | str | None]
    """Minute: an integer from 0 to 59, null or '*' for any, or a cron list, range or step. When full copies are made."""
    full_hour: NotRequired[int | str | None]
    """Hour: an integer from 0 to 23, null or '*' for any, or a cron list, range or step. When full copies are made."""
    full_dom: NotRequired[int | str | None]
    """Day of the month: an integer from 1 to 31, null or '*' for any, or a cron list, range or step. When full copies are made."""
    full_mon: NotRequired[int | str | None]
    """Month: an integer from 1 to 12, null or '*' for any, or a cron list, range or step. When full copies are made."""
    full_dow: NotRequired[int | str | None]
    """Day of the week, Sunday 0 and 7: an integer from 0 to 7, null or '*' for any, or a cron list, range or step. When full copies are made."""
    full_move_copy_flag: NotRequired[bool]
    """Whether full copies move to another pool after a while."""
    full_move_copy_while: NotRequired[str | None]
    full_move_copy_pool: NotRequired[int | str | None]
    """Pool that full copies move to: name or id; null: none."""
    inc_archive_enabled: NotRequired[bool]
    """Whether the strategy makes incremental copies."""
    inc_periodic_launch: NotRequired[str | None]
    inc_storage_duration: NotRequired[str | None]
    inc_min: NotRequired[int | str | None]
    """Minute: an integer from 0 to 59, null or '*' for any, or a cron list, range or step. When incremental copies are made."""
    inc_hour: NotRequired[int | str | None]
    """Hour: an integer from 0 to 23, null or '*' for any, or a cron list, range or step. When incremental copies are made."""
    inc_dom: NotRequired[int | str | None]
    """Day of the month: an integer from 1 to 31, null or '*' for any, or a cron list, range or step. When incremental copies are made."""
    inc_mon: NotRequired[int | str | None]
    """Month: an integer from 1 to 12, null or '*' for any, or a cron list, range or step. When incremental copies are made."""
    inc_dow: NotRequired[int | str | None]
    """Day of the week, Sunday 0 and 7: an integer from 0 to 7, null or '*' for any, or a cron list, range or step. When incremental copies are made."""
    inc_move_copy_flag: NotRequired[bool]
    """Whether incremental copies move to another pool after a while."""
    inc_move_copy_while: NotRequired[str | None]
    inc_move_copy_pool: NotRequired[int | str | None]
    """Pool that incremental copies move to: name or id; null: none."""
    diff_archive_enabled: NotRequired[bool]
    """Whether the strategy makes differential copies."""
    diff_periodic_launch: NotRequired[str | None]
    diff_storage_duration: NotRequired[str | None]
    diff_min: NotRequired[int | str | None]
    """Minute: an integer from 0 to 59, null or '*' for any, or a cron list, range or step. When differential copies are made."""
    diff_hour: NotRequired[int | str | None]
    """Hour: an integer from 0 to 23, null or '*' for any, or a cron list, range or step. When differential copies are made."""
    diff_dom: NotRequired[int | str | None]
    """Day of the month: an integer from 1 to 31, null or '*' for any, or a cron list, range or step. When differential copies are made."""
    diff_mon: NotRequired[int | str | None]
    """Month: an integer from 1 to 12, null or '*' for any, or a cron list, range or step. When differential copies are made."""
    diff_dow: NotRequired[int | str | None]
    """Day of the week, Sunday 0 and 7: an integer from 0 to 7, null or '*' for any, or a cron list, range or step. When differential copies are made."""
    diff_move_copy_flag: NotRequired[bool]
    """Whether differential copies move to another pool after a while."""
    diff_move_copy_while: NotRequired[str | None]
    diff_move_copy_pool: NotRequired[int | str | None]
    """Pool that differential copies move to: name or id; null: none."""
    notify_normal: NotRequired[int | str]
    """User group that is told when a task of the strategy ended well: name or id; Nobody: no one."""
    notify_normal_cc: NotRequired[str]
    """Further e-mail addresses, separated by commas, that are told when a task of the strategy ended well."""
    notify_exception: NotRequired[int | str]
    """User group that is told when a task of the strategy failed: name or id; Nobody: no one."""
    notify_exception_cc: NotRequired[str]
    """Further e-mail addresses, separated by commas, that are told when a task of the strategy failed."""
    notify_verify: NotRequired[int | str]
    """User group that is told when a verification of the strategy's copies ended: name or id; Nobody: no one."""
    notify_verify_cc: NotRequired[str]
    """Further e-mail addresses, separated by commas, that are told when a verification of the strategy's copies ended."""
    notify_strategy_validity: NotRequired[int | str]
    """User group that is told before the strategy ends: name or id; Nobody: no one."""
    notify_strategy_validity_cc: NotRequired[str]
    """Further e-mail addresses, separated by commas, that are told before the strategy ends."""
    notify_end_storage_capacity: NotRequired[int | str]
    """User group that is told when the storage of the strategy is used up: name or id; Nobody: no one."""
    notify_end_storage_capacity_cc: NotRequired[str]
    """Further e-mail addresses, separated by commas, that are told when the storage of the strategy is used up."""
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
    full_second_copy_flag: NotRequired[bool]
    """Whether a second copy of each full copy is kept in full_second_copy_pool."""
    full_second_copy_while: NotRequired[str | None]
    full_second_copy_pool: NotRequired[int | str | None]
    """Pool of second copies of full copies: name or id; null: none."""
    full_second_copy_duration: NotRequired[str | None]
    inc_second_copy_flag: NotRequired[bool]
    """Whether a second copy of each incremental copy is kept in inc_second_copy_pool."""
    inc_second_copy_while: NotRequired[str | None]
    inc_second_copy_pool: NotRequired[int | str | None]
    """Pool of second copies of incremental copies: name or id; null: none."""
    inc_second_copy_duration: NotRequired[str | None]
    diff_second_copy_flag: NotRequired[bool]
    """Whether a second copy of each differential copy is kept in diff_second_copy_pool."""
    diff_second_copy_while: NotRequired[str | None]
    diff_second_copy_pool: NotRequired[int | str | None]
    """Pool of second copies of differential copies: name or id; null: none."""
    diff_second_copy_duration: NotRequired[str | None]


class StrategyRow(TypedDict):
    """A strategy."""

    id: int
    """Id of the strategy."""
    name: str
    """Name of the strategy; unique."""
    status: str
    """A name of status_of_rule: wait (stopped) or run (started)."""
    pool_id: str
    """Pool that stores the copies."""
    pool_id_ref: int
    """Id of that pool."""
    crypto: str
    """A name of crypto."""
    storage_capacity: int
    """Storage that the strategy's copies may take, in gigabytes; 0: no limit."""
    description: str
    """Free text."""
    validity_start_period: str | None
    """When the strategy begins to act; null: when it was made."""
    validity_end_period: str | None
    """When the strategy ends to act; null: never."""
    verify_flag: bool
    """Whether copies are verified again and again."""
    verify_interval: str
    """Interval between verifications of a copy, such as '1 day'; empty or null: none."""
    auto_delete_obsoleted_copy_flag: bool
    """Whether copies whose time is over are deleted by themselves."""
    inform_when_obsoleted_copy: str
    """User group that is told when the time of a copy is over; Nobody: no one."""
    inform_when_obsoleted_copy_ref: int
    """Id of that user group."""
    client_delete_flag: bool
    """Whether clients may delete the strategy's copies of theirs."""
    full_archive_enabled: bool
    """Whether the strategy makes full copies."""
    full_periodic_launch: str
    """How often full copies are made, such as '1 day'; wins over the cron fields; empty or null: none."""
    full_storage_duration: str
    """How long full copies are kept, such as '1 Years'; empty or null: none."""
    full_min: int | str | None
    """Minute: an integer from 0 to 59, null or '*' for any, or a cron list, range or step. When full copies are made."""
    full_hour: int | str | None
    """Hour: an integer from 0 to 23, null or '*' for any, or a cron list, range or step. When full copies are made."""
    full_dom: int | str | None
    """Day of the month: an integer from 1 to 31, null or '*' for any, or a cron list, range or step. When full copies are made."""
    full_mon: int | str | None
    """Month: an integer from 1 to 12, null or '*' for any, or a cron list, range or step. When full copies are made."""
    full_dow: int | str | None
    """Day of the week, Sunday 0 and 7: an integer from 0 to 7, null or '*' for any, or a cron list, range or step. When full copies are made."""
    full_move_copy_flag: bool
    """Whether full copies move to another pool after a while."""
    full_move_copy_while: str
    """How long after their making full copies move; empty or null: none."""
    full_move_copy_pool: str | None
    """Pool that full copies move to; null: none."""
    full_move_copy_pool_ref: int | None
    """Id of that pool."""
    inc_archive_enabled: bool
    """Whether the strategy makes incremental copies."""
    inc_periodic_launch: str
    """How often incremental copies are made, such as '1 day'; wins over the cron fields; empty or null: none."""
    inc_storage_duration: str
    """How long incremental copies are kept, such as '1 Years'; empty or null: none."""
    inc_min: int | str | None
    """Minute: an integer from 0 to 59, null or '*' for any, or a cron list, range or step. When incremental copies are made."""
    inc_hour: int | str | None
    """Hour: an integer from 0 to 23, null or '*' for any, or a cron list, range or step. When incremental copies are made."""
    inc_dom: int | str | None
    """Day of the month: an integer from 1 to 31, null or '*' for any, or a cron list, range or step. When incremental copies are made."""
    inc_mon: int | str | None
    """Month: an integer from 1 to 12, null or '*' for any, or a cron list, range or step. When incremental copies are made."""
    inc_dow: int | str | None
    """Day of the week, Sunday 0 and 7: an integer from 0 to 7, null or '*' for any, or a cron list, range or step. When incremental copies are made."""
    inc_move_copy_flag: bool
    """Whether incremental copies move to another pool after a while."""
    inc_move_copy_while: str
    """How long after their making incremental copies move; empty or null: none."""
    inc_move_copy_pool: str | None
    """Pool that incremental copies move to; null: none."""
    inc_move_copy_pool_ref: int | None
    """Id of that pool."""
    diff_archive_enabled: bool
    """Whether the strategy makes differential copies."""
    diff_periodic_launch: str
    """How often differential copies are made, such as '1 day'; wins over the cron fields; empty or null: none."""
    diff_storage_duration: str
    """How long differential copies are kept, such as '1 Years'; empty or null: none."""
    diff_min: int | str | None
    """Minute: an integer from 0 to 59, null or '*' for any, or a cron list, range or step. When differential copies are made."""
    diff_hour: int | str | None
    """Hour: an integer from 0 to 23, null or '*' for any, or a cron list, range or step. When differential copies are made."""
    diff_dom: int | str | None
    """Day of the month: an integer from 1 to 31, null or '*' for any, or a cron list, range or step. When differential copies are made."""
    diff_mon: int | str | None
    """Month: an integer from 1 to 12, null or '*' for any, or a cron list, range or step. When differential copies are made."""
    diff_dow: int | str | None
    """Day of the week, Sunday 0 and 7: an integer from 0 to 7, null or '*' for any, or a cron list, range or step. When differential copies are made."""
    diff_move_copy_flag: bool
    """Whether differential copies move to another pool after a while."""
    diff_move_copy_while: str
    """How long after their making differential copies move; empty or null: none."""
    diff_move_copy_pool: str | None
    """Pool that differential copies move to; null: none."""
    diff_move_copy_pool_ref: int | None
    """Id of that pool."""
    notify_normal: str
    """User group that is told when a task of the strategy ended well; Nobody: no one."""
    notify_normal_ref: int
    """Id of that user group."""
    notify_normal_cc: str
    """Further e-mail addresses, separated by commas, that are told when a task of the strategy ended well."""
    notify_exception: str
    """User group that is told when a task of the strategy failed; Nobody: no one."""
    notify_exception_ref: int
    """Id of that user group."""
    notify_exception_cc: str
    """Further e-mail addresses, separated by commas, that are told when a task of the strategy failed."""
    notify_verify: str
    """User group that is told when a verification of the strategy's copies ended; Nobody: no one."""
    notify_verify_ref: int
    """Id of that user group."""
    notify_verify_cc: str
    """Further e-mail addresses, separated by commas, that are told when a verification of the strategy's copies ended."""
    notify_strategy_validity: str
    """User group that is told before the strategy ends; Nobody: no one."""
    notify_strategy_validity_ref: int
    """Id of that user group."""
    notify_strategy_validity_cc: str
    """Further e-mail addresses, separated by commas, that are told before the strategy ends."""
    notify_end_storage_capacity: str
    """User group that is told when the storage of the strategy is used up; Nobody: no one."""
    notify_end_storage_capacity_ref: int
    """Id of that user group."""
    notify_end_storage_capacity_cc: str
    """Further e-mail addresses, separated by commas, that are told when the storage of the strategy is used up."""
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
    full_second_copy_flag: bool
    """Whether a second copy of each full copy is kept in full_second_copy_pool."""
    full_second_copy_while: str
    """Age at which the second copy of full copies is made; none: at once; empty or null: none."""
    full_second_copy_pool: str | None
    """Pool of second copies of full copies; null: none."""
    full_second_copy_pool_ref: int | None
    """Id of that pool."""
    full_second_copy_duration: str
    """How long second copies of full copies are kept, such as '1 Years', counted from the backup; empty or null: none."""
    inc_second_copy_flag: bool
    """Whether a second copy of each incremental copy is kept in inc_second_copy_pool."""
    inc_second_copy_while: str
    """Age at which the second copy of incremental copies is made; none: at once; empty or null: none."""
    inc_second_copy_pool: str | None
    """Pool of second copies of incremental copies; null: none."""
    inc_second_copy_pool_ref: int | None
    """Id of that pool."""
    inc_second_copy_duration: str
    """How long second copies of incremental copies are kept, such as '1 Years', counted from the backup; empty or null: none."""
    diff_second_copy_flag: bool
    """Whether a second copy of each differential copy is kept in diff_second_copy_pool."""
    diff_second_copy_while: str
    """Age at which the second copy of differential copies is made; none: at once; empty or null: none."""
    diff_second_copy_pool: str | None
    """Pool of second copies of differential copies; null: none."""
    diff_second_copy_pool_ref: int | None
    """Id of that pool."""
    diff_second_copy_duration: str
    """How long second copies of differential copies are kept, such as '1 Years', counted from the backup; empty or null: none."""
    created_at: str
    """When the strategy was made."""


class StrategyStatus(TypedDict):
    """The status that a strategy shall have."""

    strategy_id: int
    """Id of the strategy."""
    status: str
    """A name of status_of_rule: wait (stopped) or run (started)."""


ListColumn = Literal[
    "id", "name", "status", "pool_id", "pool_id_ref", "crypto", "storage_capacity", "description",
    "validity_start_period", "validity_end_period", "verify_flag", "verify_interval",
    "auto_delete_obsoleted_copy_flag", "inform_when_obsoleted_copy", "inform_when_obsoleted_copy_ref",
    "client_delete_flag", "full_archive_enabled", "full_periodic_launch", "full_storage_duration", "full_min",
    "full_hour", "full_dom", "full_mon", "full_dow", "full_move_copy_flag", "full_move_copy_while",
    "full_move_copy_pool", "full_move_copy_pool_ref", "inc_archive_enabled", "inc_periodic_launch",
    "inc_storage_duration", "inc_min", "inc_hour", "inc_dom", "inc_mon", "inc_dow", "inc_move_copy_flag",
    "inc_move_copy_while", "inc_move_copy_pool", "inc_move_copy_pool_ref", "diff_archive_enabled",
    "diff_periodic_launch", "diff_storage_duration", "diff_min", "diff_hour", "diff_dom", "diff_mon", "diff_dow",
    "diff_move_copy_flag", "diff_move_copy_while", "diff_move_copy_pool", "diff_move_copy_pool_ref",
    "notify_normal", "notify_normal_ref", "notify_normal_cc", "notify_exception", "notify_exception_ref",
    "notify_exception_cc", "notify_verify", "notify_verify_ref", "notify_verify_cc", "notify_strategy_validity",
    "notify_strategy_validity_ref", "notify_strategy_validity_cc", "notify_end_storage_capacity",
    "notify_end_storage_capacity_ref", "notify_end_storage_capacity_cc", "keep_last", "keep_daily", "keep_weekly",
    "keep_monthly", "keep_yearly", "full_second_copy_flag", "full_second_copy_while", "full_second_copy_pool",
    "full_second_copy_pool_ref", "full_second_copy_duration", "inc_second_copy_flag", "inc_second_copy_while",
    "inc_second_copy_pool", "inc_second_copy_pool_ref", "inc_second_copy_duration", "diff_second_copy_flag",
    "diff_second_copy_while", "diff_second_copy_pool", "diff_second_copy_pool_ref", "diff_second_copy_duration",
    "created_at",
]  # fmt: skip


class BackupStrategies(Family):
    """Backup Strategies."""

    def list(
        self,
        *,
        page: int | None = None,
        limit: int | None = None,
        sort_by: ListColumn | None = None,
        sort_order: Literal["asc", "desc"] | None = None,
        filter_data: str | Sequence[str] | None = None,
        cursor: str | None = None,
    ) -> Answer[Page[StrategyRow]]:
        """List: Backup Strategies. Permission: See schedules, strategies, their rules, the requests of clients and the disaster recovery plan."""
        return self._call(
            "GET",
            "/backup_strategies",
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
    ) -> Iterator[StrategyRow]:
        """Every row, page by page behind a cursor."""
        return self._rows(
            "/backup_strategies", {"sort_by": sort_by, "sort_order": sort_order, "filter_data": filter_data}
        )

    def create(self, data: NewStrategy, *, idempotency_key: str | None = None) -> Answer[dict[str, Any]]:
        """Create: Backup Strategies. Permission: Create and delete strategies; appoint their administrators."""
        return self._call(
            "POST", "/backup_strategies", body={"data": data}, idempotency_key=idempotency_key, repeatable=True
        )

    def delete_many(
        self, body: Ids, *, if_match: str | None = None, idempotency_key: str | None = None
    ) -> Answer[dict[str, Any]]:
        """Delete several, all or none: Backup Strategies. Permission: Create and delete strategies; appoint their administrators."""
        return self._call(
            "DELETE",
            "/backup_strategies",
            body=body,
            if_match=if_match,
            idempotency_key=idempotency_key,
            repeatable=True,
        )

    def set_status(
        self, data: Sequence[StrategyStatus], *, idempotency_key: str | None = None
    ) -> Answer[dict[str, Any]]:
        """Start and stop strategies, all or none. Permission: Change strategies and their rules."""
        return self._call(
            "PATCH", "/backup_strategies", body={"data": data}, idempotency_key=idempotency_key, repeatable=True
        )

    def read(self, row_id: int) -> Answer[StrategyRow]:
        """Read one: Backup Strategies. Permission: See schedules, strategies, their rules, the requests of clients and the disaster recovery plan."""
        return self._call("GET", f"/backup_strategies/{segment(row_id)}")

    def update(
        self, row_id: int, data: StrategyChange, *, if_match: str | None = None, idempotency_key: str | None = None
    ) -> Answer[dict[str, Any]]:
        """Change one: Backup Strategies. Permission: Change strategies and their rules."""
        return self._call(
            "PATCH",
            f"/backup_strategies/{segment(row_id)}",
            body={"data": data},
            if_match=if_match,
            idempotency_key=idempotency_key,
            repeatable=True,
        )

    def delete(
        self, row_id: int, *, if_match: str | None = None, idempotency_key: str | None = None
    ) -> Answer[dict[str, Any]]:
        """Delete one: Backup Strategies. Permission: Create and delete strategies; appoint their administrators."""
        return self._call(
            "DELETE",
            f"/backup_strategies/{segment(row_id)}",
            if_match=if_match,
            idempotency_key=idempotency_key,
            repeatable=True,
        )
