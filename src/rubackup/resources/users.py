"""Users, user groups, and the rows that give users a role."""

from __future__ import annotations

import functools
from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from rubackup.api.resource import CRUD, Action, Body, Created, Op, Resource, Source
from rubackup.domain.permissions import Permission
from rubackup.resources._adapters import making, with_body
from rubackup.services import user_groups, user_roles, users
from rubackup.services.change import Change


class UserRow(msgspec.Struct, kw_only=True):
    """A user."""

    id: Annotated[int, Meta(description="Id of the user.")]
    username: Annotated[str, Meta(description="The name to log in with.")]
    group_id: Annotated[str, Meta(description="Name of the user group that gets notifications.")]
    group_id_ref: Annotated[int, Meta(description="Id of that group.")]
    fullname: Annotated[str, Meta(description="Full name.")]
    address: Annotated[str, Meta(description="Postal address.")]
    tel: Annotated[str, Meta(description="Telephone number.")]
    office: Annotated[str, Meta(description="Office.")]
    email: Annotated[str, Meta(description="E-mail address.")]
    role: Annotated[list[str], Meta(description="Roles of the user, as the login's answer names them.")]
    last_success_login: Annotated[datetime | None, Meta(description="When the user logged in last.")]
    last_fail_login: Annotated[datetime | None, Meta(description="When a login of the user failed last.")]
    created_at: Annotated[datetime, Meta(description="When the user was made.")]


_ROLES = """ARRAY(
    SELECT r.role FROM (VALUES (1, 'superuser', u.is_superuser),
        (2, 'supervisor', EXISTS (SELECT 1 FROM supervisors x WHERE x.user_id = u.id)),
        (3, 'maintainer', EXISTS (SELECT 1 FROM maintainers x WHERE x.user_id = u.id)),
        (4, 'administrator', EXISTS (SELECT 1 FROM administrators x WHERE x.user_id = u.id)),
        (5, 'auditor', EXISTS (SELECT 1 FROM auditors x WHERE x.user_id = u.id)),
        (6, 'strategy administrator', EXISTS (SELECT 1 FROM strategy_administrators x WHERE x.user_id = u.id)))
        AS r (rank, role, has)
    WHERE r.has ORDER BY r.rank)"""


async def _create(change: Change, asked: tuple[users.NewUser, users.NewUserRole]) -> Created:
    return Created((await users.create(change, *asked),))


USERS = Resource(
    path="users",
    name="Users",
    tag="Users",
    summary="Who may log in",
    read=Permission.READ_USERS,
    write=Permission.WRITE_USERS,
    row=UserRow,
    source=Source(
        "users u JOIN user_groups g ON g.id = u.group_id", "u.id",
        {
            "id": "u.id", "username": "u.username", "group_id": "g.name", "group_id_ref": "u.group_id",
            "fullname": "u.fullname", "address": "u.address", "tel": "u.tel", "office": "u.office", "email": "u.email",
            "role": _ROLES, "last_success_login": "u.last_success_login_at",
            "last_fail_login": "u.last_fail_login_at", "created_at": "u.created_at",
        },
        frozenset({"id", "username"}), lock="u",
    ),
    ops=CRUD,
    create=_create,
    create_body=Body(
        users.NewUser,
        example={
            "data": {
                "group_id": "Nobody", "fullname": "", "address": "", "tel": "", "office": "",
                "email": "anna@example.org", "username": "anna", "user_password": "Testing12345*",
            }
        },
    ),
    create_query=users.NewUserRole,
    update=users.update,
    update_body=Body(
        users.UserChange,
        example={
            "data": {
                "group_id": "Nobody", "fullname": "", "address": "", "tel": "", "office": "", "email": "",
                "new_password": "Testing12345*",
            }
        },
    ),
    delete=users.delete,
    actions=(
        Action(
            "PATCH", "change_password", "Change the own password; all own sessions end", Permission.OWN_PASSWORD,
            with_body(users.change_password), operation_id="change_password",
            body=Body(users.OwnPassword, wrapper=None, example={"new_password": "Testing12345*"}),
            message="The password was changed; log in again.", replayable=False,
        ),
    ),
)  # fmt: skip


class UserGroupRow(msgspec.Struct, kw_only=True):
    """A user group."""

    id: Annotated[int, Meta(description="Id of the group.")]
    groupname: Annotated[str, Meta(description="Name of the group.")]
    description: Annotated[str, Meta(description="Free text.")]


