"""Cuts the power at points of a recorded job, and looks at what is left: the store opens, what the catalogue calls done
restores byte for byte, what it calls dropped stays away, the next backup and two collections succeed, and cost nothing.
"""

from __future__ import annotations

import random
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from blake3 import blake3

from powercut import disk as disks
from powercut.disk import Disk, Image, Keep
from powercut.job import BEGIN_NS, HOUR_NS, Catalogue, client, collect, open_pool, small_packs, tree
from powercut.log import Event, Kind
from rubackup.chunkstore.pool import Pool
from support.chunkstore import begin, record_id, restore

SUBSETS: Final = 8
VARIANTS: Final = ("nothing", "everything", *(f"some{number}" for number in range(SUBSETS)), "torn")
FRESH: Final = 100_000
"""Number of the first record that is made after a cut."""
AFTER_NS: Final = BEGIN_NS + 100_000 * HOUR_NS


@dataclass
class Outcome:
    """What became of the states that were tried."""

    states: dict[str, int] = field(default_factory=lambda: dict.fromkeys(VARIANTS, 0))
    failures: list[tuple[int, str, str]] = field(default_factory=list)
    """Cut point, variant, what was wrong."""
    different: int = 0
    """How many of the states were not the same as an earlier one."""


def keep_of(disk: Disk, variant: str, seed: int, cut: int) -> Keep | None:
    """What this variant leaves of the disk; None when it means nothing at this point."""
    if variant == "nothing":
        return disks.nothing
    if variant == "everything":
        return disks.everything
    if variant == "torn":
        return disks.torn(disk, f"{seed}/{cut}")
    return disks.Some(f"{seed}/{cut}/{variant}")


def points(events: list[Event], seed: int, count: int | None) -> list[int]:
    """Numbers of the events behind which the power is cut: all, or so many by chance. 0 is before the first."""
    first = next(i for i, event in enumerate(events) if event.kind is Kind.MARK) + 1
    every = range(first, len(events) + 1)
    return list(every) if count is None or count >= len(every) else sorted(random.Random(seed).sample(every, count))


def replay(events: list[Event], cuts: list[int]) -> Iterator[tuple[int, Disk, Catalogue]]:
    """Disk and catalogue at each of these points; what was there before the mark `begin` is durable."""
    disk, catalogue = Disk(), Catalogue()
    wanted = set(cuts)
    for number, event in enumerate(events, 1):
        disk.apply(event)
        if event.kind is Kind.MARK:
            catalogue.take(event.path)
            if event.path == "begin":
                disk.sync()
        if number in wanted:
            yield number, disk, catalogue


def explore(
    events: list[Event],
    seed: int,
    cuts: list[int],
    variants: tuple[str, ...] = VARIANTS,
    *,
    scratch: Path,
    share: tuple[int, int] = (0, 1),
    states: int | None = None,
    first_failure: bool = False,
    announce=lambda cut, variant: None,
) -> Outcome:
    """Try every variant at every cut point, or so many `states` by chance; `share` (n, of) leaves the rest to others.

    With `first_failure` it ends there.

    A state that is byte for byte one that was tried before, under the same catalogue, is counted and not tried again.
    """
    outcome = Outcome()
    known: dict[tuple[bytes, str], str] = {}
    wanted = [(cut, variant) for cut in cuts for variant in variants]
    if states is not None and states < len(wanted):
        wanted = random.Random(seed).sample(wanted, states)
    mine: dict[int, list[str]] = {}
    for number, (cut, variant) in enumerate(sorted(wanted, key=lambda one: (one[0], variants.index(one[1])))):
        if number % share[1] == share[0]:
            mine.setdefault(cut, []).append(variant)
    for cut, disk, catalogue in replay(events, list(mine)):
        for variant in mine[cut]:
            keep = keep_of(disk, variant, seed, cut)
            if keep is not None:
                announce(cut, variant)
                outcome.states[variant] += 1
                image = disk.image(keep)
                key = (_digest(image), repr(catalogue))
                if key not in known:
                    known[key] = try_state(image, catalogue, seed, scratch)
                if wrong := known[key]:
                    outcome.failures.append((cut, variant, wrong))
                if outcome.failures and first_failure:
                    return outcome
    outcome.different = len(known)
    return outcome


def _digest(image: Image) -> bytes:
    total = blake3()
    for name, content in sorted(image.items()):
        total.update(f"{name} {type(content).__name__} {len(content or '')}\n".encode())
        total.update(content.encode() if isinstance(content, str) else content or b"")
    return total.digest()


def try_state(image: Image, catalogue: Catalogue, seed: int, scratch: Path) -> str:
    """What is wrong with one state; '' when nothing is."""
    folder = Path(tempfile.mkdtemp(dir=scratch))
    try:
        disks.write(image, folder)
        with small_packs():
            check(folder, catalogue, seed)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    finally:
        shutil.rmtree(folder)
    return ""


def check(folder: Path, catalogue: Catalogue, seed: int) -> None:
    """AssertionError, or what the store raises, when a promise is broken."""
    now_ns = AFTER_NS
    pool = open_pool(folder, lambda: now_ns)
    try:
        _promises(pool, catalogue, seed)
        _go_on(pool, catalogue, seed)
        for _ in range(2):  # the second one is after the grace
            collect(pool)
            now_ns += 48 * HOUR_NS
        _promises(pool, catalogue, seed)
    finally:
        pool.close()
    pool = open_pool(folder, lambda: now_ns)
    try:
        assert not pool.problems, f"the second opening found {pool.problems}"
        _whole(pool, FRESH, seed)
        _promises(pool, catalogue, seed)
    finally:
        pool.close()


def _promises(pool: Pool, catalogue: Catalogue, seed: int) -> None:
    listed = {record.record for record in pool.records()}
    missing = {record_id(number) for number in catalogue.done} - listed
    assert not missing, f"records that are done are not listed: {sorted(missing)}"
    back = {record_id(number) for number in catalogue.dropped} & listed
    assert not back, f"records that were dropped are listed: {sorted(back)}"
    for record in listed:
        _whole(pool, int(record, 16), seed)


def _whole(pool: Pool, number: int, seed: int) -> None:
    found = pool.verify(record_id(number), lambda *_: None, lambda: None)
    assert not found.damaged, f"record {number} is listed and has damaged files: {found.damaged}"
    assert restore(pool, record_id(number)) == tree(seed, number), f"record {number} restores to something else"


def _go_on(pool: Pool, catalogue: Catalogue, seed: int) -> None:
    parent = record_id(max(catalogue.done)) if catalogue.done else None
    client().backup(begin(pool, FRESH, parent=parent), tree(seed, FRESH))
    _whole(pool, FRESH, seed)
