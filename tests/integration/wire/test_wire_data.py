"""The data channel over TLS on loopback: frames, faults, ends, limits."""

from __future__ import annotations

import contextlib
import socket
import threading
from datetime import timedelta

import pytest

from rubackup.domain import errors
from rubackup.wire import framing, pki
from rubackup.wire.data import DataServer, connect_data
from rubackup.wire.framing import FrameType
from rubackup.wire.messages import (
    Ack,
    BackupOpened,
    Bye,
    Checkpoint,
    Checkpointed,
    Fault,
    Groups,
    Ping,
    Query,
    ReadManifest,
    Sealed,
)
from support.wire import CLIENT, MEDIA, Installation, refusing

LIMIT_SECONDS = 60.0


@contextlib.contextmanager
def listening(files, handler, **options):
    """The address of a media server that runs `handler`."""
    server = DataServer("127.0.0.1", 0, pki.server_context(files), handler, **options)
    server.start()
    try:
        yield server.address
    finally:
        server.close()


@contextlib.contextmanager
def connected(address, files, **options):
    """A connection of a client to the media server."""
    connection = connect_data(*address, pki.client_context(files), expect=("media", MEDIA), **options)
    try:
        yield connection
    finally:
        connection.close()


def echo(connection):
    """Sends back what comes, until Bye."""
    while True:
        got = connection.receive()
        if isinstance(got, Bye):
            return
        if isinstance(got, Ack):
            connection.send(got)
        else:
            connection.send_frame(got.type, bytes(got.data[:3]), memoryview(bytes(got.data[3:])))


@pytest.mark.parametrize("size", [0, 1, 5, 16_379, 16_380, 131_072, 1 << 20, framing.MAX_FRAME_BYTES])
def test_frames_of_any_size_arrive_whole(media_files, client_files, size):
    """Sizes around a TLS record, a piece, and the limit; one buffer or several."""
    data = bytes(i * 7 % 251 for i in range(min(size, 1 << 20))) * (size >> 20 or 1)

    with listening(media_files, echo) as address, connected(address, client_files) as mine:
        mine.send_frame(FrameType.GROUP, data)

        assert mine.expect_frame(FrameType.GROUP) == data
        mine.send(Bye())


def test_messages_and_frames_alternate(media_files, client_files):
    """Both kinds keep their order on one connection."""
    with listening(media_files, echo) as address, connected(address, client_files) as mine:
        mine.send(Ack())
        assert mine.expect(Ack) == Ack()
        mine.send_frame(FrameType.MANIFEST, b"abc", b"", bytearray(b"def"))
        assert bytes(mine.expect_frame(FrameType.MANIFEST)) == b"abcdef"
        mine.send(Bye())


def test_received_bytes_are_lent_until_the_next_receive(media_files, client_files):
    """The buffer is used again; a view kept too long fails loudly instead of showing other bytes."""
    with listening(media_files, echo) as address, connected(address, client_files) as mine:
        mine.send_frame(FrameType.DATA, b"first")
        view = mine.expect_frame(FrameType.DATA)
        mine.send_frame(FrameType.DATA, b"second")
        mine.expect_frame(FrameType.DATA)

        with pytest.raises(ValueError, match="released"):
            bytes(view)
        mine.send(Bye())


def test_frames_that_are_kept_outlive_the_next_ones(media_files, client_files):
    """A kept frame shows its own bytes until it is given back; then its memory carries another one."""
    with listening(media_files, echo) as address, connected(address, client_files) as mine:
        kept = []
        for content in (b"first" * 100_000, b"second", b"third" * 100_000):
            mine.send_frame(FrameType.DATA, content)
            frame = mine.receive()
            mine.keep(frame)
            kept.append(frame)

        assert [bytes(frame.data) for frame in kept] == [b"first" * 100_000, b"second", b"third" * 100_000]
        memory = {id(frame.data.obj) for frame in kept}
        for frame in kept:
            mine.reuse(frame)
        mine.send_frame(FrameType.DATA, b"fourth")
        mine.keep(mine.receive())  # in the buffer that was ready before
        mine.send_frame(FrameType.DATA, b"fifth")
        assert id(mine.receive().data.obj) in memory
        with pytest.raises(ValueError, match="released"):
            bytes(kept[0].data)
        mine.send(Bye())


