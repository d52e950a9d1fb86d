"""Sessions of attempts that are over end, also when the client at the other end hangs."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Iterable
from typing import Any

import pytest
from test_data_sessions import Place, backed_up, make_source, place

from rubackup.client.channels import BackupOverWire, RestoreOverWire
from rubackup.domain.errors import RubackupError, Unavailable
from rubackup.media.session_watch import GRACE_SECONDS, SessionWatch
from rubackup.wire.messages import Message, ReportSessions, SessionsAnswer

__all__ = ["place"]


class Server:
    """Says which attempts are over."""

    def __init__(self, over: Iterable[int] = ()) -> None:
        self.over = list(over)
        self.asked: list[list[tuple[int, int]]] = []
        self.away = False

    async def call(self, message: Message, _timeout: float, _patience: float) -> Message:
        """ServerLink.call."""
        assert isinstance(message, ReportSessions)
        if self.away:
            raise Unavailable
        self.asked.append([(one.task_id, one.fence) for one in message.sessions])
        return SessionsAnswer(over=self.over)


def gone(place: Place, fence: int) -> None:
    """Return once no session of the attempt is left."""
    deadline = time.monotonic() + 60
    while any(found == fence for _, found in place.sessions.attempts()):
        assert time.monotonic() < deadline
        time.sleep(0.01)  # its thread ends by itself


def test_the_session_of_an_attempt_that_is_over_ends_after_a_moment(place: Place) -> None:
    """A client that lives has the moment to end it in order; one that hangs says nothing at all, and loses it."""
    channels = {fence: place.backup(task_id=fence, fence=fence) for fence in (11, 12)}
    now, server = [0.0], Server(over=[11])
    watch = SessionWatch(place.sessions, server.call, lambda: now[0])
    asyncio.run(watch.look())
    now[0] = GRACE_SECONDS - 0.1
    asyncio.run(watch.look())
    channels[11].checkpoint()
    now[0] = GRACE_SECONDS
    asyncio.run(watch.look())

    gone(place, 11)
    with pytest.raises(RubackupError):
        channels[11].checkpoint()
    channels[12].checkpoint()
    assert server.asked == [[(11, 11), (12, 12)]] * 3


def test_what_an_ended_session_held_is_free(place: Place) -> None:
    """The task can be begun again at once; what came whole stays, and the record can be written by the next attempt."""
    record = uuid.uuid4().hex
    place.backup(task_id=3, fence=21, record=record)
    place.sessions.end(21)
    gone(place, 21)

    again = place.backup(task_id=3, fence=22)
    again.checkpoint()
    again.close()


def test_restores_end_too_and_listings_do_not(place: Place, tmp_path: Any) -> None:
    """A session whose ticket is of no task is not asked about."""
    source, record = make_source(tmp_path / "source"), uuid.uuid4().hex
    backed_up(place, source, record)
    listing = place.ticket(record=record, mode="restore", task_id=0, fence=0)
    restore = place.ticket(record=record, mode="restore", task_id=9, fence=31)
    one = RestoreOverWire(place.connection(), lambda: listing)
    two = RestoreOverWire(place.connection(), lambda: restore)

    assert place.sessions.attempts() == [(9, 31)]
    place.sessions.end(31)
    gone(place, 31)
    with pytest.raises(RubackupError):
        two.read_manifest(0, 10)
    assert one.read_manifest(0, 10)


def test_without_a_server_no_session_ends(place: Place) -> None:
    """What cannot be asked is not over; a later answer starts the moment anew."""
    channel = place.backup(task_id=4, fence=41)
    now, server = [0.0], Server(over=[41])
    watch = SessionWatch(place.sessions, server.call, lambda: now[0])
    server.away = True
    for now[0] in (0.0, 100.0):
        asyncio.run(watch.look())
    server.away = False
    now[0] = 200.0
    asyncio.run(watch.look())

    channel.checkpoint()


def test_nothing_is_asked_while_nobody_is_here(place: Place) -> None:
    """An idle media server says nothing."""
    server = Server()
    asyncio.run(SessionWatch(place.sessions, server.call).look())
    assert server.asked == []
    assert isinstance(place.backup(), BackupOverWire)
