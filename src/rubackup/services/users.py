"""Users: who may log in. Roles are rows of their own (`services.user_roles`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from rubackup.domain.errors import Conflict, NotFound
from rubackup.domain.names import LOGIN
from rubackup.services import user_roles
from rubackup.services.auth import revoke_sessions
from rubackup.services.change import Change
from rubackup.services.fields import Problems, Ref, given, update_columns
from rubackup.services.passwords import hash_password

PASSWORD = Meta(description="The password: 8 to 1024 characters.", min_length=8, max_length=1024)
_TEXT = 1024

_INSERT = """
INSERT INTO users (username, password_hash, fullname, address, tel, office, email, group_id)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (username) DO NOTHING RETURNING id"""
_PROTECTED = """
SELECT username, is_superuser FROM users
WHERE id = ANY ($1::bigint[]) AND (is_superuser OR id = $2) ORDER BY id"""


class NewUser(msgspec.Struct, kw_only=True):
    """A user to be made."""

    username: Annotated[
        str, Meta(description="The name to log in with; unique.", min_length=1, max_length=128, pattern=LOGIN)
    ]
    user_password: Annotated[str, PASSWORD]
    group_id: Annotated[Ref, Meta(description="The user group that gets notifications: name or id.")]
    email: Annotated[str, Meta(description="E-mail address, or empty.", max_length=_TEXT)]
    fullname: Annotated[str, Meta(description="Full name.", max_length=_TEXT)] = ""
    address: Annotated[str, Meta(description="Postal address.", max_length=_TEXT)] = ""
    tel: Annotated[str, Meta(description="Telephone number.", max_length=_TEXT)] = ""
    office: Annotated[str, Meta(description="Office.", max_length=_TEXT)] = ""


class NewUserRole(msgspec.Struct, kw_only=True):
    """The role that a new user gets at once."""

    role: Annotated[
        Literal["administrator", "maintainer", "supervisor", "auditor"] | None,
        Meta(description="Role of the new user; none when left out."),
    ] = None
    client_group: Annotated[str | None, Meta(description="With role administrator: the client group's name.")] = None
    media_server: Annotated[str | None, Meta(description="With role maintainer: the media server's host name.")] = None


class UserChange(msgspec.Struct, kw_only=True):
    """What to change of a user."""

    group_id: Annotated[Ref, Meta(description="The user group: name or id.")] | UnsetType = UNSET
    fullname: Annotated[str, Meta(description="Full name.", max_length=_TEXT)] | UnsetType = UNSET
    address: Annotated[str, Meta(description="Postal address.", max_length=_TEXT)] | UnsetType = UNSET
    tel: Annotated[str, Meta(description="Telephone number.", max_length=_TEXT)] | UnsetType = UNSET
    office: Annotated[str, Meta(description="Office.", max_length=_TEXT)] | UnsetType = UNSET
    email: Annotated[str, Meta(description="E-mail address, or empty.", max_length=_TEXT)] | UnsetType = UNSET
    new_password: (
        Annotated[
            str,
            Meta(
                description="The new password: 8 to 1024 characters. All sessions of the user end.",
                min_length=8,
                max_length=1024,
            ),
        ]
        | UnsetType
    ) = UNSET


class OwnPassword(msgspec.Struct):
    """The caller's new password."""

    new_password: Annotated[str, PASSWORD]


async def create(change: Change, new: NewUser, wanted: NewUserRole) -> int:
    """A new user, with a role if one was wanted; the id. Conflict when the name is taken."""
    problems = Problems()
    _check_email(problems, new.email)
    group = await problems.user_group(change.db, new.group_id, "data.group_id")
    grant = await user_roles.prepare(change, problems, wanted.role, wanted.client_group, wanted.media_server)
    problems.raise_any()
    user_id: int | None = await change.db.fetchval(
        _INSERT, new.username, await hash_password(new.user_password), new.fullname, new.address, new.tel, new.office,
        new.email, group["id"],
    )  # fmt: skip
    if user_id is None:
        raise Conflict(f"A user with the name {new.username} exists already.")
    await change.event("created", "users", user_id)
    if grant is not None:
        await user_roles.insert(change, grant, user_id)
    return user_id


async def update(change: Change, user_id: int, wanted: UserChange) -> None:
    """Change what is given; a new password ends the user's sessions."""
    problems = Problems()
    if wanted.email is not UNSET:
        _check_email(problems, wanted.email)
    columns = given(
        fullname=wanted.fullname, address=wanted.address, tel=wanted.tel, office=wanted.office, email=wanted.email
    )
    if wanted.group_id is not UNSET:
        group = await problems.user_group(change.db, wanted.group_id, "data.group_id")
        columns["group_id"] = group and group["id"]
    problems.raise_any()
    await update_columns(change.db, "users", user_id, columns)
    if wanted.new_password is not UNSET:
        await _set_password(change, user_id, wanted.new_password)
    await change.event("changed", "users", user_id)


async def change_password(change: Change, wanted: OwnPassword) -> None:
    """Give the caller another password; all of the caller's sessions end, this one too."""
    change.row_ids.append(change.principal.user_id)
    await _set_password(change, change.principal.user_id, wanted.new_password)
    await change.event("changed", "users", change.principal.user_id)


async def delete(change: Change, ids: Sequence[int]) -> None:
    """Delete users with their roles and sessions; Conflict for a superuser and for the caller."""
    protected = await change.db.fetch(_PROTECTED, list(ids), change.principal.user_id)
    if protected:
        names = ", ".join(row["username"] for row in protected)
        raise Conflict(f"A superuser and the own user cannot be deleted: {names}.")
    await change.db.execute("DELETE FROM users WHERE id = ANY ($1::bigint[])", list(ids))
    for user_id in ids:
        await change.event("deleted", "users", user_id)


async def _set_password(change: Change, user_id: int, password: str) -> None:
    found = await change.db.fetchval(
        "UPDATE users SET password_hash = $2 WHERE id = $1 RETURNING id", user_id, await hash_password(password)
    )
    if found is None:
        raise NotFound("The user was not found.")
    await revoke_sessions(change.db, user_id)


def _check_email(problems: Problems, email: str) -> None:
    name, _, host = email.rpartition("@")
    if email and (not name or not host or any(c.isspace() for c in email)):
        problems.add("data.email", "must be an e-mail address, or empty.")
