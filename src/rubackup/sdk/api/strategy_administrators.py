"""Strategy Administrators. Made by scripts/generate-client from docs/openapi.json. Do not edit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal, TypedDict

from rubackup.sdk.api._shared import Ids
from rubackup.sdk.caller import Answer, Family, Page, segment


class NewStrategyAdministrator(TypedDict):
    """An administrator of a strategy."""

    strategy: int | str
    """The strategy that the role covers: name or id."""
    administrator: int | str
    """The user who gets the role: name or id."""


class StrategyAdministratorRow(TypedDict):
    """An administrator of a strategy."""

    id: int
    """Id of the row."""
    strategy: str
    """Name of the strategy that the role covers."""
    strategy_ref: int
    """Id of that strategy."""
    administrator: str
    """Name of the user."""
    administrator_ref: int
    """Id of the user."""


ListColumn = Literal[
    "id", "strategy", "strategy_ref", "administrator", "administrator_ref",
]  # fmt: skip


class StrategyAdministrators(Family):
    """Strategy Administrators."""

    def list(
        self,
        *,
        page: int | None = None,
        limit: int | None = None,
        sort_by: ListColumn | None = None,
        sort_order: Literal["asc", "desc"] | None = None,
        filter_data: str | Sequence[str] | None = None,
        cursor: str | None = None,
    ) -> Answer[Page[StrategyAdministratorRow]]:
        """List: Strategy Administrators. Permission: See users, their groups and roles."""
        return self._call(
            "GET",
            "/strategy_administrators",
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
    ) -> Iterator[StrategyAdministratorRow]:
        """Every row, page by page behind a cursor."""
        return self._rows(
            "/strategy_administrators", {"sort_by": sort_by, "sort_order": sort_order, "filter_data": filter_data}
        )

    def create(self, data: NewStrategyAdministrator, *, idempotency_key: str | None = None) -> Answer[dict[str, Any]]:
        """Create: Strategy Administrators. Permission: Create and delete strategies; appoint their administrators."""
        return self._call(
            "POST", "/strategy_administrators", body={"data": data}, idempotency_key=idempotency_key, repeatable=True
        )

    def delete_many(
        self, body: Ids, *, if_match: str | None = None, idempotency_key: str | None = None
    ) -> Answer[dict[str, Any]]:
        """Delete several, all or none: Strategy Administrators. Permission: Create and delete strategies; appoint their administrators."""
        return self._call(
            "DELETE",
            "/strategy_administrators",
            body=body,
            if_match=if_match,
            idempotency_key=idempotency_key,
            repeatable=True,
        )

    def read(self, row_id: int) -> Answer[StrategyAdministratorRow]:
        """Read one: Strategy Administrators. Permission: See users, their groups and roles."""
        return self._call("GET", f"/strategy_administrators/{segment(row_id)}")

    def delete(
        self, row_id: int, *, if_match: str | None = None, idempotency_key: str | None = None
    ) -> Answer[dict[str, Any]]:
        """Delete one: Strategy Administrators. Permission: Create and delete strategies; appoint their administrators."""
        return self._call(
            "DELETE",
            f"/strategy_administrators/{segment(row_id)}",
            if_match=if_match,
            idempotency_key=idempotency_key,
            repeatable=True,
        )
