"""Copies a record from a pool of this media server, or of another one, into a pool of this one.

Every chunk is read back from the target and hashed before the record is sealed; what then becomes of the
source of a move is the server's decision, in the transaction that lists the copy. Runs in a task's thread.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from rubackup.agent.seals import SealBook
from rubackup.agent.tasks import Outcome, RunningTask
from rubackup.chunkstore.copying import RecordCopy, RecordSource
from rubackup.media.pools import PoolKeeper
from rubackup.media.remote import RemoteRecord
from rubackup.wire.data import DataConnection
from rubackup.wire.messages import MediaAddress, RunCopy

Connect = Callable[[MediaAddress], DataConnection]


class Copier:
    """Does RunCopy."""

    def __init__(self, pools: PoolKeeper, seals: SealBook, connect: Connect) -> None:
        """`connect` opens a data connection to another media server."""
        self._pools, self._seals, self._connect = pools, seals, connect

    def run(self, order: RunCopy, task: RunningTask) -> Outcome:
        """The copy, sealed; the server hears of it like of a backup's record."""
        target = self._pools.wait_for(order.pool_id)
        task.phase("transmission")

        def progress(done: int, total: int, written: int) -> None:
            task.progress(0, 0, done, total, written)

        with self._source(order, task) as source:
            session = target.begin(
                owner=order.owner,
                task_id=task.task_id,
                fence=task.fence,
                record=order.record,
                parent=order.parent or None,
                share=False,
                crypto=source.crypto,
                key_id=source.key_id,
            )
            try:
                summary = RecordCopy(source, session, target.level, progress, task.check).run()
                task.check()
                with self._seals.sealing(order.pool_id, order.record):
                    sealed = session.seal(summary.files, summary.files_failed, summary.size_bytes)
            finally:
                session.abort()
        text = f"Copied and read back: {sealed.size_bytes} bytes, {sealed.stored_bytes} new in the pool."
        return Outcome("done", text, files_done=sealed.files, bytes_done=sealed.size_bytes)

    @contextlib.contextmanager
    def _source(self, order: RunCopy, task: RunningTask) -> Iterator[RecordSource]:
        if order.source is None:
            yield self._pools.wait_for(order.source_pool_id).read(order.source_record)
            return
        connection = self._connect(order.source)
        try:
            remote = RemoteRecord(connection, lambda: task.ticket)
            yield remote
            remote.bye()
        finally:
            connection.close()
