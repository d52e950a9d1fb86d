"""Making catalogue and pool agree again after the catalogue was restored from an older dump, or rebuilt.

What lies in the pool and is unknown is adopted, from what its seal says; what the catalogue lists and the pool does not have
is marked. Deleting stays off until it was applied. Design section 8; `docs/reference.md`, Reconciling.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal, NamedTuple, TypeVar

import msgspec
from msgspec import Meta

from rubackup.catalog import numbers
from rubackup.catalog.database import Connection
from rubackup.domain.lookups import VerificationStatus
from rubackup.domain.pools import CLIENT_DEFINED
from rubackup.domain.tasks import FINAL
from rubackup.services import record_history
from rubackup.services.change import Change
from rubackup.services.ports import Hosts, PoolRecord

Source = Literal["task", "rule", "pool", "nothing"]
T = TypeVar("T")
BATCH = 5000
NAMED = 1000
"""Copies that an answer names at most of each kind; all are counted."""
FIRST, LAST = uuid.UUID(int=0), uuid.UUID(int=2**128 - 1)
"""Before and at the end of all uuids; that of zeros is none."""

_POOL = """
SELECT p.id, p.pool_name, p.media_server_id, m.hwid, now() AS asked_at, p.pool_type, p.uuid,
    (SELECT s.metadata_fs_pool_id FROM client_defined_storages s WHERE s.pool_id = p.id ORDER BY s.id LIMIT 1) AS metadata_pool_id
FROM pools p JOIN media_servers m ON m.id = p.media_server_id WHERE p.id = $1"""
_UNKNOWN = """
SELECT u.uuid FROM unnest($1::uuid[]) AS u (uuid)
WHERE NOT EXISTS (SELECT 1 FROM repository r WHERE r.uuid = u.uuid)
    AND NOT EXISTS (SELECT 1 FROM record_tombstones t WHERE t.uuid = u.uuid)
    AND NOT EXISTS (SELECT 1 FROM task_queue q WHERE q.record_uuid = u.uuid AND q.status <> ALL ($2::text[]))
ORDER BY u.uuid"""
_MISSING = """
SELECT r.id, r.uuid FROM repository r
WHERE r.pool_id = $1 AND r.uuid > $4 AND r.uuid <= $5 AND NOT EXISTS (SELECT 1 FROM unnest($2::uuid[]) AS u (uuid) WHERE u.uuid = r.uuid)
    AND NOT EXISTS (SELECT 1 FROM repository_log l WHERE l.record_id = r.id AND l.action = 'created' AND l.at >= $3)
ORDER BY r.id FOR NO KEY UPDATE OF r"""
_ADOPT = """
INSERT INTO repository (uuid, parent_uuid, task_id, client_id, client_hostname, client_hwid, client_group_id,
    pool_id, resource_type, resource, backup_type, crypto, size_bytes, stored_bytes, files, files_failed, created_at,
    key_id, store_until, locked_until, pool_locked_until)
SELECT f.uuid, f.parent, f.task, c.id, coalesce(c.hostname, f.hwid), f.hwid, c.group_id, $1, f.resource_type, f.resource,
    f.backup_type, coalesce(nullif(f.crypto, ''), 'nocrypt'), f.size, f.stored, f.files, f.failed, least(f.at, now()),
    f.key, f.until, f.locked, f.locked
