"""One living control connection: calls both ways, answers in any order, heartbeat.

Knows no listener and no meaning of messages. Design: `docs/design/wire.md`.
"""

from __future__ import annotations

import asyncio
import functools
import itertools
import logging
import time
from collections.abc import Awaitable, Callable

from rubackup.domain.errors import Busy, RubackupError, Unavailable, WireFault
from rubackup.wire import framing
from rubackup.wire.certificates import Identity, expires_at
from rubackup.wire.messages import Answer, Call, Fault, Message, Ping, Pong
from rubackup.wire.streams import MessageStream

HANDLED_AT_ONCE = 32
"""Requests of the other side that are worked on at the same time."""
HANDLED_AND_WAITING = 256
"""Requests of the other side in all; one more is answered by Busy."""
HELD_BYTES = 32 << 20
"""Sum of the bodies of these requests; one more is answered by Busy."""
CALLS_AT_ONCE = 128
"""Calls of ours without an answer; further ones wait."""
MISSED_PINGS = 3
LARGEST_BODY_BYTES = framing.MAX_MESSAGE_BYTES - 64
"""What fits into a Call or Answer."""

_LOG = logging.getLogger(__name__)


class ControlPeer:
    """The other side of a control connection, made by `serve_control` or `dial_control`."""

    def __init__(
        self,
        stream: MessageStream,
        identity: Identity,
        handle: Callable[[ControlPeer, Message], Awaitable[Message]],
        heartbeat_seconds: float,
        hostname: str = "",
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.identity = identity
        self.certificate = stream.certificate
        """The other side's certificate (DER)."""
        self.address = stream.address
        self.hostname = hostname
        self._stream = stream
        self._handle = handle
        self._heartbeat_seconds = heartbeat_seconds
        self._clock = clock
        self._expires_at = expires_at(stream.certificate)
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[bytes]] = {}
        self._calls = asyncio.Semaphore(CALLS_AT_ONCE)
        self._turns = asyncio.Semaphore(HANDLED_AT_ONCE)
        self._handling: set[asyncio.Task[None]] = set()
        self._held_bytes = 0
        self._closing = False
        self._running: asyncio.Task[None] | None = None

    def __str__(self) -> str:
        host = self.hostname or self.identity.hwid
        return f"{self.identity.role} {host} ({self.address})"

    @property
    def is_closed(self) -> bool:
        """Whether calls can only fail."""
        return self._closing

    def start(self) -> None:
        """Begins to read; done once by whoever made the peer."""
        self._running = asyncio.get_running_loop().create_task(self._run())

    async def call(self, message: Message, timeout: float = 10.0) -> Message:
        """The other side's answer; its Fault is raised as the domain error.

        Unavailable when the connection ended, or no answer came within `timeout` seconds.
        A call that was given up may still be carried out.
        """
        body = framing.encode(message)
        try:
            async with asyncio.timeout(timeout), self._calls:
                answer = framing.decode(await self._exchange(body))
        except TimeoutError as error:
            raise Unavailable(f"The {self} did not answer in {timeout:g} s.") from error
        if isinstance(answer, Fault):
            framing.raise_fault(answer)
        return answer

    async def _exchange(self, body: bytes) -> bytes:
        if self._closing:
            raise Unavailable(f"The connection to the {self} has ended.")
        number = next(self._numbers)
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        try:
            await self._stream.send(Call(id=number, body=body))
            return await future
        finally:
            del self._waiting[number]
            if future.done() and not future.cancelled():
                future.exception()  # it may have failed while send did, and is then told by send

    def close(self) -> None:
        """Ends the connection after what was sent; calls that wait fail."""
        self._end(f"The connection to the {self} was closed.")
        self._stream.close()
        if self._running is not None and not self._running.done():
            self._running.cancel()

    async def wait_closed(self) -> None:
        """Returns when the connection is gone and no request of it is worked on any more."""
        if self._running is not None:
            await asyncio.wait([self._running])

    def _end(self, reason: str) -> None:
        self._closing = True
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(Unavailable(reason))

    async def _run(self) -> None:
        heart = asyncio.get_running_loop().create_task(self._beat())
        try:
            while True:
                self._take(await self._stream.receive())
        except RubackupError as error:
            level = logging.WARNING if isinstance(error, WireFault) else logging.INFO
            if not self._closing:
                _LOG.log(level, "connection to %s ended: %s", self, error.message)
        except Exception:
            _LOG.exception("connection to %s ended", self)
        finally:
            self._end(f"The connection to the {self} ended before it answered.")
            tasks = [heart, *self._handling]
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            await self._stream.closed()

    def _take(self, message: Message) -> None:
        """Deals with one message without waiting, so that reading never depends on the other side's reading."""
        match message:
            case Call():
                self._accept(message)
            case Answer():
                future = self._waiting.get(message.id)
                if future is not None and not future.done():  # else: the call was given up
                    future.set_result(message.body)
            case Ping():
                self._stream.send_soon(Pong())
            case Pong():
                pass
            case Fault():
                framing.raise_fault(message)
            case _:
                raise WireFault(f"The message {type(message).__name__} came outside a call.")

    def _accept(self, call: Call) -> None:
        if len(self._handling) < HANDLED_AND_WAITING and self._held_bytes + len(call.body) <= HELD_BYTES:
            self._held_bytes += len(call.body)
            task = asyncio.get_running_loop().create_task(self._answer(call))
            self._handling.add(task)
            task.add_done_callback(functools.partial(self._answered, len(call.body)))
            return
        busy = framing.encode(framing.as_fault(Busy("Too many requests are waiting on this connection.")))
        if not self._stream.send_soon(Answer(id=call.id, body=busy)):
            raise WireFault(f"The {self} asks without reading the answers.")

    def _answered(self, size: int, task: asyncio.Task[None]) -> None:
        self._handling.discard(task)
        self._held_bytes -= size

    async def _answer(self, call: Call) -> None:
        async with self._turns:
            body = await self._outcome(call.body)
        try:
            await self._stream.send(Answer(id=call.id, body=body))
        except RubackupError as error:
            _LOG.debug("%s cannot be answered: %s", self, error.message)

    async def _outcome(self, body: bytes) -> bytes:
        try:
            answer = framing.encode(await self._handle(self, framing.decode(body)))
            if len(answer) > LARGEST_BODY_BYTES:
                raise WireFault(f"The answer has {len(answer)} bytes, more than {LARGEST_BODY_BYTES}.")
            return answer
        except RubackupError as error:
            return framing.encode(framing.as_fault(error))
        except Exception as error:
            _LOG.exception("a request of %s failed", self)
            return framing.encode(framing.as_fault(error))

    async def _beat(self) -> None:
        """Pings who was not heard for an interval; ends the connection after three of them, or when a certificate expired.

        Who was heard needs no ping: of ten thousand connections pings of both sides took half a core.
        """
        missed, heard = 0, self._stream.heard
        while missed < MISSED_PINGS and self._clock() < self._expires_at:
            if missed:
                try:
                    self._stream.send_soon(Ping())
                except Unavailable:
                    return
            await asyncio.sleep(self._heartbeat_seconds)
            missed = missed + 1 if self._stream.heard == heard else 0
            heard = self._stream.heard
        reason = "has gone silent" if missed else "has a certificate that has expired"
        _LOG.warning("%s %s", self, reason)
        self._end(f"The {self} {reason}.")
        self._stream.abort()
