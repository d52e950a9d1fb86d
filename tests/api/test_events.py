"""The event stream: who sees what, resuming, and how a stream ends."""

from __future__ import annotations

import asyncio
import datetime as dt
import itertools
import random
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from rubackup.api import hub, streams
from rubackup.catalog.database import Database
from rubackup.domain.permissions import Role
from rubackup.resources import RESOURCES
from rubackup.services import housekeeping
from support.api import Api
from support.fixtures import Stock
from support.streams import Sent, Stream, opened, parse


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Polls, checks and heartbeats as often as a test can use."""
    monkeypatch.setattr(hub, "POLL_SECONDS", 0.05)
    monkeypatch.setattr(hub, "RECHECK_SECONDS", 0.05)
    monkeypatch.setattr(streams, "HEARTBEAT_SECONDS", 0.1)


async def emit(api: Api, row_id: int, family: str = "client_groups", **columns: Any) -> None:
    """An event of a transaction of its own."""
    async with api.database.transaction() as db:
        await insert(db, row_id, family, **columns)


async def insert(db: Any, row_id: int, family: str = "client_groups", **columns: Any) -> None:
    """An event of this transaction."""
    names = ["kind", "family", "row_id", *columns]
    marks = ", ".join(f"${n}" for n in range(1, len(names) + 1))
    await db.execute(
        f"INSERT INTO events ({', '.join(names)}) VALUES ({marks})", "changed", family, row_id, *columns.values()
    )


def ids(found: list[dict[str, Any]]) -> list[int]:
    """The rows that events are about."""
    return [one["row_id"] for one in found]


def messages(stream: Stream) -> list[int]:
    """The rows of everything that came."""
    return [one.data["row_id"] for one in stream.blocks() if one.kind == "message"]


def read(caller: Api, last: str, query: str = "") -> list[dict[str, Any]]:
    """What there is after a place, without following."""
    answer = caller.get(f"/events?follow=no{query}", headers={"Last-Event-ID": last})
    assert answer.status_code == 200, answer.text
    return [one.data for one in _parsed(answer.text) if one.kind == "message"]


def _parsed(text: str) -> Iterator[Sent]:
    yield from (parse(block) for block in text.split("\n\n")[:-1])


def here(caller: Api) -> str:
    """Where the log stands."""
    return [one.id for one in _parsed(caller.get("/events?follow=no").text)][-1]


# --- what is told ---


def test_a_change_is_told_at_once_with_its_place(office: Api) -> None:
    """Who follows is told what was made, in which family, which row, and where in the log."""

    async def scenario() -> None:
        async with opened(office) as stream:
            answer = await office.send("POST", "/client_groups", json={"data": {"name": "a"}})
            (told,) = await stream.messages(1)

        assert stream.headers["content-type"] == "text/event-stream"
        assert stream.headers["cache-control"] == "no-store"
        assert (told["kind"], told["family"]) == ("created", "client_groups")
        assert answer.headers["location"].endswith(f"/{told['row_id']}")
        assert stream.blocks()[-1].id == told["id"]

    office.run(scenario())


def test_a_quiet_stream_beats_and_moves_on(office: Api) -> None:
    """A comment keeps the connection alive; its id moves past what the caller may not see."""

    async def scenario() -> None:
        async with opened(office, "/events?family=users") as stream:
            first = stream.blocks()[0].id
            await emit(office, 1)
            blocks = await stream.until(lambda found: found[-1].kind == "id" and found[-1].id != first)

        assert [one for one in blocks if one.kind == "message"] == []
        assert b": still here\n" in stream.body

    office.run(scenario())


def test_resuming_tells_everything_after_the_last_event(office: Api) -> None:
    """By its id nothing is told twice and nothing is skipped, over several pages, then the stream goes on."""
    start = here(office)

    async def scenario() -> None:
        async with office.database.transaction() as db:
            for row in range(1203):
                await insert(db, row)
        async with opened(office, last=start) as stream:
            await stream.messages(1203)
            await emit(office, 1203)
            found = await stream.messages(1204)
        async with opened(office, last=found[500]["id"]) as stream:
            again = await stream.messages(703)

        assert ids(found) == list(range(1204))
        assert again == found[501:]

    office.run(scenario())


def test_without_following_the_stream_ends(office: Api) -> None:
    """`follow=no` tells what there is and ends, for scripts that look now and then."""
    start = here(office)
    office.run(emit(office, 1))
    office.run(emit(office, 2, "users"))

    assert ids(read(office, start)) == [1, 2]
    assert ids(read(office, start, "&family=users")) == [2]
    assert len(office.app.kernel.events) == 0


def test_what_cannot_be_asked_is_refused(office: Api) -> None:
    """A broken id, an unknown family and an unknown parameter are each named."""
    for last in ("x", "1", "5ec9651e-1", "5ec9651e-1-x", f"5ec9651e-{2**64}-1", f"5ec9651e-1-{2**63}", "5EC9651E-1-1"):
        answer = office.get("/events", headers={"Last-Event-ID": last})
        assert (answer.status_code, list(answer.json()["errors"])) == (400, ["Last-Event-ID"]), last
    assert list(office.get("/events?family=no").json()["errors"]) == ["family"]
    assert list(office.get("/events?what=1").json()["errors"]) == ["what"]
    assert list(office.get("/events?follow=maybe").json()["errors"]) == ["follow"]
    assert len(office.app.kernel.events) == 0


def test_head_has_no_body(office: Api) -> None:
    """HEAD answers as GET does, and ends."""
    answer = office.request("HEAD", "/events")

    assert (answer.status_code, answer.content) == (200, b"")
    assert len(office.app.kernel.events) == 0


# --- late commits ---


def test_a_look_waits_for_what_ran_before_it(office: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who made a change and looks at once finds it, though another transaction of before goes on; that one's is told, too."""
    monkeypatch.setattr(hub, "SETTLE_SECONDS", 300.0)
    start = here(office)

    async def scenario() -> str:
        async with office.database.transaction() as early:
            await insert(early, 1)
            await emit(office, 2)
            look = asyncio.create_task(office.send("GET", "/events?follow=no", headers={"Last-Event-ID": start}))
            while not len(office.app.kernel.events):  # noqa: ASYNC110 - it tells nobody
                await asyncio.sleep(0)
        return (await look).text

    assert [one.data["row_id"] for one in _parsed(office.run(scenario())) if one.kind == "message"] == [1, 2]


