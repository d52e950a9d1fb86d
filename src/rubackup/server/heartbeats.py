"""Heartbeats of all agents, written together: one update a second, whatever their number.

Design section 7: progress and leases live in a side table.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from rubackup.domain.errors import RubackupError
from rubackup.queue.ports import Beat
from rubackup.server.rounds import ROUNDS

BATCH_SECONDS = 0.5

Write = Callable[[Sequence[Beat]], Awaitable[list[int]]]


class Heartbeats:
    """Collects beats and answers each caller when its beats are written."""

    def __init__(self, write: Write) -> None:
        self._write = write
        self._waiting: dict[int, Beat] = {}
        self._answer: asyncio.Future[set[int]] | None = None

    async def add(self, beats: Sequence[Beat]) -> list[int]:
        """The ids among `beats` that their worker no longer holds."""
        if self._answer is None:
            self._answer = asyncio.get_running_loop().create_future()
        for beat in beats:
            waiting = self._waiting.get(beat.task_id)
            if waiting is None or waiting.fence <= beat.fence:
                self._waiting[beat.task_id] = beat
        lost = await asyncio.shield(self._answer)
        return [beat.task_id for beat in beats if beat.task_id in lost]

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            await asyncio.sleep(BATCH_SECONDS)
            if self._answer is None:
                continue
            beats, answer = list(self._waiting.values()), self._answer
            self._waiting, self._answer = {}, None
            try:
                with ROUNDS.measured("heartbeats"):
                    answer.set_result(set(await self._write(beats)))
            except RubackupError as error:
                answer.set_exception(error)
                answer.exception()  # a caller that went away meanwhile leaves nobody to look at it
