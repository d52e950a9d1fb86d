"""Strategy Rules. Made by scripts/generate-client from docs/openapi.json. Do not edit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal, NotRequired, TypedDict

from rubackup.sdk.api._shared import Extension, Ids
from rubackup.sdk.caller import Answer, Family, Page, segment


class NewStrategyRule(TypedDict):
    """A rule to be made."""

    strategy_rule: StrategyRule
    """The rule."""
    module_extensions: NotRequired[Extension]
    """Parameters of the resource type's module."""
    common_modules_extensions: NotRequired[Extension]
    """Parameters that every module knows."""


class StrategyRule(TypedDict):
    """What of which client is backed up."""

    client_id: int | str
    """The client that is backed up: `hostname (hwid)` or id."""
    strategy_id: int | str
    """The strategy that the rule belongs to: name or id."""
    resource_type: str
    """A name of resource_types that the client can back up."""
    resource: str
    """What is backed up; for File system an absolute path."""
    normal_execution_script: NotRequired[str]
    """Script on the client, run after a good copy: absolute path; empty: none."""
    exception_execution_script: NotRequired[str]
    """Script on the client, run after a failure: absolute path; empty: none."""
    priority: NotRequired[int]
    """Higher runs first."""
    restore_script: NotRequired[str]
    """Script on the client, run after a restore: absolute path; empty: none."""


class StrategyRuleChange(TypedDict):
    """What to change of a rule. Parameters that are not given stay as they are."""

    strategy_rule: NotRequired[StrategyRuleParts]
    """The rule."""
    module_extensions: NotRequired[Extension]
    """Parameters of the resource type's module."""
    common_modules_extensions: NotRequired[Extension]
    """Parameters that every module knows."""


class StrategyRuleParts(TypedDict):
    """What to change of the rule itself."""

    client_id: NotRequired[int | str]
    """The client that is backed up: `hostname (hwid)` or id."""
    strategy_id: NotRequired[int | str]
    """The strategy that the rule belongs to: name or id."""
    resource_type: NotRequired[str]
    """A name of resource_types that the client can back up."""
    resource: NotRequired[str]
    """What is backed up; for File system an absolute path."""
    normal_execution_script: NotRequired[str]
    """Script on the client, run after a good copy: absolute path; empty: none."""
    exception_execution_script: NotRequired[str]
    """Script on the client, run after a failure: absolute path; empty: none."""
    priority: NotRequired[int]
    """Higher runs first."""
    restore_script: NotRequired[str]
    """Script on the client, run after a restore: absolute path; empty: none."""


class StrategyRuleRow(TypedDict):
    """A rule of a strategy."""

    id: int
    """Id of the rule."""
    client_id: str
    """The client that is backed up, as `hostname (hwid)`."""
    client_id_ref: int
    """Id of the client."""
    strategy_id: str
    """Name of the strategy."""
    strategy_id_ref: int
    """Id of the strategy."""
    resource_type: str
    """A name of resource_types."""
    resource: str
    """What is backed up."""
    normal_execution_script: str
    """Script on the client, run after a good copy."""
    exception_execution_script: str
    """Script on the client, run after a failure."""
    priority: int
    """Priority of the rule's tasks; higher runs first."""
    restore_script: str
    """Script on the client, run after a restore."""
    module_extensions: Extension
    """Parameters of the resource type's module."""
    common_modules_extensions: Extension
    """Parameters that every module knows."""
    created_at: str
    """When the rule was made."""


ListColumn = Literal[
    "id", "client_id", "client_id_ref", "strategy_id", "strategy_id_ref", "resource_type", "resource",
    "normal_execution_script", "exception_execution_script", "priority", "restore_script", "created_at",
]  # fmt: skip


class StrategyRules(Family):
    """Strategy Rules."""

    def list(
        self,
        *,
        page: int | None = None,
        limit: int | None = None,
        sort_by: ListColumn | None = None,
        sort_order: Literal["asc", "desc"] | None = None,
        filter_data: str | Sequence[str] | None = None,
        cursor: str | None = None,
    ) -> Answer[Page[StrategyRuleRow]]:
        """List: Strategy Rules. Permission: See schedules, strategies, their rules, the requests of clients and the disaster recovery plan."""
        return self._call(
            "GET",
            "/strategy_rules",
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
    ) -> Iterator[StrategyRuleRow]:
        """Every row, page by page behind a cursor."""
        return self._rows("/strategy_rules", {"sort_by": sort_by, "sort_order": sort_order, "filter_data": filter_data})

    def create(self, data: NewStrategyRule, *, idempotency_key: str | None = None) -> Answer[dict[str, Any]]:
        """Create: Strategy Rules. Permission: Change strategies and their rules."""
        return self._call(
            "POST", "/strategy_rules", body={"data": data}, idempotency_key=idempotency_key, repeatable=True
        )

    def delete_many(
        self, body: Ids, *, if_match: str | None = None, idempotency_key: str | None = None
    ) -> Answer[dict[str, Any]]:
        """Delete several, all or none: Strategy Rules. Permission: Change strategies and their rules."""
        return self._call(
            "DELETE", "/strategy_rules", body=body, if_match=if_match, idempotency_key=idempotency_key, repeatable=True
        )

    def read(self, row_id: int) -> Answer[StrategyRuleRow]:
        """Read one: Strategy Rules. Permission: See schedules, strategies, their rules, the requests of clients and the disaster recovery plan."""
        return self._call("GET", f"/strategy_rules/{segment(row_id)}")

    def update(
        self, row_id: int, data: StrategyRuleChange, *, if_match: str | None = None, idempotency_key: str | None = None
    ) -> Answer[dict[str, Any]]:
        """Change one: Strategy Rules. Permission: Change strategies and their rules."""
        return self._call(
            "PATCH",
            f"/strategy_rules/{segment(row_id)}",
            body={"data": data},
            if_match=if_match,
            idempotency_key=idempotency_key,
            repeatable=True,
        )

    def delete(
        self, row_id: int, *, if_match: str | None = None, idempotency_key: str | None = None
    ) -> Answer[dict[str, Any]]:
        """Delete one: Strategy Rules. Permission: Change strategies and their rules."""
        return self._call(
            "DELETE",
            f"/strategy_rules/{segment(row_id)}",
            if_match=if_match,
            idempotency_key=idempotency_key,
            repeatable=True,
        )