_GROUP = {"data": {"groupname": "my_group_name", "description": ""}}
USER_GROUPS = Resource(
    path="user_groups",
    name="User Groups",
    tag="User Groups",
    summary="Who gets notifications",
    read=Permission.READ_USERS,
    write=Permission.WRITE_USERS,
    row=UserGroupRow,
    source=Source(
        "user_groups g", "g.id", {"id": "g.id", "groupname": "g.name", "description": "g.description"},
        frozenset({"id", "groupname"}),
    ),
    ops=CRUD,
    create=making(user_groups.create),
    create_body=Body(user_groups.NewUserGroup, example=_GROUP),
    update=user_groups.update,
    update_body=Body(user_groups.UserGroupChange, example=_GROUP),
    delete=user_groups.delete,
)  # fmt: skip


class AdministratorRow(msgspec.Struct, kw_only=True):
    """An administrator of a client group."""

    id: Annotated[int, Meta(description="Id of the row.")]
    administrator: Annotated[str, Meta(description="Name of the user.")]
    administrator_ref: Annotated[int, Meta(description="Id of the user.")]
    client_group: Annotated[str, Meta(description="Name of the client group that the role covers.")]
    client_group_ref: Annotated[int, Meta(description="Id of that group.")]


class MaintainerRow(msgspec.Struct, kw_only=True):
    """A maintainer of a media server."""

    id: Annotated[int, Meta(description="Id of the row.")]
    maintainer: Annotated[str, Meta(description="Name of the user.")]
    maintainer_ref: Annotated[int, Meta(description="Id of the user.")]
    media_server: Annotated[str, Meta(description="Host name of the media server that the role covers.")]
    media_server_ref: Annotated[int, Meta(description="Id of that media server.")]


class SupervisorRow(msgspec.Struct, kw_only=True):
    """A supervisor."""

    id: Annotated[int, Meta(description="Id of the row.")]
    supervisor: Annotated[str, Meta(description="Name of the user.")]
    supervisor_ref: Annotated[int, Meta(description="Id of the user.")]


class AuditorRow(msgspec.Struct, kw_only=True):
    """An auditor."""

    id: Annotated[int, Meta(description="Id of the row.")]
    auditor: Annotated[str, Meta(description="Name of the user.")]
    auditor_ref: Annotated[int, Meta(description="Id of the user.")]


def _role(
    family: str,
    name: str,
    row: type[msgspec.Struct],
    add: Any,
    body: type[msgspec.Struct],
    covers: dict[str, str] | None = None,
    join: str = "",
) -> Resource:
    """The resource of one role; `covers` are the columns of what it covers, `join` their table."""
    key = family.removesuffix("s")
    columns = {"id": "r.id", key: "u.username", f"{key}_ref": "r.user_id", **(covers or {})}
    example = {
        "data": {key: "Nobody" if key == "supervisor" else "anna"}
        | {one: "name" for one in covers or {} if not one.endswith("_ref")}
    }
    return Resource(
        path=family,
        name=name,
        tag=name,
        summary=f"Who is {key}",
        read=Permission.READ_USERS,
        write=Permission.WRITE_USERS,
        row=row,
        source=Source(f"{family} r JOIN users u ON u.id = r.user_id{join}", "r.id", columns, frozenset({"id"})),
        ops=CRUD & ~Op.UPDATE,
        create=making(add),
        create_body=Body(body, example=example),
        delete=functools.partial(_remove, family),
    )


async def _remove(family: str, change: Change, ids: tuple[int, ...]) -> None:
    await user_roles.remove(change, family, ids)


ADMINISTRATORS = _role(
    "administrators", "Administrators", AdministratorRow, user_roles.add_administrator, user_roles.NewAdministrator,
    {"client_group": "g.name", "client_group_ref": "r.client_group_id"},
    " JOIN client_groups g ON g.id = r.client_group_id",
)  # fmt: skip
MAINTAINERS = _role(
    "maintainers", "Maintainers", MaintainerRow, user_roles.add_maintainer, user_roles.NewMaintainer,
    {"media_server": "m.hostname", "media_server_ref": "r.media_server_id"},
    " JOIN media_servers m ON m.id = r.media_server_id",
)  # fmt: skip
SUPERVISORS = _role("supervisors", "Supervisors", SupervisorRow, user_roles.add_supervisor, user_roles.NewSupervisor)
AUDITORS = _role("auditors", "Auditors", AuditorRow, user_roles.add_auditor, user_roles.NewAuditor)
