"""Chunks are fetched in few requests, and a group that several batches need comes once."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

import pytest

from rubackup.chunkstore.group import HEAD_BYTES, decode, encode
from rubackup.chunkstore.identity import HOLE, chunk_id
from rubackup.client.modules.filesystem.fetch import Fetcher, GroupCache
from rubackup.domain.errors import Corrupt

Row = tuple[bytes, int]


class Channel:
    """Rows and the groups that hold their chunks; notes what it was asked."""

    manifest_bytes = 0

    def __init__(self, rows: Sequence[Row], groups: Sequence[bytes], problem: str = "") -> None:
        self.rows = rows
        self.stored = groups
        self.problem = problem
        self.asked: list[list[tuple[int, int]]] = []

    def read_manifest(self, _offset: int, _length: int) -> bytes:
        return b""

    def groups(self, runs: Sequence[tuple[int, int]]) -> Iterator[bytes]:
        self.asked.append(list(runs))
        names = {self.rows[at][0] for first, count in runs for at in range(first, first + count)}
        yield from (data for data in self.stored if names & set(decode(data).ids))
        if self.problem:
            raise Corrupt(self.problem)


def chunks(count: int, size: int) -> list[bytes]:
    return [os.urandom(size) for _ in range(count)]


def row(chunk: bytes) -> Row:
    return chunk_id(chunk), len(chunk)


def group(*some: bytes) -> bytes:
    return encode([(chunk_id(chunk), chunk) for chunk in some], None)


def test_one_request_names_each_missing_chunk_once() -> None:
    """Neighbouring rows are one run; holes and chunks that were named before are left out."""
    a, b, c = chunks(3, 100)
    rows = [row(a), row(b), (HOLE, 50), row(a), row(c)]
    channel = Channel(rows, [group(a, b, c)])

    found, problem = Fetcher(channel).fetch([(0, rows)])

    assert channel.asked == [[(0, 2), (4, 1)]]
    assert ({name: bytes(chunk) for name, chunk in found.items()}, problem) == (
        {chunk_id(chunk): chunk for chunk in (a, b, c)},
        "",
    )


def test_a_group_that_the_next_batch_needs_too_comes_once() -> None:
    """What came for one batch is there for the next; only the rest is asked for."""
    a, b, c = chunks(3, 100)
    rows = [row(a), row(b), row(c)]
    channel = Channel(rows, [group(a, b), group(c)])
    fetcher = Fetcher(channel)
    fetcher.fetch([(0, rows[:1])])

    found, _ = fetcher.fetch([(1, rows[1:])])

    assert channel.asked == [[(0, 1)], [(2, 1)]]
    assert set(found) == {chunk_id(b), chunk_id(c)}


def test_the_cache_keeps_what_was_used_last_within_its_limit() -> None:
    """The group that was not used for longest goes first; one that is too large is not kept at all."""
    a, b, c, large = *chunks(3, 400), os.urandom(2000)
    cache = GroupCache(1000)
    cache.put(decode(group(a)))
    cache.put(decode(group(b)))
    assert cache.get(chunk_id(a)) == a

    cache.put(decode(group(c)))

    assert cache.get(chunk_id(b)) is None
    assert (cache.get(chunk_id(a)), cache.get(chunk_id(c)), cache.size_bytes) == (a, c, 800)
    cache.put(decode(group(large)))
    assert (cache.get(chunk_id(large)), cache.size_bytes <= 1000) == (None, True)


def test_a_chunk_of_two_groups_outlives_the_older_one() -> None:
    """A chunk that was stored twice is found as long as one of its groups is kept."""
    a, b = chunks(2, 400)
    cache = GroupCache(1300)
    cache.put(decode(group(a)))
    cache.put(decode(group(a, b)))
    cache.shrink(900)

    assert cache.get(chunk_id(a)) == a
    assert cache.size_bytes == 800


def test_a_small_part_of_a_group_does_not_hold_the_whole_in_memory() -> None:
    """A view of a chunk keeps its group; where little of the group is wanted it is copied."""
    a, *others = chunks(10, 1000)
    rows = [row(a)]
    found, _ = Fetcher(Channel(rows, [group(a, *others)]), cache_bytes=0).fetch([(0, rows)])

    assert found[chunk_id(a)].obj == a


def test_a_chunk_of_another_length_than_its_row_is_not_taken() -> None:
    """Whoever sends a larger chunk under a wanted id does not make the client hold it."""
    a = os.urandom(1000)
    rows = [(chunk_id(a), 10)]
    fetcher = Fetcher(Channel(rows, [group(a)]))

    assert fetcher.fetch([(0, rows)]) == ({}, "")
    assert fetcher.cache.size_bytes == 0


def test_damage_costs_the_damaged_group_only() -> None:
    """What came is there beside the reason why the rest is not; a group that cannot be decoded is such a reason."""
    a, b = chunks(2, 100)
    rows = [row(a), row(b)]
    found, problem = Fetcher(Channel(rows, [group(a)], "Pack 7 is damaged.")).fetch([(0, rows)])
    assert (set(found), problem) == ({chunk_id(a)}, "Pack 7 is damaged.")

    channel = Channel(rows, [group(a), group(b)])
    spoiled = bytearray(channel.stored[0])
    spoiled[HEAD_BYTES] ^= 1  # the first row
    channel.groups = lambda runs: iter([bytes(spoiled), channel.stored[1]])  # type: ignore[method-assign]
    found, problem = Fetcher(channel).fetch([(0, rows)])

    assert (set(found), problem) == ({chunk_id(b)}, "A group's header does not match its sum.")


def test_a_fetch_ends_between_two_groups() -> None:
    """What `check` raises ends the fetch, and the turn is given back."""
    a, b = chunks(2, 100)
    rows = [row(a), row(b)]
    fetcher = Fetcher(Channel(rows, [group(a), group(b)]))

    def stop() -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        fetcher.fetch([(0, rows)], check=stop)
    assert set(fetcher.fetch([(0, rows)])[0]) == {chunk_id(a), chunk_id(b)}
