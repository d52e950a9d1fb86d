"""Samples of every stored format are read for ever; what is written today is the same bytes.

After a change of format on purpose: add a sample, keep the old ones. The samples are made by
`python tests/contract/chunkstore/test_chunkstore_format.py`.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from rubackup.chunkstore import group, pack, seals
from rubackup.chunkstore.backends.block import layout
from rubackup.chunkstore.backends.block.layout import Superblock
from rubackup.chunkstore.backends.block.prepare import parse_metafile
from rubackup.chunkstore.backends.block.records import Change, checkpoint
from rubackup.chunkstore.backends.block.records import Entry as Stored
from rubackup.chunkstore.backends.memory import MemoryBackend
from rubackup.chunkstore.group import Sealer
from rubackup.chunkstore.identity import HOLE, chunk_id
from rubackup.chunkstore.manifest import Entry, EntryType, Header, ManifestReader, ManifestWriter, Summary
from rubackup.chunkstore.seals import SealedRecord
from rubackup.domain.errors import Corrupt
from support.keys import GCM, KEY, Held

SAMPLES = Path(__file__).parents[2] / "data" / "chunkstore"
CHUNKS = [(chunk_id(data), data) for data in (b"text " * 100, b"another", bytes(range(256)))]
RECORD = "0123456789abcdef0123456789abcdef"
HEADER = Header(RECORD, "", "00000000000000aa", "File system", "/home", "full", 1_700_000_000, (32, 128, 512, 0))
SUMMARY = Summary(files=2, files_failed=1, folders=2, size_bytes=4242)
LINK = Entry(
    b"link\xff", int(EntryType.SYMLINK), 0o777, 1, 2, "user", "group", 0, 10**18 + 1, -5, 6, 7, 8, target=b"\xfe/x"
)
FILE = Entry(
    b"note", int(EntryType.FILE), 0o4755, 0, 0, "root", "root", 763, 1, 2, 3, 4, 2,
    xattrs=[(b"user.k", b"v")], hardlink=b"/home/first", first_row=0, rows=3,
)  # fmt: skip
SEALED = SealedRecord(
    record=RECORD, parent="", owner="00000000000000aa", task_id=7, fence=3, resource_type="File system", resource="/home",
    backup_type="full", files=2, files_failed=1, size_bytes=4242, stored_bytes=99, sealed_at_ns=1_700_000_000_000,
)  # fmt: skip


def sample_group_stored() -> bytes:
    """A group that is not compressed."""
    return group.encode(CHUNKS, None)


def sample_pack() -> bytes:
    """A closed pack of one group."""
    backend = MemoryBackend()
    writer = pack.PackWriter(backend, pack.PackHeader(b"p" * 16, b"n" * 16, "00000000000000aa"))
    writer.add(sample_group_stored(), len(CHUNKS))
    writer.close()
    return backend.read(pack.closed_name(b"n" * 16), 0, backend.size(pack.closed_name(b"n" * 16)))


def _stream() -> bytes:
    parts: list[bytes] = []
    writer = ManifestWriter(parts.append, HEADER)
    writer.add_rows([(name, len(data)) for name, data in CHUNKS[:2]] + [(HOLE, 4096)])
    writer.add_folder(b"/", [Entry(b"home", int(EntryType.FOLDER), 0o755, 0, 0, "", "", 0, 0, 0, 0, 0, 2)])
    writer.add_folder(b"/home", [LINK, FILE])
    writer.finish(SUMMARY)
    return b"".join(parts)


def sample_manifest() -> bytes:
    """A sealed manifest."""
    stream = _stream()
    return stream + seals.seal_bytes(SEALED, len(stream), chunk_id(stream))


def sample_group_zstd() -> bytes:
    """A group that is compressed; its bytes depend on zstd's version, so only reading is held."""
    return group.encode(CHUNKS, 3)


def sample_group_sealed() -> bytes:
    """A group that is encrypted: key, salt and number are fixed, so its bytes are."""
    sealer = Sealer(KEY, GCM, first=7, random=bytes)
    return group.encode([(sealer.identify(data), data) for _, data in CHUNKS], None, sealer)