def test_both_sides_know_each_other(media_files, client_files):
    """Identity comes from the certificates."""
    seen = []

    def handler(connection):
        seen.append(connection.identity)
        connection.send(Ack())

    with listening(media_files, handler) as address, connected(address, client_files) as mine:
        mine.expect(Ack)
        assert (mine.identity.role, mine.identity.hwid) == ("media", MEDIA)
        assert pki.identity_of(mine.certificate) == mine.identity
    assert (seen[0].role, seen[0].hwid) == ("client", CLIENT)


def test_a_domain_error_of_the_handler_arrives_as_itself(media_files, client_files):
    """The client reads why its session ended."""

    def handler(connection):
        connection.expect(Checkpoint)
        raise errors.Corrupt("The pack is damaged.")

    with listening(media_files, handler) as address, connected(address, client_files) as mine:
        mine.send(Checkpoint())
        with pytest.raises(errors.Corrupt, match="The pack is damaged"):
            mine.expect(Checkpointed)


def test_another_error_of_the_handler_is_internal(media_files, client_files, caplog):
    """What went wrong is in the log there and not told here."""

    def handler(connection):
        connection.expect(Checkpoint)
        raise ValueError("password hunter2")

    with listening(media_files, handler) as address, connected(address, client_files) as mine:
        mine.send(Checkpoint())
        with pytest.raises(errors.RubackupError, match="internal reason"):
            mine.expect(Checkpointed)
    assert "hunter2" in caplog.text


@pytest.mark.parametrize("linger", [True, False])
def test_a_fault_reaches_a_client_that_is_only_sending(media_files, client_files, linger, monkeypatch):
    """A full disk ends the flood of groups with its own error, also when the connection was reset behind it."""
    if not linger:
        monkeypatch.setattr("rubackup.wire.sockets.linger", lambda sock, seconds: None)

    def handler(connection):
        for _ in range(5):
            connection.expect_frame(FrameType.GROUP)
        raise errors.StorageFull("There is no room left in the pool.")

    with (
        listening(media_files, handler) as address,
        connected(address, client_files) as mine,
        pytest.raises(errors.StorageFull, match="no room"),
    ):
        _flood(mine)


def _flood(connection):
    group = bytes(1 << 20)
    for _ in range(10_000):
        connection.send_frame(FrameType.GROUP, group)


@pytest.mark.parametrize("linger", [True, False])
def test_the_last_words_arrive_although_bytes_are_unread(media_files, client_files, linger, monkeypatch):
    """An answer that the server gave before it closed is not lost, whether or not we still could write."""
    if not linger:
        monkeypatch.setattr("rubackup.wire.sockets.linger", lambda sock, seconds: None)

    def handler(connection):
        connection.expect(Checkpoint)
        connection.send(Sealed(record="r", stored_bytes=1))

    with listening(media_files, handler) as address, connected(address, client_files) as mine:
        mine.send(Checkpoint())
        with contextlib.suppress(errors.Unavailable):
            mine.send_frame(FrameType.GROUP, bytes(3 << 20))

        assert mine.expect(Sealed).record == "r"


def test_answers_may_come_while_groups_are_sent(media_files, client_files):
    """A client may ask ahead; the answer waits until it is read."""

    def handler(connection):
        connection.expect(Query)
        connection.send(BackupOpened(parent_bytes=1))
        answered.set()
        for _ in range(3):
            connection.expect_frame(FrameType.GROUP)
        connection.expect(Checkpoint)
        connection.send(Checkpointed())

    answered = threading.Event()
    with listening(media_files, handler) as address, connected(address, client_files) as mine:
        mine.send(Query(ids=b""))
        assert answered.wait(LIMIT_SECONDS)
        for _ in range(3):
            mine.send_frame(FrameType.GROUP, b"group")
        mine.send(Checkpoint())

        assert mine.expect(BackupOpened).parent_bytes == 1
        assert mine.expect(Checkpointed) == Checkpointed()


