"""What the types of pools are made of, which of them this version writes to, and which copies fit into which pool."""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass
from enum import StrEnum

from rubackup.domain.lookups import HashAlgorithm, StorageType

BLOCK_DEVICE = StorageType.BLOCK_DEVICE.label
CLIENT_DEFINED = StorageType.CLIENT_DEFINED.label
CLOUD = StorageType.CLOUD.label
FILE_SYSTEM = StorageType.FILE_SYSTEM.label

SERVED = frozenset({FILE_SYSTEM, BLOCK_DEVICE, CLOUD})
"""Types of pools whose storages a media server has."""
WRITTEN = SERVED | {CLIENT_DEFINED}
"""Types of pools whose data path is there; the others can be described, not used."""
ALIKE = frozenset({FILE_SYSTEM, CLOUD})
"""Types whose copies fit each other: chunks of any length, found by what they hold."""
NOT_WRITTEN = "This version does not write to pools of the type {}."
NOT_RECONCILED = (
    "The pool does not know this catalogue, which was set back or is another one: nothing is deleted or collected in it "
    "until `rubackup repository reconcile --apply` was run."
)
OWNERS_ONLY = "Copies in a pool of the type Client defined lie in a storage of the client that made them: only that client can read them."
UNCOMPRESSED = frozenset({BLOCK_DEVICE, CLIENT_DEFINED})
"""Types of pools without a compression type, says the guide."""


class PoolProblem(StrEnum):
    """What kind of problem a pool has, for programs; the sentence beside it is for people."""

    UNREPORTED = "unreported"
    """Its media server has not spoken of it yet."""
    OPENING = "opening"
    """It is being opened: its index is made anew, or its object storage has not answered yet."""
    NO_STORAGE = "no storage"
    UNUSABLE = "unusable"
    """Its media server has tried to open it, and says why it could not."""
    FULL = "full"
    """It can be read."""
    STORAGE = "storage"
    """It is open, and none of its storages takes data now."""
    NOT_WRITTEN = "not written"
    """This version does not write to pools of its type."""
    OTHER = "other"
    """What the sentence says."""


class HeldKind(StrEnum):
    """Where a pool lies that the catalogue does not know."""

    FOLDER = "folder"
    DEVICE = "device"
    BUCKET = "bucket"
    EMERGENCY = "emergency"
    CLIENT = "client"
    """With a client, in a pool of the type Client defined: a pool of files keeps its lists of files."""


PASSING = frozenset({PoolProblem.UNREPORTED, PoolProblem.OPENING})
"""Who waits is right to."""
STANDING = frozenset({PoolProblem.NO_STORAGE, PoolProblem.UNUSABLE, PoolProblem.NOT_WRITTEN})
"""Somebody has to do something first."""
OPENING = "The pool waits for its object storage to answer."
UNUSABLE = " cannot be used: "
"""In the problem of a pool that its media server has tried to open, between the pool's name and the reason."""

_CLEARED = re.compile(r"/(?:dev/shm|run|tmp|var/(?:lock|run|tmp))(?=/|\Z)")
CLEARED = (
    "Hosts empty {} when they boot, or clear it of old files: packs that lie there are lost with it. Name a folder of a disk "
    "that stays: emergency_storage_local_catalog."
)

HASH_LENGTHS: dict[str, tuple[int, ...]] = {
    HashAlgorithm.SHA1.label: (160,),
    HashAlgorithm.SHA2.label: (256, 512),
    HashAlgorithm.SKEIN.label: (256, 512),
    HashAlgorithm.BLAKE2B.label: (256, 512),
    HashAlgorithm.STREEBOG.label: (256, 512),
}
"""Lengths in bits of each algorithm, the default first."""
BLOCK_SIZES = tuple(1 << power for power in range(14, 21))
"""Sizes of blocks in bytes: powers of two from 16 KiB to 1 MiB, so that blocks stay aligned to any disk's sectors."""


def problem_of(code: str, problem: str) -> str:
    """The code of a problem that a host tells, '' when there is none.

    Of a host that is older and tells none it is the one of the sentence; one that is newer may tell a code that is unknown here.
    """
    if not problem:
        return ""
    if code in set(PoolProblem):
        return code
    if not code and problem == OPENING:
        return PoolProblem.OPENING
    return PoolProblem.UNUSABLE if not code and UNUSABLE in problem else PoolProblem.OTHER


@dataclass(frozen=True)
class PoolFacts:
    """What decides whether a copy fits into a pool."""

    id: int
    pool_type: str
    storages: int = 0
    algorithm: str | None = None
    hash_length: int | None = None
    block_size: int | None = None


def cleared(path: str) -> str:
    """That hosts clear the place by themselves, as a sentence; '' when it lasts, as far as its name tells."""
    found = _CLEARED.match(path)
    return CLEARED.format(found.group()) if found else ""


def not_written(pool_type: str) -> str:
    """Why nothing can be stored in pools of this type, as a sentence; '' when it can."""
    return "" if pool_type in WRITTEN else NOT_WRITTEN.format(pool_type)


def client_pool_uuid(pool: str, hwid: str) -> str:
    """Uuid of a client's part of a Client defined pool (its uuid in hex): no two clients ever share one."""
    return uuid.uuid5(uuid.UUID(pool), hwid).hex


def kept_folder(pool: str, hwid: str) -> str:
    """What a client's part of a Client defined pool is called where its packs lie, and where its manifests are kept."""
    return f"{uuid.UUID(pool).hex}-{hwid}"


def takes(target: PoolFacts) -> str:
    """Why the pool takes no copies of other pools now, as a sentence; '' when it does."""
    if target.pool_type == CLIENT_DEFINED:
        return "Only backups of a client go into a pool of the type Client defined: the client itself writes them."
    if problem := not_written(target.pool_type):
        return problem
    return "" if target.storages else "The pool has no storage yet."


def fits(source: PoolFacts, target: PoolFacts) -> str:
    """Why a copy of the source pool cannot be copied or moved into the target, as a sentence; '' when it can.

    Chunks of File system and Cloud pools are the same. Blocks are stored as they are, so pools of the type Block device
    fit when they cut and name blocks alike.
    """
    if source.id == target.id:
        return "The copy is in this pool already."
    if source.pool_type == CLIENT_DEFINED:
        return OWNERS_ONLY
    if target.pool_type == CLIENT_DEFINED:
        return takes(target)
    if source.pool_type != target.pool_type and not {source.pool_type, target.pool_type} <= ALIKE:
        return f"A copy in a pool of the type {source.pool_type} cannot go into one of the type {target.pool_type}."
    if _blocks(source) != _blocks(target):
        return "The pools differ in block_size, algorithm or hash_length."
    return takes(target)


def _blocks(pool: PoolFacts) -> tuple[str | None, int | None, int | None]:
    return pool.algorithm, pool.hash_length, pool.block_size
