"""Unauthorised Clients. Made by scripts/generate-client from docs/openapi.json. Do not edit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal, TypedDict

from rubackup.sdk.api._shared import Ids
from rubackup.sdk.caller import Answer, Family, Page, segment


class UnauthorisedClientRow(TypedDict):
    """A client that waits for authorisation."""

    id: int
    """Id of the row."""
    hostname: str
    """Host name that it told."""
    hwid: str
    """Hardware id that it told: 16 hex digits."""
    address: str
    """Address that it came from."""
    os_type: str
    """A name of os_types."""
    os_version: str
    """Version of the operating system."""
    package_version: str
    """Version of its software."""
    fingerprint: str
    """SHA-256 fingerprint of its key; compare it with the host's."""
    replaces_key: bool
    """Whether a host is known under this hardware id with another key: it lost that one, or somebody poses as it. Authorising then needs `replace_key`."""
    first_seen_at: str
    """When it asked first."""
    last_seen_at: str
    """When it asked last."""


ListColumn = Literal[
    "id", "hostname", "hwid", "address", "os_type", "os_version", "package_version", "fingerprint", "replaces_key",
    "first_seen_at", "last_seen_at",
]  # fmt: skip


class UnauthorisedClients(Family):
    """Unauthorised Clients."""

    def list(
        self,
        *,
        page: int | None = None,
        limit: int | None = None,
        sort_by: ListColumn | None = None,
        sort_order: Literal["asc", "desc"] | None = None,
        filter_data: str | Sequence[str] | None = None,
        cursor: str | None = None,
    ) -> Answer[Page[UnauthorisedClientRow]]:
        """List: Unauthorised Clients. Permission: See clients and client groups."""
        return self._call(
            "GET",
            "/unauthorised_clients",
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
    ) -> Iterator[UnauthorisedClientRow]:
        """Every row, page by page behind a cursor."""
        return self._rows(
            "/unauthorised_clients", {"sort_by": sort_by, "sort_order": sort_order, "filter_data": filter_data}
        )

    def delete_many(
        self, body: Ids, *, if_match: str | None = None, idempotency_key: str | None = None
    ) -> Answer[dict[str, Any]]:
        """Delete several, all or none: Unauthorised Clients. Permission: Authorise clients."""
        return self._call(
            "DELETE",
            "/unauthorised_clients",
            body=body,
            if_match=if_match,
            idempotency_key=idempotency_key,
            repeatable=True,
        )

    def read(self, row_id: int) -> Answer[UnauthorisedClientRow]:
        """Read one: Unauthorised Clients. Permission: See clients and client groups."""
        return self._call("GET", f"/unauthorised_clients/{segment(row_id)}")

    def delete(
        self, row_id: int, *, if_match: str | None = None, idempotency_key: str | None = None
    ) -> Answer[dict[str, Any]]:
        """Delete one: Unauthorised Clients. Permission: Authorise clients."""
        return self._call(
            "DELETE",
            f"/unauthorised_clients/{segment(row_id)}",
            if_match=if_match,
            idempotency_key=idempotency_key,
            repeatable=True,
        )
