"""Tokens. Made by scripts/generate-client from docs/openapi.json. Do not edit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal, NotRequired, TypedDict

from rubackup.sdk.api._shared import Ids
from rubackup.sdk.caller import Answer, Family, Page, segment


class MadeToken(TypedDict):
    """A token that was just made."""

    id: int
    """Id of the token."""
    name: str
    """What the token is for."""
    user: str
    """Name of the user that the token stands for."""
    user_ref: int
    """Id of that user."""
    prefix: str
    """How the token begins."""
    roles: list[str]
    """Roles of the token, as far as its user has them still."""
    client_groups: list[str] | None
    """Names of the client groups that it covers; null: all of its user."""
    client_groups_ref: list[int] | None
    """Ids of these groups."""
    media_servers: list[str] | None
    """Host names of the media servers that it covers; null: all of its user."""
    media_servers_ref: list[int] | None
    """Ids of these media servers."""
    strategies: list[int] | None
    """Ids of the strategies that it covers; null: all of its user."""
    created_at: str
    """When it was made."""
    expires_at: str | None
    """When it ends; null: never."""
    last_used_at: str | None
    """When it was used last, to the minute; null: never."""
    token: str
    """The token itself, for `Authorization: Bearer`. It is shown this once."""


class NewToken(TypedDict):
    """An API token to be made."""

    name: str
    """What the token is for; unique among the own tokens, and named in the audit."""
    roles: NotRequired[
        list[Literal["administrator", "auditor", "maintainer", "strategy administrator", "superuser", "supervisor"]]
    ]
    """Roles of the token: own ones, and for a superuser or supervisor also narrower ones. Left out: the roles that the user has now."""
    client_groups: NotRequired[list[int | str] | None]
    media_servers: NotRequired[list[int | str] | None]
    strategies: NotRequired[list[int | str] | None]
    expires_at: NotRequired[str | None]


class TokenRow(TypedDict):
    """An API token; its text was shown when it was made."""

    id: int
    """Id of the token."""
    name: str
    """What the token is for."""
    user: str
    """Name of the user that the token stands for."""
    user_ref: int
    """Id of that user."""
    prefix: str
    """How the token begins."""
    roles: list[str]
    """Roles of the token, as far as its user has them still."""
    client_groups: list[str] | None
    """Names of the client groups that it covers; null: all of its user."""
    client_groups_ref: list[int] | None
    """Ids of these groups."""
    media_servers: list[str] | None
    """Host names of the media servers that it covers; null: all of its user."""
    media_servers_ref: list[int] | None
    """Ids of these media servers."""
    strategies: list[int] | None
    """Ids of the strategies that it covers; null: all of its user."""
    created_at: str
    """When it was made."""
    expires_at: str | None
    """When it ends; null: never."""
    last_used_at: str | None
    """When it was used last, to the minute; null: never."""


ListColumn = Literal[
    "id", "name", "user", "user_ref", "prefix", "created_at", "expires_at", "last_used_at",
]  # fmt: skip


class Tokens(Family):
    """Tokens."""

    def list(
        self,
        *,
        page: int | None = None,
        limit: int | None = None,
        sort_by: ListColumn | None = None,
        sort_order: Literal["asc", "desc"] | None = None,
        filter_data: str | Sequence[str] | None = None,
        cursor: str | None = None,
    ) -> Answer[Page[TokenRow]]:
        """List: Tokens. Permission: Make, see and revoke own API tokens."""
        return self._call(
            "GET",
            "/tokens",
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
    ) -> Iterator[TokenRow]:
        """Every row, page by page behind a cursor."""
        return self._rows("/tokens", {"sort_by": sort_by, "sort_order": sort_order, "filter_data": filter_data})

    def delete_many(
        self, body: Ids, *, if_match: str | None = None, idempotency_key: str | None = None
    ) -> Answer[dict[str, Any]]:
        """Delete several, all or none: Tokens. Permission: Make, see and revoke own API tokens."""
        return self._call(
            "DELETE", "/tokens", body=body, if_match=if_match, idempotency_key=idempotency_key, repeatable=True
        )

    def create(self, data: NewToken) -> Answer[MadeToken]:
        """Make an API token; the answer shows it this once. Permission: Make, see and revoke own API tokens."""
        return self._call("POST", "/tokens", body={"data": data})

    def read(self, row_id: int) -> Answer[TokenRow]:
        """Read one: Tokens. Permission: Make, see and revoke own API tokens."""
        return self._call("GET", f"/tokens/{segment(row_id)}")

    def delete(
        self, row_id: int, *, if_match: str | None = None, idempotency_key: str | None = None
    ) -> Answer[dict[str, Any]]:
        """Delete one: Tokens. Permission: Make, see and revoke own API tokens."""
        return self._call(
            "DELETE", f"/tokens/{segment(row_id)}", if_match=if_match, idempotency_key=idempotency_key, repeatable=True
        )
