"""One reader of the event log for all streams of this process. Design section 5.

The reader runs while there are streams. It polls, and NOTIFY makes it look sooner; every stream gets what its
caller may see, out of one query for all. A stream that is behind (it resumes) reads the log itself, page by page,
until it is where the reader is. Nothing holds a connection while it waits.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from rubackup.api.reach import View
from rubackup.api.resource import Resource
from rubackup.api.seats import MAX_STREAMS, Seats
from rubackup.catalog.database import Database
from rubackup.domain.errors import RubackupError, Unauthenticated, Unavailable
from rubackup.domain.permissions import Principal
from rubackup.services import events
from rubackup.services.auth import Sessions
from rubackup.services.change import EVENTS_CHANNEL
from rubackup.services.events import Event, Place

log = logging.getLogger(__name__)

MAX_STREAMS_OF_USER = 10
MAX_WAITING = 1000
"""Events that may wait for a slow reader; with more its stream ends with a reset."""
POLL_SECONDS = 1.0
RECHECK_SECONDS = 3.0
RETRY_SECONDS = 1.0
SETTLE_SECONDS = 2.0
"""How long a look at what there is waits for transactions that run."""
SETTLE_LOOK_SECONDS = 0.02
CHANNELS = (EVENTS_CHANNEL, "tasks", "records")

_encoder = msgspec.json.Encoder()


@dataclass(frozen=True)
class Credential:
    """With what a stream was opened, so that it can be checked again."""

    token: str
    address: str
    principal: Principal


@dataclass(eq=False)
class Subscription:
    """One stream as the hub sees it."""

    view: View
    credential: Credential
    seat: int
    log: str = ""
    place: Place = events.START
    """Everything up to here was handed over, or is none of the caller's."""
    live: bool = False
    """Whether the hub feeds it."""
    waiting: collections.deque[bytes] = field(default_factory=collections.deque)
    ended: str = ""
    """Why the stream must end, once it must; `reset`: something was missed."""
    woken: asyncio.Event = field(default_factory=asyncio.Event)

    def offer(self, batch: Sequence[tuple[Event, bytes]]) -> None:
        """Take what the caller may see; too much at once ends the stream."""
        for event, text in batch:
            if event.place > self.place:
                self.place = event.place
                if self.view.sees(event):
                    self.waiting.append(text)
        if len(self.waiting) > MAX_WAITING:
            self.end("reset")
        elif self.waiting:
            self.woken.set()

    def end(self, why: str) -> None:
        """End the stream; what waits is dropped, as it is told to reset or no longer allowed to know."""
        self.ended = self.ended or why
        self.waiting.clear()
        self.woken.set()


