"""Fetches chunks of a record in batches and checks every one before it is used."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from rubackup.chunkstore.group import open_group
from rubackup.chunkstore.identity import HOLE
from rubackup.chunkstore.keys import Keys
from rubackup.client.modules.filesystem.rows import Row
from rubackup.client.ports import RestoreChannel
from rubackup.domain.errors import Corrupt

NumberedRows = tuple[int, Sequence[Row]]
"""Number of the first row, and the rows."""


class Fetcher:
    """Reads through the channel; what is damaged is missing from the answer, and `problem` says why."""

    def __init__(self, channel: RestoreChannel, tick: Callable[[], None], keys: Keys | None = None) -> None:
        """`keys` are what encrypted groups are opened with."""
        self._keys = keys
        self._channel = channel
        self._tick = tick
        self.received_bytes = 0
        self.problem = ""

    def fetch(self, parts: Iterable[NumberedRows]) -> dict[bytes, bytes]:
        """The chunks that these rows name, by id, each one hashed again; holes need none."""
        runs: list[tuple[int, int]] = []
        wanted: set[bytes] = set()
        for first, rows in parts:
            for number, (name, _) in enumerate(rows, first):
                if name == HOLE or name in wanted:
                    continue
                wanted.add(name)
                if runs and sum(runs[-1]) == number:
                    runs[-1] = runs[-1][0], runs[-1][1] + 1
                else:
                    runs.append((number, 1))
        self.problem = ""
        found: dict[bytes, bytes] = {}
        if not runs:
            return found
        try:
            for data in self._channel.groups(runs):
                self._tick()
                self.received_bytes += len(data)
                self._take(data, wanted, found)
        except Corrupt as error:
            self.problem = str(error)
        return found

    def _take(self, data: bytes, wanted: set[bytes], found: dict[bytes, bytes]) -> None:
        try:
            group = open_group(data, self._keys)
        except Corrupt as error:
            self.problem = str(error)
            return
        for position, name in enumerate(group.ids):
            if name in wanted and name not in found:
                chunk = bytes(group.chunk(position))
                if group.identify(chunk) == name:
                    found[name] = chunk
                else:
                    self.problem = f"Chunk {name.hex()} does not have the content that its id names."