def test_what_is_not_due_is_a_wire_fault(media_files, client_files):
    """An answer of another kind names both."""
    with listening(media_files, echo) as address, connected(address, client_files) as mine:
        mine.send(Ack())
        with pytest.raises(errors.WireFault, match="sent Ack where Checkpointed was due"):
            mine.expect(Checkpointed)
        mine.send_frame(FrameType.DATA, b"x")
        with pytest.raises(errors.WireFault, match="sent a frame DATA where Ack was due"):
            mine.expect(Ack)
        mine.send_frame(FrameType.DATA, b"x")
        with pytest.raises(errors.WireFault, match="a frame GROUP was due"):
            mine.expect_frame(FrameType.GROUP)
        mine.send(Bye())


def test_an_end_without_a_word_is_unavailable(media_files, client_files):
    """A media server that dies is told from one that refuses."""

    def handler(connection):
        connection.abort()

    with listening(media_files, handler) as address, connected(address, client_files) as mine:
        with pytest.raises(errors.Unavailable, match="ended"):
            mine.expect(Ack)
        with pytest.raises(errors.Unavailable):
            mine.send(Ack())


def test_a_frame_cut_short_is_unavailable(media_files, client_files):
    """Half a frame is never taken for a frame."""

    def handler(connection):
        connection._sock.sendall(framing.HEADER.pack(100, FrameType.DATA) + b"half")

    with (
        listening(media_files, handler) as address,
        connected(address, client_files) as mine,
        pytest.raises(errors.Unavailable, match="ended"),
    ):
        mine.receive()


@pytest.mark.parametrize(
    "header", [framing.HEADER.pack(framing.MAX_FRAME_BYTES + 1, 2), framing.HEADER.pack(1 << 31, 1), b"\0\0\0\1\x09"]
)
def test_a_header_that_is_not_allowed_ends_the_session(media_files, client_files, header):
    """Too long or of unknown type: refused before anything is allocated, told, closed."""
    with listening(media_files, echo) as address, connected(address, client_files) as mine:
        mine._sock.sendall(header)

        with pytest.raises(errors.RubackupError):
            mine.expect(Ack)


def test_frames_over_the_limit_are_not_sent(media_files, client_files):
    """The sender learns of it, before a byte is out."""
    with listening(media_files, echo) as address, connected(address, client_files) as mine:
        with pytest.raises(errors.WireFault, match="cannot be sent"):
            mine.send_frame(FrameType.DATA, bytes(framing.MAX_FRAME_BYTES), b"x")
        mine.send(Ack())
        assert mine.expect(Ack) == Ack()
        mine.send(Bye())


def test_a_frame_that_stops_in_the_middle_runs_into_the_idle_limit(media_files, client_files):
    """A peer that hangs within a frame is given up after `timeout`, whatever the patience."""
    release = threading.Event()

    def handler(connection):
        connection._sock.sendall(framing.HEADER.pack(100, FrameType.DATA) + b"half")
        release.wait(LIMIT_SECONDS)

    with listening(media_files, handler) as address, connected(address, client_files) as mine:
        mine._timeout = 0.05
        with pytest.raises(errors.Unavailable, match="did not answer in time"):
            mine.receive()
        release.set()


def test_a_peer_may_take_its_time_to_begin_an_answer(media_files, client_files):
    """A long seal is no dead connection: `patience` counts between frames."""
    asked = threading.Event()

    def handler(connection):
        connection.expect(Checkpoint)
        asked.wait(0.3)
        connection.send(Checkpointed())

    with listening(media_files, handler) as address, connected(address, client_files, patience=10) as mine:
        mine._timeout = 0.05
        mine.send(Checkpoint())

        assert mine.expect(Checkpointed) == Checkpointed()


