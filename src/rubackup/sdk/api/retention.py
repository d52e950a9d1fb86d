"""Retention. Made by scripts/generate-client from docs/openapi.json. Do not edit."""

from __future__ import annotations

from typing import Any, NotRequired, TypedDict

from rubackup.sdk.caller import Answer, Family, Page


class Acknowledgement(TypedDict):
    """What an administrator has looked at."""

    clock_is_right: bool
    """true: the clock of the catalogue's host shows the right time."""


class Foreseen(TypedDict):
    """What would become of a copy."""

    record: int
    """Id of the copy."""
    action: str
    """delete, move, copy (a second copy), verify, inform, or keep: its time is over and it stays, or it cannot go where it should."""
    at: str
    """From when on; what lies in the past is due now."""
    why: str
    """Why, as a sentence."""
    rule: int | None
    """Id of its rule of the global schedule."""
    strategy: int | None
    """Id of its strategy."""
    strategy_rule: int | None
    """Id of its rule of a strategy."""
    client: str
    """The client as `hostname (hwid)`."""
    resource_type: str
    """A name of resource_types."""
    resource: str
    """What was backed up."""
    backup_type: str
    """A name of backup_types."""
    pool: str
    """The pool that stores it."""
    target_pool: str | None
    """The pool that it would move or be copied into."""
    created_at: str
    """When it was made."""
    store_until: str | None
    """When it may be deleted by itself."""
    stored_bytes: int
    """What it added to its pool, in bytes."""


class PolicyChange(TypedDict):
    """Keys of a rule or strategy with other values; those that are left out are as they are."""

    backup_type: NotRequired[str | None]
    """For strategies: the type whose move_copy_ and second_copy_ keys change; null: all types."""
    storage_duration: NotRequired[str]
    """Copies are judged as if they had been made with it, such as '10 days'; a change of a rule leaves theirs."""
    auto_delete_obsoleted_copy_flag: NotRequired[bool]
    """Whether copies are deleted by themselves when their time is over."""
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
    move_copy_flag: NotRequired[bool]
    """Whether copies are moved into move_copy_pool."""
    move_copy_pool: NotRequired[int | str]
    """Pool that copies are moved into: name or id."""
    move_copy_while: NotRequired[str]
    """Age at which a copy is moved, such as '1 day'."""
    second_copy_flag: NotRequired[bool]
    """Whether a second copy is kept in second_copy_pool."""
    second_copy_pool: NotRequired[int | str]
    """Pool of second copies: name or id."""
    second_copy_while: NotRequired[str]
    """Age at which the second copy is made; empty: at once."""
    second_copy_duration: NotRequired[str]
    """How long a second copy is kept, counted from the backup."""


class RetentionState(TypedDict):
    """Whether retention acts."""

    acts: bool
    """Whether copies are deleted, moved and copied by time now."""
    seen_at: str | None
    """When the leading server looked last; null: never."""
    suspended_at: str | None
    """Since when it rests as the clock is in doubt."""
    reason: str
    """Why it does not act; empty while it does."""
    resumes_at: str | None
    """When it goes on by itself; null while suspended: when that is acknowledged."""


class Simulation(TypedDict):
    """What to show: of which rules, how far ahead, and under which policy."""

    period: NotRequired[str]
    """How far to look ahead, such as '30 days'; what is due already is shown, too."""
    rule_id: NotRequired[int | None]
    strategy_id: NotRequired[int | str | None]
    client_id: NotRequired[int | str | None]
    actions: NotRequired[list[str]]
    """Only these of delete, move, copy, verify, inform, keep; empty: all."""
    policy: NotRequired[PolicyChange | None]
    """Another policy of the rule or strategy that is named; null: its own."""


class Retention(Family):
    """Retention."""

    def read(self) -> Answer[RetentionState]:
        """Whether retention acts, and since when not. Permission: See the repository of copies."""
        return self._call("GET", "/retention")

    def simulation(
        self, data: Simulation, *, page: int | None = None, limit: int | None = None
    ) -> Answer[Page[Foreseen]]:
        """What would be deleted, moved or copied, when and why, without doing it. Permission: See the repository of copies."""
        return self._call("POST", "/retention/simulation", body={"data": data}, query={"page": page, "limit": limit})

    def acknowledgement(self, data: Acknowledgement, *, idempotency_key: str | None = None) -> Answer[dict[str, Any]]:
        """Say that the clock is right: retention goes on. Permission: Change the global configuration and the service mode."""
        return self._call(
            "POST", "/retention/acknowledgement", body={"data": data}, idempotency_key=idempotency_key, repeatable=True
        )
