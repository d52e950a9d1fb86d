"""A block device that is damaged, lost, in use, or used by many threads; its metafile."""

from __future__ import annotations

import errno
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from rubackup.chunkstore import group, pack
from rubackup.chunkstore.backends.base import Item
from rubackup.chunkstore.backends.block import BlockBackend, format_device, layout, rebuild
from rubackup.chunkstore.backends.block.layout import BLOCK, DIRECTORY_START
from rubackup.chunkstore.backends.block.prepare import format_on, rebuild_on
from rubackup.chunkstore.identity import chunk_id
from rubackup.domain.errors import Busy, Conflict, Corrupt, Invalid, NotFound, StorageFault, StorageFull
from support.chunkstore import noise
from support.devices import MIB, MemoryDevice, NoLoopDevices, formatted, loop_device, reopened
from support.system import eventually

NAMES = [f"packs/{n:02x}/{bytes([n] * 16).hex()}.pack" for n in range(8)]


def filled(size_bytes: int = 4 * MIB) -> MemoryDevice:
    """A device with eight packs, each with a record of its own behind that of the checkpoint."""
    device = formatted(size_bytes)
    backend = BlockBackend(device)
    for n, name in enumerate(NAMES):
        backend.put(name, packed(n))
    return device


def packed(n: int) -> bytes:
    """A pack that is open."""
    chunks = [(chunk_id(data), data) for data in (noise(3_000, n), noise(6_000, n))]
    groups = b"".join(group.encode([chunk], None) for chunk in chunks)
    return pack._header(pack.PackHeader(b"p" * 16, bytes([n] * 16), "owner")) + groups


def readable(backend: BlockBackend) -> list[int]:
    """Which of the packs are there, whole."""
    there = {item.name for item in backend.list("packs")}
    found = [n for n, name in enumerate(NAMES) if name in there]
    assert all(backend.read(NAMES[n], 0, backend.size(NAMES[n])) == packed(n) for n in found)
    return found


def smash(device: MemoryDevice, offset: int, length: int = BLOCK) -> None:
    """Random bytes where others were."""
    device.data[offset : offset + length] = noise(length, offset)