def test_a_look_does_not_wait_for_ever(office: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a transaction that goes on holds back is told by the next one, in its order."""
    monkeypatch.setattr(hub, "SETTLE_SECONDS", 0.05)
    start = here(office)

    async def scenario() -> str:
        async with office.database.transaction() as early:
            await insert(early, 1)
            await emit(office, 2)
            return (await office.send("GET", "/events?follow=no", headers={"Last-Event-ID": start})).text

    told = list(_parsed(office.run(scenario())))
    assert [one.kind for one in told] == ["id"]
    monkeypatch.setattr(hub, "SETTLE_SECONDS", 300.0)
    assert ids(read(office, told[0].id)) == [1, 2]


def test_a_late_commit_is_not_skipped(office: Api) -> None:
    """An event that was written first but committed last is told, once, before nothing that was told already."""

    async def scenario() -> None:
        async with opened(office) as stream:
            async with office.database.transaction() as early:
                await insert(early, 1)
                await emit(office, 2)
                await emit(office, 3)
                await stream.until(lambda found: found[-1].kind == "id" and len(found) > 1)
                assert messages(stream) == []  # they wait for the transaction that still runs
            assert ids(await stream.messages(3)) == [1, 2, 3]

    office.run(scenario())


@pytest.mark.parametrize("seed", range(4))
def test_a_reader_sees_every_visible_event_exactly_once_in_order(office: Api, rows: Stock, seed: int) -> None:
    """Many writers commit and roll back in any order while the reader comes and goes; nothing is lost or doubled."""
    chance = random.Random(seed)
    own, foreign = rows.client_group(), rows.client_group()
    reader = rows.administrator(own)
    start = here(reader)

    async def scenario() -> None:
        async with asyncio.timeout(300):
            await follow()

    async def follow() -> None:
        writers = asyncio.create_task(_write(office, chance, own, foreign))
        seen, last = [], start
        while not writers.done() or seen != await _visible(office, own):
            count = chance.randrange(1, 40)
            async with opened(reader, last=last) as stream:
                await stream.until(lambda found, n=count: len(found) > n)
                for one in stream.blocks():
                    assert one.kind in {"id", "message"}
                    last = one.id or last
                    seen += [one.data["row_id"]] if one.kind == "message" else []
        await writers

        assert len(seen) > 100
        assert seen == await _visible(office, own)

    office.run(scenario())


async def _write(office: Api, chance: random.Random, own: int, foreign: int) -> None:
    """Waves of transactions that end in another order than they began."""
    number = iter(range(1, 10_000))
    database = Database(office.database.address, size=8)
    await database.open()
    try:
        for _wave in range(30):
            order = chance.sample(range(8), 8)
            gates = [asyncio.Event() for _ in order]
            gates[order[0]].set()
            after = {one: gates[following] for one, following in itertools.pairwise(order)}

            async def write(
                turn: int, gates: list[asyncio.Event] = gates, after: dict[int, asyncio.Event] = after
            ) -> None:
                rows = [(next(number), own if chance.random() < 0.6 else foreign) for _ in range(chance.randrange(4))]
                try:
                    async with database.transaction() as db:
                        for row, group in rows:
                            await insert(db, row, client_group_id=group)
                        await gates[turn].wait()
                        if chance.random() < 0.2:
                            raise _RollBack
                except _RollBack:
                    pass
                finally:
                    if turn in after:
                        after[turn].set()

            await asyncio.gather(*(write(turn) for turn in range(8)))
    finally:
        await database.close()


class _RollBack(Exception):
    """This transaction shall not be."""


async def _visible(office: Api, group: int) -> list[int]:
    async with office.database.connection() as db:
        found = await db.fetch("SELECT row_id FROM events WHERE client_group_id = $1 ORDER BY xid, id", group)
    return [row["row_id"] for row in found]


# --- who sees what ---


def test_events_out_of_scope_never_reach_the_caller(office: Api, rows: Stock) -> None:
    """A caller is told of own groups and own media servers, in families that the roles may read, and of no others."""
    group, other, media, elsewhere = rows.client_group(), rows.client_group(), rows.media_server(), rows.media_server()
    anna, max_ = rows.administrator(group), rows.maintainer(media)
    start = here(office)

    async def write() -> None:
        async with office.database.transaction() as db:
            await insert(db, 1, "clients", client_group_id=group)
            await insert(db, 2, "clients", client_group_id=other)
            await insert(db, 3, "task_queue", client_group_id=group, media_server_id=elsewhere)
            await insert(db, 4, "task_queue", client_group_id=other, media_server_id=media)
            await insert(db, 5, "task_queue", client_group_id=other, media_server_id=elsewhere)
            await insert(db, 6, "pool_list", media_server_id=media)
            await insert(db, 7, "pool_list", media_server_id=elsewhere)
            await insert(db, 8, "users")
            await insert(db, 9, "task_queue")
            await insert(db, 10, "global_configuration")
            await insert(db, 11, "unauthorised_clients")
            await insert(db, 12, "no_such_family", client_group_id=group)

    office.run(write())
    nobody = office.user("nobody-at-all")

    assert ids(read(office, start)) == list(range(1, 12))
    assert ids(read(office.user("olga", Role.AUDITOR), start)) == list(range(1, 12))
    assert ids(read(anna, start)) == [1, 3, 6, 7, 11]
    assert ids(read(max_, start)) == [4, 6]
    assert nobody.get("/events").status_code == 403


def test_a_live_stream_shows_what_a_resumed_one_shows(office: Api, rows: Stock) -> None:
    """The reader for all and the reading of one follow the same rule."""
    group, other = rows.client_group(), rows.client_group()
    anna = rows.administrator(group)
    start = here(anna)

    async def scenario() -> list[dict[str, Any]]:
        async with opened(anna) as stream:
            for number in range(20):
                await emit(office, number, "clients", client_group_id=group if number % 3 else other)
            return await stream.messages(13)

    assert office.run(scenario()) == read(anna, start)


def test_every_event_is_of_a_declared_family() -> None:
    """An event of a family that nobody declared would reach nobody."""
    sources = Path(hub.__file__).parents[1]
    pattern = re.compile(r'\.event\(\s*"\w+",\s*"(\w+)"|INTO events[^;]*?SELECT [\'$]\w+\'?, \'(\w+)\'', re.DOTALL)
    found = {a or b for file in sources.rglob("*.py") for a, b in pattern.findall(file.read_text())}

    assert len(found) > 8
    assert found - {resource.path for resource in RESOURCES} == set()


# --- when a place is gone ---


def test_an_id_older_than_the_log_is_a_reset(office: Api) -> None:
    """Who was away for longer than the log is kept is told so, and goes on from now."""
    start = here(office)

    async def scenario() -> None:
        async with office.database.transaction() as db:
            for row in range(3):
                await insert(db, row, at=_days_ago(8))
        await emit(office, 3)
        kept = office.database
        async with opened(office, last=start) as stream:
            first = await stream.messages(4)
        await housekeeping.run(kept)
        async with opened(office, last=start) as stream:
            blocks = await stream.until(lambda found: any(one.kind == "reset" for one in found))
            await emit(office, 4)
            assert ids(await stream.messages(1)) == [4]
        reset = next(one for one in blocks if one.kind == "reset")
        async with opened(office, last=reset.id) as stream:
            assert ids(await stream.messages(1)) == [4]
        async with opened(office, last=first[2]["id"]) as stream:  # the last one that was trimmed: nothing is missed
            assert ids(await stream.messages(2)) == [3, 4]

    office.run(scenario())


def _days_ago(days: int) -> Any:
    return dt.datetime.now(dt.UTC) - dt.timedelta(days=days)


def test_an_id_of_another_log_is_a_reset(office: Api) -> None:
    """Numbers of another cluster, or of one that went further before it was restored, mean nothing here."""
    log, xid, number = here(office).split("-")

    for last in (f"00000000-{xid}-{number}", f"{log}-{int(xid) + 10**9}-1"):
        answer = office.get("/events?follow=no", headers={"Last-Event-ID": last})
        assert [one.kind for one in _parsed(answer.text)] == ["id", "reset"]


def test_events_of_a_foreign_cluster_are_removed(office: Api) -> None:
    """What a restored dump brings from transactions that this cluster has not had would come up later as news."""

    async def scenario() -> None:
        async with office.database.transaction() as db:
            await db.execute(
                """INSERT INTO events (xid, kind, family, row_id)
                   SELECT (pg_current_xact_id()::text::bigint + 1000000 + n)::text::xid8, 'changed', 'users', n
                   FROM generate_series(1, 3) n"""
            )
            await db.execute("UPDATE event_log SET trimmed_xid = '99999999999'")
        await emit(office, 7)
        assert (await housekeeping.run(office.database)).events == 3

    start = here(office)
    office.run(scenario())

    assert [row["row_id"] for row in office.fetch("SELECT row_id FROM events ORDER BY id DESC LIMIT 1")] == [7]
    office.run(emit(office, 8))
    assert ids(read(office, here(office))) == []
    assert start.split("-")[0] == here(office).split("-")[0]


# --- how a stream ends ---


def test_a_slow_reader_ends_with_a_reset(office: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits for one caller is bounded; the others go on, and the slow one starts anew from the reset's id."""
    monkeypatch.setattr(hub, "MAX_WAITING", 50)

    async def scenario() -> None:
        async with opened(office) as slow, opened(office) as quick:
            slow.taking.clear()
            for first in (0, 30, 60):
                async with office.database.transaction() as db:
                    for row in range(first, first + 30):
                        await insert(db, row)
                await quick.messages(first + 30)
            slow.taking.set()
            blocks = await slow.until(lambda found: found[-1].kind == "reset")
            assert slow.ended
            assert len(messages(slow)) < 90
            async with opened(office, last=blocks[-1].id) as again:
                await emit(office, 99)
                assert ids(await again.messages(1)) == [99]
            assert ids(await quick.messages(91))[-1] == 99

    office.run(scenario())


def test_a_caller_who_takes_nothing_is_cut_off(office: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that stands still does not hold its place for ever."""
    monkeypatch.setattr(streams, "SEND_SECONDS", 0.1)

    async def scenario() -> None:
        async with opened(office) as stream:
            stream.taking.clear()
            async with asyncio.timeout(300):
                while not stream.aborted or len(office.app.kernel.events):
                    await office.send("GET", "/server_hello")

    office.run(scenario())


@pytest.mark.parametrize("way", ["logout", "password", "role", "token"])
def test_a_session_that_is_over_ends_its_streams(office: Api, rows: Stock, way: str) -> None:
    """Within seconds of a logout, another password, another role or a revoked token nothing more is told."""
    group = rows.client_group()
    anna = rows.administrator(group)
    user = anna.get("/server_hello").status_code == 200 and rows.row("SELECT max(id) AS id FROM users")["id"]
    if way == "token":
        made = anna.post("/tokens", {"data": {"name": "t"}}).json()["data"]
        anna.headers = {"Authorization": f"Bearer {made['token']}"}

    async def end() -> None:
        if way == "logout":
            await anna.send("DELETE", "/auth/logout")
        elif way == "password":
            body = {"data": {"new_password": "Another12345*"}}
            assert (await office.send("PATCH", f"/users/{user}", json=body)).status_code == 200
        elif way == "role":
            body = {"data": {"supervisor": user}}
            assert (await office.send("POST", "/supervisors", json=body)).status_code == 201
        else:
            assert (await office.send("DELETE", f"/tokens/{made['id']}")).status_code == 200

    async def scenario() -> None:
        async with opened(anna) as stream, opened(office) as other:
            await end()
            blocks = await stream.until(lambda found: found[-1].kind == "end")
            await emit(office, 5, "clients", client_group_id=group)
            await other.until(lambda _: 5 in messages(other))
            assert stream.ended
            assert "session" in blocks[-1].data["reason"]
            assert messages(stream) == []

    office.run(scenario())


def test_a_token_that_loses_a_role_ends_its_streams(office: Api, rows: Stock) -> None:
    """A token lives on when its user loses a role, but sees less: its stream has to start anew."""
    group = rows.client_group()
    anna = rows.administrator(group)
    token = anna.post("/tokens", {"data": {"name": "t"}}).json()["data"]["token"]
    caller = office.another()
    caller.headers = {"Authorization": f"Bearer {token}"}

    async def scenario() -> None:
        async with opened(caller) as stream:
            async with office.database.transaction() as db:
                await db.execute("DELETE FROM administrators WHERE client_group_id = $1", group)
            await stream.until(lambda found: found[-1].kind == "end")

    office.run(scenario())


def test_streams_are_counted_per_user_and_per_process(office: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """One user's many tabs are a 429 with Retry-After, too many of all users a 503; whoever leaves makes room."""
    monkeypatch.setattr(hub, "MAX_STREAMS_OF_USER", 2)
    monkeypatch.setattr(hub, "MAX_STREAMS", 3)
    boss, olga = office.user("boss", Role.SUPERVISOR), office.user("olga", Role.AUDITOR)

    async def scenario() -> None:
        async with opened(office), opened(boss):
            async with opened(office) as second:
                refused = await office.send("GET", "/events")
                assert (refused.status_code, refused.headers["retry-after"]) == (429, "5")
                assert (await olga.send("GET", "/events")).status_code == 503
                second.leave()
            async with opened(olga) as third:
                assert third.status == 200

    office.run(scenario())
    assert len(office.app.kernel.events) == 0


def test_a_glance_stops_when_the_rights_are_gone(office: Api, rows: Stock, monkeypatch: pytest.MonkeyPatch) -> None:
    """A long answer is no way round a revoked session: each page looks again."""
    group = rows.client_group()
    anna = rows.administrator(group)
    start = here(anna)
    monkeypatch.setattr(hub.events, "PAGE", 10)

    async def scenario() -> None:
        async with office.database.transaction() as db:
            for row in range(50):
                await insert(db, row, "clients", client_group_id=group)
        after = hub.events.after

        async def page(db: Any, place: Any) -> Any:
            found = await after(db, place, 10)
            await db.execute("UPDATE token_families SET revoked_at = now() WHERE user_id <> 1")
            return found

        monkeypatch.setattr(hub.events, "after", page)
        async with opened(anna, "/events?follow=no", last=start) as stream:
            blocks = await stream.until(lambda found: found[-1].kind == "end")
            assert messages(stream) == list(range(10))
            assert "session" in blocks[-1].data["reason"]

    office.run(scenario())


def test_a_stream_holds_no_connection_and_no_turn(office: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """More streams than the pool has connections, and than calls may be under way, leave room for calls."""
    monkeypatch.setattr("rubackup.api.app.MAX_ACTIVE", 1)
    monkeypatch.setattr(hub, "MAX_STREAMS_OF_USER", 50)

    async def scenario() -> None:
        async with _many(office, 20):
            assert office.app._active == 0
            assert (await office.send("GET", "/client_groups")).status_code == 200

    office.run(scenario())


@asynccontextmanager
async def _many(caller: Api, count: int) -> AsyncIterator[None]:
    async with AsyncExitStack() as stack:
        for _ in range(count):
            await stack.enter_async_context(opened(caller))
        yield


def test_nothing_is_left_when_the_last_one_leaves(office: Api) -> None:
    """The reader, its listener and its checks end with the last stream."""
    listeners = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'"

    async def count() -> int:
        async with office.database.connection() as db:
            return await db.fetchval(listeners)

    async def scenario() -> None:
        before = asyncio.all_tasks()
        async with opened(office), opened(office):
            async with asyncio.timeout(300):
                while await count() != 1:
                    pass
        async with asyncio.timeout(300):
            while await count() or asyncio.all_tasks() != before:
                pass

    office.run(scenario())


def test_the_reader_survives_a_lost_connection(office: Api) -> None:
    """A catalogue that restarts ends no stream: nothing is lost and nothing doubled."""

    async def scenario() -> None:
        async with opened(office) as stream:
            await emit(office, 1)
            await stream.messages(1)
            async with office.database.connection() as db:
                await db.execute(
                    """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                       WHERE datname = current_database() AND pid <> pg_backend_pid()"""
                )
            await emit(office, 2)
            assert ids(await stream.messages(2)) == [1, 2]

    office.run(scenario())


def test_a_reader_that_fails_ends_the_streams_with_a_reset(office: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault of ours is told, not slept over; the next stream has a reader again."""

    async def scenario() -> None:
        async with opened(office) as stream:
            with monkeypatch.context() as patched:
                patched.setattr(hub.events, "after", None)
                await stream.until(lambda found: found[-1].kind == "reset")
        async with opened(office) as stream:
            await emit(office, 1)
            await stream.messages(1)

    office.run(scenario())


def test_stopping_ends_every_stream(office: Api) -> None:
    """An API that is stopped does not wait for its streams, and takes no more."""

    async def scenario() -> None:
        async with opened(office) as stream:
            await office.app.close()
            await stream.until(lambda found: found[-1].kind == "end")
            assert (await office.send("GET", "/events")).status_code == 503

    office.run(scenario())