FROM unnest($2::uuid[], $3::uuid[], $4::bigint[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[],
    $10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[], $14::timestamptz[], $15::text[], $16::timestamptz[], $17::timestamptz[])
    WITH ORDINALITY AS f (uuid, parent, task, hwid, resource_type, resource, backup_type, crypto, size, stored, files, failed, at,
    key, until, locked, place)
LEFT JOIN clients c ON c.hwid = f.hwid ORDER BY f.place RETURNING id, uuid"""
_KEPT = """
SELECT f.uuid, k.source, least(f.at + k.duration, f.at + p.retention_period) AS until
FROM unnest($2::uuid[], $3::text[], $4::text[], $5::text[], $6::timestamptz[]) AS f (uuid, hwid, resource_type, resource, at)
JOIN pools p ON p.id = $1
CROSS JOIN LATERAL (
    SELECT t.storage_duration AS duration, 'task' AS source, 1 AS rank FROM task_queue t
    WHERE t.record_uuid = f.uuid AND t.storage_duration IS NOT NULL
    UNION ALL
    SELECT max(s.storage_duration::interval), 'rule', 2 FROM global_schedule s
    JOIN clients c ON c.id = s.client_id OR c.group_id = s.client_group_id
    WHERE c.hwid = f.hwid AND s.resource_type = f.resource_type AND s.resource = f.resource HAVING count(*) > 0
    UNION ALL
    SELECT p.retention_period, CASE WHEN p.retention_period IS NULL THEN 'nothing' ELSE 'pool' END, 3
    ORDER BY rank LIMIT 1) k"""
_ORPHANS = """
SELECT r.uuid FROM repository r JOIN repository p ON p.uuid = r.parent_uuid
WHERE r.pool_id = $1 AND r.parent_id IS NULL ORDER BY r.id"""
"""Whose parents are there now; those that were adopted earlier, too."""
_BREAK = "UPDATE repository SET verification_status = $2, verified_at = now() WHERE id = ANY ($1::bigint[])"
_LINKED = """
UPDATE repository r SET parent_id = p.id FROM repository p
WHERE r.uuid = ANY ($2::uuid[]) AND r.pool_id = $1 AND r.parent_id IS NULL AND p.uuid = r.parent_uuid"""
_WANTED = """
INSERT INTO pool_state (pool_id, reconcile_wanted) VALUES ($1, true)
ON CONFLICT (pool_id) DO UPDATE SET reconcile_wanted = true"""
_LOST = "The pool does not have this copy (reconciliation)."
_FOUND = "Found in the pool; the catalogue did not know it (reconciliation)."
_KEPT_BY = {
    "task": "Kept as its task says.",
    "rule": "Kept as the rule for its resource says.",
    "pool": "Kept as long as the pool keeps copies.",
    "nothing": "Nothing says how long to keep it.",
}


class ReconciliationQuery(msgspec.Struct, kw_only=True):
    """Whether to do it."""

    apply: Annotated[bool, Meta(description="Whether it is done; otherwise it is only told what would be.")] = False
    limit: (
        Annotated[
            int,
            Meta(
                description="How many copies of the pool are looked at by this call, for pools of very many; without it all are.",
                ge=1,
                le=NAMED,
            ),
        ]
        | None
    ) = None
    after: Annotated[
        str, Meta(description="With `limit`: what the answer before said; empty for the first call.", max_length=200)
    ] = ""


class FoundRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A copy in the pool that the catalogue does not know."""

    uuid: Annotated[str, Meta(description="Uuid of the copy.")]
    client_hwid: Annotated[str, Meta(description="Hardware id of its client.")]
    resource: Annotated[str, Meta(description="What it is of.")]
    size_bytes: Annotated[int, Meta(description="Size of all its files in bytes.")]
    store_until: Annotated[dt.datetime | None, Meta(description="Until when it is kept; null when nothing says so.")]
    kept_by: Annotated[
        Source,
        Meta(
            description="What says so: its task, the rule for the same client and resource that keeps copies longest, "
            "or the pool's retention_period; a seal does not tell."
        ),
    ]


class LostRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A copy that the catalogue lists and the pool does not have."""

    id: Annotated[int, Meta(description="Id of the copy.")]
    uuid: Annotated[str, Meta(description="Uuid of the copy.")]


class Reconciliation(msgspec.Struct, frozen=True, kw_only=True):
    """What differs between a pool and the catalogue."""

    applied: Annotated[bool, Meta(description="Whether it was done: what was found is adopted, what is lost marked.")]
    found: Annotated[int, Meta(description="How many copies of the pool the catalogue did not know.")]
    lost: Annotated[int, Meta(description="How many copies of the catalogue the pool does not have.")]
    found_records: Annotated[list[FoundRecord], Meta(description="The first thousand of those found.")]
    lost_records: Annotated[list[LostRecord], Meta(description="The first thousand of those lost.")]
    after: Annotated[
        str | None,
        Meta(
            description="Where the next call goes on; null when all copies are through. Until then the pool is not reconciled."
        ),
    ] = None
    seen: Annotated[int, Meta(description="How many copies of the pool this call has looked at.")] = 0
    away: Annotated[
        list[str],
        Meta(
            description="Storages of the pool that are not there. What may lie in them is left as it is, and the pool is not "
            "reconciled until they are back and all is gone over again."
        ),
    ] = []
    not_there: Annotated[
        int,
        Meta(
            description="How many copies that differ lie in storages that are away, or may: nothing was done about them."
        ),
    ] = 0


class Kept(NamedTuple):
    """How long a copy that is adopted is kept."""

    source: Source
    until: dt.datetime | None


class Listing(msgspec.Struct, frozen=True):
    """What a media server has of a pool, and when it was asked."""

    asked_at: dt.datetime
    records: list[PoolRecord]
    away: list[str] = []
    """Storages of the pool that are not there: what is not listed may lie in these."""


async def facts(db: Connection, pool_id: int) -> Any:
    """The pool, its media server, and the time."""
    return await db.fetchrow(_POOL, pool_id)


async def examine(hosts: Hosts, pool: Any) -> Listing:
    """Every record of the pool, as its media server has it; of a Client defined one by the manifests that are kept."""
    if pool["pool_type"] == CLIENT_DEFINED:
        if pool["metadata_pool_id"] is None:
            return Listing(pool["asked_at"], [])
        found = await hosts.pool_records(pool["hwid"], pool["metadata_pool_id"], pool["uuid"].hex)
    else:
        found = await hosts.pool_records(pool["hwid"], pool["id"])
    return Listing(pool["asked_at"], found.records, found.away)


async def reconcile(change: Change, pool_id: int, listing: Listing, *, apply: bool) -> Reconciliation:
    """What differs; with `apply` it is put right, and the pool may be cleaned again, unless storages are away.

    Repeating it changes nothing.
    """
    answer = await part(change, pool_id, listing, (FIRST, LAST), apply=apply)
    if apply and not listing.away:
        await finish(change, pool_id)
    return answer


async def part(
    change: Change, pool_id: int, listing: Listing, within: tuple[uuid.UUID, uuid.UUID] | None, *, apply: bool
) -> Reconciliation:
    """As `reconcile` for these records; `within`: behind the first uuid up to the second they are all that the pool has.

    A storage that is away proves nothing: copies that lie there, or may, are counted, and left as they are.
    """
    db = change.db
    held = {uuid.UUID(one.record): one for one in listing.records}
    rows = await db.fetch(_UNKNOWN, list(held), [status.label for status in FINAL])
    unknown = [held[row["uuid"]] for row in rows]
    found = [one for one in unknown if not one.away]  # whether it is locked is told where it lies
    missing = await db.fetch(_MISSING, pool_id, list(held), listing.asked_at, *within) if within else []
    lost = [] if listing.away else missing
    # A walk in the order of time is followed by one that compares, which counts them.
    not_there = len(unknown) - len(found) + len(missing) - len(lost) if within else 0
    kept = await _kept(db, pool_id, found)
    if apply:
        await _adopt(change, pool_id, found, kept)
        for names in _batches(list(held)):
            await db.execute(_LINKED, pool_id, names)
        await _mark(change, [row["id"] for row in lost])
    return Reconciliation(
        seen=len(held),
        applied=apply,
        found=len(found),
        lost=len(lost),
        away=listing.away,
        not_there=not_there,
        found_records=[
            FoundRecord(
                uuid=one.record,
                client_hwid=one.client_hwid,
                resource=one.resource,
                size_bytes=one.size_bytes,
                store_until=kept[one.record].until,
                kept_by=kept[one.record].source,
            )
            for one in found[:NAMED]
        ],
        lost_records=[LostRecord(id=row["id"], uuid=row["uuid"].hex) for row in lost[:NAMED]],
    )


async def finish(change: Change, pool_id: int) -> None:
    """Everything of the pool was gone through: link what is left of chains, and let the pool be cleaned again."""
    for orphans in _batches([row["uuid"] for row in await change.db.fetch(_ORPHANS, pool_id)]):
        await change.db.execute(_LINKED, pool_id, orphans)
    await change.db.execute(_WANTED, pool_id)
    await change.wake("pools")


def _sealed_at(one: PoolRecord) -> dt.datetime:
    return dt.datetime.fromtimestamp(one.sealed_at_ns / 1e9, dt.UTC)


def _locked_until(one: PoolRecord) -> dt.datetime | None:
    return dt.datetime.fromtimestamp(one.locked_until_ns / 1e9, dt.UTC) if one.locked_until_ns else None


async def _kept(db: Connection, pool_id: int, found: Sequence[PoolRecord]) -> dict[str, Kept]:
    """Until when each of these is kept, and what says so; as for a new copy no longer than the pool keeps any."""
    kept: dict[str, Kept] = {}
    for batch in _batches(found):
        rows = await db.fetch(
            _KEPT, pool_id, [uuid.UUID(one.record) for one in batch], [one.client_hwid for one in batch],
            [one.resource_type for one in batch], [one.resource for one in batch], [_sealed_at(one) for one in batch],
        )  # fmt: skip
        kept |= {row["uuid"].hex: Kept(row["source"], row["until"]) for row in rows}
    return kept


async def _adopt(change: Change, pool_id: int, found: Sequence[PoolRecord], kept: Mapping[str, Kept]) -> None:
    """The oldest first, so that ids ascend with time as those of copies that were made here."""
    await numbers.leap_beyond(change.db, max((one.task_id for one in found), default=0))
    for batch in _batches(sorted(found, key=lambda one: (one.sealed_at_ns, one.record))):
        rows = await change.db.fetch(
            _ADOPT, pool_id, [uuid.UUID(one.record) for one in batch],
            [uuid.UUID(one.parent) if one.parent else None for one in batch], [one.task_id for one in batch],
            [one.client_hwid for one in batch], [one.resource_type for one in batch], [one.resource for one in batch],
            [one.backup_type for one in batch], [one.crypto for one in batch], [one.size_bytes for one in batch],
            [one.stored_bytes for one in batch], [one.files for one in batch], [one.files_failed for one in batch],
            [_sealed_at(one) for one in batch], [one.key_id for one in batch], [kept[one.record].until for one in batch],
            [_locked_until(one) for one in batch],
        )  # fmt: skip
        ids: defaultdict[Source, list[int]] = defaultdict(list)
        for row in rows:
            ids[kept[row["uuid"].hex].source].append(row["id"])
        for source, adopted in ids.items():
            await _say(change, adopted, "created", "created", f"{_FOUND} {_KEPT_BY[source]}")


def _batches(rows: Sequence[T]) -> Iterator[Sequence[T]]:
    """So many at a time that no statement takes long."""
    return (rows[at : at + BATCH] for at in range(0, len(rows), BATCH))


async def _mark(change: Change, ids: Sequence[int]) -> None:
    await change.db.execute(_BREAK, list(ids), VerificationStatus.NOT_TRUSTED.label)
    await _say(change, ids, "verified", "changed", _LOST)


async def _say(change: Change, ids: Sequence[int], action: str, event: str, text: str) -> None:
    if ids:
        await record_history.note(change.db, ids, action, text, user_name=change.principal.name)
        await record_history.tell(change.db, ids, event)