class EventHub:
    """The streams of one process, and what feeds them."""

    def __init__(
        self,
        database: Database,
        sessions: Sessions,
        families: Mapping[str, Resource],
        seats: Seats,
    ) -> None:
        """Each stream takes one of the seats."""
        self.database = database
        self._seats = seats
        self.families = families
        self.log = ""
        self.place = events.START
        self._sessions = sessions
        self._streams: set[Subscription] = set()
        self._glances: set[Subscription] = set()
        self._look = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._starting = asyncio.Lock()
        self._closed = False

    def __len__(self) -> int:
        """How many streams there are."""
        return len(self._streams) + len(self._glances)

    async def subscribe(self, credential: Credential, families: Sequence[str] = ()) -> Subscription:
        """A new stream that goes on from now; Busy and TooManyAttempts when there are too many."""
        stream = self._admitted(credential, families)
        self._streams.add(stream)
        try:
            async with self._starting:
                await self._run()
        except BaseException:
            self.leave(stream)
            raise
        stream.log, stream.place = self.log, self.place
        return stream

    async def glance(self, credential: Credential, families: Sequence[str] = ()) -> Subscription:
        """A stream that will only read what there is; nothing feeds it."""
        stream = self._admitted(credential, families)
        self._glances.add(stream)
        try:
            stream.log, stream.place = await self._settled()
        except BaseException:
            self.leave(stream)
            raise
        return stream

    async def _settled(self) -> tuple[str, Place]:
        """Where the log stands once it can be read up to all that was committed before this call.

        It can be read up to the oldest transaction that runs. Who made a change and looks at once would not find it while
        any other transaction of before that goes on. One that goes on for longer is not waited for.
        """
        loop = asyncio.get_running_loop()
        until, wanted = loop.time() + SETTLE_SECONDS, 0
        while True:
            async with self.database.connection() as db:
                head = await events.head(db)
            wanted = wanted or head.beyond
            if head.now.xid >= wanted or loop.time() >= until:
                return head.log, head.now
            await asyncio.sleep(SETTLE_LOOK_SECONDS)

    async def resume(self, stream: Subscription, log_name: str, place: Place) -> bool:
        """Let a stream go on after a place it was at before; False when events after it are gone."""
        async with self.database.connection() as db:
            head = await events.head(db)
        if log_name != stream.log or not head.holds(log_name, place):
            return False
        stream.place = place
        return True

    def _admitted(self, credential: Credential, families: Sequence[str]) -> Subscription:
        if self._closed:
            raise Unavailable("The API is being stopped.")
        view = View.of(self.families, credential.principal, families)
        user = credential.principal.user_id
        seat = self._seats.take(user, of_user=MAX_STREAMS_OF_USER, of_worker=MAX_STREAMS)
        return Subscription(view, credential, seat)

    def leave(self, stream: Subscription) -> None:
        """Forget a stream; the last one stops the reader."""
        if stream in self._glances or stream in self._streams:
            self._seats.leave(stream.seat)
        self._glances.discard(stream)
        self._streams.discard(stream)
        if not self._streams:
            self._stop()

    def attach(self, stream: Subscription) -> bool:
        """Feed a stream from now on, if it has read all that the reader has; True also for one that has read all."""
        if stream in self._streams:
            stream.live = stream.live or stream.place >= self.place
        return stream.live

    async def catch_up(self, stream: Subscription) -> bytes:
        """The next page of a stream that is behind, as far as the caller may see it."""
        reader = self.place
        if stream in self._glances:
            await self._check(stream)
            if stream.ended:
                return b""
        async with self.database.connection() as db:
            found = await events.after(db, stream.place)
        if found:
            stream.place = found[-1].place
        if len(found) < events.PAGE:
            if stream in self._streams:
                stream.place = max(stream.place, reader)  # what the reader had read is read, or was trimmed
            else:
                stream.live = True
        return b"".join(_text(stream.log, event) for event in found if stream.view.sees(event))

    def standing(self, stream: Subscription) -> str:
        """From where a stream goes on that starts anew."""
        return events.write_place(self.log, self.place) if self.log else events.write_place(stream.log, stream.place)

    async def close(self) -> None:
        """End every stream and stop reading, for good."""
        self._closed = True
        for stream in [*self._streams, *self._glances]:
            stream.end("stopping")
        self._stop()

    async def _run(self) -> None:
        """Start reading from now, unless it is done already."""
        if self._tasks:
            return
        async with self.database.connection() as db:
            head = await events.head(db)
        self.log, self.place = head.log, head.now
        self._look.clear()
        work = (self._read(), self._watch(), self.database.listen(CHANNELS, self._heard))
        self._tasks = [asyncio.create_task(one) for one in work]
        for task in self._tasks:
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """A part that ends by itself has failed: its streams must start anew, and so does the next reader."""
        if task.cancelled():
            return
        log.error("the reader of the event log failed", exc_info=task.exception())
        for stream in list(self._streams):
            stream.end("reset")
        self._stop()

    def _stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        self._tasks = []

    async def _heard(self, _channel: str, _payload: str) -> None:
        self._look.set()

    async def _read(self) -> None:
        while True:
            try:
                more = await self._pass()
            except Unavailable:
                await asyncio.sleep(RETRY_SECONDS)
                await self._again()
                continue
            except RubackupError as error:
                log.warning("the event log could not be read: %s", error)
                more = False
                await asyncio.sleep(RETRY_SECONDS)
            if not more:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._look.wait(), POLL_SECONDS)
                self._look.clear()

    async def _pass(self) -> bool:
        """Read a page and hand it out; whether there may be more."""
        async with self.database.connection() as db:
            found = await events.after(db, self.place)
        if found:
            batch = [(event, _text(self.log, event)) for event in found]
            for stream in self._streams:
                if stream.live:
                    stream.offer(batch)
            self.place = found[-1].place
        return len(found) == events.PAGE

    async def _again(self) -> None:
        """After the catalogue was away: when it is another, or an older one, everybody has to start anew."""
        try:
            async with self.database.connection() as db:
                head = await events.head(db)
        except RubackupError:
            return
        if not head.holds(self.log, self.place):
            self.log, self.place = head.log, head.now
            for stream in list(self._streams):
                stream.end("reset")

    async def _watch(self) -> None:
        """End streams whose session is over, and those whose caller may see something else by now."""
        while True:
            await asyncio.sleep(RECHECK_SECONDS)
            for stream in list(self._streams):
                try:
                    await self._check(stream)
                except RubackupError:
                    break  # the catalogue does not answer, so no events come either

    async def _check(self, stream: Subscription) -> None:
        try:
            principal = await self._sessions.identify(stream.credential.token, stream.credential.address)
        except Unauthenticated:
            stream.end("session")
            return
        if principal != stream.credential.principal:
            stream.end("session")


def _text(log_name: str, event: Event) -> bytes:
    """An event as streams send it."""
    place = events.write_place(log_name, event.place)
    told = events.Told(
        id=place, at=event.at, kind=event.kind, family=event.family, row_id=event.row_id, data=event.data
    )
    return b"id: %s\ndata: %s\n\n" % (place.encode(), _encoder.encode(told))
