"""How a pool and its folders are, for those who show it."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from rubackup.chunkstore.storage import Storage, Storages
from rubackup.domain.errors import RubackupError, StorageFull


class Usage(msgspec.Struct, frozen=True):
    """How a pool is; `problem` is '' when it can be used."""

    problem: str
    free_bytes: int
    used_bytes: int
    total_bytes: int
    chunks: int
    records: int
    full: bool = False
    """Whether the problem is that there is no room."""


class Fill(msgspec.Struct, frozen=True):
    """How full one folder of a pool is; `problem` is '' when it can be used."""

    path: str
    problem: str
    free_bytes: int
    used_bytes: int
    total_bytes: int
    emergency: bool = False
    """Whether it is the emergency storage."""


class Spared(msgspec.Struct, frozen=True):
    """What of a record lies in the emergency storage: its path, '' when nothing does."""

    path: str = ""
    size_bytes: int = 0
    """Size of the packs there that the record needs."""
    reason: str = ""
    """Why the pool's own storages did not take them, as they are now."""


NOT_SPARED = Spared()


def reason_of(fills: Iterable[Fill], reserve_bytes: int) -> str:
    """Why a pool's own storages take nothing: what each says, or its room."""
    told = [
        one.problem.rstrip(".") or f"{one.path} has {one.free_bytes} bytes free" for one in fills if not one.emergency
    ]
    return f"{'; '.join(told)}; {reserve_bytes} bytes are kept in reserve." if told else ""


def fill_of(storage: Storage) -> Fill:
    """How full a folder is."""
    label = storage.backend.label
    try:
        storage.check_bound()
        space = storage.backend.space()
    except RubackupError as error:
        return Fill(label, error.message, 0, storage.used_bytes, 0, storage.emergency)
    return Fill(label, storage.fault, space.free_bytes, storage.used_bytes, space.total_bytes, storage.emergency)


def usage_of(storages: Storages, chunks: int, records: int) -> Usage:
    """Room and contents of a pool that is open."""
    try:
        space = storages.space()
        storages.room_for(0, emergency=False)
        problem, full = "", False
    except RubackupError as error:
        problem, space, full = error.message, None, isinstance(error, StorageFull)
    used = sum(one.used_bytes for one in storages.all)
    free, total = (space.free_bytes, space.total_bytes) if space else (0, 0)
    return Usage(problem, free, used, total, chunks, records, full)