def test_patience_ends_and_pings_renew_it(media_files, client_files):
    """A peer at work says so by Ping; one that says nothing is given up."""
    release = threading.Event()

    def handler(connection):
        for _ in range(4):
            connection.send(Ping())
            release.wait(0.7)
        connection.send(Checkpointed())
        release.wait(LIMIT_SECONDS)

    with listening(media_files, handler) as address, connected(address, client_files, patience=2.2) as mine:
        assert mine.expect(Checkpointed) == Checkpointed()
        mine.patience = 0.1
        with pytest.raises(errors.Unavailable, match="did not answer in time"):
            mine.receive()
        release.set()


def test_abort_wakes_a_thread_that_waits(media_files, client_files):
    """Killing a task ends its transfer from another thread, at once."""
    waiting, release, outcome = threading.Event(), threading.Event(), []

    def handler(connection):
        release.wait(LIMIT_SECONDS)

    with listening(media_files, handler) as address, connected(address, client_files) as mine:

        def wait():
            waiting.set()
            try:
                mine.receive()
            except errors.RubackupError as error:
                outcome.append(error)

        thread = threading.Thread(target=wait)
        thread.start()
        assert waiting.wait(LIMIT_SECONDS)
        mine.abort()
        mine.abort()
        thread.join(LIMIT_SECONDS)
        release.set()

    assert not thread.is_alive()
    assert isinstance(outcome[0], errors.Unavailable)


def test_closing_the_server_ends_sessions_and_threads(media_files, client_files):
    """Nothing is left of a media server that stops, in the middle of a session or of a handshake."""
    before = set(threading.enumerate())
    server = DataServer("127.0.0.1", 0, pki.server_context(media_files), lambda connection: connection.receive())
    server.start()
    with socket.create_connection(server.address), connected(server.address, client_files) as mine:
        server.close()

        assert set(threading.enumerate()) <= before
        with pytest.raises(errors.Unavailable):
            mine.expect(Ack)
    with pytest.raises(errors.Unavailable):
        _connect(server.address, client_files)


def test_sessions_over_the_limit_are_busy(media_files, client_files):
    """One too many is told so at once, and a place that is freed serves the next."""
    with listening(media_files, echo, limit=1) as address:
        with connected(address, client_files) as mine:
            with pytest.raises(errors.Busy, match="too many sessions"):
                connect_data(*address, pki.client_context(client_files), expect=("media", MEDIA))
            mine.send(Bye())
            with pytest.raises(errors.Unavailable):
                mine.receive()
        with connected(address, client_files) as mine:
            mine.send(Bye())


