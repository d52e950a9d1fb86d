"""Lengths of packs, a folder of them by one request when many are asked for.

A backup looks at every pack of its parent: a request each would take hours. A list is at most a minute old, so a pack that
somebody deleted is noticed that much later.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

from rubackup.chunkstore.backends.s3.client import Client

_LIST_AFTER: Final = 3
"""So many packs of one folder, asked for within the time, and the folder is listed."""
_SECONDS: Final = 60.0
_MOST: Final = 200_000
"""Lengths that are remembered at most."""


class Sizes:
    """Of the files of one bucket; safe for threads."""

    def __init__(self, client: Client, steady: Callable[[], float]) -> None:
        self._client, self._steady = client, steady
        self._lock = threading.Lock()
        self._asked: dict[str, tuple[float, int]] = {}
        self._listed: dict[str, tuple[float, dict[str, int]]] = {}
        self._changes = 0

    def size(self, name: str) -> int:
        """Length of a file; NotFound. One that a list does not have is asked for by itself."""
        folder = name.rpartition("/")[0]
        if not folder.startswith("packs/"):
            return self._client.head(name).size_bytes
        now = self._steady()
        with self._lock:
            known = self._listed.get(folder)
            if known is not None and now - known[0] < _SECONDS:
                size = known[1].get(name)
                if size is not None:
                    return size
                return_head = True
            else:
                since, count = self._asked.get(folder, (now, 0))
                since, count = (since, count + 1) if now - since < _SECONDS else (now, 1)
                self._asked[folder] = (since, count)
                return_head = count < _LIST_AFTER
            changes = self._changes
        if return_head:
            return self._client.head(name).size_bytes
        found = dict(self._client.items(folder))
        with self._lock:
            if changes == self._changes:  # what was deleted meanwhile must not be found
                if sum(len(one[1]) for one in self._listed.values()) + len(found) > _MOST:
                    self._listed.clear()
                self._listed[folder] = (now, found)
                self._asked.pop(folder, None)
        size = found.get(name)
        return self._client.head(name).size_bytes if size is None else size

    def forget(self, name: str) -> None:
        """A file came, changed or went."""
        with self._lock:
            self._changes += 1
            known = self._listed.get(name.rpartition("/")[0])
            if known is not None:
                known[1].pop(name, None)
