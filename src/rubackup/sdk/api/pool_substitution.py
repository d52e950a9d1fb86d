"""Pool Substitution. Made by scripts/generate-client from docs/openapi.json. Do not edit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal, TypedDict

from rubackup.sdk.api._shared import Ids
from rubackup.sdk.caller import Answer, Family, Page, segment


class NewSubstitution(TypedDict):
    """A pool and what takes its place."""

    pool: int | str
    """Pool whose place is taken: name or id."""
    substitution: int | str
    """Pool of the same type that takes it: name or id."""


class PoolSubstitutionRow(TypedDict):
    """A pool and a pool that takes its place."""

    id: int
    """Id of the substitution; lower ones are tried first."""
    pool: str
    """Pool whose place is taken."""
    pool_ref: int
    """Id of that pool."""
    substitution: str
    """Pool of the same type that takes it."""
    substitution_ref: int
    """Id of that pool."""
    created_at: str
    """When it was made."""


ListColumn = Literal[
    "id", "pool", "pool_ref", "substitution", "substitution_ref", "created_at",
]  # fmt: skip


class PoolSubstitution(Family):
    """Pool Substitution."""

    def list(
        self,
        *,
        page: int | None = None,
        limit: int | None = None,
        sort_by: ListColumn | None = None,
        sort_order: Literal["asc", "desc"] | None = None,
        filter_data: str | Sequence[str] | None = None,
        cursor: str | None = None,
    ) -> Answer[Page[PoolSubstitutionRow]]:
        """List: Pool Substitution. Permission: See media servers, pools and storages."""
        return self._call(
            "GET",
            "/pool_substitution",
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
    ) -> Iterator[PoolSubstitutionRow]:
        """Every row, page by page behind a cursor."""
        return self._rows(
            "/pool_substitution", {"sort_by": sort_by, "sort_order": sort_order, "filter_data": filter_data}
        )

    def create(self, data: NewSubstitution, *, idempotency_key: str | None = None) -> Answer[dict[str, Any]]:
        """Create: Pool Substitution. Permission: Edit media servers, pools and storages."""
        return self._call(
            "POST", "/pool_substitution", body={"data": data}, idempotency_key=idempotency_key, repeatable=True
        )

    def delete_many(
        self, body: Ids, *, if_match: str | None = None, idempotency_key: str | None = None
    ) -> Answer[dict[str, Any]]:
        """Delete several, all or none: Pool Substitution. Permission: Edit media servers, pools and storages."""
        return self._call(
            "DELETE",
            "/pool_substitution",
            body=body,
            if_match=if_match,
            idempotency_key=idempotency_key,
            repeatable=True,
        )

    def read(self, row_id: int) -> Answer[PoolSubstitutionRow]:
        """Read one: Pool Substitution. Permission: See media servers, pools and storages."""
        return self._call("GET", f"/pool_substitution/{segment(row_id)}")

    def delete(
        self, row_id: int, *, if_match: str | None = None, idempotency_key: str | None = None
    ) -> Answer[dict[str, Any]]:
        """Delete one: Pool Substitution. Permission: Edit media servers, pools and storages."""
        return self._call(
            "DELETE",
            f"/pool_substitution/{segment(row_id)}",
            if_match=if_match,
            idempotency_key=idempotency_key,
            repeatable=True,
        )