DEVICE = Superblock(b"u" * 16, 8 << 20, 512 << 10, 1_114_112, 1_775, 3, b"e" * 16)
FILES = {
    pack.closed_name(b"n" * 16): Stored(5_000_000, ((0, 1_200), (1_300, 21))),
    f"manifests/{RECORD}.tombstone": Stored(42, ((1_774, 1),)),
    "pool": Stored(0, ()),
}


def sample_device() -> bytes:
    """A metafile of a block device: a superblock, and a directory as a checkpoint has it."""
    rows = [Change(name, entry).encode() for name, entry in FILES.items()]
    return layout.encode(DEVICE) + b"".join(checkpoint(rows, DEVICE.generation, DEVICE.epoch))


WRITTEN = {
    "device-1": sample_device,
    "group-stored-1": sample_group_stored,
    "group-sealed-1": sample_group_sealed,
    "pack-1": sample_pack,
    "manifest-1": sample_manifest,
}
MADE = {**WRITTEN, "group-zstd-1": sample_group_zstd}


def _sample(name: str) -> bytes:
    return (SAMPLES / name).read_bytes()


def _in_memory(name: str, data: bytes) -> MemoryBackend:
    backend = MemoryBackend()
    backend.put(name, data)
    return backend


def test_every_sample_is_read_here() -> None:
    """A sample that no test reads would rot."""
    assert {path.name for path in SAMPLES.iterdir()} == set(MADE)


@pytest.mark.parametrize("name", WRITTEN)
def test_the_bytes_written_do_not_change(name: str) -> None:
    """A changed format needs a new version."""
    assert WRITTEN[name]() == _sample(name)


@pytest.mark.parametrize("name", ["group-stored-1", "group-zstd-1"])
def test_old_groups_are_read(name: str) -> None:
    """Chunks of a stored sample come back."""
    found = group.decode(_sample(name))
    found.check()

    assert [(key, bytes(found.chunk(i))) for i, key in enumerate(found.ids)] == CHUNKS


def test_old_encrypted_groups_are_read() -> None:
    """With its key, chunks of a stored sample come back; the header tells key, salt and number."""
    found = group.open_group(_sample("group-sealed-1"), Held(KEY))
    found.check()
    head = group.read_head(_sample("group-sealed-1"))

    assert [bytes(found.chunk(i)) for i in range(len(CHUNKS))] == [data for _, data in CHUNKS]
    assert (head.key_id, head.salt, head.number) == (KEY.id, bytes(32), 7)


def test_old_directories_of_devices_are_read() -> None:
    """Superblock and files of a stored sample."""
    block, directory = parse_metafile(_sample("device-1"))

    assert block == DEVICE
    assert dict(directory.items()) == FILES


def test_old_packs_are_read() -> None:
    """Header, trailer and groups of a stored sample are understood."""
    name = pack.closed_name(b"n" * 16)
    backend = _in_memory(name, _sample("pack-1"))
    extents = pack.read_extents(backend, name)

    assert pack.parse_header(_sample("pack-1")).owner == "00000000000000aa"
    assert backend.read(name, extents[0].offset, extents[0].length) == _sample("group-stored-1")


def test_old_manifests_are_read() -> None:
    """Seal, header, entries and rows of a stored sample come back."""
    data = _sample("manifest-1")
    sealed, stream_bytes, _ = seals.read_seal(_in_memory("m", data), "m")
    reader = ManifestReader(lambda at, length: data[:stream_bytes][at : at + length], stream_bytes)
    reader.verify()

    assert (sealed, reader.header, reader.summary) == (SEALED, HEADER, SUMMARY)
    assert reader.folder(b"/home", 0, 9) == ([LINK, FILE], 2)
    assert reader.rows(0, 3) == [(CHUNKS[0][0], 500), (CHUNKS[1][0], 7), (HOLE, 4096)]


def test_every_flipped_bit_of_a_seal_is_found() -> None:
    """Reserved bytes are no exception."""
    data = _sample("manifest-1")
    _, stream_bytes, _ = seals.read_seal(_in_memory("m", data), "m")
    for bit in range(8 * stream_bytes, 8 * len(data)):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(Corrupt):
            seals.read_seal(_in_memory("m", bytes(damaged)), "m")


if __name__ == "__main__":
    for name, make in MADE.items():
        if not (SAMPLES / name).exists():
            (SAMPLES / name).write_bytes(make())
            sys.stdout.write(f"{name}\n")
