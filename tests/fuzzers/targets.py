"""What is fuzzed: each target takes any bytes and must return; only errors of the domain are allowed inside.

The first byte of the input says whether sums are put right first: else nearly every input would end at a sum, and what
lies behind would never be tried. A hostile client writes right sums, too.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Final

from blake3 import blake3

from rubackup.chunkstore import group, pack, seals
from rubackup.chunkstore.backends.block import layout
from rubackup.chunkstore.backends.block.prepare import parse_metafile
from rubackup.chunkstore.backends.block.space import gaps
from rubackup.chunkstore.backends.memory import MemoryBackend
from rubackup.chunkstore.manifest import ManifestReader
from rubackup.chunkstore.manifest import format as fmt
from rubackup.chunkstore.manifest.check import check_manifest
from rubackup.domain.errors import Corrupt, Invalid, NotFound, WireFault
from rubackup.wire import framing

SAMPLES: Final = Path(__file__).parents[1] / "data"
MAX_INPUT_BYTES: Final = 64 << 10
Target = Callable[[bytes], None]


def seeds(target: str) -> list[bytes]:
    """Whole files of today's formats, with right sums to be kept (0) and to be made (1)."""
    if target in {"wire", "frames"}:
        found = [bytes.fromhex(path.read_text()) for path in sorted((SAMPLES / "wire").glob("*.hex"))]
        return found if target == "frames" else [data[framing.HEADER.size :] for data in found]
    kind = {"index": "manifest", "seal": "manifest"}.get(target, target)
    if kind == "pack":
        found = [_pack([data[1:] for data in seeds("group")[::2]])]
    else:
        found = [path.read_bytes() for path in sorted((SAMPLES / "chunkstore").glob(f"{kind}-*"))]
    return [bytes([first]) + data for data in found for first in (0, 1)]


def _pack(groups: list[bytes]) -> bytes:
    backend = MemoryBackend()
    writer = pack.PackWriter(backend, pack.PackHeader(b"p" * 16, bytes(16), "00000000000000aa"))
    for data in groups:
        writer.add(data, len(group.read_head(data).ids))
    writer.close()
    name = pack.closed_name(bytes(16))
    return backend.read(name, 0, backend.size(name))


def _split(data: bytes) -> tuple[bool, bytearray]:
    return bool(data[:1] and data[0] & 1), bytearray(data[1:])


# --- groups ---


def summed_group(data: bytearray) -> bytearray:
    """The group with sums that fit its bytes, as far as it has them."""
    if len(data) >= group.HEAD_BYTES:
        count = int.from_bytes(data[8:12], "little")
        rows = group.HEAD_BYTES + group.ROW_BYTES * min(count, group.MAX_CHUNKS)
        rows += group.EXTENSION_BYTES if data[6] else 0
        data[20:52] = blake3(data[rows:]).digest()
        data[52:84] = blake3(data[:52]).update(data[84:rows]).digest()
    return data


def fuzz_group(data: bytes) -> None:
    """Decoded, and each chunk hashed; what decodes names its chunks and fills its buffer."""
    summed, content = _split(data)
    with suppress(Corrupt):
        found = group.decode(summed_group(content) if summed else content)
        assert 1 <= len(found.ids) <= group.MAX_CHUNKS
        assert sum(len(found.chunk(i)) for i in range(len(found.ids))) == len(found.raw) <= group.MAX_RAW_BYTES
        found.check()


# --- packs ---


def summed_pack(data: bytearray) -> bytearray:
    """The pack with a header and a trailer whose sums fit; the groups in it as the first one says."""
    if len(data) > pack.HEADER_BYTES + 64:
        data[pack.HEADER_BYTES - 32 : pack.HEADER_BYTES] = blake3(data[: pack.HEADER_BYTES - 32]).digest()
        (groups,) = struct.unpack_from("<I", data, len(data) - 56)
        rows = len(data) - 56 - 44 * min(groups, 1000)
        if rows >= pack.HEADER_BYTES:
            struct.pack_into("<Q", data, len(data) - 48, len(data))
            total = blake3(data[: pack.HEADER_BYTES]).update(data[rows:-56]).update(data[-56:-40])
            data[-40:-8] = total.digest()
    return data


def fuzz_pack(data: bytes) -> None:
    """Header, trailer, the heads that the trailer names, and a scan of its groups."""
    summed, content = _split(data)
    name = pack.closed_name(bytes(16))
    backend = MemoryBackend()
    backend.put(name, bytes(summed_pack(content) if summed else content))
    with suppress(Corrupt):
        pack.parse_header(bytes(content[: pack.HEADER_BYTES]))
    with suppress(Corrupt):
        extents = pack.read_extents(backend, name)
        for extent, head in pack.read_heads(backend, name, extents):
            assert head.total_bytes == extent.length
    end = pack.HEADER_BYTES
    for extent, _ in pack.scan(backend, name):
        assert extent.offset >= end
        end = extent.offset + extent.length
    assert end <= max(len(content), pack.HEADER_BYTES)


