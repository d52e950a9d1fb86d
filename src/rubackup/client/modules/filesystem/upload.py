"""Sends chunks and the manifest: asks what is known, compresses what is not, keeps memory bounded.

One thread of its own talks to the channel; a few more compress. The reader only hashes
and hands over batches, and waits when they are not taken fast enough. What is in flight
never exceeds a few batches, whatever the size of the copy.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from rubackup.chunkstore.group import MAX_CHUNKS, TARGET_BYTES, encode
from rubackup.chunkstore.identity import chunk_id, possession_proof
from rubackup.client.ports import BackupChannel, Sealed
from rubackup.domain.errors import WireFault

BATCH_IDS = 1024
BATCH_BYTES = 4 << 20
BATCHES_WAITING = 2
SEEN_IDS = 65_536
"""Ids remembered in each of two generations: about 15 MB in all; older ones are asked again."""
MANIFEST_BYTES = 1 << 20
CHECKPOINT_BYTES = 256 << 20
CHECKPOINT_SECONDS = 30.0
WAIT_SECONDS = 0.25
CLOSE_SECONDS = 30.0

Chunk = tuple[bytes, bytes]
Item = list[Chunk] | bytes | tuple[int, int] | threading.Event | None


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
    ) -> None:
        """`started` is called, from another thread, when the first group is sent."""
        self._channel = channel
        self._channel_lock = threading.Lock()
        self._level = level
        self._workers = workers
        self._check = check
        self._started = started
        self._clock = clock
        self.sent_bytes = 0
        self._batch: list[Chunk] = []
        self._batch_bytes = 0
        self._manifest = bytearray()
        self._seen: tuple[set[bytes], set[bytes]] = (set(), set())
        self._group: list[Chunk] = []
        self._group_bytes = 0
        self._encoding: deque[Future[bytes]] = deque()
        self._failure: BaseException | None = None
        self._checkpoint_at = (clock(), 0)
        self._queue: queue.Queue[Item] = queue.Queue(BATCHES_WAITING)
        self._pool = ThreadPoolExecutor(workers, "compress")
        self._thread = threading.Thread(target=self._run, name="upload", daemon=True)
        self._thread.start()

    # --- the reader's side ---

    def add(self, data: bytes) -> bytes:
        """The chunk's id; it is sent with a later batch unless the pool has it."""
        identity = chunk_id(data)
        new, old = self._seen
        if identity not in new and identity not in old:
            if len(new) >= SEEN_IDS:
                new, old = set(), new
                self._seen = new, old
            new.add(identity)
            self._batch.append((identity, data))
            self._batch_bytes += len(data)
            if len(self._batch) >= BATCH_IDS or self._batch_bytes >= BATCH_BYTES:
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
        if self._batch:
            self._hand_over_batch()
        if self._manifest:
            self._hand_over_manifest()
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
        batch, self._batch, self._batch_bytes = self._batch, [], 0
        self._put(batch)

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
                item = self._queue.get(timeout=WAIT_SECONDS)
            except queue.Empty:
                self._guarded(self._checkpoint_if_due)
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

    def _take(self, item: list[Chunk] | bytes | tuple[int, int] | threading.Event) -> None:
        if isinstance(item, list):
            for chunk in self._unknown(item):
                self._group.append(chunk)
                self._group_bytes += len(chunk[1])
                if self._group_bytes >= TARGET_BYTES or len(self._group) >= MAX_CHUNKS:
                    self._encode_group()
        elif isinstance(item, bytes):
            with self._channel_lock:
                self._channel.put_manifest(item)
        elif isinstance(item, tuple):
            with self._channel_lock:
                self._channel.copy_parent(*item)
        else:
            if self._group:
                self._encode_group()
            while self._encoding:
                self._send_group()

    def _unknown(self, batch: Sequence[Chunk]) -> list[Chunk]:
        """The chunks of a batch that must be sent."""
        with self._channel_lock:
            states, nonce = self._channel.query(b"".join(identity for identity, _ in batch))
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
        self._encoding.append(self._pool.submit(encode, group, self._level))
        while len(self._encoding) > self._workers + 1:
            self._send_group()

    def _send_group(self) -> None:
        data = self._encoding.popleft().result()
        if not self.sent_bytes:
            self._started()
        with self._channel_lock:
            self._channel.put_group(data)
            self.sent_bytes += len(data)
        self._checkpoint_if_due()

    def _checkpoint_if_due(self) -> None:
        """Also while nothing is sent, during a long walk of unchanged files: it keeps the session and its ticket alive."""
        at, sent = self._checkpoint_at
        if self.sent_bytes - sent >= CHECKPOINT_BYTES or self._clock() - at >= CHECKPOINT_SECONDS:
            with self._channel_lock:
                self._channel.checkpoint()
            self._checkpoint_at = self._clock(), self.sent_bytes
