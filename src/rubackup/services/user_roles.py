"""Rows that give a user a role: administrators, maintainers, supervisors, auditors, strategy administrators.

A user whose roles change is logged out, so no session lives on with rights that are gone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import msgspec
from msgspec import Meta

from rubackup.domain.errors import Conflict
from rubackup.services.auth import revoke_sessions
from rubackup.services.change import Change
from rubackup.services.fields import Problems, Ref
from rubackup.services.scopes import EVERYTHING

_USER = Meta(description="The user who gets the role: name or id.")


class NewAdministrator(msgspec.Struct):
    """An administrator of a client group."""

    administrator: Annotated[Ref, _USER]
    client_group: Annotated[Ref, Meta(description="The client group that the role covers: name or id.")]


class NewMaintainer(msgspec.Struct):
    """A maintainer of a media server."""

    maintainer: Annotated[Ref, _USER]
    media_server: Annotated[Ref, Meta(description="The media server that the role covers: host name or id.")]


class NewSupervisor(msgspec.Struct):
    """A supervisor."""

    supervisor: Annotated[Ref, _USER]


class NewAuditor(msgspec.Struct):
    """An auditor."""

    auditor: Annotated[Ref, _USER]


class NewStrategyAdministrator(msgspec.Struct):
    """An administrator of a strategy."""

    strategy: Annotated[Ref, Meta(description="The strategy that the role covers: name or id.")]
    administrator: Annotated[Ref, _USER]


@dataclass(frozen=True)
class Grant:
    """A role that is to be given: its table, and what it covers, if it covers something."""

    family: str
    column: str = ""
    covered_id: int | None = None


async def prepare(
    change: Change, problems: Problems, role: str | None, client_group: Ref | None, media_server: Ref | None
) -> Grant | None:
    """The grant that the query of a new user asks for; what does not fit together is noted."""
    if client_group is not None and role != "administrator":
        problems.add("client_group", "is only for the role administrator.")
    if media_server is not None and role != "maintainer":
        problems.add("media_server", "is only for the role maintainer.")
    match role:
        case None:
            return None
        case "administrator":
            if client_group is None:
                problems.add("client_group", "is required for the role administrator.")
                return None
            return await _covering_group(change, problems, client_group, "client_group")
        case "maintainer":
            if media_server is None:
                problems.add("media_server", "is required for the role maintainer.")
                return None
            return await _covering_media(change, problems, media_server, "media_server")
    return Grant(f"{role}s")


async def _covering_group(change: Change, problems: Problems, value: Ref, field: str) -> Grant | None:
    group = await problems.client_group(change.db, value, field, EVERYTHING)
    return Grant("administrators", "client_group_id", group["id"]) if group else None


async def _covering_media(change: Change, problems: Problems, value: Ref, field: str) -> Grant | None:
    media = await problems.media_server(change.db, value, field, EVERYTHING)
    return Grant("maintainers", "media_server_id", media["id"]) if media else None


async def insert(change: Change, grant: Grant, user_id: int) -> int:
    """Give the role; the id of its row. Conflict when the user has it already."""
    columns = f"user_id, {grant.column}" if grant.column else "user_id"
    values = [user_id] if grant.covered_id is None else [user_id, grant.covered_id]
    marks = ", ".join(f"${number}" for number in range(1, len(values) + 1))
    row_id: int | None = await change.db.fetchval(
        f"INSERT INTO {grant.family} ({columns}) VALUES ({marks}) ON CONFLICT DO NOTHING RETURNING id",  # noqa: S608 - names of the code
        *values,
    )
    if row_id is None:
        raise Conflict("The user has this role already.")
    await revoke_sessions(change.db, user_id)
    await change.event("created", grant.family, row_id)
    return row_id


async def _give(change: Change, problems: Problems, user: Ref, field: str, grant: Grant | None) -> int:
    found = await problems.user(change.db, user, field)
    problems.raise_any()
    assert grant is not None
    return await insert(change, grant, found["id"])


async def add_administrator(change: Change, new: NewAdministrator) -> int:
    """Make a user administrator of a client group; the id of the row."""
    problems = Problems()
    grant = await _covering_group(change, problems, new.client_group, "data.client_group")
    return await _give(change, problems, new.administrator, "data.administrator", grant)


async def add_maintainer(change: Change, new: NewMaintainer) -> int:
    """Make a user maintainer of a media server; the id of the row."""
    problems = Problems()
    grant = await _covering_media(change, problems, new.media_server, "data.media_server")
    return await _give(change, problems, new.maintainer, "data.maintainer", grant)


async def add_supervisor(change: Change, new: NewSupervisor) -> int:
    """Make a user supervisor; the id of the row."""
    return await _give(change, Problems(), new.supervisor, "data.supervisor", Grant("supervisors"))


async def add_auditor(change: Change, new: NewAuditor) -> int:
    """Make a user auditor; the id of the row."""
    return await _give(change, Problems(), new.auditor, "data.auditor", Grant("auditors"))


async def add_strategy_administrator(change: Change, new: NewStrategyAdministrator) -> int:
    """Make a user administrator of a strategy; the id of the row."""
    problems = Problems()
    strategy = await problems.strategy(change.db, new.strategy, "data.strategy", EVERYTHING)
    grant = Grant("strategy_administrators", "strategy_id", strategy["id"]) if strategy else None
    return await _give(change, problems, new.administrator, "data.administrator", grant)


async def remove(change: Change, family: str, ids: Sequence[int]) -> None:
    """Take roles away; `family` is one of the five tables."""
    rows = await change.db.fetch(
        f"DELETE FROM {family} WHERE id = ANY ($1::bigint[]) RETURNING id, user_id",  # noqa: S608 - a table's name of the code
        list(ids),
    )
    for row in rows:
        await revoke_sessions(change.db, row["user_id"])
        await change.event("deleted", family, row["id"])
