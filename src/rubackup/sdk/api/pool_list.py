"""Pool List. Made by scripts/generate-client from docs/openapi.json. Do not edit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal, NotRequired, TypedDict

from rubackup.sdk.api._shared import Ids
from rubackup.sdk.caller import Answer, Family, Page, segment


class FoundRecord(TypedDict):
    """A copy in the pool that the catalogue does not know."""

    uuid: str
    """Uuid of the copy."""
    client_hwid: str
    """Hardware id of its client."""
    resource: str
    """What it is of."""
    size_bytes: int
    """Size of all its files in bytes."""
    store_until: str | None
    """Until when it is kept; null when nothing says so."""
    kept_by: Literal["nothing", "pool", "rule", "task"]
    """What says so: its task, the rule for the same client and resource that keeps copies longest, or the pool's retention_period; a seal does not tell."""


class LostRecord(TypedDict):
    """A copy that the catalogue lists and the pool does not have."""

    id: int
    """Id of the copy."""
    uuid: str
    """Uuid of the copy."""


class NewPool(TypedDict):
    """A pool to be made. What does not fit its type is ignored, as the guide says."""

    pool_name: str
    """Name of the pool; unique."""
    pool_type: str
    """A name of destination_storage_types."""
    media_server: int | str
    """The media server that owns the pool: host name or id."""
    compression_type: NotRequired[str]
    """How copies are compressed, a name of compression_type; acts on what is stored from now on. Ignored for the types Block device and Client defined."""
    description: NotRequired[str]
    """Free text."""
    retention_period: NotRequired[str | None]
    """How long a copy may stay in the pool at most, such as '1 year'; null or empty: no limit."""
    ignore_free_space_check: NotRequired[bool]
    """Whether the free space kept in reserve may be used, too."""
    algorithm: NotRequired[str | None]
    """For the type Block device, else ignored: a name of deduplication_hash_algorithm; sha2 unless given."""
    max_tasks: NotRequired[int]
    """How many tasks are at work on the pool at a time; 0: as many as its media server takes."""
    block_size: NotRequired[int | None]
    """For the type Block device, else ignored: size of a block in bytes, a power of two from 16384 to 1048576; 131072 unless given."""
    hash_length: NotRequired[int | None]
    """For the type Block device, else ignored: length of the hash in bits, 160 for sha1, 256 or 512 for the others."""
    meta_data_pool: NotRequired[str | int | None]
    """For the type Block device, which needs it, else ignored: pool of the type File system on the same media server that keeps the metadata of copies, name or id."""
    uuid: NotRequired[str | None]
    """Uuid of an existing pool, whose catalogue was lost: its storages are taken over with what lies in them. It stands in the file `pool` of a folder, and in the refusal of a storage that belongs to another pool. Null: a new pool."""


class PoolChange(TypedDict):
    """What to change of a pool."""

    pool_name: NotRequired[str]
    """Name of the pool; unique."""
    compression_type: NotRequired[str]
    """How copies are compressed, a name of compression_type; acts on what is stored from now on. Ignored for the types Block device and Client defined."""
    description: NotRequired[str]
    """Free text."""
    retention_period: NotRequired[str | None]
    ignore_free_space_check: NotRequired[bool]
    """Whether the free space kept in reserve may be used, too."""
    max_tasks: NotRequired[int]
    """How many tasks are at work on the pool at a time; 0: as many as its media server takes."""


