"""Whether a sealed record is whole, as far as the index and the packs' lengths tell, at the price of its packs.

A backup takes parts of its parent over without looking their chunks up: that is right as long as nothing of the parent
was lost. Each record's packs stand in the index. When one of them is not as it was, every chunk is looked up.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

from rubackup.chunkstore._packset import PackSet
from rubackup.chunkstore._presence import Presence, file_size
from rubackup.chunkstore.identity import HOLE
from rubackup.chunkstore.index import Index
from rubackup.chunkstore.manifest import ManifestReader
from rubackup.chunkstore.manifest.format import SEGMENT_ROWS
from rubackup.chunkstore.seals import SealedRecord
from rubackup.chunkstore.storage import Storages
from rubackup.domain.errors import Corrupt

log = logging.getLogger(__name__)


def whole_packs(
    index: Index, storages: Callable[[], Storages], sealed: SealedRecord, reader: Callable[[], ManifestReader]
) -> PackSet | None:
    """The packs that hold the chunks of a sealed record; None when one of these is lost.

    `reader` gives its manifest, which is read only where the packs that the index names are not as they were.
    """
    known = _known(index, sealed.record)
    if known is not None and all(_is_whole(index, storages(), number) for number in known):
        return known
    found = _look_up(index, storages, reader(), index.space(sealed.owner, sealed.key_id))
    if found is not None:
        index.put_record_packs(sealed.record, found)
    return found


def _known(index: Index, record: str) -> PackSet | None:
    value = index.record_packs(record)
    try:
        return PackSet.decode(value) if value is not None else None
    except Corrupt as error:
        log.warning("record %s: %s They are looked up.", record, error.message)
        return None


def _is_whole(index: Index, storages: Storages, number: int) -> bool:
    row = index.whole_pack(number)
    storage = storages.get(row.storage) if row else None
    return row is not None and storage is not None and file_size(storage.backend, row) >= row.indexed_bytes


def _look_up(index: Index, storages: Callable[[], Storages], reader: ManifestReader, space: bytes) -> PackSet | None:
    presence = Presence(index, storages)
    packs = PackSet()
    for first in range(0, reader.row_count, SEGMENT_ROWS):
        names = {name for name, _ in reader.rows(first, min(SEGMENT_ROWS, reader.row_count - first))}
        names.discard(HOLE)
        found = index.lookup(names, space, condemned=True)
        if len(found) < len(names) or not all(map(presence.holds, found.values())):
            return None
        packs.update(packs_in(found.values()))
    return packs


def packs_in(places: Iterable[bytes]) -> set[int]:
    """The packs that encoded places are in."""
    return {int.from_bytes(number, "little") for number in {value[:4] for value in places}}
