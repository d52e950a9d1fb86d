"""Sends chunks and the manifest: asks what is known, compresses what is not, keeps memory bounded.

One thread of its own talks to the channel; a few more compress. The reader only hashes
and hands over batches, and waits when they are not taken fast enough. Several batches are asked
for before the first answer is read, so a distant media server costs no time. What is in flight
never exceeds a few batches, whatever the size of the copy; with a memory threshold it is less.

Chunks of large files are views of what was read at once, not copies. A view keeps all of that in
memory, so what a batch keeps is counted, and the few chunks that are wanted of much are copied.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from rubackup.chunkstore.group import MAX_CHUNKS, TARGET_BYTES, Sealer, encode_parts
from rubackup.chunkstore.identity import Buffer, chunk_id, possession_proof
from rubackup.client.memory import MemoryGuard
from rubackup.client.ports import Answer, BackupChannel, Sealed
from rubackup.domain.errors import WireFault

BATCH_IDS = 1024
BATCH_BYTES = 4 << 20
BATCHES_WAITING = 2
LEAST_BATCH_BYTES = 1 << 20
"""Of batches under a memory threshold."""
ASKED = 3
"""Batches asked for before the first answer is read: docs/design/wire.md allows four."""
SEEN_IDS = 65_536
"""Ids remembered in each of two generations: about 15 MB in all; older ones are asked again."""
MANIFEST_BYTES = 256 << 10
CHECKPOINT_BYTES = 256 << 20
CHECKPOINT_SECONDS = 30.0
WAIT_SECONDS = 0.25
CLOSE_SECONDS = 30.0

Chunk = tuple[bytes, Buffer]


@dataclass
class Batch:
    """Chunks that are asked for together."""

    chunks: list[Chunk] = field(default_factory=list)
    kept_bytes: int = 0
    """Memory that the chunks keep: their own and, of views, that of all they were cut from."""
    newest: object = None
    """What the last view was cut from; the next ones are of the same, mostly."""

    def growth(self, data: Buffer) -> int:
        """By how much `add` would make it keep more."""
        if not isinstance(data, memoryview):
            return len(data)
        return 0 if data.obj is self.newest else memoryview(data.obj).nbytes

    def add(self, identity: bytes, data: Buffer, growth: int) -> None:
        """One more chunk."""
        self.chunks.append((identity, data))
        if growth:
            self.kept_bytes += growth
            self.newest = data.obj if isinstance(data, memoryview) else None

    def only(self, chunks: list[Chunk]) -> list[Chunk]:
        """These of its chunks, as copies when they are too few to keep what they were cut from."""
        if 2 * sum(len(data) for _, data in chunks) >= self.kept_bytes:
            return chunks
        return [(identity, bytes(data)) for identity, data in chunks]


Item = Batch | bytes | tuple[int, int] | threading.Event | None


class Uploader:
    """The one user of a backup's channel; `add`, `put_manifest` and `flush` belong to one thread, the reader's."""

    def __init__(
        self,
        channel: BackupChannel,
        *,
        level: int | None,
        workers: int,
        check: Callable[[], None],
        started: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
        sealer: Sealer | None = None,
        asked: int = ASKED,
        memory: MemoryGuard | None = None,
    ) -> None:
        """With a `sealer` everything is encrypted. `started` is called, from another thread, when the first group is sent.

        `asked`: batches whose answer is not read yet, at most ASKED. Under the threshold of `memory` less is in flight.
        """
        self._channel = channel
        self._channel_lock = threading.Lock()
        self._level = level
        self._workers = workers
        self._check = check
        self._started = started
        self._clock = clock
        self._sealer = sealer
        self._identify = sealer.identify if sealer else chunk_id
        self._ahead = max(1, min(asked, ASKED)) - 1
        self._memory = memory or MemoryGuard(0, deny=False)
        self.sent_bytes = 0
        self._batch = Batch()
        self._batch_limit = BATCH_BYTES
        self._asked: deque[tuple[Batch, Answer]] = deque()
        self._manifest = bytearray()
        self._seen: tuple[set[bytes], set[bytes]] = (set(), set())
        self._group: list[Chunk] = []
        self._group_bytes = 0
        self._encoding: deque[Future[list[Buffer]]] = deque()
        self._failure: BaseException | None = None
        self._checkpoint_at = (clock(), 0)
        self._queue: queue.Queue[Item] = queue.Queue(BATCHES_WAITING)
        self._pool = ThreadPoolExecutor(workers, "compress")
        self._thread = threading.Thread(target=self._run, name="upload", daemon=True)
        self._thread.start()

    # --- the reader's side ---

    def add(self, data: Buffer) -> bytes:
        """The chunk's id; it is sent with a later batch unless the pool has it. `data` must not change any more."""
        identity = self._identify(data)
        new, old = self._seen
        if identity not in new and identity not in old:
            if len(new) >= SEEN_IDS:
                new, old = set(), new
                self._seen = new, old
            new.add(identity)
            growth = self._batch.growth(data)
            # All chunks of what was read at once go into one batch, as each of them would keep all of it.
            if growth and self._batch.chunks and self._batch.kept_bytes + growth > self._batch_limit:
                self._hand_over_batch()
                growth = self._batch.growth(data)
            self._batch.add(identity, data, growth)
            if len(self._batch.chunks) >= BATCH_IDS:
                self._hand_over_batch()
        return identity

    def put_manifest(self, data: bytes) -> None:
        """Send a piece of the manifest, in order."""
        self._manifest += data
        if len(self._manifest) >= MANIFEST_BYTES:
            self._hand_over_manifest()

    def copy_parent(self, first_segment: int, count: int) -> None:
        """The next piece of the manifest is these segments of the parent's."""
        if self._manifest:
            self._hand_over_manifest()
        self._put((first_segment, count))

    def read_parent(self, offset: int, length: int) -> bytes:
        """A range of the parent's manifest, between two requests of the upload."""
        with self._channel_lock:
            return self._channel.read_parent(offset, length)

    def flush(self) -> None:
        """Return when everything added so far was handed to the channel; raises what went wrong there."""
        if self._batch.chunks:
            self._hand_over_batch()
        if self._manifest:
            self._hand_over_manifest()
        self._wait_until_sent()

    def _wait_until_sent(self) -> None:
        done = threading.Event()
        self._put(done)
        while not done.wait(WAIT_SECONDS):
            self._check()
        self._raise()

    def seal(self, files: int, files_failed: int, size_bytes: int) -> Sealed:
        """Publish the record; everything must have been flushed."""
        with self._channel_lock:
            return self._channel.seal(files, files_failed, size_bytes)

    def close(self) -> None:
        """Stop the threads; what was not flushed is dropped.

        The channel is free afterwards, unless the media server did not take what was just
        being sent: then the thread ends as soon as the owner of the channel cuts it.
        """
        self._failure = self._failure or WireFault("The upload was ended.")
        self._thread_stop()
        self._thread.join(CLOSE_SECONDS)
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _thread_stop(self) -> None:
        while self._thread.is_alive():
            try:
                self._queue.put(None, timeout=WAIT_SECONDS)
                return
            except queue.Full:
                # With a failure set the thread only drains the queue, unless it hangs in the channel.
                with self._queue.mutex:
                    self._queue.queue.clear()
                    self._queue.not_full.notify_all()

    def _hand_over_batch(self) -> None:
        batch, self._batch = self._batch, Batch()
        self._memory.check()
        self._put(batch)
        self._batch_limit = self._memory.room(BATCH_BYTES, LEAST_BATCH_BYTES)
        if self._batch_limit < BATCH_BYTES:
            self._wait_until_sent()  # memory is short: no more than one batch is in flight

    def _hand_over_manifest(self) -> None:
        data, self._manifest = bytes(self._manifest), bytearray()
        self._put(data)

    def _put(self, item: Item) -> None:
        while True:
            self._raise()
            try:
                self._queue.put(item, timeout=WAIT_SECONDS)
                return
            except queue.Full:
                self._check()

    def _raise(self) -> None:
        if self._failure is not None:
            raise self._failure

    # --- the upload thread ---

    def _run(self) -> None:
        while True:
            try:
                # An answer is only waited for when there is nothing else to do.
                item = self._queue.get(block=not self._asked or self._failure is not None, timeout=WAIT_SECONDS)
            except queue.Empty:
                self._guarded(self._take_answer if self._asked else self._checkpoint_if_due)
                continue
            if item is None:
                return
            taken = item
            self._guarded(lambda: self._take(taken))  # noqa: B023 - it is called at once
            if isinstance(item, threading.Event):
                item.set()

    def _guarded(self, step: Callable[[], None]) -> None:
        """Do a step unless one has failed before; the reader raises what failed."""
        try:
            if self._failure is None:
                step()
        except BaseException as error:
            self._failure = error

    def _take(self, item: Batch | bytes | tuple[int, int] | threading.Event) -> None:
        if isinstance(item, Batch):
            with self._channel_lock:
                answer = self._channel.ask(b"".join([identity for identity, _ in item.chunks]))
            self._asked.append((item, answer))
            while len(self._asked) > self._ahead:
                self._take_answer()
        elif isinstance(item, bytes):
            with self._channel_lock:
                self._channel.put_manifest(item)
        elif isinstance(item, tuple):
            with self._channel_lock:
                self._channel.copy_parent(*item)
        else:
            while self._asked:
                self._take_answer()
            if self._group:
                self._encode_group()
            while self._encoding:
                self._send_group()

    def _take_answer(self) -> None:
        """What the oldest batch that was asked for has and the pool has not goes into groups."""
        batch, answer = self._asked.popleft()
        for chunk in batch.only(self._unknown(batch.chunks, answer)):
            self._group.append(chunk)
            self._group_bytes += len(chunk[1])
            if self._group_bytes >= TARGET_BYTES or len(self._group) >= MAX_CHUNKS:
                self._encode_group()

    def _unknown(self, batch: Sequence[Chunk], answer: Answer) -> list[Chunk]:
        """The chunks of a batch that must be sent."""
        with self._channel_lock:
            states, nonce = answer()
        if len(states) != len(batch):
            raise WireFault("The media server answered for another number of chunks.")
        wanted = [chunk for chunk, state in zip(batch, states, strict=True) if state == 0]
        doubtful = [chunk for chunk, state in zip(batch, states, strict=True) if state == 2]
        if doubtful:
            with self._channel_lock:
                accepted = self._channel.prove(
                    b"".join(identity for identity, _ in doubtful),
                    b"".join(possession_proof(data, nonce) for _, data in doubtful),
                )
            if len(accepted) != len(doubtful):
                raise WireFault("The media server answered for another number of proofs.")
            wanted += [chunk for chunk, state in zip(doubtful, accepted, strict=True) if state != 1]
        return wanted

    def _encode_group(self) -> None:
        group, self._group, self._group_bytes = self._group, [], 0
        self._encoding.append(self._pool.submit(encode_parts, group, self._level, self._sealer))
        while len(self._encoding) > self._workers + 1:
            self._send_group()

    def _send_group(self) -> None:
        self._raise()
        self._check()  # no limit of bandwidth holds a task back that is over: it ends with the group that it is sending
        parts = self._encoding.popleft().result()
        if not self.sent_bytes:
            self._started()
        with self._channel_lock:
            self._channel.put_group(*parts)
            self.sent_bytes += sum(map(len, parts))
        self._checkpoint_if_due()

    def _checkpoint_if_due(self) -> None:
        """Also while nothing is sent, during a long walk of unchanged files: it keeps the session and its ticket alive."""
        at, sent = self._checkpoint_at
        if self.sent_bytes - sent >= CHECKPOINT_BYTES or self._clock() - at >= CHECKPOINT_SECONDS:
            with self._channel_lock:
                self._channel.checkpoint()
            self._checkpoint_at = self._clock(), self.sent_bytes