class PoolRow(TypedDict):
    """A pool, with what its media server last said of it."""

    id: int
    """Id of the pool."""
    uuid: str
    """The pool's name in its storages."""
    pool_name: str
    """Name of the pool."""
    pool_type: str
    """A name of destination_storage_types."""
    media_server: str
    """Host name of the media server that owns it."""
    media_server_ref: int
    """Id of that media server."""
    compression_type: str
    """A name of compression_type; None for the types Block device and Client defined."""
    description: str
    """Free text."""
    retention_period: str | None
    """How long a copy may stay at most; null: no limit."""
    ignore_free_space_check: bool
    """Whether the reserve of free space may be used."""
    max_tasks: int
    """How many tasks are at work on it at a time; 0: any number."""
    algorithm: str | None
    """A name of deduplication_hash_algorithm; Block device only."""
    hash_length: int | None
    """Length of the hash in bits; Block device only."""
    block_size: int | None
    """Size of a block in bytes; Block device only."""
    meta_data_pool: str | None
    """Pool that keeps the metadata; Block device only."""
    meta_data_pool_ref: int | None
    """Id of that pool."""
    problem: str
    """What keeps the pool from being used; empty when nothing does."""
    problem_code: str
    """What kind of problem that is, for programs: unreported, opening, no storage, unusable, full, storage, not written, other; empty without a problem."""
    free_bytes: int
    """Free space of its storages in bytes."""
    used_bytes: int
    """What the pool's data takes in bytes."""
    total_bytes: int
    """Size of its storages in bytes."""
    emergency_path: str
    """Its emergency storage, in which something of it lies; empty: nothing does."""
    emergency_used_bytes: int
    """What the pool's data takes in it in bytes."""
    chunks: int
    """How many different chunks it holds."""
    reconciled: bool
    """Whether the pool knows this catalogue; if not, nothing is deleted or collected in it."""
    reported_at: str | None
    """When the media server reported last."""
    created_at: str
    """When the pool was made."""


class Reconciliation(TypedDict):
    """What differs between a pool and the catalogue."""

    applied: bool
    """Whether it was done: what was found is adopted, what is lost marked."""
    found: int
    """How many copies of the pool the catalogue did not know."""
    lost: int
    """How many copies of the catalogue the pool does not have."""
    found_records: list[FoundRecord]
    """The first thousand of those found."""
    lost_records: list[LostRecord]
    """The first thousand of those lost."""
    after: NotRequired[str | None]
    """Where the next call goes on; null when all copies are through. Until then the pool is not reconciled."""
    seen: NotRequired[int]
    """How many copies of the pool this call has looked at."""
    away: NotRequired[list[str]]
    """Storages of the pool that are not there. What may lie in them is left as it is, and the pool is not reconciled until they are back and all is gone over again."""
    not_there: NotRequired[int]
    """How many copies that differ lie in storages that are away, or may: nothing was done about them."""


ListColumn = Literal[
    "id", "uuid", "pool_name", "pool_type", "media_server", "media_server_ref", "compression_type", "description",
    "retention_period", "ignore_free_space_check", "max_tasks", "algorithm", "hash_length", "block_size",
    "meta_data_pool", "meta_data_pool_ref", "problem", "problem_code", "free_bytes", "used_bytes", "total_bytes",
    "emergency_path", "emergency_used_bytes", "chunks", "reconciled", "reported_at", "created_at",
]  # fmt: skip

AvailableForCopyOrMoveColumn = Literal[
    "id", "uuid", "pool_name", "pool_type", "media_server", "media_server_ref", "compression_type", "description",
    "retention_period", "ignore_free_space_check", "max_tasks", "algorithm", "hash_length", "block_size",
    "meta_data_pool", "meta_data_pool_ref", "problem", "problem_code", "free_bytes", "used_bytes", "total_bytes",
    "emergency_path", "emergency_used_bytes", "chunks", "reconciled", "reported_at", "created_at",
]  # fmt: skip


