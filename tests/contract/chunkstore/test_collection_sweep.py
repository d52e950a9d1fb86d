"""A sweep removes what was condemned without asking anybody again: between mark and removal a record may come to need it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rubackup.chunkstore.backends.faults import FaultyBackend
from rubackup.chunkstore.pool import GcSafety, Pool
from rubackup.chunkstore.write import WriteSession
from rubackup.domain.errors import RubackupError
from support.chunkstore import Client, Place, begin, noise, record_id, restore
from support.collecting import AT_ONCE, SECOND_NS, collect, damaged, packs, sweep

A, B = noise(60_000, 1), noise(60_000, 2)
STEPS = 30


@pytest.fixture
def place(quick_folder: Path) -> Iterator[Place]:
    """A pool whose metadata lie in memory, too."""
    found = Place(quick_folder)
    yield found
    found.close()


def at_step(place: Place, step: int, action: Callable[[], object]) -> Callable[[], int]:
    """Do something at a step of what the storage is asked to do from now on; tells how many there were."""
    count, busy = 0, False

    def script(operation: str, _name: str, _done: bool) -> None:
        nonlocal count, busy
        if busy or operation == "publish":  # with the pool's lock, so that no sweep can come there
            return
        count += 1
        if count == step:
            busy = True
            action()
            busy = False

    storage = place.opened[-1]._storages.all[0]
    storage.backend = FaultyBackend(storage.backend, script)
    return lambda: count


def condemned(place: Place) -> tuple[Pool, Callable[[], WriteSession]]:
    """A pool with a record that was dropped; its packs are condemned when the session that is held has ended."""
    pool = place.open()
    Client().backup(begin(pool, 1), {"/a": A})
    Client().backup(begin(pool, 2), {"/b": B})
    return pool, lambda: begin(pool, 3)


def seal(session: WriteSession) -> None:
    """Of a record that names A, whatever was sent."""
    client = Client()
    summary = client.manifest(session, {"/a": A})
    session.seal(summary.files, summary.files_failed, summary.size_bytes)


@pytest.mark.parametrize("step", range(1, STEPS, 3))
def test_what_a_session_was_told_is_there_at_whatever_step_it_is_swept(place: Place, step: int) -> None:
    """It was begun before the mark; the grace has long passed."""
    pool, open_session = condemned(place)
    session, client = open_session(), Client()
    client.send(session, client.chunks(A))
    pool.drop(record_id(1))
    assert collect(pool, safety=GcSafety()).condemned_packs == 1
    place.now_ns += 10_000 * SECOND_NS
    at_step(place, step, lambda: sweep(pool))
    seal(session)

    assert (client.sent, sweep(pool).removed_packs) == (0, 0)
    assert damaged(pool, record_id(3)) == []
    assert restore(place.reopen(), record_id(3)) == {"/a": A}


@pytest.mark.parametrize("step", range(STEPS))
def test_a_record_that_names_what_is_swept_is_refused_or_whole(place: Place, step: int) -> None:
    """A client that asks for nothing names what it owned once; its session is younger than the mark."""
    pool, open_session = condemned(place)
    pool.drop(record_id(1))
    assert collect(pool, safety=GcSafety()).condemned_packs == 1
    place.now_ns += 10_000 * SECOND_NS
    session = open_session()
    swept: list[int] = []
    count = at_step(place, step, lambda: swept.append(sweep(pool).removed_packs))
    try:
        seal(session)
    except RubackupError:
        session.abort()
    assert count() < STEPS
    listed = {record.record for record in pool.records()}
    swept.append(sweep(pool, safety=AT_ONCE).removed_packs)

    assert (record_id(3) in listed) == (sum(swept) == 0)
    assert [damaged(pool, record) for record in listed] == [[]] * len(listed)
    pool = place.reopen()
    assert [damaged(pool, record) for record in listed] == [[]] * len(listed)
    assert restore(pool, record_id(2)) == {"/b": B}
    assert len(packs(place)) == len(listed)


def test_a_record_is_listed_while_its_packs_are_going(place: Place) -> None:
    """Between mark and file there are steps: a seal that comes there is refused, and the removal ends as it began."""
    pool, open_session = condemned(place)
    pool.drop(record_id(1))
    collect(pool, safety=GcSafety())
    place.now_ns += 10_000 * SECOND_NS
    session = open_session()
    found: list[str] = []

    def check() -> None:
        if not found:
            try:
                seal(session)
                found.append("sealed")
            except RubackupError as error:
                found.append(error.message)

    removed = pool.sweep(check)
    assert found[0].startswith("The manifest is refused")
    assert removed.removed_packs == 1
    assert {record.record for record in pool.records()} == {record_id(2)}
    assert place.reopen().problems == []