# --- superblocks ---


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("way", ["damaged", "unreadable"])
def test_one_superblock_is_enough(which: int, way: str) -> None:
    """The other is written anew."""
    device = filled()
    place = layout.parse(device.data).places[which]
    if way == "damaged":
        smash(device, place)
    else:
        device.bad.add(place // BLOCK)
    assert readable(BlockBackend(device)) == list(range(8))
    device.bad.clear()

    assert layout.parse(device.data[place:]) == layout.parse(device.data[layout.parse(device.data).places[1 - which] :])


def test_without_superblocks_it_is_said(tmp_path: Path) -> None:
    """The message names the device and both places."""
    device = filled()
    for place in layout.parse(device.data).places:
        smash(device, place)

    with pytest.raises(
        StorageFault, match=r"memory device carries no storage.*both of its superblocks.*byte 0.*byte 4190208"
    ):
        BlockBackend(device)


def test_an_older_superblock_does_not_count() -> None:
    """Between the two writes of a switch the first is newer."""
    device = filled()
    old = bytes(device.data[:BLOCK])
    BlockBackend(device).checkpoint()
    device.data[-BLOCK:] = old
    backend = BlockBackend(device)

    assert readable(backend) == list(range(8))
    assert device.data[-BLOCK:] == device.data[:BLOCK] != old


# --- the directory ---


def test_a_damaged_record_hides_no_other() -> None:
    """It is named; what it told of is lost until the rebuild, so nothing is written over it, now or later."""
    device = filled()
    block = layout.parse(device.data)
    smash(device, block.half_start + 3 * BLOCK)
    backend = BlockBackend(device)

    assert readable(backend) == [0, 1, 3, 4, 5, 6, 7]
    assert f"the block at byte {block.half_start + 3 * BLOCK} is damaged" in backend.problems
    assert backend.space().free_bytes == 0
    with pytest.raises(StorageFull, match="lost"):
        backend.put("packs/new", b"x")
    backend.delete(NAMES[0])
    backend.checkpoint()
    again = reopened(device)
    assert readable(again) == [1, 3, 4, 5, 6, 7]
    with pytest.raises(StorageFull, match="lost"):
        again.put("packs/new", b"x")


def test_a_record_that_cannot_be_read_hides_no_other() -> None:
    """A bad sector is as damage."""
    device = filled()
    device.bad.add(layout.parse(device.data).half_start // BLOCK + 3)

    assert readable(BlockBackend(device)) == [0, 1, 3, 4, 5, 6, 7]


def test_each_block_of_the_directory_may_be_damaged() -> None:
    """At most the names in it are lost, and never silently, but for a last record that a loss of power may have cut off."""
    device = filled()
    BlockBackend(device).checkpoint()
    backend = BlockBackend(device)
    backend.delete(NAMES[0])
    backend.delete(NAMES[1])
    block = layout.parse(device.data)
    for at in range(4):
        copy = MemoryDevice(device.size_bytes, data=bytearray(device.data))
        smash(copy, block.half_start + at * BLOCK)
        found = BlockBackend(copy)
        assert bool(found.problems) == (at < 3)
        assert readable(found) == {0: [], 1: list(range(2, 8)), 2: [0, *range(2, 8)], 3: list(range(1, 8))}[at]


def test_a_lost_half_is_said() -> None:
    """No older half takes its place: its blocks may be other files' by now."""
    device = filled()
    block = layout.parse(device.data)
    smash(device, block.half_start, block.half_bytes)

    with pytest.raises(Corrupt, match="directory of the device memory device is lost"):
        BlockBackend(device)


def test_remains_of_a_switch_that_failed_do_not_count() -> None:
    """Records of a checkpoint that was never switched to have another epoch."""
    device = filled()
    before = bytes(device.data[:BLOCK])
    backend = BlockBackend(device)
    backend.checkpoint()
    device.data[:BLOCK] = device.data[-BLOCK:] = before
    again = BlockBackend(device)
    for name in NAMES[1:]:
        again.delete(name)
    again.checkpoint()

    assert readable(reopened(device)) == [0]


# --- metafile and rebuild ---


def test_a_metafile_brings_a_lost_directory_back() -> None:
    """Files keep names and places; the device can be written to again."""
    device = filled()
    metafile = BlockBackend(device).metafile()
    smash(device, 0, layout.parse(device.data).data_start)
    smash(device, device.size_bytes - BLOCK)
    told = rebuild_on(device, metafile)
    backend = BlockBackend(device)

    assert "8 came from the metafile" in told
    assert readable(backend) == list(range(8))
    backend.put("packs/new", noise(100_000))
    assert readable(reopened(device)) == list(range(8))


def test_a_metafile_adds_what_the_directory_lost() -> None:
    """What the directory still has is newer; a pack whose blocks another has by now stays away."""
    device = filled()
    backend = BlockBackend(device)
    metafile = backend.metafile()
    backend.delete(NAMES[5])
    backend.put(NAMES[5], packed(5))
    backend.delete(NAMES[7])
    free = backend.space().free_bytes
    backend.put("packs/filler", b"f" * free)
    smash(device, layout.parse(device.data).half_start + 3 * BLOCK)
    told = rebuild_on(device, metafile, scan=False)

    assert told[0] == "7 files were in the directory"
    assert told[1] == "1 came from the metafile"
    assert readable(BlockBackend(device)) == [0, 1, 2, 3, 4, 5, 6]


def test_without_a_metafile_packs_are_found_by_their_headers() -> None:
    """As open ones, up to their last whole group: the pool's recovery closes them."""
    device = filled()
    smash(device, layout.parse(device.data).half_start, layout.parse(device.data).half_bytes)
    rebuild_on(device)
    backend = BlockBackend(device)
    names = sorted(item.name for item in backend.list("packs"))

    assert names == sorted(name.replace(".pack", ".open") for name in NAMES)
    for n, name in enumerate(names):
        assert backend.read(name, 0, backend.size(name)) == packed(n)


@pytest.mark.parametrize("at", [0, 100, BLOCK, BLOCK + 100])
def test_a_damaged_metafile_is_refused(at: int) -> None:
    """Half a list would be taken for all of it."""
    device = filled()
    metafile = bytearray(BlockBackend(device).metafile())
    metafile[at] ^= 1

    with pytest.raises(Corrupt):
        rebuild_on(device, bytes(metafile))


def test_a_metafile_of_another_device_is_refused() -> None:
    """Nothing is changed."""
    device = filled()
    before = bytes(device.data)
    with pytest.raises(Conflict, match="another device"):
        rebuild_on(device, BlockBackend(filled()).metafile())

    assert device.data == before


# --- format ---


def test_a_storage_is_not_formatted_over() -> None:
    """Unless that is asked for; then nothing of it is left to be seen."""
    device = filled()
    with pytest.raises(Conflict, match="already"):
        format_on(device)
    format_on(device, overwrite=True)

    assert readable(BlockBackend(device)) == []


def test_formatting_takes_the_signs_of_others_away() -> None:
    """At both ends, where file systems, partition tables and RAID keep theirs."""
    device = MemoryDevice(8 * MIB, data=bytearray(b"\x5a" * 8 * MIB))
    format_on(device)

    assert device.data[BLOCK:DIRECTORY_START] == bytes(DIRECTORY_START - BLOCK)
    assert device.data[-MIB - BLOCK : -BLOCK] == bytes(MIB)


def test_a_device_is_large_enough() -> None:
    """Or the message says how large it has to be."""
    with pytest.raises(Invalid, match="1048576"):
        format_on(MemoryDevice(MIB - 1))


# --- a device that fails ---


@pytest.mark.parametrize("what", ["write", "sync"])
def test_after_a_failed_record_nothing_is_promised(what: str) -> None:
    """Whether a change arrived is not known before the next start; reading goes on."""
    device = filled()
    backend = BlockBackend(device)
    device.failing = what
    with pytest.raises(StorageFault, match="memory device is lost"):
        backend.delete(NAMES[0])
    device.failing = ""
    with pytest.raises(StorageFault):
        backend.delete(NAMES[1])

    assert backend.read(NAMES[2], 0, 100) == packed(2)[:100]
    assert set(readable(reopened(device))) >= {1, 2, 3, 4, 5, 6, 7}


def test_after_a_failed_sync_nothing_is_written_until_the_device_is_opened_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel tells a failure once, to whoever asks first: another thread's sync would seem to succeed."""
    path = tmp_path / "device"
    format_device(path, size_bytes=4 * MIB)
    backend = BlockBackend.open(path)
    backend.put(NAMES[0], packed(0))
    file = backend.append(NAMES[1])
    file.write(packed(1))

    def fails(_: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", fails)
        with pytest.raises(StorageFault, match=f"The device {path} is lost: Input/output error"):
            file.sync()
    for act in (file.sync, backend.space, lambda: backend.put(NAMES[2], b"x"), lambda: backend.delete(NAMES[0])):
        with pytest.raises(StorageFault, match="not written to until it is opened again"):
            act()
    assert backend.read(NAMES[0], 0, 100) == packed(0)[:100]
    backend.close()
    again = BlockBackend.open(path)
    assert readable(again) == [0]
    again.put(NAMES[1], packed(1))
    again.close()


@pytest.mark.parametrize(("code", "error"), [(errno.ENODEV, StorageFault), (errno.ENOSPC, StorageFull)])
def test_what_the_system_answers_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, error: type[StorageFault]
) -> None:
    """A device that went, and a file with holes on a full disk; the file that was to be is not there."""
    path = tmp_path / "device"
    format_device(path, size_bytes=4 * MIB)
    backend = BlockBackend.open(path)
    free = backend.space().free_bytes

    def fails(*_: object) -> int:
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwritev", fails)
        with pytest.raises(error, match=f"{path}.*{os.strerror(code)}"):
            backend.put(NAMES[0], packed(0))

    assert backend.space().free_bytes == free
    assert readable(backend) == []
    backend.put(NAMES[0], packed(0))
    backend.close()


def test_a_write_that_failed_leaves_the_file_as_it_was() -> None:
    """Small or long, its bytes and its room; then it goes on."""
    device = formatted()
    backend = BlockBackend(device)
    free = backend.space().free_bytes
    file = backend.append(NAMES[0])
    data = b""
    for size in (1_000, 100_000, 5_000):
        device.failing = "write"
        with pytest.raises(StorageFault):
            file.write(noise(200_000))
        device.failing = ""
        assert backend.read(NAMES[0], 0, backend.size(NAMES[0])) == data
        file.write(noise(size))
        data += noise(size)
        assert file.size_bytes == len(data)
    file.sync()
    file.close()

    assert reopened(device).read(NAMES[0], 0, len(data)) == data
    assert free - backend.space().free_bytes == -(-len(data) // BLOCK) * BLOCK


def test_a_file_that_is_deleted_while_it_grows_leaves_nothing() -> None:
    """Not even when it is written to afterwards."""
    device = formatted()
    backend = BlockBackend(device)
    free = backend.space().free_bytes
    for before in (0, 1_000, 100_000):
        file = backend.append(NAMES[0])
        file.write(noise(before))
        backend.delete(NAMES[0])
        file.write(noise(1_000))
        file.write(noise(100_000))
        file.sync()
        file.close()

    assert list(backend.list("packs")) == []
    assert backend.space().free_bytes == free


def test_a_growing_file_is_read_while_it_is_written(tmp_path: Path) -> None:
    """What is there is right at each moment, also as it leaves memory for the device."""
    path = tmp_path / "device"
    format_device(path, size_bytes=64 * MIB)
    backend = BlockBackend.open(path)
    data = noise(300_000)
    done = threading.Event()
    looks = [0, 0]

    def look(one: int) -> None:
        while not done.is_set():
            for turn in range(40):
                name = f"packs/{turn}"
                try:
                    size = backend.size(name)
                    assert backend.read(name, 0, size) == data[:size]
                except NotFound:
                    break
                looks[one] += 1

    with ThreadPoolExecutor(2) as threads:
        looking = [threads.submit(look, one) for one in range(2)]
        for turn in range(40):
            file = backend.append(f"packs/{turn}")
            for at in range(0, len(data), 30_000):
                file.write(data[at : at + 30_000])
            file.close()
        eventually(lambda: all(looks) or any(one.done() for one in looking), 60)
        done.set()
        for one in looking:
            one.result()
    assert all(looks)
    backend.close()


def test_a_device_is_given_once(tmp_path: Path) -> None:
    """Two that write to one device would destroy it."""
    path = tmp_path / "device"
    format_device(path, size_bytes=MIB)
    backend = BlockBackend.open(path)
    with pytest.raises(Busy, match="in use"):
        BlockBackend.open(path)
    backend.close()
    backend.close()
    BlockBackend.open(path).close()


def test_a_device_that_changed_is_lost(tmp_path: Path) -> None:
    """Cut, replaced or gone: the device is named."""
    path = tmp_path / "device"
    format_device(path, size_bytes=MIB)
    backend = BlockBackend.open(path)
    backend.put(NAMES[0], b"x")
    path.rename(tmp_path / "moved")
    with pytest.raises(StorageFault, match=f"{path} cannot be used: No such file"):
        backend.size(NAMES[0])
    format_device(path, size_bytes=MIB)
    with pytest.raises(StorageFault, match=f"{path} is lost: another one"):
        backend.space()
    (tmp_path / "moved").rename(path)
    assert backend.size(NAMES[0]) == 1
    with path.open("r+b") as file:
        file.write(bytes(BLOCK))
    with pytest.raises(Corrupt, match="superblock"):
        backend.space()
    with path.open("r+b") as file:
        file.truncate(MIB // 2)
    with pytest.raises(StorageFault, match=f"{path} is lost: it has 524288 bytes"):
        backend.size(NAMES[0])
    backend.close()


@pytest.mark.parametrize("workers", [0, 65])
def test_workers_are_bounded(tmp_path: Path, workers: int) -> None:
    """The message says what is allowed."""
    path = tmp_path / "device"
    format_device(path, size_bytes=MIB)
    with pytest.raises(Invalid, match="1 to 64"):
        BlockBackend.open(path, workers)


def test_what_is_no_device_is_refused(tmp_path: Path) -> None:
    """A folder, or nothing."""
    with pytest.raises(Invalid, match="neither"):
        BlockBackend.open(tmp_path)
    with pytest.raises(StorageFault, match="No such file"):
        BlockBackend.open(tmp_path / "none")


@pytest.mark.root
def test_a_device_that_is_open_cannot_be_mounted(tmp_path: Path) -> None:
    """The kernel gives it to nobody who wants it alone, as mount does; and one that is in use is not opened."""
    try:
        with loop_device(tmp_path / "image", 16 * MIB) as path:
            format_device(path)
            backend = BlockBackend.open(path, 2)
            backend.put(NAMES[0], packed(0))
            with pytest.raises(OSError, match="Device or resource busy"):
                os.open(path, os.O_RDONLY | os.O_EXCL)
            backend.close()
            alone = os.open(path, os.O_RDONLY | os.O_EXCL)
            with pytest.raises(Busy, match=f"{path} is in use: it is mounted"):
                BlockBackend.open(path)
            os.close(alone)
            backend = BlockBackend.open(path)
            assert backend.read(NAMES[0], 0, 100) == packed(0)[:100]
            backend.close()
            assert rebuild(path)[0] == "1 files were in the directory"
    except NoLoopDevices as error:
        pytest.skip(str(error))


# --- threads ---


def test_many_threads_use_one_device(tmp_path: Path) -> None:
    """Each finds its own files; syncs are shared; nothing is lost after the next start."""
    path = tmp_path / "device"
    format_device(path, size_bytes=64 * MIB)
    backend = BlockBackend.open(path, 3)
    start = threading.Barrier(8)

    def work(thread: int) -> list[Item]:
        start.wait()
        kept = []
        for turn in range(12):
            data = noise(200_000 + turn, thread)
            name = f"packs/{thread}/{turn}"
            file = backend.append(f"{name}.open")
            for at in range(0, len(data), 50_000):
                file.write(data[at : at + 50_000])
            file.sync()
            file.close()
            backend.publish(f"{name}.open", f"{name}.pack")
            assert backend.read(f"{name}.pack", 0, len(data)) == data
            if turn % 3:
                backend.delete(f"{name}.pack")
            else:
                kept.append(Item(f"{name}.pack", len(data)))
        return kept

    with ThreadPoolExecutor(8) as threads:
        kept = [item for items in threads.map(work, range(8)) for item in items]
    backend.close()
    again = BlockBackend.open(path)

    assert again.problems == []
    assert sorted(again.list("packs")) == sorted(kept)
    again.close()
