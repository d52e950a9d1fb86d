"""The repository as administrators see it: prolonging, deleting, verifying, listing copies.

How copies come into being and are forgotten by media servers is `services.records`, copying them `services.copies`.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from rubackup.domain.errors import Conflict, Invalid, NotFound
from rubackup.domain.pools import CLIENT_DEFINED, kept_folder
from rubackup.services import client_pools, deletion, key_holders, scopes, tasks, unavailable, verifications
from rubackup.services.change import Change
from rubackup.services.fields import Row
from rubackup.services.ports import CopyEntry, Hosts

_GROUP, _MEDIA = "coalesce(c.group_id, r.client_group_id)", "p.media_server_id"
_FROM = """
FROM repository r LEFT JOIN clients c ON c.id = r.client_id JOIN pools p ON p.id = r.pool_id
JOIN media_servers m ON m.id = p.media_server_id"""
_READ = f"""
SELECT r.id, r.uuid::text AS uuid, r.client_id, r.client_hwid, {_GROUP} AS group_id, r.pool_id, p.media_server_id,
    m.hwid AS media_hwid, m.hostname AS media_hostname, m.local_service_mode, r.resource_type, r.resource,
    p.pool_type, p.uuid AS pool_uuid,
    (SELECT s.metadata_fs_pool_id FROM client_defined_storages s WHERE s.pool_id = p.id ORDER BY s.id LIMIT 1) AS metadata_pool_id,
    r.backup_type, r.crypto, r.created_at, r.locked_until, r.file_list, p.retention_period,
    r.created_at + p.retention_period AS pool_until, r.key_id, {key_holders.HOLDS} AS key_is_held
{_FROM} WHERE r.id = $1 AND """  # noqa: S608 - constants of ours
_KEEP = """
UPDATE repository SET store_until = $2, informed_at = NULL,
    locked_until = CASE WHEN locked_until > now() THEN greatest(locked_until, $2) ELSE locked_until END
WHERE id = $1"""
_NOTE = """
INSERT INTO repository_log (record_id, record_uuid, client_group_id, pool_id, task_id, user_name, action, text)
SELECT r.id, r.uuid, r.client_group_id, r.pool_id, $2, $3, $4, $5 FROM repository r WHERE r.id = $1"""
_DEPENDANTS = """
WITH RECURSIVE chain AS (
    SELECT r.id, r.id AS root_id, 0 AS depth FROM repository r WHERE r.id = ANY ($1::bigint[])
    UNION
    SELECT r.id, chain.root_id, chain.depth + 1 FROM repository r JOIN chain ON r.parent_id = chain.id
    WHERE chain.depth < 10000
)
SELECT chain.root_id, chain.depth, r.id, r.parent_id, r.backup_type, r.resource_type, r.resource, r.created_at,
    r.client_hostname || ' (' || r.client_hwid || ')' AS client, p.pool_name AS pool
FROM chain JOIN repository r ON r.id = chain.id LEFT JOIN clients c ON c.id = r.client_id
JOIN pools p ON p.id = r.pool_id WHERE """


class RecordChange(msgspec.Struct):
    """How long a copy is kept."""

    store_until: (
        Annotated[dt.datetime, Meta(description="When the copy may be deleted by itself; null: never.", tz=True)]
        | UnsetType
        | None
    ) = UNSET


class RecordIds(msgspec.Struct):
    """Copies of the repository."""

    ids: Annotated[list[Annotated[int, Meta(ge=1)]], Meta(description="Ids of copies.", min_length=1, max_length=1000)]


class Dependant(msgspec.Struct, frozen=True, kw_only=True):
    """A copy of a chain: one that was asked for, or one that builds on it."""

    root_id: Annotated[int, Meta(description="The copy that was asked for.")]
    id: Annotated[int, Meta(description="The copy that builds on it; itself for the first.")]
    parent_id: Annotated[int | None, Meta(description="The copy that this one builds on.")]
    depth: Annotated[int, Meta(description="How many steps lie between it and the root; 0 for the root.")]
    backup_type: Annotated[str, Meta(description="A name of backup_types.")]
    client: Annotated[str, Meta(description="The client as `hostname (hwid)`.")]
    resource_type: Annotated[str, Meta(description="A name of resource_types.")]
    resource: Annotated[str, Meta(description="What was backed up.")]
    pool: Annotated[str, Meta(description="The pool that stores the copy.")]
    created_at: Annotated[dt.datetime, Meta(description="When the copy was made.")]


async def record_of(change: Change, record_id: int) -> Row:
    """A copy that the caller may see, with its pool and media server; NotFound."""
    limit = scopes.work(change.principal, _GROUP, _MEDIA)
    row = await change.db.fetchrow(_READ + limit.numbered(2), record_id, *limit.values)
    if row is None:
        raise NotFound(f"There is no copy {record_id} in the repository.", ids=[record_id])
    return row


async def note(change: Change, record_id: int, task_id: int | None, action: str, text: str = "") -> None:
    """A line of the repository's log."""
    await change.db.execute(_NOTE, record_id, task_id, change.principal.name, action, text)