def test_many_sessions_at_once(media_files, client_files):
    """Sessions do not disturb each other."""
    with listening(media_files, echo) as address:

        def session(number, results):
            with connected(address, client_files) as mine:
                data = bytes([number]) * (100_000 + number)
                for _ in range(5):
                    mine.send_frame(FrameType.GROUP, data)
                    results[number] = mine.expect_frame(FrameType.GROUP) == data
                mine.send(Bye())

        results = {}
        threads = [threading.Thread(target=session, args=(n, results)) for n in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(LIMIT_SECONDS)

    assert results == dict.fromkeys(range(12), True)


# --- who gets in ---


@pytest.fixture(scope="session")
def stranger(tmp_path_factory):
    """Another installation, with a CA of its own."""
    return Installation(tmp_path_factory.mktemp("stranger"))


@pytest.fixture
def closed_door(media_files):
    """A media server whose handler must never run."""
    ran = []
    with listening(media_files, ran.append) as address:
        yield address
    assert ran == []


def _connect(address, files, expect=("media", MEDIA)):
    connect_data(*address, pki.client_context(files), expect=expect).close()


def test_a_client_of_another_authority_gets_nowhere(closed_door, installation, stranger):
    """Only certificates under our root open a connection, and the client learns that it is refused."""
    with pytest.raises(errors.Refused, match="unknown ca"):
        _connect(closed_door, stranger.files("client", CLIENT, root=installation.root_file))


def test_a_media_server_of_another_authority_is_refused(client_files, stranger):
    """No byte is sent to somebody else's server."""
    ran = []
    with (
        listening(stranger.files("media", MEDIA), ran.append) as address,
        pytest.raises(errors.Refused, match="not accepted"),
    ):
        _connect(address, client_files)
    assert ran == []


def test_an_expired_client_gets_nowhere(closed_door, installation):
    """A certificate counts until its last day."""
    then = installation.now - timedelta(days=400)
    with pytest.raises(errors.Refused, match="expired"):
        _connect(closed_door, installation.files("client", CLIENT, now=then))


def test_an_expired_media_server_is_refused(installation, client_files):
    """The same holds for the other direction."""
    expired = installation.files("media", MEDIA, now=installation.now - timedelta(days=400))
    with listening(expired, lambda connection: None) as address, pytest.raises(errors.Refused, match="expired"):
        _connect(address, client_files)


@pytest.mark.parametrize("role", ["api", "media"])
def test_roles_that_have_no_business_here_are_refused(closed_door, installation, role):
    """Only clients and servers open sessions."""
    with pytest.raises(errors.Refused, match="may not open"):
        _connect(closed_door, installation.files(role, MEDIA))


def test_a_client_takes_no_data_connections(installation, client_files):
    """Its certificate is for dialling only, whoever it is that dials it."""
    with (
        listening(installation.files("client", CLIENT), echo) as address,
        pytest.raises(errors.Refused, match="unsuitable certificate purpose"),
    ):
        _connect(address, client_files)


@pytest.mark.parametrize(("role", "hwid"), [("media", "d" * 64), ("server", MEDIA)])
def test_the_wrong_host_is_refused(installation, client_files, role, hwid):
    """Another media server, or another role under the same hwid, is not the one that was asked for."""
    with (
        listening(installation.files(role, hwid), echo) as address,
        pytest.raises(errors.Refused, match=f"is {role} {hwid}, not media {MEDIA}"),
    ):
        _connect(address, client_files)


def test_a_client_without_a_certificate_gets_nowhere(closed_door):
    """Data connections are mutual TLS, always."""
    with pytest.raises(errors.Refused, match="certificate required"):
        connect_data(*closed_door, pki.Trust.blind_context(), expect=("media", MEDIA))


def test_nobody_there_is_unavailable(client_files):
    """A port without a listener is told as such."""
    with refusing() as address, pytest.raises(errors.Unavailable, match=f"{address[0]}:{address[1]}"):
        _connect(address, client_files)


def test_a_port_in_use_is_busy(media_files):
    """Two media servers cannot share a port, and the second one says so."""
    with listening(media_files, echo) as address, pytest.raises(errors.Busy, match="in use"):
        DataServer(*address, pki.server_context(media_files), echo)


def test_a_fault_need_not_end_the_session(media_files, client_files):
    """A handler may also answer by a Fault and go on."""

    def handler(connection):
        for _ in range(2):
            connection.expect(ReadManifest)
            connection.send(Fault(code="not_found", message="No such record."))

    with listening(media_files, handler) as address, connected(address, client_files) as mine:
        for read in (mine.receive, lambda: mine.expect(Groups)):
            mine.send(ReadManifest(offset=0, length=1))
            with pytest.raises(errors.NotFound, match="No such record"):
                read()


def test_no_session_can_be_resumed(media_files, client_files):
    """Each connection shows its certificate anew, so an expired one cannot live on in a TLS session."""
    with listening(media_files, echo) as address, connected(address, client_files) as mine:
        mine.send(Ack())
        mine.expect(Ack)

        assert not mine._sock.session.has_ticket
        mine.send(Bye())


def test_a_server_that_is_through_does_not_reset_the_connection(media_files, client_files, monkeypatch):
    """It reads on until the client has closed: a reset could overtake its last words."""
    monkeypatch.setattr("rubackup.wire.data.LINGER_SECONDS", LIMIT_SECONDS)

    def handler(connection):
        connection.send(Sealed(record="r", stored_bytes=1))

    with listening(media_files, handler) as address, connected(address, client_files) as mine:
        mine.expect(Sealed)

        mine._sock.sendall(bytes(32 << 20))
