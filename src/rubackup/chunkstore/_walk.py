"""Walking over the records of a pool's index in the order of their ids, few in memory at a time: there may be millions."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from rubackup.chunkstore._lmdb import Environment
from rubackup.chunkstore.index_rows import RecordRow

if TYPE_CHECKING:
    from rubackup.chunkstore.index import Index

_TOGETHER: Final = 1000


def behind(env: Environment, database: Any, after: str, limit: int) -> list[tuple[bytes, bytes]]:
    """Keys and values of at most so many records with greater ids than `after`, '' is before the first."""
    key = bytes.fromhex(after)
    with env.read() as txn:
        cursor = txn.cursor(database)
        found = cursor.set_range(key) if key else cursor.first()
        if found and key and cursor.key() == key:
            found = cursor.next()
        return list(islice(cursor.iternext(), limit)) if found else []


def each_record(index: Index) -> Iterator[RecordRow]:
    """Every sealed record; rows may be changed meanwhile, and those that come or go may be left out."""
    after = ""
    while rows := index.records_behind(after, _TOGETHER):
        yield from rows
        after = rows[-1].sealed.record
