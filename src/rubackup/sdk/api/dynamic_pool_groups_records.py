"""Dynamic Pool Groups Records. Made by scripts/generate-client from docs/openapi.json. Do not edit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal, NotRequired, TypedDict

from rubackup.sdk.api._shared import Ids
from rubackup.sdk.caller import Answer, Family, Page, segment


class GroupRecordRow(TypedDict):
    """A pool of a dynamic pool group."""

    id: int
    """Id of the record."""
    dynamic_pool_group: int
    """Id of the group, as it is written."""
    dynamic_pool_group_ref: int
    """Id of the group."""
    dynamic_pool_group_name: str
    """Name of the group."""
    pool: str
    """Name of the pool."""
    pool_ref: int
    """Id of the pool."""
    enabled: bool
    """Whether the pool gets tasks of the group."""
    created_at: str
    """When the pool joined."""


class NewGroupRecord(TypedDict):
    """A pool that joins a dynamic pool group."""

    dynamic_pool_group: int | str
    """The group: id or name."""
    pool: int | str
    """The pool: name or id."""
    enabled: NotRequired[bool]
    """Whether the pool gets tasks of the group."""


ListColumn = Literal[
    "id", "dynamic_pool_group", "dynamic_pool_group_ref", "dynamic_pool_group_name", "pool", "pool_ref", "enabled",
    "created_at",
]  # fmt: skip


class DynamicPoolGroupsRecords(Family):
    """Dynamic Pool Groups Records."""

    def list(
        self,
        *,
        page: int | None = None,
        limit: int | None = None,
        sort_by: ListColumn | None = None,
        sort_order: Literal["asc", "desc"] | None = None,
        filter_data: str | Sequence[str] | None = None,
        cursor: str | None = None,
    ) -> Answer[Page[GroupRecordRow]]:
        """List: Dynamic Pool Groups Records. Permission: See media servers, pools and storages."""
        return self._call(
            "GET",
            "/dynamic_pool_groups_records",
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
    ) -> Iterator[GroupRecordRow]:
        """Every row, page by page behind a cursor."""
        return self._rows(
            "/dynamic_pool_groups_records", {"sort_by": sort_by, "sort_order": sort_order, "filter_data": filter_data}
        )

    def create(self, data: NewGroupRecord, *, idempotency_key: str | None = None) -> Answer[dict[str, Any]]:
        """Create: Dynamic Pool Groups Records. Permission: Edit media servers, pools and storages."""
        return self._call(
            "POST",
            "/dynamic_pool_groups_records",
            body={"data": data},
            idempotency_key=idempotency_key,
            repeatable=True,
        )

    def delete_many(
        self, body: Ids, *, if_match: str | None = None, idempotency_key: str | None = None
    ) -> Answer[dict[str, Any]]:
        """Delete several, all or none: Dynamic Pool Groups Records. Permission: Edit media servers, pools and storages."""
        return self._call(
            "DELETE",
            "/dynamic_pool_groups_records",
            body=body,
            if_match=if_match,
            idempotency_key=idempotency_key,
            repeatable=True,
        )

    def read(self, row_id: int) -> Answer[GroupRecordRow]:
        """Read one: Dynamic Pool Groups Records. Permission: See media servers, pools and storages."""
        return self._call("GET", f"/dynamic_pool_groups_records/{segment(row_id)}")

    def delete(
        self, row_id: int, *, if_match: str | None = None, idempotency_key: str | None = None
    ) -> Answer[dict[str, Any]]:
        """Delete one: Dynamic Pool Groups Records. Permission: Edit media servers, pools and storages."""
        return self._call(
            "DELETE",
            f"/dynamic_pool_groups_records/{segment(row_id)}",
            if_match=if_match,
            idempotency_key=idempotency_key,
            repeatable=True,
        )
