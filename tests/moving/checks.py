"""What must be true of the pools of one process, whatever happened to it before."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import PurePosixPath

from blake3 import blake3

from moving.catalogue import Catalogue
from moving.contents import ENCRYPTED, HELD, content
from moving.counting import SUM_BYTES
from moving.places import KINDS, Places
from rubackup.chunkstore import pack
from rubackup.chunkstore.backends.block.layout import BLOCK
from rubackup.chunkstore.gc.safety import GcSafety
from rubackup.chunkstore.manifest import ManifestReader
from rubackup.chunkstore.pool import Pool
from support.chunkstore import restore

ALL_AT_ONCE = GcSafety(grace_seconds=0, compact_share=0.0)
"""No grace, and whatever is not needed goes."""


def nothing_is_damaged(number: int, pool: Pool) -> None:
    """No group was found damaged: here nothing ever is."""
    marked = [row for row in pool._index.packs() if row.number in pool._index.scarred()]
    assert not marked, f"pool {KINDS[number]} takes something of {marked} for damaged"


def exactly_what_is_listed(places: Places, catalogue: Catalogue) -> None:
    """Each pool has the copies that the catalogue lists in it, and no other; each content is somewhere."""
    for number, pool in places.pools.items():
        nothing_is_damaged(number, pool)
        wanted = {record for record, row in catalogue.listed.items() if row.pool == number}
        found = {one.record for one in pool.records()}
        assert found == wanted, (
            f"pool {KINDS[number]} has {sorted(found - wanted)[:3]} that nobody listed there, and lacks "
            f"{sorted(wanted - found)[:3]}"
        )
    lost = set(range(catalogue.counts["make"])) - {row.content for row in catalogue.listed.values()}
    assert not lost, f"contents {sorted(lost)[:5]} are listed nowhere"


def restores(places: Places, catalogue: Catalogue, records: Iterable[str], seed: int, ciphertext: set[bytes]) -> int:
    """These copies restore byte for byte from the pools in which they are listed; what is encrypted is as its client made it."""
    done = 0
    for record in records:
        row = catalogue.listed[record]
        pool, wanted = places.pools[row.pool], content(seed, row.content)
        found = restore(pool, record, HELD)
        assert found == wanted.tree, f"{record} of content {row.content} does not restore from {KINDS[row.pool]}"
        sealed = pool.sealed(record)
        assert (sealed.owner, sealed.files) == (wanted.owner, len(wanted.tree))
        if wanted.owner == ENCRYPTED:
            session = pool.read(record)
            reader = ManifestReader(session.read_manifest, session.manifest_bytes)
            for data in session.groups([(0, reader.row_count)]):
                assert blake3(data).digest(SUM_BYTES) in ciphertext, f"{record} has ciphertext that no client made"
        done += 1
    return done


def collected(pool: Pool) -> None:
    """Everything that nobody needs is gone."""
    for _ in range(2):
        result = pool.collect(lambda *_: None, lambda: None, unfinished=(), safety=ALL_AT_ONCE)
        assert not result.damaged
        assert not result.problems, f"a collection met {result.problems}"
    pool.tidy(lambda: None)


def no_orphans(number: int, pool: Pool, catalogue: Catalogue, seed: int) -> Counter[str]:
    """After a collection: no file, group or block that no copy of the pool needs."""
    counts: Counter[str] = Counter()
    rows = [(record, row) for record, row in catalogue.listed.items() if row.pool == number]
    live = {name for row in {row.content: row for _, row in rows}.values() for name in content(seed, row.content).ids}
    places: Counter[bytes] = Counter()
    manifests, tombstones = set(), set()
    for storage in pool._storages.all:
        backend = storage.backend
        for item in backend.list("packs"):
            assert item.name.endswith(".pack"), f"{backend.label}/{item.name} was left behind"
            heads = list(pack.read_heads(backend, item.name, pack.read_extents(backend, item.name)))
            assert heads, f"{backend.label}/{item.name} holds nothing"
            for extent, head in heads:
                assert live.intersection(head.ids), (
                    f"group {extent.offset} of {backend.label}/{item.name} is needed by no copy"
                )
                places.update(set(head.ids) & live)
                counts["groups"] += 1
            counts["packs"] += 1
        for item in backend.list("manifests"):
            path = PurePosixPath(item.name)
            assert path.suffix in {".manifest", ".tombstone"}, f"{backend.label}/{item.name} was left behind"
            (manifests if path.suffix == ".manifest" else tombstones).add(path.stem)
        _no_blocks_are_lost(backend)
    assert manifests == {record for record, _ in rows}
    assert not tombstones - catalogue.gone, "something was deleted that the catalogue keeps"
    assert set(places) == live
    counts["chunks"] += len(live)
    counts["chunks stored twice"] += sum(count > 1 for count in places.values())
    return counts


def _no_blocks_are_lost(backend: object) -> None:
    """What is neither free nor a file's on a device; parts of uploads that nobody ended in a bucket."""
    inner = backend.inner  # type: ignore[attr-defined]
    if hasattr(inner, "_directory"):
        used = sum(-(-size // BLOCK) for _, size in inner._directory.sizes()) * BLOCK
        space = inner.space()
        assert space.free_bytes == space.total_bytes - used, (
            f"{space.total_bytes - used - space.free_bytes} bytes of {inner.label} are no file's and not free"
        )
    elif hasattr(inner, "_client"):
        assert not [left for folder in ("packs", "manifests") for left in inner._client.unfinished(folder)]


def nothing_is_left(pool: Pool, catalogue: Catalogue, number: int) -> None:
    """When every copy is deleted, and what was theirs collected, there is not one pack."""
    for record in [record for record, row in catalogue.listed.items() if row.pool == number]:
        catalogue.commit("bury", record)
        pool.drop(record)
        catalogue.commit("dropped", record)
    collected(pool)
    left = [item.name for storage in pool._storages.all for item in storage.backend.list("packs")]
    assert not left, f"{len(left)} packs stay in pool {KINDS[number]} that has no copy"
    for storage in pool._storages.all:
        _no_blocks_are_lost(storage.backend)
