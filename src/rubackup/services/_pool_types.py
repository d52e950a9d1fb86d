"""What a new pool has by its type. Parameters that do not fit the type are ignored, right or wrong, as the guide says."""

from __future__ import annotations

from typing import Any

import msgspec

from rubackup.catalog.database import Connection
from rubackup.domain.lookups import CompressionType, HashAlgorithm
from rubackup.domain.pools import BLOCK_DEVICE, BLOCK_SIZES, FILE_SYSTEM, HASH_LENGTHS, UNCOMPRESSED
from rubackup.services.fields import Problems, Row
from rubackup.services.scopes import Limit

DEFAULT_ALGORITHM = HashAlgorithm.SHA2.label
DEFAULT_BLOCK_SIZE = 128 * 1024


class Blocks(msgspec.Struct, frozen=True, kw_only=True):
    """How a pool of the type Block device cuts and names blocks, and where it keeps metadata; nothing for other types."""

    algorithm: str | None = None
    hash_length: int | None = None
    block_size: int | None = None
    meta_data_pool_id: int | None = None


class WantedBlocks(msgspec.Struct, frozen=True, kw_only=True):
    """The same as a request has it, not checked."""

    algorithm: Any
    hash_length: Any
    block_size: Any
    meta_data_pool: Any


def compression(problems: Problems, pool_type: str, wanted: Any) -> str:
    """The compression type of a pool; `None` for types that have none."""
    if pool_type in UNCOMPRESSED:
        return CompressionType.NONE.label
    if not isinstance(wanted, str):
        wanted = ""
    return problems.label(CompressionType, wanted, "data.compression_type")


async def blocks(
    db: Connection, problems: Problems, pool_type: str, wanted: WantedBlocks, media: Row, limit: Limit
) -> Blocks:
    """What the type asks for; errors are noted. `media` is the pool's media server, None when that is unknown."""
    if pool_type != BLOCK_DEVICE:
        return Blocks()
    algorithm = _algorithm(problems, wanted.algorithm)
    pool_id = await _meta_data_pool(db, problems, wanted.meta_data_pool, media, limit)
    return Blocks(
        algorithm=algorithm,
        hash_length=_hash_length(problems, algorithm, wanted.hash_length),
        block_size=_block_size(problems, wanted.block_size),
        meta_data_pool_id=pool_id,
    )


def _algorithm(problems: Problems, wanted: Any) -> str:
    if wanted is None:
        return DEFAULT_ALGORITHM
    return problems.label(HashAlgorithm, wanted if isinstance(wanted, str) else "", "data.algorithm")


def _hash_length(problems: Problems, algorithm: str, wanted: Any) -> int | None:
    allowed = HASH_LENGTHS.get(algorithm, ())
    if wanted is None:
        return allowed[0] if allowed else None
    if isinstance(wanted, int) and wanted in allowed:
        return wanted
    if allowed:
        problems.add("data.hash_length", f"must be {_any_of(allowed)} bit for {algorithm}.")
    return None


def _block_size(problems: Problems, wanted: Any) -> int:
    if wanted is None:
        return DEFAULT_BLOCK_SIZE
    if isinstance(wanted, bool) or not isinstance(wanted, int) or wanted not in BLOCK_SIZES:
        problems.add("data.block_size", f"must be {_any_of(BLOCK_SIZES)} bytes.")
        return DEFAULT_BLOCK_SIZE
    return wanted


async def _meta_data_pool(db: Connection, problems: Problems, wanted: Any, media: Row, limit: Limit) -> int | None:
    field = "data.meta_data_pool"
    if wanted is None or wanted == "":
        problems.add(field, "is required for the type Block device: a pool of the type File system.")
        return None
    if (
        isinstance(wanted, bool)
        or not isinstance(wanted, int | str)
        or (isinstance(wanted, int) and not _is_id(wanted))
    ):
        problems.add(field, "must be the name or id of a pool.")
        return None
    found = await problems.pool(db, wanted, field, limit)
    return same_server_files(problems, found, media and media["id"], field)


def same_server_files(problems: Problems, found: Row, media_id: int | None, field: str) -> int | None:
    """The id of a pool for metadata, which must be of the type File system and on this media server."""
    if not found:
        return None
    if found["pool_type"] != FILE_SYSTEM:
        problems.add(field, f"must be a pool of the type {FILE_SYSTEM}.")
    elif media_id is not None and found["media_server_id"] != media_id:
        problems.add(field, "must be a pool of the same media server.")
    pool_id: int = found["id"]
    return pool_id


def _is_id(number: int) -> bool:
    return 0 < number < 2**63


def _any_of(numbers: tuple[int, ...]) -> str:
    *most, last = map(str, numbers)
    return f"{', '.join(most)} or {last}" if most else last
