"""Limits of a client's bandwidth, each for a part of the day.

Several limits of one client may overlap: which of them holds is decided by the global configuration
(`bandwidth_client_limit`). How they act: `services.bandwidth`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from rubackup.domain.identity import CLIENT_HWID
from rubackup.services import bandwidth, scopes
from rubackup.services.bandwidth import BACKUP, END, RESTORE, START, time_of_day
from rubackup.services.change import Change
from rubackup.services.fields import Problems, Ref, given, update_columns

_INSERT = """
INSERT INTO client_bandwidth (client_id, backup_bandwidth, restore_bandwidth, window_start, window_end)
VALUES ($1, $2, $3, $4, $5) RETURNING id"""
_READ = """
SELECT b.client_id, c.hwid, c.group_id FROM client_bandwidth b JOIN clients c ON c.id = b.client_id WHERE b.id = $1"""
_GROUPS = """
SELECT b.id, c.group_id FROM client_bandwidth b JOIN clients c ON c.id = b.client_id
WHERE b.id = ANY ($1::bigint[]) ORDER BY b.id"""

_CLIENT = Meta(description="The client: `hostname (hwid)` or id.")


class NewClientBandwidth(msgspec.Struct, kw_only=True):
    """A limit to be made."""

    client: Annotated[Ref, _CLIENT]
    backup_bandwidth: Annotated[int, BACKUP] = 0
    restore_bandwidth: Annotated[int, RESTORE] = 0
    window_start: Annotated[str, START] = "00:00:00"
    window_end: Annotated[str, END] = "00:00:00"


class ClientBandwidthChange(msgspec.Struct, kw_only=True):
    """What to change of a limit. `id` and `client_hwid` may be repeated and must fit."""

    client: Annotated[Ref, _CLIENT] | UnsetType = UNSET
    backup_bandwidth: Annotated[int, BACKUP] | UnsetType = UNSET
    restore_bandwidth: Annotated[int, RESTORE] | UnsetType = UNSET
    window_start: Annotated[str, START] | UnsetType = UNSET
    window_end: Annotated[str, END] | UnsetType = UNSET
    id: Annotated[int, Meta(description="Id of the limit; must be that of the path.")] | UnsetType = UNSET
    client_hwid: (
        Annotated[str, Meta(description="Hardware id of the limit's client, after the change.", max_length=16)]
        | UnsetType
    ) = UNSET


async def create(change: Change, new: NewClientBandwidth) -> int:
    """A new limit; the id."""
    problems = Problems()
    client = await problems.client(change.db, new.client, "data.client", scopes.clients(change.principal, write=True))
    start = time_of_day(problems, new.window_start, "data.window_start")
    end = time_of_day(problems, new.window_end, "data.window_end")
    problems.raise_any()
    bandwidth_id: int = await change.db.fetchval(
        _INSERT, client["id"], new.backup_bandwidth, new.restore_bandwidth, start, end
    )
    await change.event("created", "client_bandwidth", bandwidth_id, client_group_id=client["group_id"])
    await change.wake(bandwidth.CHANNEL)
    return bandwidth_id


async def update(change: Change, bandwidth_id: int, wanted: ClientBandwidthChange) -> None:
    """Change what is given; Invalid when `id` or `client_hwid` say another limit or client."""
    problems, db = Problems(), change.db
    before = await db.fetchrow(_READ, bandwidth_id)
    columns = given(backup_bandwidth=wanted.backup_bandwidth, restore_bandwidth=wanted.restore_bandwidth)
    hwid, group_id = before["hwid"], before["group_id"]
    if wanted.client is not UNSET:
        client = await problems.client(db, wanted.client, "data.client", scopes.clients(change.principal, write=True))
        if client:
            columns["client_id"], hwid, group_id = client["id"], client["hwid"], client["group_id"]
    for name in ("window_start", "window_end"):
        if (text := getattr(wanted, name)) is not UNSET:
            columns[name] = time_of_day(problems, text, f"data.{name}")
    _check_repeated(problems, wanted, bandwidth_id, hwid)
    problems.raise_any()
    await update_columns(db, "client_bandwidth", bandwidth_id, columns)
    await change.event("changed", "client_bandwidth", bandwidth_id, client_group_id=before["group_id"])
    await change.wake(bandwidth.CHANNEL)
    if group_id != before["group_id"]:
        await change.event("changed", "client_bandwidth", bandwidth_id, client_group_id=group_id)


def _check_repeated(problems: Problems, wanted: ClientBandwidthChange, bandwidth_id: int, hwid: str) -> None:
    if wanted.id not in {UNSET, bandwidth_id}:
        problems.add("data.id", f"must be {bandwidth_id}, the id of the path, or be left out.")
    told: Any = wanted.client_hwid
    if told is UNSET:
        return
    if not CLIENT_HWID.fullmatch(told.lower()):
        problems.add("data.client_hwid", "must be 16 hex digits.")
    elif told.lower() != hwid and "data.client" not in problems.fields:
        problems.add("data.client_hwid", f"must be {hwid}, the hardware id of the client, or be left out.")


async def delete(change: Change, ids: Sequence[int]) -> None:
    """Delete limits."""
    rows = await change.db.fetch(_GROUPS, list(ids))
    await change.db.execute("DELETE FROM client_bandwidth WHERE id = ANY ($1::bigint[])", list(ids))
    for row in rows:
        await change.event("deleted", "client_bandwidth", row["id"], client_group_id=row["group_id"])
    await change.wake(bandwidth.CHANNEL)
