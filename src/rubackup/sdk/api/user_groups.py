"""User Groups. Made by scripts/generate-client from docs/openapi.json. Do not edit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal, NotRequired, TypedDict

from rubackup.sdk.api._shared import Ids
from rubackup.sdk.caller import Answer, Family, Page, segment


class NewUserGroup(TypedDict):
    """A user group to be made."""

    groupname: str
    """Name of the group; unique."""
    description: NotRequired[str]
    """Free text."""


class UserGroupChange(TypedDict):
    """What to change of a user group."""

    groupname: NotRequired[str]
    """Name of the group; unique."""
    description: NotRequired[str]
    """Free text."""


class UserGroupRow(TypedDict):
    """A user group."""

    id: int
    """Id of the group."""
    groupname: str
    """Name of the group."""
    description: str
    """Free text."""


ListColumn = Literal[
    "id", "groupname", "description",
]  # fmt: skip


class UserGroups(Family):
    """User Groups."""

    def list(
        self,
        *,
        page: int | None = None,
        limit: int | None = None,
        sort_by: ListColumn | None = None,
        sort_order: Literal["asc", "desc"] | None = None,
        filter_data: str | Sequence[str] | None = None,
        cursor: str | None = None,
    ) -> Answer[Page[UserGroupRow]]:
        """List: User Groups. Permission: See users, their groups and roles."""
        return self._call(
            "GET",
            "/user_groups",
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
    ) -> Iterator[UserGroupRow]:
        """Every row, page by page behind a cursor."""
        return self._rows("/user_groups", {"sort_by": sort_by, "sort_order": sort_order, "filter_data": filter_data})

    def create(self, data: NewUserGroup, *, idempotency_key: str | None = None) -> Answer[dict[str, Any]]:
        """Create: User Groups. Permission: Create, change and delete users and roles."""
        return self._call("POST", "/user_groups", body={"data": data}, idempotency_key=idempotency_key, repeatable=True)

    def delete_many(
        self, body: Ids, *, if_match: str | None = None, idempotency_key: str | None = None
    ) -> Answer[dict[str, Any]]:
        """Delete several, all or none: User Groups. Permission: Create, change and delete users and roles."""
        return self._call(
            "DELETE", "/user_groups", body=body, if_match=if_match, idempotency_key=idempotency_key, repeatable=True
        )

    def read(self, row_id: int) -> Answer[UserGroupRow]:
        """Read one: User Groups. Permission: See users, their groups and roles."""
        return self._call("GET", f"/user_groups/{segment(row_id)}")

    def update(
        self, row_id: int, data: UserGroupChange, *, if_match: str | None = None, idempotency_key: str | None = None
    ) -> Answer[dict[str, Any]]:
        """Change one: User Groups. Permission: Create, change and delete users and roles."""
        return self._call(
            "PATCH",
            f"/user_groups/{segment(row_id)}",
            body={"data": data},
            if_match=if_match,
            idempotency_key=idempotency_key,
            repeatable=True,
        )

    def delete(
        self, row_id: int, *, if_match: str | None = None, idempotency_key: str | None = None
    ) -> Answer[dict[str, Any]]:
        """Delete one: User Groups. Permission: Create, change and delete users and roles."""
        return self._call(
            "DELETE",
            f"/user_groups/{segment(row_id)}",
            if_match=if_match,
            idempotency_key=idempotency_key,
            repeatable=True,
        )
