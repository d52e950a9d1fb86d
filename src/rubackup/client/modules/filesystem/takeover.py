"""The manifest of a backup as it is written: new pieces of folders, and what is taken over from the parent.

Runs of the parent are held until it shows whether a whole segment of its manifest can be taken over: then nothing of
it is sent, the media server copies it from its own file. What does not make a whole segment is sent as it stands there.
"""

from __future__ import annotations

from collections.abc import Callable

from rubackup.chunkstore.manifest import ManifestWriter
from rubackup.chunkstore.manifest.runs import Piece
from rubackup.client.modules.filesystem.parent import Parent, Spot
from rubackup.domain.errors import Corrupt


class Output:
    """Writes in the order of the manifest."""

    def __init__(
        self,
        make_writer: Callable[[Callable[[bytes], None]], ManifestWriter],
        put_manifest: Callable[[bytes], None],
        copy_parent: Callable[[int, int], None],
    ) -> None:
        self._put_manifest = put_manifest
        self._copy_parent = copy_parent
        self._copying = (0, 0)
        """First segment and number of those that are taken over next."""
        self._held: list[Spot] = []
        self.writer = make_writer(self._sink)
        self.parent: Parent | None = None
        self.again: Callable[[Spot, Corrupt | None], None] = lambda _spot, _why: None
        """Copies the entries of a run anew: its rows in the parent cannot be read, or do not fit."""

    # --- what is new ---

    def add_rows(self, rows: bytes) -> None:
        """Rows of the next entries, as they are stored."""
        self.release()
        self.writer.add_raw_rows(rows)

    def add_piece(self, path: bytes, piece: Piece) -> None:
        """Entries of a folder, with the rows that were added since the last ones."""
        self.release()
        self.writer.add_piece(path, piece)

    def _sink(self, data: bytes) -> None:
        self._send_copies()
        self._put_manifest(data)

    def _send_copies(self) -> None:
        first, count = self._copying
        if count:
            self._copying = (0, 0)
            self._copy_parent(first, count)

    # --- what is taken over ---

    def take(self, spot: Spot) -> None:
        """A run that stands as it is; runs come in the order of the parent."""
        if not self._follows(spot):
            self.release()
            if spot.at or not self.writer.begins(spot.run):
                self._write(spot)
                return
        self._held.append(spot)
        if spot.is_last:
            self._take_segment()

    def _follows(self, spot: Spot) -> bool:
        return bool(self._held) and self._held[-1].number == spot.number and self._held[-1].at + 1 == spot.at

    def _take_segment(self) -> None:
        held, self._held = self._held, []
        last = held[-1]
        self.writer.copy_segment(last.segment, held[0].run, last.run)
        first, count = self._copying
        if count and first + count == last.number:
            self._copying = first, count + 1
        else:
            self._send_copies()
            self._copying = last.number, 1

    def release(self) -> None:
        """Write what is held run by run."""
        held, self._held = self._held, []
        for spot in held:
            self._write(spot)

    def _write(self, spot: Spot) -> None:
        why: Corrupt | None = None
        try:
            if self.parent is not None and self.parent.is_whole(spot.run):
                for rows in self.parent.raw_rows(spot.run):
                    self.writer.add_raw_rows(rows)
                self.writer.add_run(spot.run.path, spot.run)
                return
        except Corrupt as error:
            why = error
        self.again(spot, why)
