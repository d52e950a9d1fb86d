"""Which copies fit into which pools."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rubackup.domain.lookups import HashAlgorithm, StorageType
from rubackup.domain.pools import BLOCK_SIZES, HASH_LENGTHS, WRITTEN, PoolFacts, fits, not_written, takes

FILES = PoolFacts(id=1, pool_type="File system", storages=1)
BLOCKS = PoolFacts(
    id=2, pool_type="Block device", storages=1, algorithm="sha2", hash_length=256, block_size=131072
)  # fmt: skip


def test_a_copy_fits_into_another_pool_of_files_with_a_storage() -> None:
    """Nothing else is asked of pools of the type File system."""
    assert fits(FILES, replace(FILES, id=3)) == ""
    assert "no storage" in fits(FILES, replace(FILES, id=3, storages=0))


def test_a_copy_does_not_fit_into_its_own_pool() -> None:
    """Copying it there would make nothing."""
    assert "already" in fits(FILES, FILES)


@pytest.mark.parametrize("kind", sorted(set(StorageType.labels()) - WRITTEN))
def test_types_that_are_not_written_take_no_copy(kind: str) -> None:
    """Neither copies of their own type nor of others; the reason names the type."""
    target = PoolFacts(id=9, pool_type=kind, storages=1)

    assert kind in takes(target)
    assert kind in fits(FILES, target)
    assert kind in fits(replace(target, id=8), target) == not_written(kind)


def test_every_pair_of_types_fits_or_says_why_not() -> None:
    """Files and buckets in both directions; blocks only alike ones; all others with a sentence that names both types."""
    sources = {kind: PoolFacts(id=1, pool_type=kind, storages=1) for kind in StorageType.labels()}
    targets = {kind: replace(one, id=2) for kind, one in sources.items()}
    pairs = {(one, two): fits(sources[one], targets[two]) for one in sources for two in targets}

    both = {"File system", "Cloud"}
    good = {(one, two) for one in both for two in both} | {("Block device", "Block device")}
    assert {pair for pair, reason in pairs.items() if not reason} == good
    own = {pair for pair in pairs if "Client defined" in pair}
    assert all("Client defined" in pairs[pair] for pair in own if pair[0] != pair[1])
    assert "only that client can read them" in pairs["Client defined", "File system"]
    assert all(
        one in pairs[one, two] and two in pairs[one, two]
        for one, two in pairs
        if one != two and (one, two) not in good | own
    )


@pytest.mark.parametrize("changed", [{"algorithm": "skein"}, {"hash_length": 512}, {"block_size": 16384}])
def test_pools_of_blocks_must_cut_and_name_blocks_alike(changed: dict[str, object]) -> None:
    """Another algorithm, length or size is the reason before anything else."""
    assert "differ" in fits(BLOCKS, replace(BLOCKS, id=3, **changed))  # type: ignore[arg-type]
    assert "differ" not in fits(BLOCKS, replace(BLOCKS, id=3))


def test_the_hash_lengths_are_the_products() -> None:
    """sha1 has 160 bit, every other algorithm 256 or 512."""
    assert set(HASH_LENGTHS) == set(HashAlgorithm.labels())
    assert HASH_LENGTHS["sha1"] == (160,)
    assert {HASH_LENGTHS[name] for name in HASH_LENGTHS if name != "sha1"} == {(256, 512)}


def test_block_sizes_reach_from_16_kib_to_1_mib() -> None:
    """As the guide's 131072 bytes, each is a power of two."""
    assert (BLOCK_SIZES[0], BLOCK_SIZES[-1]) == (16384, 1048576)
    assert 131072 in BLOCK_SIZES