# --- manifests ---


def summed_manifest(data: bytearray) -> bytearray:
    """The manifest with frames whose sums fit, as far as they follow one another."""
    at = len(fmt.MAGIC)
    while at + fmt.FRAME_BYTES <= len(data):
        end = at + fmt.FRAME_BYTES + fmt.FRAME.unpack_from(data, at)[4]
        if end > len(data):
            break
        total = blake3(data[at : at + 24]).update(data[at + fmt.FRAME_BYTES : end]).digest()
        data[at + 24 : at + fmt.FRAME_BYTES] = total
        at = end
    return data


def fuzz_manifest(data: bytes) -> None:
    """Read in any order, and checked; what the check accepts must be read without an error, and say the same."""
    summed, content = _split(data)
    whole = bytes(summed_manifest(content) if summed else content)

    def read_at(offset: int, length: int) -> bytes:
        return whole[offset : offset + length]

    with suppress(Corrupt, Invalid, NotFound):
        _read_all(ManifestReader(read_at, len(whole)))
    rows: list[int] = []
    try:
        check_manifest(read_at, len(whole), lambda raw, _: rows.append(len(raw) // fmt.ROW.size))
    except (Corrupt, Invalid):
        return
    reader = ManifestReader(read_at, len(whole))
    assert reader.row_count == sum(rows)
    _read_all(reader)


def _read_all(reader: ManifestReader) -> None:
    for path, entries in reader.folders():
        for entry in list(entries)[:50]:
            found = reader.find(path.rstrip(b"/") + b"/" + entry.name)
            assert found is not None, "an entry that is listed is not found"
            assert found.name == entry.name, "another entry is found"
    for first in range(0, min(reader.row_count, 20_000), 1_000):
        reader.rows(first, min(1_000, reader.row_count - first))


def fuzz_seal(data: bytes) -> None:
    """A sealed manifest's last part."""
    summed, content = _split(data)
    if summed and len(content) > 48:
        length = min(int.from_bytes(content[-48:-44], "little"), len(content) - 48)
        content[-40:-8] = blake3(content[len(content) - 48 - length : -48]).digest()
    backend = MemoryBackend()
    backend.put("manifests/a", bytes(content))
    with suppress(Corrupt):
        record, stream_bytes, file_bytes = seals.read_seal(backend, "manifests/a")
        assert 0 <= stream_bytes <= file_bytes == len(content), "a seal names a stream that the file does not have"
        seals.check_record_id(record.record)


# --- devices ---


def summed_device(data: bytearray) -> bytearray:
    """The metafile with a superblock and records whose sums fit."""
    if len(data) >= layout.BLOCK:
        data[96:128] = blake3(data[:96]).digest()
        for at in range(layout.BLOCK, len(data) - 63, layout.BLOCK):
            length = int.from_bytes(data[at + 8 : at + 12], "little")
            total = blake3(data[72:88]).update(data[at : at + 32]).update(data[at + 64 : at + 64 + length])
            data[at + 32 : at + 64] = total.digest()
    return data


def fuzz_device(data: bytes) -> None:
    """A superblock and a directory; files that are told of lie within the device."""
    summed, content = _split(data)
    with suppress(Corrupt):
        block, directory = parse_metafile(bytes(summed_device(content) if summed else content))
        for name, entry in directory.items():
            assert name
            assert sum(length for _, length in entry.extents) * layout.BLOCK >= entry.size_bytes
        gaps(directory.extents(), block.data_blocks)


# --- wire ---


def fuzz_wire(data: bytes) -> None:
    """Any message, in the form of any of its readers; what is read can be written again and is the same."""
    with suppress(WireFault):
        message = framing.decode(data)
        assert framing.decode(framing.encode(message)) == message


def fuzz_frames(data: bytes) -> None:
    """A stream of frames: each header is bounded before its payload is waited for."""
    with suppress(WireFault, struct.error):
        while len(data) >= framing.HEADER.size:
            length, kind = framing.parse_header(data[: framing.HEADER.size])
            assert length <= framing.MAX_FRAME_BYTES
            payload, data = data[framing.HEADER.size :][:length], data[framing.HEADER.size + length :]
            if kind is framing.FrameType.MESSAGE:
                framing.decode(payload)
            elif kind is framing.FrameType.GROUP:
                with suppress(Corrupt):
                    group.decode(payload).check()


@cache
def _index():
    """An index in memory with something in it, once a process."""
    from fuzzers.indexed import make_index

    return make_index()


def fuzz_index(data: bytes) -> None:
    """Any bytes as rows of the index: LMDB has no sums, so a page may hold anything."""
    from fuzzers.indexed import try_rows

    try_rows(_index(), data)


TARGETS: Final[dict[str, Target]] = {
    "group": fuzz_group,
    "pack": fuzz_pack,
    "manifest": fuzz_manifest,
    "seal": fuzz_seal,
    "device": fuzz_device,
    "index": fuzz_index,
    "wire": fuzz_wire,
    "frames": fuzz_frames,
}
