"""What manifests share is read once."""

from __future__ import annotations

from pathlib import Path

from rubackup.chunkstore.gc.live import PREFIX_BYTES, LiveIds
from rubackup.chunkstore.manifest import Header, ManifestReader, ManifestWriter, Summary
from support.chunkstore import noise, write_tree

ROWS = {f"/{number}": [(noise(32, number), 5)] for number in range(6000)}


def manifest(record: str, names: dict[str, list[tuple[bytes, int]]]) -> bytes:
    """A manifest of files with these rows."""
    parts: list[bytes] = []
    writer = ManifestWriter(parts.append, Header(record, "", "0" * 16, "File system", "/", "full", 5, (1, 2, 3, 4)))
    write_tree(writer, {path: path.encode() for path in names}, lambda data: names[data.decode()])
    writer.finish(Summary(len(names), 0, 0, 0))
    return b"".join(parts)


def test_frames_that_were_seen_are_not_read_again(tmp_path: Path) -> None:
    """Of a second manifest with the same files only headers of frames are read, and the ids are those of both."""
    live = LiveIds(tmp_path, 0)
    read: list[int] = []
    for record, names in (("1" * 32, ROWS), ("2" * 32, ROWS | {"/z": [(b"\xff" * 32, 5)]})):
        data = manifest(record, names)
        read.append(0)

        def read_at(offset: int, length: int, data: bytes = data) -> bytes:
            read[-1] += length
            return data[offset : offset + length]

        live.add(ManifestReader(read_at, len(data)), lambda: None)

    assert read[0] > 36 * len(ROWS)
    assert read[1] < read[0] / 2
    assert live.partition(0) == {name[:PREFIX_BYTES] for rows in ROWS.values() for name, _ in rows} | {b"\xff" * 8}
