"""The upload: what is sent, in which order, and what happens when it cannot go on."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from contextlib import closing

import pytest

from rubackup.chunkstore.group import decode
from rubackup.client.memory import MemoryGuard
from rubackup.client.modules.filesystem import upload
from rubackup.client.modules.filesystem.upload import Uploader
from rubackup.domain.errors import Stopped, StorageFull, SystemFault, WireFault
from support.channels import MemoryBackup, MemoryPool

LIMIT_SECONDS = 60


def uploader(channel: MemoryBackup, **more: object) -> Uploader:
    """An uploader on a channel."""
    options: dict[str, object] = {"level": 1, "workers": 2, "check": lambda: None, **more}
    return Uploader(channel, **options)  # type: ignore[arg-type]


def send(sender: Uploader, data: Iterable[bytes]) -> None:
    """Add chunks, and pieces of a manifest beside them, and wait until all is sent."""
    for chunk in data:
        sender.add(chunk)
        sender.put_manifest(chunk)
    sender.flush()


def chunks(count: int, size: int = 100) -> list[bytes]:
    """Different chunks."""
    return [number.to_bytes(8, "big") * (size // 8) for number in range(count)]


def test_everything_is_sent_once() -> None:
    """Each chunk is asked for once and sent once, in the order of its first use."""
    channel = MemoryPool().write("r")
    with closing(uploader(channel)) as sender:
        ids = [sender.add(data) for data in [*chunks(3000), *chunks(3000)]]
        sender.flush()

    sent = [name for group in channel.pool.groups.values() for name in decode(group).ids]
    assert sent == ids[:3000] == ids[3000:]
    assert channel.queried == 3000
    assert sender.sent_bytes == channel.stored


def test_stored_chunks_are_not_sent() -> None:
    """What the pool has from this client is not sent; what it has from others is proved."""
    pool = MemoryPool()
    with closing(uploader(pool.write("r"))) as sender:
        names = [sender.add(data) for data in chunks(20)]
        sender.flush()
    pool.owned = set(names[:10])
    channel = pool.write("s")
    with closing(uploader(channel)) as sender:
        for data in chunks(20):
            sender.add(data)
        sender.flush()

    assert (channel.stored, channel.proved) == (0, 10)
    assert pool.owned == set(names)


def test_proof_that_is_not_accepted() -> None:
    """A chunk whose proof is not accepted is sent."""
    pool = MemoryPool()
    with closing(uploader(pool.write("r"))) as sender:
        sender.add(b"data")
        sender.flush()
    pool.owned = set()
    channel = pool.write("s")
    channel.prove = lambda ids, proofs: bytes(len(ids) // 32)
    with closing(uploader(channel)) as sender:
        sender.add(b"data")
        sender.flush()

    assert channel.stored > 0


def test_groups_stay_within_the_format() -> None:
    """A group ends at its target size, and at the most chunks that a group can hold."""
    channel = MemoryPool().write("r")
    with closing(uploader(channel)) as sender:
        for data in [*chunks(10_000, 16), *chunks(10, 500_000)]:
            sender.add(data)
        sender.flush()

    groups = [decode(group) for group in channel.pool.groups.values()]
    assert max(len(group.ids) for group in groups) == 4096
    assert max(len(group.raw) for group in groups) < (1 << 20) + 500_000


def test_seen_ids_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The memory of ids is bounded: one that fell out is asked again, and still not sent again."""
    monkeypatch.setattr(upload, "SEEN_IDS", 100)
    channel = MemoryPool().write("r")
    with closing(uploader(channel)) as sender:
        send(sender, chunks(5000))
        send(sender, chunks(10))

    assert channel.queried == 5010
    assert sum(len(decode(group).ids) for group in channel.pool.groups.values()) == 5000


def test_manifest_keeps_its_order() -> None:
    """Pieces of the manifest arrive in order, between groups."""
    channel = MemoryPool().write("r")
    pieces = [bytes([number]) * 300_000 for number in range(10)]
    with closing(uploader(channel)) as sender:
        for number, piece in enumerate(pieces):
            sender.put_manifest(piece)
            sender.add(bytes([number]) * 600_000)
        sender.flush()

    assert bytes(channel.manifest) == b"".join(pieces)


