"""Maintainers. Made by scripts/generate-client from docs/openapi.json. Do not edit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal, TypedDict

from rubackup.sdk.api._shared import Ids
from rubackup.sdk.caller import Answer, Family, Page, segment


class MaintainerRow(TypedDict):
    """A maintainer of a media server."""

    id: int
    """Id of the row."""
    maintainer: str
    """Name of the user."""
    maintainer_ref: int
    """Id of the user."""
    media_server: str
    """Host name of the media server that the role covers."""
    media_server_ref: int
    """Id of that media server."""


class NewMaintainer(TypedDict):
    """A maintainer of a media server."""

    maintainer: int | str
    """The user who gets the role: name or id."""
    media_server: int | str
    """The media server that the role covers: host name or id."""


ListColumn = Literal[
    "id", "maintainer", "maintainer_ref", "media_server", "media_server_ref",
]  # fmt: skip


class Maintainers(Family):
    """Maintainers."""

    def list(
        self,
        *,
        page: int | None = None,
        limit: int | None = None,
        sort_by: ListColumn | None = None,
        sort_order: Literal["asc", "desc"] | None = None,
        filter_data: str | Sequence[str] | None = None,
        cursor: str | None = None,
    ) -> Answer[Page[MaintainerRow]]:
        """List: Maintainers. Permission: See users, their groups and roles."""
        return self._call(
            "GET",
            "/maintainers",
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
    ) -> Iterator[MaintainerRow]:
        """Every row, page by page behind a cursor."""
        return self._rows("/maintainers", {"sort_by": sort_by, "sort_order": sort_order, "filter_data": filter_data})

    def create(self, data: NewMaintainer, *, idempotency_key: str | None = None) -> Answer[dict[str, Any]]:
        """Create: Maintainers. Permission: Create, change and delete users and roles."""
        return self._call("POST", "/maintainers", body={"data": data}, idempotency_key=idempotency_key, repeatable=True)

    def delete_many(
        self, body: Ids, *, if_match: str | None = None, idempotency_key: str | None = None
    ) -> Answer[dict[str, Any]]:
        """Delete several, all or none: Maintainers. Permission: Create, change and delete users and roles."""
        return self._call(
            "DELETE", "/maintainers", body=body, if_match=if_match, idempotency_key=idempotency_key, repeatable=True
        )

    def read(self, row_id: int) -> Answer[MaintainerRow]:
        """Read one: Maintainers. Permission: See users, their groups and roles."""
        return self._call("GET", f"/maintainers/{segment(row_id)}")

    def delete(
        self, row_id: int, *, if_match: str | None = None, idempotency_key: str | None = None
    ) -> Answer[dict[str, Any]]:
        """Delete one: Maintainers. Permission: Create, change and delete users and roles."""
        return self._call(
            "DELETE",
            f"/maintainers/{segment(row_id)}",
            if_match=if_match,
            idempotency_key=idempotency_key,
            repeatable=True,
        )
