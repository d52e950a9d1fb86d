"""Makes table, index and trailer of a damaged manifest anew, from the segments that are whole.

Every frame has a sum of its own and segments name no place, so whatever lies between two damaged bytes can be found again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from rubackup.chunkstore.manifest import format as fmt
from rubackup.chunkstore.manifest.format import Frame, FrameCipher, Header, SegmentRow, Summary
from rubackup.chunkstore.manifest.runs import RunView, parse_runs
from rubackup.chunkstore.manifest.writer import ManifestWriter, row_bytes
from rubackup.domain.errors import Corrupt

_COPY_BYTES: Final = 4 << 20
_SEARCH_BYTES: Final = 1 << 20
_LIKELY: Final = re.compile(rb"(?s)[EIRST][\0\1]")


class Rebuilt(NamedTuple):
    """What `rebuild_tail` wrote."""

    header: Header
    summary: Summary
    damaged: list[str]
    """A sentence for each part that could not be taken; nothing of the entries is missing when there is none."""


class _Segment(NamedTuple):
    row: SegmentRow
    first: tuple[bytes, int, bytes]


def rebuild_tail(
    read_at: Callable[[int, int], bytes],
    size: int,
    sink: Callable[[bytes], None],
    cipher: FrameCipher | None = None,
) -> Rebuilt:
    """Write a manifest with the header and every whole segment of the one that `read_at` reads.

    It is the same, byte for byte, when only table, index or trailer were damaged, and then passes every check. Where
    segments are missing it can be read, and lists what is left. Corrupt when the header is damaged, Invalid when it
    is encrypted and `cipher` is not given.
    """
    scan = _Scan(read_at, size, cipher)
    header = scan.header()
    segments = list(scan.segments())
    writer = ManifestWriter(sink, header, cipher)
    for row, first in segments:
        for at in range(row.offset, row.end, _COPY_BYTES):
            sink(read_at(at, min(_COPY_BYTES, row.end - at)))
        writer.list_segment(row, first)
    summary = scan.summary()
    writer.finish(summary)
    return Rebuilt(header, summary, scan.damaged)


class _Scan:
    def __init__(self, read_at: Callable[[int, int], bytes], size: int, cipher: FrameCipher | None) -> None:
        self._read_at, self._size, self._cipher = read_at, size, cipher
        self._at = len(fmt.MAGIC)
        self._told: Summary | None = None
        self._found = Summary()
        self.damaged: list[str] = []

    def header(self) -> Header:
        frame = self._frame(self._at)
        if frame is None or frame.kind != b"H":
            raise Corrupt("The manifest's header is damaged.")
        raw = self._raw(self._at, frame)
        self._at += frame.total_bytes
        return fmt.decode_header(raw)

    def summary(self) -> Summary:
        """As the trailer tells it; without one as the segments do, which do not know what failed."""
        return self._told or self._found

    def _frame(self, at: int) -> Frame | None:
        """The frame that begins there, if one does and it is whole."""
        try:
            frame = fmt.parse_front(self._read_at(at, min(fmt.FRAME_BYTES, max(0, self._size - at))), at)
            if at + frame.total_bytes > self._size:
                return None
            return fmt.check_frame(self._read_at(at, frame.total_bytes), at, frame.kind)[0]
        except Corrupt:
            return None

    def _raw(self, at: int, frame: Frame) -> memoryview:
        return fmt.unpack_frame(self._read_at(at, frame.total_bytes), at, frame.kind, self._cipher)[1]

    def segments(self) -> Iterator[_Segment]:
        """Those that are whole, in order."""
        begin = rows = total = 0
        usable = False
        while self._at < self._size:
            at = self._at
            frame = self._frame(at)
            if frame is None:
                if at + fmt.FOOTER.size >= self._size:
                    return
                self._at = self._next(at + 1)
                self.damaged.append(f"Bytes {at} to {self._at} of the manifest are damaged.")
                usable = False
                continue
            self._at += frame.total_bytes
            if frame.kind == b"T":
                self._told = fmt.decode(fmt.trailers, self._raw(at, frame), at).summary
            if frame.kind not in b"RE":
                continue
            if frame.number == 0:  # the first rows of a segment, or the entries of one without rows
                begin, rows, total, usable = at, 0, 0, True
            if frame.kind == b"R":
                usable = usable and frame.number == rows
                rows += frame.items
                total += row_bytes(self._raw(at, frame)) if usable else 0
                continue
            if usable and frame.number == rows:
                yield self._segment(SegmentRow(begin, 0, total, rows, frame.items, frame.total_bytes), at, frame)
            else:
                self.damaged.append(f"The entries at byte {at} of the manifest have lost rows before them.")
            usable = False

    def _segment(self, row: SegmentRow, at: int, frame: Frame) -> _Segment:
        first: RunView | None = None
        for run in parse_runs(self._raw(at, frame)):
            first = first or run
            self._found.files += run.files
            self._found.folders += run.count - run.files
            self._found.size_bytes += run.size
        if first is None:
            raise Corrupt(f"The manifest's entries at byte {at} are damaged.")
        return _Segment(row, (first.path, first.first, first.names_raw.partition(b"\0")[0]))

    def _next(self, start: int) -> int:
        """Where the next whole frame begins; the end of the manifest when none does."""
        while start < self._size:
            data = self._read_at(start, min(_SEARCH_BYTES, self._size - start))
            for match in _LIKELY.finditer(data):
                at = start + match.start()
                if self._plausible(data, match.start(), at) and self._frame(at):
                    return at
            start += max(1, len(data) - fmt.FRAME_BYTES) if len(data) == _SEARCH_BYTES else len(data) or self._size
        return self._size

    def _plausible(self, data: bytes, within: int, at: int) -> bool:
        if within + fmt.FRAME_BYTES > len(data):
            return False
        try:
            return at + fmt.parse_front(data[within : within + fmt.FRAME_BYTES], at).total_bytes <= self._size
        except Corrupt:
            return False
