"""How files are cut: the same bytes, whatever is read at once, in chunks of the size asked for."""

from __future__ import annotations

import errno
import os
import random
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from rubackup.client.modules.filesystem import reader
from rubackup.client.modules.filesystem.reader import FLEXIBLE, USUAL, FileReader


@pytest.fixture
def pieces_of(tmp_path: Path) -> Iterator[object]:
    """Cuts content that is written to a file first."""
    handles = []

    def cut(made: FileReader, data: bytes) -> list[bytes]:
        file = tmp_path / "file"
        file.write_bytes(data)
        handles.append(os.open(file, os.O_RDONLY))
        return [bytes(piece) for piece in made.pieces(handles[-1], file.stat())]  # type: ignore[arg-type]

    yield cut
    for handle in handles:
        os.close(handle)


def test_what_is_read_at_once_does_not_move_the_cuts(pieces_of) -> None:
    """A file is cut alike however much of it is read at once, and its chunks are the file."""
    data = random.Random(1).randbytes(5_000_001)
    cuts = [pieces_of(FileReader(lambda: None, read_bytes=size), data) for size in (512 << 10, 1_000_003, 8 << 20)]

    assert cuts[0] == cuts[1] == cuts[2]
    assert b"".join(cuts[0]) == data


def test_reading_ahead_changes_nothing(pieces_of) -> None:
    """The same chunks; a file that ends early ends the same way."""
    data = random.Random(3).randbytes(3_000_001)
    with ThreadPoolExecutor(1) as ahead:
        made = pieces_of(FileReader(lambda: None, read_bytes=512 << 10, ahead=ahead), data)

    assert made == pieces_of(FileReader(lambda: None, read_bytes=512 << 10), data)


def test_who_stops_reading_may_close_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is read any more when the pieces are closed; an error of what was read ahead is told in its place."""
    file = tmp_path / "file"
    file.write_bytes(random.Random(4).randbytes(3_000_001))
    busy, real = [0], reader.read_at

    def slow(fd: int, length: int, offset: int) -> bytes:
        busy[0] += 1
        time.sleep(0.02)
        if offset > 2_000_000:
            raise OSError(errno.EIO, "Input/output error")
        busy[0] -= 1
        return real(fd, length, offset)

    monkeypatch.setattr(reader, "read_at", slow)
    with ThreadPoolExecutor(1) as ahead, file.open("rb") as opened:
        made = FileReader(lambda: None, read_bytes=512 << 10, ahead=ahead)
        pieces = made.pieces(opened.fileno(), file.stat())
        next(pieces)
        pieces.close()
        at_close = busy[0]
        seen: list[int] = []
        with pytest.raises(OSError, match="Input/output"):
            seen.extend(len(piece) for piece in made.pieces(opened.fileno(), file.stat()))  # type: ignore[arg-type]

    assert at_close == 0
    assert 2_000_000 < sum(seen) < 3_000_001


def test_large_files_are_cut_coarsely_when_asked_for(pieces_of, monkeypatch: pytest.MonkeyPatch) -> None:
    """With enable_flexible_dedup chunks of large files are about eight times as long; those of other files are as ever."""
    monkeypatch.setattr(reader, "LARGE_BYTES", 8 << 20)
    data = random.Random(2).randbytes(16 << 20)
    usual, flexible = FileReader(lambda: None), FileReader(lambda: None, flexible=True)
    fine, coarse = pieces_of(usual, data), pieces_of(flexible, data)

    assert b"".join(coarse) == data
    assert len(fine) > 4 * len(coarse)
    assert all(FLEXIBLE[0] <= len(piece) <= FLEXIBLE[2] for piece in coarse[:-1])
    assert pieces_of(flexible, data[: 4 << 20]) == pieces_of(usual, data[: 4 << 20])


def test_room_for_the_longest_chunk(pieces_of) -> None:
    """A reader that could not hold a chunk is refused."""
    with pytest.raises(ValueError, match="larger"):
        FileReader(lambda: None, read_bytes=USUAL[2] - 1)
    with pytest.raises(ValueError, match="larger"):
        FileReader(lambda: None, flexible=True, read_bytes=FLEXIBLE[2] - 1)
