"""The control channel over TLS on loopback: calls, order, limits, ends."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

from rubackup.domain import errors
from rubackup.wire import control, framing, peer, pki
from rubackup.wire.messages import (
    Ack,
    Answer,
    AskPools,
    Call,
    CheckFolder,
    ConfigurePools,
    Fault,
    FilesystemListing,
    ListFilesystem,
    Ping,
    Pong,
    Query,
    Welcome,
)
from support.control import (
    HELLO,
    LIMIT_SECONDS,
    Behaviour,
    dialled,
    raw_connection,
    read_message,
    serving,
    soon,
)
from support.wire import CLIENT, SERVER


def test_both_sides_know_each_other(run, server_files, client_files):
    """Identity and certificate come from TLS, on both sides; the address is the bare IP."""

    async def main():
        async with serving(server_files) as (address, notes), dialled(address, client_files) as mine:
            theirs = await soon(notes.peers.get())

            assert (mine.identity.role, mine.identity.hwid) == ("server", SERVER)
            assert (theirs.identity.role, theirs.identity.hwid) == ("client", CLIENT)
            assert pki.identity_of(theirs.certificate) == theirs.identity
            assert notes.admitted == [(f"client {CLIENT}", "127.0.0.1")]
            assert theirs.address == "127.0.0.1"

    run(main())


def test_both_sides_call(run, server_files, client_files):
    """Requests go both ways over the one connection, with any text and a large body."""

    async def main():
        async with serving(server_files) as (address, notes), dialled(address, client_files) as mine:
            theirs = await soon(notes.peers.get())
            large = ListFilesystem(path="/\udcff" + "x" * 3_000_000)

            assert await soon(mine.call(large)) == large
            assert await soon(theirs.call(large)) == large
            assert await soon(theirs.call(AskPools())) == Ack()

    run(main())


def test_a_domain_error_arrives_as_itself(run, server_files, client_files):
    """What a handler raises is raised by the call."""

    async def main():
        async with serving(server_files) as (address, _), dialled(address, client_files) as mine:
            with pytest.raises(errors.StorageFull, match="no room"):
                await soon(mine.call(CheckFolder(path="/")))

    run(main())


def test_a_handler_that_breaks_is_logged_here_and_told_there(run, server_files, client_files, caplog):
    """The caller learns that it failed, not why; the connection lives on."""

    async def broken(_peer, message):
        return {AskPools: Ack()}[type(message)]

    async def main():
        how = Behaviour(handle=broken)
        async with serving(server_files, how) as (address, _), dialled(address, client_files) as mine:
            with pytest.raises(errors.RubackupError, match="internal reason"):
                await soon(mine.call(CheckFolder(path="/")))
            assert await soon(mine.call(AskPools())) == Ack()

    run(main())
    assert "KeyError" in caplog.text


def test_answers_come_in_any_order(run, server_files, client_files):
    """A slow request does not hold up a quick one behind it."""

    async def main():
        quick_is_done = asyncio.Event()

        async def handle(_peer, message):
            if isinstance(message, CheckFolder):
                await quick_is_done.wait()
            return message

        how = Behaviour(handle=handle)
        async with serving(server_files, how) as (address, _), dialled(address, client_files) as mine:
            slow = asyncio.create_task(mine.call(CheckFolder(path="slow")))
            await soon(mine.call(AskPools()))
            quick_is_done.set()

            assert await soon(slow) == CheckFolder(path="slow")

    run(main())


def test_a_handler_may_call_back(run, server_files, client_files):
    """Asking back from within a request does not block the connection, however many do so at once."""

    async def ask_back(caller, message):
        return await caller.call(message)

    async def main():
        how = Behaviour(handle=ask_back)
        async with serving(server_files, how) as (address, _), dialled(address, client_files) as mine:
            calls = [mine.call(ListFilesystem(path=str(n))) for n in range(300)]

            answers = await soon(asyncio.gather(*calls))

            assert [a.path for a in answers] == [str(n) for n in range(300)]

    run(main())


def test_requests_of_one_peer_are_worked_on_a_few_at_a_time(run, server_files, client_files):
    """A peer that asks a lot gets its turn, not the whole process."""
    now, most = 0, 0

    async def handle(_peer, _message):
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0)
        now -= 1
        return Ack()

    async def main():
        how = Behaviour(handle=handle)
        async with serving(server_files, how) as (address, _), dialled(address, client_files) as mine:
            await soon(asyncio.gather(*(mine.call(AskPools()) for _ in range(200))))

    run(main())
    assert 1 < most <= peer.HANDLED_AT_ONCE


def test_no_answer_in_time_is_unavailable_and_names_the_host(run, server_files, client_files):
    """A call never waits for ever, and a late answer does no harm."""

    async def main():
        release = asyncio.Event()

        async def handle(_peer, message):
            if isinstance(message, CheckFolder):
                await release.wait()
            return Ack()

        how = Behaviour(handle=handle)
        async with serving(server_files, how) as (address, _), dialled(address, client_files) as mine:
            with pytest.raises(errors.Unavailable, match=r"server\.example .*did not answer in 0.05 s"):
                await mine.call(CheckFolder(path="/"), timeout=0.05)
            release.set()
            assert await soon(mine.call(AskPools())) == Ack()

    run(main())


def test_calls_fail_when_the_connection_ends(run, server_files, client_files):
    """Whoever waits is told at once; later calls fail too; both sides learn of the end."""

    async def main():
        async def never(_peer, _message):
            await asyncio.Event().wait()

        how = Behaviour(handle=never)
        async with serving(server_files, how) as (address, notes), dialled(address, client_files) as mine:
            theirs = await soon(notes.peers.get())
            waiting = asyncio.create_task(mine.call(AskPools(), timeout=60))
            await asyncio.sleep(0)
            theirs.close()

            with pytest.raises(errors.Unavailable, match="ended"):
                await soon(waiting)
            await soon(mine.wait_closed())
            assert mine.is_closed
            with pytest.raises(errors.Unavailable, match="ended"):
                await mine.call(AskPools())
            assert await soon(notes.gone.get()) is theirs

    run(main())


def test_gone_is_called_once_and_after_the_last_handler(run, server_files, client_files):
    """When a peer is gone nothing works on its requests any more."""

    async def main():
        started, events = asyncio.Event(), []

        async def handle(_peer, _message):
            started.set()
            try:
                await asyncio.Event().wait()
            finally:
                events.append("handler ended")

        how = Behaviour(handle=handle)
        async with serving(server_files, how) as (address, notes):
            async with dialled(address, client_files) as mine:
                call = asyncio.create_task(mine.call(AskPools()))
                await soon(started.wait())
            with pytest.raises(errors.Unavailable):
                await call
            await soon(notes.gone.get())
            events.append("gone")
        assert events == ["handler ended", "gone"]
        assert notes.gone.empty()

    run(main())


def test_closing_the_server_ends_every_connection(run, server_files, client_files):
    """Peers are told, `gone` is called for each, and nothing is left."""

    async def main():
        async with serving(server_files) as (address, notes):
            dials = [control.dial_control(*address, pki.client_context(client_files), HELLO, _ack) for _ in range(5)]
            peers = [mine for mine, _ in await soon(asyncio.gather(*dials))]
        await soon(asyncio.gather(*(mine.wait_closed() for mine in peers)))

        assert notes.gone.qsize() == 5

    run(main())


async def _ack(_peer, _message):
    return Ack()


def test_connected_may_call_the_peer_at_once(run, server_files, client_files):
    """A server configures a host before it takes its requests for granted."""

    async def main():
        got = asyncio.Queue()

        async def handle(_peer, message):
            got.put_nowait(message)
            return Ack()

        async def connected(theirs):
            await theirs.call(ConfigurePools(epoch=1, pools=[]))

        how = Behaviour(connected=connected)
        async with serving(server_files, how) as (address, _), dialled(address, client_files, handle):
            assert await soon(got.get()) == ConfigurePools(epoch=1, pools=[])

    run(main())


def test_a_connection_whose_greeting_fails_is_ended(run, server_files, client_files, caplog):
    """A host that the server could not take in dials again, instead of being ignored."""

    async def connected(_theirs):
        raise ValueError("no database")

    async def main():
        how = Behaviour(connected=connected)
        async with serving(server_files, how) as (address, notes), dialled(address, client_files) as mine:
            await soon(mine.wait_closed())
            await soon(notes.gone.get())

    run(main())
    assert "no database" in caplog.text


def test_a_silent_peer_is_given_up(run, server_files, client_files):
    """A connection that says nothing at all, not even Pong, ends after three heartbeats."""

    async def main():
        how = Behaviour(heartbeat_seconds=0.05)
        context = pki.client_context(client_files)
        async with serving(server_files, how) as (address, notes), raw_connection(address, context) as (reader, writer):
            writer.write(framing.frame(HELLO))
            assert isinstance(await read_message(reader), Welcome)
            theirs = await soon(notes.peers.get())
            call = asyncio.create_task(theirs.call(AskPools(), timeout=60))

            with pytest.raises(errors.Unavailable, match="silent"):
                await soon(call)
            assert await soon(notes.gone.get()) is theirs

    run(main())


def test_a_silent_server_is_given_up(run, server_files, client_files):
    """The dialling side pings too, so it notices a server that hangs."""

    async def main():
        welcome = Welcome(version=1, server_hwid=SERVER, hostname="s", epoch=1, heartbeat_seconds=0.05)

        async def hang(reader, writer):
            await reader.readexactly(framing.HEADER.size)
            writer.write(framing.frame(welcome))
            await reader.read()
            writer.close()

        server = await asyncio.start_server(hang, "127.0.0.1", 0, ssl=pki.server_context(server_files))
        async with server, dialled(server.sockets[0].getsockname(), client_files) as mine:
            await soon(mine.wait_closed())
            assert mine.is_closed

    run(main())


def test_a_quiet_but_living_connection_stays(run, server_files, client_files):
    """Pings alone keep a connection."""

    async def main():
        how = Behaviour(heartbeat_seconds=0.1)
        async with serving(server_files, how) as (address, _), dialled(address, client_files) as mine:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(mine.wait_closed(), timeout=1)
            assert not mine.is_closed

    run(main())


def test_who_was_heard_is_not_pinged(run, server_files, client_files, monkeypatch):
    """A peer that speaks within each interval gets no ping; once it falls silent it does."""

    async def main():
        begun = []
        over = asyncio.Semaphore(0)  # one for each interval that is over

        async def interval(seconds):
            begun.append(seconds)
            await over.acquire()

        async def until(reached):
            async with asyncio.timeout(LIMIT_SECONDS):
                while not reached():  # noqa: ASYNC110 - numbers have no event
                    await asyncio.sleep(0)

        monkeypatch.setattr(peer, "asyncio", SimpleNamespace(**{**vars(asyncio), "sleep": interval}))
        how = Behaviour(heartbeat_seconds=42)
        context = pki.client_context(client_files)
        async with serving(server_files, how) as (address, notes), raw_connection(address, context) as (reader, writer):
            writer.write(framing.frame(HELLO))
            assert isinstance(await read_message(reader), Welcome)
            theirs = await soon(notes.peers.get())
            pong = framing.frame(Pong())
            for number in range(1, 11):
                await until(lambda number=number: len(begun) == number)
                heard = theirs._stream.heard
                writer.write(pong)
                await until(lambda heard=heard: theirs._stream.heard == heard + len(pong))
                over.release()
            writer.write(framing.frame(Ping()))
            assert isinstance(await read_message(reader), Pong)
            over.release()  # it has heard the ping
            over.release()
            assert isinstance(await read_message(reader), Ping)
            assert set(begun) == {42}

    run(main())


def test_a_peer_that_does_not_read_is_given_up(run, server_files, client_files):
    """A half-open connection with full buffers ends; senders fail instead of hanging."""

    async def main():
        how = Behaviour(heartbeat_seconds=0.1)
        context = pki.client_context(client_files)
        async with serving(server_files, how) as (address, notes), raw_connection(address, context) as (reader, writer):
            writer.write(framing.frame(HELLO))
            await read_message(reader)
            writer.transport.pause_reading()
            theirs = await soon(notes.peers.get())
            large = Query(ids=bytes(3_000_000))
            calls = [asyncio.create_task(theirs.call(large, timeout=60)) for _ in range(10)]

            results = await soon(asyncio.gather(*calls, return_exceptions=True))

            assert {type(result) for result in results} == {errors.Unavailable}

    run(main())


def test_a_flood_of_requests_is_answered_by_busy(run, server_files, client_files):
    """What a peer may have waiting is bounded; the rest is refused, not stored."""

    async def main():
        release = asyncio.Event()

        async def handle(_peer, _message):
            await release.wait()
            return Ack()

        async with (
            serving(server_files, Behaviour(handle=handle)) as (address, _),
            raw_connection(address, pki.client_context(client_files)) as (reader, writer),
        ):
            writer.write(framing.frame(HELLO))
            body = framing.encode(AskPools())
            for number in range(peer.HANDLED_AND_WAITING + 1):
                writer.write(framing.frame(Call(id=number, body=body)))
            await read_message(reader)
            refused = await _next_answer(reader)

            assert refused.id == peer.HANDLED_AND_WAITING
            assert framing.decode(refused.body, Fault).code == "busy"
            release.set()
            assert framing.decode((await _next_answer(reader)).body) == Ack()

    run(main())


def test_large_requests_that_wait_are_bounded_by_their_bytes(run, server_files, client_files):
    """A few huge requests are as much as many small ones."""

    async def main():
        async def never(_peer, _message):
            await asyncio.Event().wait()

        async with (
            serving(server_files, Behaviour(handle=never)) as (address, _),
            raw_connection(address, pki.client_context(client_files)) as (reader, writer),
        ):
            writer.write(framing.frame(HELLO))
            body = framing.encode(Query(ids=bytes(4_000_000)))
            fitting = peer.HELD_BYTES // len(body)
            for number in range(fitting + 1):
                writer.write(framing.frame(Call(id=number, body=body)))
                await soon(writer.drain())
            await read_message(reader)

            assert (await _next_answer(reader)).id == fitting

    run(main())


def test_answered_requests_make_room(run, server_files, client_files):
    """The bounds count what waits, not what a connection has carried in all."""

    async def main():
        async with serving(server_files) as (address, _), dialled(address, client_files) as mine:
            large = Query(ids=bytes(4_000_000))
            for _ in range(peer.HELD_BYTES // 4_000_000 + 2):
                assert await soon(mine.call(large)) == Ack()

    run(main())


async def _next_answer(reader) -> Answer:
    while not isinstance(message := await read_message(reader), Answer):
        assert isinstance(message, Ping)
    return message


async def _read_to_the_end(reader):
    while isinstance(await read_message(reader), Ping | Pong):
        pass


def test_a_request_that_cannot_be_read_gets_a_fault(run, server_files, client_files):
    """A newer peer's unknown message is refused, and the connection lives on."""

    async def main():
        async with (
            serving(server_files) as (address, _),
            raw_connection(address, pki.client_context(client_files)) as (reader, writer),
        ):
            writer.write(framing.frame(HELLO))
            await read_message(reader)
            writer.write(framing.frame(Call(id=1, body=b"\x81\xa1t\xa8tomorrow")))
            assert framing.decode((await _next_answer(reader)).body, Fault).code == "wire"
            writer.write(framing.frame(Call(id=2, body=framing.encode(AskPools()))))
            assert framing.decode((await _next_answer(reader)).body) == Ack()

    run(main())