def test_checkpoints_by_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint follows so many bytes."""
    monkeypatch.setattr(upload, "CHECKPOINT_BYTES", 3_000_000)
    channel = MemoryPool().write("r")
    with closing(uploader(channel, level=None)) as sender:
        for data in chunks(20, 500_000):
            sender.add(data)
        sender.flush()

    assert channel.checkpoints == 3


def test_checkpoint_while_nothing_is_sent() -> None:
    """A session on which nothing happens gets a checkpoint now and then: it keeps its ticket alive."""
    channel = MemoryPool().write("r")
    done = threading.Event()
    channel.checkpoint = done.set  # type: ignore[method-assign]
    times = iter([0.0])
    with closing(uploader(channel, clock=lambda: next(times, 31.0))):
        assert done.wait(LIMIT_SECONDS)


def test_reader_waits_for_a_slow_channel() -> None:
    """What is in flight is bounded: the reader waits, and learns meanwhile that it must stop."""
    channel = MemoryPool().write("r")
    go_on = threading.Event()
    taken: list[bytes] = []

    def slow(ids: bytes) -> tuple[bytes, bytes]:
        assert go_on.wait(LIMIT_SECONDS)
        return bytes(len(ids) // 32), b""

    def check() -> None:
        go_on.set()
        raise Stopped

    channel.query = slow
    with closing(uploader(channel, check=check)) as sender:
        endless = (taken.append(data) or data for data in chunks(200, 1 << 20))
        with pytest.raises(Stopped):
            send(sender, endless)
    assert len(taken) < 5 * (upload.BATCHES_WAITING + 2)


@pytest.mark.parametrize("method", ["query", "put_group", "put_manifest", "checkpoint"])
def test_failure_reaches_the_reader(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What fails in the upload's thread is raised where the reader is, as it is; nothing more is sent."""
    monkeypatch.setattr(upload, "CHECKPOINT_BYTES", 1)
    channel = MemoryPool().write("r")
    calls = []

    def fail(*_: object) -> None:
        calls.append(method)
        raise StorageFull("The pool is full.")

    setattr(channel, method, fail)
    with closing(uploader(channel)) as sender:
        with pytest.raises(StorageFull, match="The pool is full"):
            send(sender, chunks(40, 500_000))
        assert calls == [method]


@pytest.mark.parametrize("answer", [lambda ids: (b"", b""), lambda ids: (bytes(len(ids)), b"")])
def test_answer_for_other_chunks(answer: Callable[[bytes], tuple[bytes, bytes]]) -> None:
    """An answer that does not fit the question ends the upload."""
    channel = MemoryPool().write("r")
    channel.query = answer
    with closing(uploader(channel)) as sender, pytest.raises(WireFault):
        send(sender, [b"data"])


def test_close_ends_the_threads() -> None:
    """After close no thread of the upload is left, whatever was queued."""
    channel = MemoryPool().write("r")
    before = set(threading.enumerate())
    sender = uploader(channel)
    for data in chunks(100, 200_000):
        sender.add(data)
    sender.close()

    for thread in set(threading.enumerate()) - before:
        thread.join(LIMIT_SECONDS)
    assert set(threading.enumerate()) <= before


class DistantPool(MemoryBackup):
    """Counts the questions that are open."""

    open = 0
    most = 0

    def ask(self, ids: bytes) -> Callable[[], tuple[bytes, bytes]]:
        self.open += 1
        self.most = max(self.most, self.open)
        answer = super().ask(ids)

        def taken() -> tuple[bytes, bytes]:
            self.open -= 1
            return answer()

        return taken


@pytest.mark.parametrize(("asked", "most"), [(1, 1), (2, 2), (8, upload.ASKED)])
def test_batches_are_asked_ahead(monkeypatch: pytest.MonkeyPatch, asked: int, most: int) -> None:
    """As many batches as asked for wait for their answer, three at most, and what is sent stays in order."""
    monkeypatch.setattr(upload, "BATCH_IDS", 10)
    channel = DistantPool(MemoryPool(), "r", b"")
    with closing(uploader(channel, asked=asked)) as sender:
        with sender._channel_lock:  # the reader is ahead of the upload's thread
            names = [sender.add(data) for data in chunks(200)[:30]]
        names += [sender.add(data) for data in chunks(200)[30:]]
        sender.flush()

    assert (channel.most, channel.open) == (most, 0)
    assert [name for group in channel.pool.groups.values() for name in decode(group).ids] == names


