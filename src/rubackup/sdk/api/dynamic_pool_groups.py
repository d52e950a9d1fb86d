"""Dynamic Pool Groups. Made by scripts/generate-client from docs/openapi.json. Do not edit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal, NotRequired, TypedDict

from rubackup.sdk.api._shared import Ids
from rubackup.sdk.caller import Answer, Family, Page, segment


class DynamicGroupChange(TypedDict):
    """What to change of a dynamic pool group."""

    name: NotRequired[str]
    """Name of the group; unique."""
    max_pool_tasks: NotRequired[int]
    """Tasks at work on a pool, from which on it gets no other; 0: any."""
    max_media_server_tasks: NotRequired[int]
    """Tasks at work on a pool's media server, from which on the pool gets no other; 0: any."""
    max_cpu_usage: NotRequired[int]
    """Load of the media server's processors in percent, from which on it gets no task; 0: any."""
    max_in_block_operations: NotRequired[int]
    """Blocks of 1 KiB a second read from the media server's disks, from which on it gets no task; 0: any."""
    max_out_block_operations: NotRequired[int]
    """Blocks of 1 KiB a second written to the media server's disks, from which on it gets no task; 0: any."""
    calculation_period: NotRequired[int]
    """Over how many seconds load and blocks are averaged."""
    description: NotRequired[str]
    """Free text."""


class DynamicPoolGroupRow(TypedDict):
    """A group of pools among which tasks are spread. A limit of 0 is none."""

    id: int
    """Id of the group."""
    name: str
    """Name of the group."""
    max_pool_tasks: int
    """Unfinished tasks that a pool may have to get another one."""
    max_media_server_tasks: int
    """Unfinished tasks that a pool's media server may have to get another one."""
    max_cpu_usage: int
    """Load of its processors in percent up to which it gets tasks."""
    max_in_block_operations: int
    """Blocks a second that it may read to get a task."""
    max_out_block_operations: int
    """Blocks a second that it may write to get a task."""
    calculation_period: int
    """Over how many seconds load and blocks are averaged."""
    description: str
    """Free text."""
    created_at: str
    """When it was made."""


class NewDynamicGroup(TypedDict):
    """A dynamic pool group to be made."""

    name: str
    """Name of the group; unique."""
    max_pool_tasks: NotRequired[int]
    """Tasks at work on a pool, from which on it gets no other; 0: any."""
    max_media_server_tasks: NotRequired[int]
    """Tasks at work on a pool's media server, from which on the pool gets no other; 0: any."""
    max_cpu_usage: NotRequired[int]
    """Load of the media server's processors in percent, from which on it gets no task; 0: any."""
    max_in_block_operations: NotRequired[int]
    """Blocks of 1 KiB a second read from the media server's disks, from which on it gets no task; 0: any."""
    max_out_block_operations: NotRequired[int]
    """Blocks of 1 KiB a second written to the media server's disks, from which on it gets no task; 0: any."""
    calculation_period: NotRequired[int]
    """Over how many seconds load and blocks are averaged."""
    description: NotRequired[str]
    """Free text."""


ListColumn = Literal[
    "id", "name", "max_pool_tasks", "max_media_server_tasks", "max_cpu_usage", "max_in_block_operations",
    "max_out_block_operations", "calculation_period", "description", "created_at",
]  # fmt: skip


class DynamicPoolGroups(Family):
    """Dynamic Pool Groups."""

    def list(
        self,
        *,
        page: int | None = None,
        limit: int | None = None,
        sort_by: ListColumn | None = None,
        sort_order: Literal["asc", "desc"] | None = None,
        filter_data: str | Sequence[str] | None = None,
        cursor: str | None = None,
    ) -> Answer[Page[DynamicPoolGroupRow]]:
        """List: Dynamic Pool Groups. Permission: See media servers, pools and storages."""
        return self._call(
            "GET",
            "/dynamic_pool_groups",
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
    ) -> Iterator[DynamicPoolGroupRow]:
        """Every row, page by page behind a cursor."""
        return self._rows(
            "/dynamic_pool_groups", {"sort_by": sort_by, "sort_order": sort_order, "filter_data": filter_data}
        )

    def create(self, data: NewDynamicGroup, *, idempotency_key: str | None = None) -> Answer[dict[str, Any]]:
        """Create: Dynamic Pool Groups. Permission: Edit media servers, pools and storages."""
        return self._call(
            "POST", "/dynamic_pool_groups", body={"data": data}, idempotency_key=idempotency_key, repeatable=True
        )

    def delete_many(
        self, body: Ids, *, if_match: str | None = None, idempotency_key: str | None = None
    ) -> Answer[dict[str, Any]]:
        """Delete several, all or none: Dynamic Pool Groups. Permission: Edit media servers, pools and storages."""
        return self._call(
            "DELETE",
            "/dynamic_pool_groups",
            body=body,
            if_match=if_match,
            idempotency_key=idempotency_key,
            repeatable=True,
        )

    def read(self, row_id: int) -> Answer[DynamicPoolGroupRow]:
        """Read one: Dynamic Pool Groups. Permission: See media servers, pools and storages."""
        return self._call("GET", f"/dynamic_pool_groups/{segment(row_id)}")

    def update(
        self, row_id: int, data: DynamicGroupChange, *, if_match: str | None = None, idempotency_key: str | None = None
    ) -> Answer[dict[str, Any]]:
        """Change one: Dynamic Pool Groups. Permission: Edit media servers, pools and storages."""
        return self._call(
            "PATCH",
            f"/dynamic_pool_groups/{segment(row_id)}",
            body={"data": data},
            if_match=if_match,
            idempotency_key=idempotency_key,
            repeatable=True,
        )

    def delete(
        self, row_id: int, *, if_match: str | None = None, idempotency_key: str | None = None
    ) -> Answer[dict[str, Any]]:
        """Delete one: Dynamic Pool Groups. Permission: Edit media servers, pools and storages."""
        return self._call(
            "DELETE",
            f"/dynamic_pool_groups/{segment(row_id)}",
            if_match=if_match,
            idempotency_key=idempotency_key,
            repeatable=True,
        )
