"""Users. Made by scripts/generate-client from docs/openapi.json. Do not edit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal, NotRequired, TypedDict

from rubackup.sdk.api._shared import Ids
from rubackup.sdk.caller import Answer, Family, Page, segment


class NewUser(TypedDict):
    """A user to be made."""

    username: str
    """The name to log in with; unique."""
    user_password: str
    """The password: 8 to 1024 characters."""
    group_id: int | str
    """The user group that gets notifications: name or id."""
    email: str
    """E-mail address, or empty."""
    fullname: NotRequired[str]
    """Full name."""
    address: NotRequired[str]
    """Postal address."""
    tel: NotRequired[str]
    """Telephone number."""
    office: NotRequired[str]
    """Office."""


class OwnPassword(TypedDict):
    """The caller's new password."""

    new_password: str
    """The password: 8 to 1024 characters."""


class UserChange(TypedDict):
    """What to change of a user."""

    group_id: NotRequired[int | str]
    """The user group: name or id."""
    fullname: NotRequired[str]
    """Full name."""
    address: NotRequired[str]
    """Postal address."""
    tel: NotRequired[str]
    """Telephone number."""
    office: NotRequired[str]
    """Office."""
    email: NotRequired[str]
    """E-mail address, or empty."""
    new_password: NotRequired[str]
    """The new password: 8 to 1024 characters. All sessions of the user end."""


class UserRow(TypedDict):
    """A user."""

    id: int
    """Id of the user."""
    username: str
    """The name to log in with."""
    group_id: str
    """Name of the user group that gets notifications."""
    group_id_ref: int
    """Id of that group."""
    fullname: str
    """Full name."""
    address: str
    """Postal address."""
    tel: str
    """Telephone number."""
    office: str
    """Office."""
    email: str
    """E-mail address."""
    role: list[str]
    """Roles of the user, as the login's answer names them."""
    last_success_login: str | None
    """When the user logged in last."""
    last_fail_login: str | None
    """When a login of the user failed last."""
    created_at: str
    """When the user was made."""


ListColumn = Literal[
    "id", "username", "group_id", "group_id_ref", "fullname", "address", "tel", "office", "email",
    "last_success_login", "last_fail_login", "created_at",
]  # fmt: skip


class Users(Family):
    """Users."""

    def list(
        self,
        *,
        page: int | None = None,
        limit: int | None = None,
        sort_by: ListColumn | None = None,
        sort_order: Literal["asc", "desc"] | None = None,
        filter_data: str | Sequence[str] | None = None,
        cursor: str | None = None,
    ) -> Answer[Page[UserRow]]:
        """List: Users. Permission: See users, their groups and roles."""
        return self._call(
            "GET",
            "/users",
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
    ) -> Iterator[UserRow]:
        """Every row, page by page behind a cursor."""
        return self._rows("/users", {"sort_by": sort_by, "sort_order": sort_order, "filter_data": filter_data})

    def create(
        self,
        data: NewUser,
        *,
        role: Literal["administrator", "auditor", "maintainer", "supervisor"] | None = None,
        client_group: str | None = None,
        media_server: str | None = None,
    ) -> Answer[dict[str, Any]]:
        """Create: Users. Permission: Create, change and delete users and roles."""
        return self._call(
            "POST",
            "/users",
            body={"data": data},
            query={"role": role, "client_group": client_group, "media_server": media_server},
        )

    def delete_many(
        self, body: Ids, *, if_match: str | None = None, idempotency_key: str | None = None
    ) -> Answer[dict[str, Any]]:
        """Delete several, all or none: Users. Permission: Create, change and delete users and roles."""
        return self._call(
            "DELETE", "/users", body=body, if_match=if_match, idempotency_key=idempotency_key, repeatable=True
        )

    def read(self, row_id: int) -> Answer[UserRow]:
        """Read one: Users. Permission: See users, their groups and roles."""
        return self._call("GET", f"/users/{segment(row_id)}")

    def update(self, row_id: int, data: UserChange, *, if_match: str | None = None) -> Answer[dict[str, Any]]:
        """Change one: Users. Permission: Create, change and delete users and roles."""
        return self._call("PATCH", f"/users/{segment(row_id)}", body={"data": data}, if_match=if_match)

    def delete(
        self, row_id: int, *, if_match: str | None = None, idempotency_key: str | None = None
    ) -> Answer[dict[str, Any]]:
        """Delete one: Users. Permission: Create, change and delete users and roles."""
        return self._call(
            "DELETE", f"/users/{segment(row_id)}", if_match=if_match, idempotency_key=idempotency_key, repeatable=True
        )

    def change_password(self, body: OwnPassword) -> Answer[dict[str, Any]]:
        """Change the own password; all own sessions end. Permission: Change the own password."""
        return self._call("PATCH", "/users/change_password", body=body)
