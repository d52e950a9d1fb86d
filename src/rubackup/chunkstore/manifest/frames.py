"""The frames of a manifest, one after another, through a window, so that small frames cost no reads of their own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from rubackup.chunkstore.manifest import format as fmt
from rubackup.chunkstore.manifest.format import Frame, FrameCipher
from rubackup.domain.errors import Corrupt

_AHEAD_BYTES: Final = 1 << 20
_GROWING_BYTES: Final = 128 << 10
"""Read at once of a manifest that still grows: whoever reads it follows so far behind."""


class FrameStream:
    """Reads a manifest of `size` bytes from front to end; every frame's sum is checked.

    Without `size` it still grows: `read_at` waits for what is asked for and gives less only at the end.
    """

    def __init__(
        self, read_at: Callable[[int, int], bytes], size: int | None, cipher: FrameCipher | None = None
    ) -> None:
        self._read_at = read_at if size is None else _cut(read_at, size)
        self._ahead = _GROWING_BYTES if size is None else _AHEAD_BYTES
        self._cipher = cipher
        self._window: tuple[int, bytes] = (0, b"")
        self.at = len(fmt.MAGIC)
        """Where the next frame begins."""
        if (size is not None and size < len(fmt.MAGIC) + fmt.FOOTER.size) or self.read(0, len(fmt.MAGIC)) != fmt.MAGIC:
            raise Corrupt("This is no manifest of a known version.")

    def read(self, offset: int, length: int) -> bytes:
        """A range; Corrupt when the manifest ends within it."""
        start, data = self._window
        if not (start <= offset and offset + length <= start + len(data)):
            start, data = self._window = (offset, self._read_at(offset, max(length, self._ahead)))
        found = data[offset - start : offset - start + length]
        if len(found) != length:
            raise Corrupt(f"The manifest is cut off at byte {offset + len(found)}.")
        return found

    def peek(self) -> Frame:
        """The header of the next frame."""
        return fmt.parse_front(self.read(self.at, fmt.FRAME_BYTES), self.at)

    def next(self, kind: bytes) -> tuple[Frame, memoryview]:
        """The next frame, which must be of this kind, with its raw content."""
        data = self.read(self.at, self.peek().total_bytes)
        found = fmt.unpack_frame(data, self.at, kind, self._cipher)
        self.at += len(data)
        return found

    def next_stored(self, kind: bytes) -> tuple[Frame, bytes]:
        """The next frame as it is stored; what it holds is not looked at."""
        data = self.read(self.at, self.peek().total_bytes)
        frame, _ = fmt.check_frame(data, self.at, kind)
        self.at += len(data)
        return frame, data

    def finish(self, trailer_at: int) -> None:
        """Corrupt unless the footer follows, names the trailer, and is the last."""
        if self._read_at(self.at, fmt.FOOTER.size + 1) != fmt.FOOTER.pack(trailer_at, fmt.END):
            raise Corrupt(f"The manifest does not end behind its trailer at byte {trailer_at}.")


def _cut(read_at: Callable[[int, int], bytes], size: int) -> Callable[[int, int], bytes]:
    """Reads of what has this size: less is given at the end."""

    def read(offset: int, length: int) -> bytes:
        return read_at(offset, max(0, min(length, size - offset)))

    return read