class PoolList(Family):
    """Pool List."""

    def list(
        self,
        *,
        page: int | None = None,
        limit: int | None = None,
        sort_by: ListColumn | None = None,
        sort_order: Literal["asc", "desc"] | None = None,
        filter_data: str | Sequence[str] | None = None,
        cursor: str | None = None,
    ) -> Answer[Page[PoolRow]]:
        """List: Pool List. Permission: See media servers, pools and storages."""
        return self._call(
            "GET",
            "/pool_list",
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
    ) -> Iterator[PoolRow]:
        """Every row, page by page behind a cursor."""
        return self._rows("/pool_list", {"sort_by": sort_by, "sort_order": sort_order, "filter_data": filter_data})

    def create(self, data: NewPool, *, idempotency_key: str | None = None) -> Answer[dict[str, Any]]:
        """Create: Pool List. Permission: Edit media servers, pools and storages."""
        return self._call("POST", "/pool_list", body={"data": data}, idempotency_key=idempotency_key, repeatable=True)

    def delete_many(
        self, body: Ids, *, if_match: str | None = None, idempotency_key: str | None = None
    ) -> Answer[dict[str, Any]]:
        """Delete several, all or none: Pool List. Permission: Edit media servers, pools and storages."""
        return self._call(
            "DELETE", "/pool_list", body=body, if_match=if_match, idempotency_key=idempotency_key, repeatable=True
        )

    def read(self, row_id: int) -> Answer[PoolRow]:
        """Read one: Pool List. Permission: See media servers, pools and storages."""
        return self._call("GET", f"/pool_list/{segment(row_id)}")

    def update(
        self, row_id: int, data: PoolChange, *, if_match: str | None = None, idempotency_key: str | None = None
    ) -> Answer[dict[str, Any]]:
        """Change one: Pool List. Permission: Edit media servers, pools and storages."""
        return self._call(
            "PATCH",
            f"/pool_list/{segment(row_id)}",
            body={"data": data},
            if_match=if_match,
            idempotency_key=idempotency_key,
            repeatable=True,
        )

    def delete(
        self, row_id: int, *, if_match: str | None = None, idempotency_key: str | None = None
    ) -> Answer[dict[str, Any]]:
        """Delete one: Pool List. Permission: Edit media servers, pools and storages."""
        return self._call(
            "DELETE",
            f"/pool_list/{segment(row_id)}",
            if_match=if_match,
            idempotency_key=idempotency_key,
            repeatable=True,
        )

    def cleaning(
        self, row_id: int, *, if_match: str | None = None, idempotency_key: str | None = None
    ) -> Answer[dict[str, Any]]:
        """Free what no copy in the pool needs. Permission: Edit media servers, pools and storages."""
        return self._call(
            "POST",
            f"/pool_list/{segment(row_id)}/cleaning",
            if_match=if_match,
            idempotency_key=idempotency_key,
            repeatable=True,
        )

    def reconciliation(
        self,
        row_id: int,
        *,
        apply: bool | None = None,
        limit: int | None = None,
        after: str | None = None,
        if_match: str | None = None,
        idempotency_key: str | None = None,
    ) -> Answer[Reconciliation]:
        """Make the catalogue agree with what lies in the pool. Permission: Change the global configuration and the service mode."""
        return self._call(
            "POST",
            f"/pool_list/{segment(row_id)}/reconciliation",
            query={"apply": apply, "limit": limit, "after": after},
            if_match=if_match,
            idempotency_key=idempotency_key,
            repeatable=True,
        )

    def available_for_copy_or_move(
        self,
        *,
        page: int | None = None,
        limit: int | None = None,
        sort_by: AvailableForCopyOrMoveColumn | None = None,
        sort_order: Literal["asc", "desc"] | None = None,
        filter_data: str | Sequence[str] | None = None,
        cursor: str | None = None,
        pool: str | None = None,
        record_id: int | None = None,
    ) -> Answer[Page[PoolRow]]:
        """List: Pool List. Permission: See media servers, pools and storages."""
        return self._call(
            "GET",
            "/pool_list/available_for_copy_or_move",
            query={
                "page": page,
                "limit": limit,
                "sort_by": sort_by,
                "sort_order": sort_order,
                "filter_data": filter_data,
                "cursor": cursor,
                "pool": pool,
                "record_id": record_id,
            },
        )
