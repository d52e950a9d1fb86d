"""Ends data sessions whose task was killed, paused or handed on, also when the host at the other end hangs.

A client that lives stops by itself, and in order: it makes durable what it has sent. So it gets a moment for that.
Design: `docs/design/dispatch.md`, Killing.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from rubackup.domain.errors import RubackupError
from rubackup.media.sessions import DataSessions
from rubackup.wire.messages import Message, ReportSessions, SessionOf, SessionsAnswer

log = logging.getLogger(__name__)

ASK_SECONDS = 2.0
ANSWER_SECONDS = 5.0
GRACE_SECONDS = 4.0
"""How long the session of an attempt that is over may go on: with ASK_SECONDS well within ten."""

Call = Callable[[Message, float, float], Awaitable[Message]]


class SessionWatch:
    """Asks a server which of the attempts that have sessions here are over."""

    def __init__(self, sessions: DataSessions, call: Call, clock: Callable[[], float] = time.monotonic) -> None:
        self._sessions = sessions
        self._call = call
        self._clock = clock
        self._over: dict[int, float] = {}
        """Fences of attempts that are over, and since when that is known."""

    async def run(self) -> None:
        """Look every two seconds until cancelled."""
        while True:
            await asyncio.sleep(ASK_SECONDS)
            await self.look()

    async def look(self) -> None:
        """Ask, and end what has been over for too long."""
        attempts = self._sessions.attempts()
        if not attempts:
            self._over = {}
            return
        question = ReportSessions(sessions=[SessionOf(task_id=task, fence=fence) for task, fence in attempts])
        try:
            answer = await self._call(question, ANSWER_SECONDS, 0.0)
        except RubackupError as error:
            log.warning("no server says which sessions are over: %s", error)
            return
        over = set(answer.over) if isinstance(answer, SessionsAnswer) else set()
        now = self._clock()
        self._over = {fence: self._over.get(fence, now) for _task, fence in attempts if fence in over}
        for fence, since in self._over.items():
            if now - since >= GRACE_SECONDS:
                self._sessions.end(fence)