async def keep_until(change: Change, record_id: int, wanted: RecordChange) -> None:
    """Change how long a copy is kept; Invalid beyond what the pool allows, Conflict before its lock ends.

    The lock of a locked copy goes along when it is kept for longer; null leaves the lock as it is.
    """
    until = wanted.store_until
    if until is UNSET:
        return
    record = await record_of(change, record_id)
    if until is not None and until <= record["created_at"]:
        raise Invalid(fields={"data.store_until": "must be later than the creation of the copy."})
    if record["pool_until"] is not None and (until is None or until > record["pool_until"]):
        text = f"must not be later than {record['pool_until'].isoformat()}: the pool keeps copies no longer."
        raise Invalid(fields={"data.store_until": text})
    if record["locked_until"] is not None and until is not None and until < record["locked_until"]:
        raise Conflict(f"The copy is locked until {record['locked_until'].isoformat()}; that can only be extended.")
    await change.db.execute(_KEEP, record_id, until)
    await note(change, record_id, None, "changed", f"Kept until {until.isoformat() if until else 'it is deleted'}.")
    await _event(change, record, "changed")
    await change.wake("records")


async def delete(change: Change, ids: Sequence[int]) -> None:
    """Delete copies, with what builds on them where it is configured so: all or none; Conflict says why not."""
    await deletion.delete_records(change, ids)


async def verify(change: Change, record_id: int) -> int:
    """Queue a verification of a copy; the number of its task.

    Unavailable when contents are to be read that are encrypted, and the client that has the key is offline.
    """
    record = await record_of(change, record_id)
    await tasks.refuse_in_service_mode(change.db, record["media_hostname"] if record["local_service_mode"] else None)
    await unavailable.refuse(change.db, record_id)
    if record["client_id"] is None:
        client_pools.refuse_others(record["pool_type"])
    if not await verifications.can_read(change.db, record):
        key_holders.check(record)
    return await verifications.queue(change.db, record_id, change.principal.name)


async def dependants(change: Change, wanted: RecordIds) -> list[Dependant]:
    """The copies asked for, each followed by all that build on it; NotFound names missing ones."""
    limit = scopes.work(change.principal, _GROUP, _MEDIA)
    statement = f"{_DEPENDANTS}{limit.numbered(2)} ORDER BY chain.root_id, chain.depth, r.id"
    rows = await change.db.fetch(statement, wanted.ids, *limit.values)
    missing = sorted(set(wanted.ids) - {row["root_id"] for row in rows if row["depth"] == 0})
    if missing:
        raise NotFound(f"No such copies in the repository: {', '.join(map(str, missing))}.", ids=missing)
    return [Dependant(**row) for row in rows]


async def listable(change: Change, record_id: int, path: str) -> Row:
    """The copy whose folder is wanted; Invalid for a path that is not absolute, Conflict without `file_list`, NotFound."""
    if not path.startswith("/") or ".." in path.split("/"):
        raise Invalid(fields={"path": "must be an absolute path without '..'."})
    record = await record_of(change, record_id)
    if not record["file_list"]:
        raise Conflict("The copy was made with file_list false: its files are not listed. It can be restored.")
    return record


async def files(hosts: Hosts, record: Row, path: str, page: int, limit: int) -> tuple[list[CopyEntry], int]:
    """A page of a folder of a copy, and how many entries the folder has; asked of the media server.

    Of an encrypted copy its client is asked; Unavailable when that is offline or does not have the key.
    """
    uuid = record["uuid"].replace("-", "")
    if record["key_id"]:
        key_holders.check(record)
        return await hosts.list_encrypted(record["client_hwid"], record["pool_id"], uuid, path, page, limit)
    pool_id, kept = manifest_of(record)
    return await hosts.list_record(record["media_hwid"], pool_id, uuid, path, page, limit, kept)


def manifest_of(record: Row) -> tuple[int, str]:
    """The pool with a copy's manifest; of a copy in its client's own pool the one that keeps it, and what it is called there."""
    if record["pool_type"] != CLIENT_DEFINED:
        return record["pool_id"], ""
    return record["metadata_pool_id"] or 0, kept_folder(record["pool_uuid"].hex, record["client_hwid"])


async def _event(change: Change, record: Row, kind: str) -> None:
    await change.event(
        kind, "repository", record["id"], client_group_id=record["group_id"], media_server_id=record["media_server_id"]
    )