def test_an_answer_that_is_too_large_becomes_a_fault(run, server_files, client_files):
    """The caller learns that the answer does not fit, instead of waiting for it."""

    async def handle(_peer, _message):
        around = len(framing.encode(FilesystemListing(path="", entries=[]))) + 4
        return FilesystemListing(path="x" * (framing.MAX_MESSAGE_BYTES - around), entries=[])

    async def main():
        how = Behaviour(handle=handle)
        async with serving(server_files, how) as (address, _), dialled(address, client_files) as mine:
            with pytest.raises(errors.WireFault, match="more than"):
                await soon(mine.call(ListFilesystem(path="/")))

    run(main())


@pytest.mark.parametrize(
    "garbage",
    [
        framing.HEADER.pack(0xFFFFFFFF, 1),
        framing.HEADER.pack(4, 9) + b"abcd",
        framing.HEADER.pack(4, 4) + b"abcd",
        framing.HEADER.pack(1, 1) + b"\xc1",
        framing.frame(Ack()),
    ],
)
def test_a_peer_that_breaks_the_protocol_is_cut_off(run, server_files, client_files, garbage):
    """Too long, of unknown type, raw, not readable or out of place: the connection ends."""

    async def main():
        async with (
            serving(server_files) as (address, notes),
            raw_connection(address, pki.client_context(client_files)) as (reader, writer),
        ):
            writer.write(framing.frame(HELLO))
            await read_message(reader)
            writer.write(garbage)

            await soon(notes.gone.get())
            with pytest.raises((asyncio.IncompleteReadError, OSError)):
                await _read_to_the_end(reader)

    run(main())


@pytest.mark.parametrize("beat", [float("nan"), float("inf"), 0.0, -1.0, 1e9])
def test_a_heartbeat_that_makes_no_sense_is_refused(run, server_files, client_files, beat):
    """A wrong number must not turn the watch off or make it spin."""

    async def main():
        how = Behaviour(heartbeat_seconds=beat)
        async with serving(server_files, how) as (address, _):
            context = pki.client_context(client_files)
            with pytest.raises(errors.WireFault, match="heartbeat"):
                await soon(control.dial_control(*address, context, HELLO, _ack))

    run(main())
