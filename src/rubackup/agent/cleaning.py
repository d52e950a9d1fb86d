"""Cleans a pool of this host for the server. Runs in a task's thread.

What may go is decided by the cleaning, which is a task; the removal that follows it only carries that out.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import Protocol

from rubackup.agent.tasks import Outcome, RunningTask
from rubackup.chunkstore.pool import GcResult, GcSafety, Pool
from rubackup.domain.errors import Busy, RubackupError, Stopped
from rubackup.wire.messages import RunClean

log = logging.getLogger(__name__)
SWEEP_SECONDS = 60.0


def clean_pool(pool: Pool, order: RunClean, task: RunningTask, safety: GcSafety) -> Outcome:
    """Do RunClean in its pool, whose host is told by the server that it may."""

    def progress(done: int, total: int) -> None:
        task.progress(0, 0, done, total, 0)

    found = GcResult()
    if order.blocks:
        found = pool.collect(progress, task.check, unfinished=order.unfinished, zeroing=order.zeroing, safety=safety)
    if order.storages:
        found.removed_tombstones = pool.tidy(task.check, safety=safety).removed_tombstones
    for problem in found.problems:
        task.log("warning", problem)
    return Outcome("done", report(found, order), bytes_done=found.freed_bytes, damaged=tuple(found.damaged))


def report(found: GcResult, order: RunClean) -> str:
    """What was done, in one sentence or two."""
    parts = []
    if order.blocks:
        parts.append(f"{found.freed_bytes} bytes freed ({found.removed_packs} packs).")
        parts.append(f"{found.waiting_bytes} bytes ({found.waiting_packs} packs) go when their grace is over.")
        if found.protected_packs:
            parts.append(f"{found.protected_packs} packs are kept by their object storage until a date.")
        parts.append(
            f"{found.moved_bytes} bytes moved out of mostly unused packs; {found.live_bytes} bytes are needed."
        )
    if order.storages:
        parts.append(f"{found.removed_tombstones} old tombstones removed.")
    if found.damaged:
        parts.append(f"{len(found.damaged)} copies lack chunks that no pack has.")
    if found.problems:
        parts.append(f"{len(found.problems)} problems; the task log names them.")
    return " ".join(parts)


class Swept(Protocol):
    """The pools of a host."""

    @property
    def safety(self) -> GcSafety:
        """How long what nothing needs stays."""

    def ids(self) -> list[int]:
        """Those that are open."""

    def get(self, pool_id: int) -> Pool:
        """One of them; StorageFault, Busy."""

    def is_reconciled(self, pool_id: int) -> bool:
        """Whether anything may be deleted in it."""


class Sweeper:
    """Looks each minute for condemned packs whose time has come."""

    def __init__(self, pools: Swept) -> None:
        self._pools = pools
        self._stopped = threading.Event()

    async def run(self) -> None:
        """Until cancelled."""
        try:
            while True:
                await asyncio.sleep(SWEEP_SECONDS)
                await asyncio.to_thread(self.sweep)
        finally:
            self._stopped.set()

    def sweep(self) -> None:
        """Every open pool once."""
        for pool_id in self._pools.ids():
            try:
                pool = self._pools.get(pool_id)
                if pool.sweepable and self._pools.is_reconciled(pool_id):
                    found = pool.sweep(self._check, safety=self._pools.safety)
                    if found.removed_packs:
                        log.info("pool %d: %d bytes freed", pool_id, found.freed_bytes)
            except (Busy, Stopped):  # a cleaning does it, or we end
                continue
            except RubackupError as error:
                log.warning("pool %d could not be swept: %s", pool_id, error)

    def _check(self) -> None:
        if self._stopped.is_set():
            raise Stopped