def test_a_chunk_that_is_wanted_alone_does_not_keep_what_it_was_cut_from() -> None:
    """Of a large piece that is known but for a few bytes only these bytes stay; one that is wanted whole is not copied."""
    piece = memoryview(bytes(1_000_000))
    batch = upload.Batch()
    for start in range(0, 1_000_000, 100_000):
        data = piece[start : start + 100_000]
        batch.add(b"%032d" % start, data, batch.growth(data))
    batch.add(b"s" * 32, b"small", batch.growth(b"small"))
    few, all_of_it = batch.only(batch.chunks[:1]), batch.only(batch.chunks)

    assert batch.kept_bytes == 1_000_005
    assert few[0] == (b"%032d" % 0, bytes(100_000))
    assert isinstance(few[0][1], bytes)
    assert all_of_it is batch.chunks


def test_a_batch_is_what_it_keeps_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Single chunks of many large pieces are handed over before they keep more than a batch may."""
    monkeypatch.setattr(upload, "BATCH_BYTES", 1_000_000)
    channel = MemoryPool().write("r")
    handed: list[int] = []
    with closing(uploader(channel)) as sender:
        monkeypatch.setattr(sender, "_put", lambda item: handed.append(len(item.chunks)))
        sender._batch_limit = 1_000_000
        for number in range(10):
            sender.add(memoryview(number.to_bytes(8, "big") * 50_000)[:100])

    assert handed == [2, 2, 2, 2]


def test_what_was_read_at_once_is_asked_for_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of its chunks would keep all of it; the next piece begins another batch."""
    handed: list[int] = []
    with closing(uploader(MemoryPool().write("r"))) as sender:
        monkeypatch.setattr(sender, "_put", lambda item: handed.append(len(item.chunks)))
        for number in range(4):
            piece = memoryview(number.to_bytes(8, "big") * (upload.BATCH_BYTES // 8))
            for at in range(0, len(piece), 128 << 10):
                sender.add(memoryview(piece.obj)[at : at + (128 << 10) - number - at % 4093])

    assert handed == [32, 32, 32]


def test_with_little_memory_one_batch_is_in_flight() -> None:
    """Under a threshold that is reached, a batch is small, and sent before the next one is read."""
    guard = MemoryGuard(64 << 20, deny=False, used=lambda: 64 << 20, trim=lambda: None)
    channel = DistantPool(MemoryPool(), "r", b"")
    with closing(uploader(channel, memory=guard)) as sender:
        names = [sender.add(number.to_bytes(8, "big") * 32_768) for number in range(40)]
        sender.flush()

    assert channel.most == 1
    assert len(channel.pool.owned) == len(names)


def test_a_threshold_that_must_not_be_exceeded_ends_the_backup() -> None:
    """With deny_memory_exceed the reader learns that the client holds too much."""
    guard = MemoryGuard(64 << 20, deny=True, used=lambda: 65 << 20, trim=lambda: None)
    with closing(uploader(MemoryPool().write("r"), memory=guard)) as sender:
        sender.add(b"chunk")
        with pytest.raises(SystemFault, match="memory_threshold"):
            sender.flush()


def test_a_task_that_is_over_sends_no_further_group(monkeypatch: pytest.MonkeyPatch) -> None:
    """It was stopped while a group was being sent: groups that are ready stay here, whatever the reader does."""
    channel, over = MemoryPool().write("r"), threading.Event()
    put = channel.put_group

    def stopped_meanwhile(*parts: bytes) -> None:
        put(*parts)
        over.set()

    def check() -> None:
        if over.is_set():
            raise Stopped

    monkeypatch.setattr(channel, "put_group", stopped_meanwhile)
    with closing(uploader(channel, check=check)) as sender, pytest.raises(Stopped):
        send(sender, chunks(64, 256 << 10))

    assert len(channel.pool.groups) == 1
