"""Hands queued tasks to the hosts that do them.

Only the leading server dispatches; every claim checks its epoch in its transaction.
Design section 7.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine
from datetime import tzinfo
from typing import Any

from rubackup.catalog.database import Database
from rubackup.domain.errors import Busy, Fenced, RubackupError, SystemFault, Unavailable
from rubackup.server.orders import order_of
from rubackup.server.registry import Registry
from rubackup.server.rounds import ROUNDS
from rubackup.server.tickets import TicketOffice
from rubackup.services import dispatch
from rubackup.services.dispatch import Job

log = logging.getLogger(__name__)

LEASE_SECONDS = 15.0
"""A worker that is silent for so long has lost its task; agents report each second."""
CLAIM_LIMIT = 32
POLL_SECONDS = 2.0
ORDER_SECONDS = 15.0
TELL_SECONDS = 8.0
"""How long a task waits for its media server to be told the pools; then it is put back for a moment."""

Told = dict[str, asyncio.Task[None]]
"""Of the media servers of one claim, by hwid: done when they know the pools."""


class Dispatcher:
    """Claims tasks and sends orders until cancelled."""

    def __init__(
        self,
        database: Database,
        registry: Registry,
        tickets: TicketOffice,
        server_hwid: str,
        tell_pools: Callable[[str], Coroutine[Any, Any, None]],
        zone: tzinfo | None = None,
    ) -> None:
        """`tell_pools` returns when the media server of this hwid knows its pools; `zone` is that of times of day; None: the host's."""
        self._database = database
        self._registry = registry
        self._tickets = tickets
        self._server_hwid = server_hwid
        self._tell_pools = tell_pools
        self._zone = zone
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """Look at the queue now."""
        self._wake.set()

    async def run(self, epoch: int) -> None:
        """Dispatch as the leader of this epoch."""
        async with asyncio.TaskGroup() as group:
            while True:
                self._wake.clear()
                try:
                    with ROUNDS.measured("claim"):
                        jobs = await dispatch.claim(
                            self._database, epoch, self._server_hwid, LEASE_SECONDS, CLAIM_LIMIT, self._zone
                        )
                except Fenced:
                    raise
                except SystemFault as error:
                    log.warning("the queue cannot be read: %s", error)
                    jobs = []
                media = {hwid for job in jobs for hwid in media_of(job)}
                told = {hwid: group.create_task(self._tell_pools(hwid)) for hwid in media}
                for job in jobs:
                    group.create_task(self._send(job, told))
                if len(jobs) < CLAIM_LIMIT:
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self._wake.wait(), POLL_SECONDS)

    async def _send(self, job: Job, told: Told) -> None:
        try:
            await self._order(job, told)
        except RubackupError as error:
            # The lease ends by itself, so a task whose end cannot be written is handed on, not lost.
            log.warning("task %d could not be dispatched: %s", job.task_id, error)

    async def _order(self, job: Job, told: Told) -> None:
        role, hwid = ("client", job.client_hwid) if job.executor == "client" else ("media", job.media_hwid)
        wanted = [(role, hwid), *(("media", one) for one in media_of(job))]
        for needed_role, needed in wanted:
            if self._registry.find(needed_role, needed) is None:
                name = (
                    f"client {job.client_hostname} ({needed})" if needed_role == "client" else f"media server {needed}"
                )
                await self._suspend(
                    job, f"{needed_role}:{needed}", f"The {name} is not connected; the task waits for it."
                )
                return
        for one in media_of(job):
            _, late = await asyncio.wait([told[one]], timeout=TELL_SECONDS)
            if late:
                await self._suspend(
                    job, f"media:{one}", f"Media server {one} is still opening its pools; the task waits for it."
                )
                return
        try:
            await self._registry.get(role, hwid).call(order_of(job, self._tickets), ORDER_SECONDS)
        except (Unavailable, Busy) as error:
            await self._suspend(job, f"{role}:{hwid}", str(error))
        except RubackupError as error:
            await dispatch.fail(self._database, job.task_id, job.fence, str(error))
        else:
            await dispatch.accepted(self._database, job.task_id, job.fence)

    async def _suspend(self, job: Job, on: str, message: str) -> None:
        await dispatch.wait_for(self._database, job.task_id, job.fence, on, message)


def media_of(job: Job) -> list[str]:
    """The media servers that a job needs, by hwid."""
    return [job.media_hwid, job.source_media_hwid] if job.source_is_elsewhere else [job.media_hwid]
