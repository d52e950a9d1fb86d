"""Object Lock: the server itself refuses to delete, or to shorten, until the date is over."""

from __future__ import annotations

import threading
from collections import OrderedDict
from datetime import UTC, datetime
from typing import Final

from rubackup.chunkstore.backends.s3.client import Client

_SECOND_NS: Final = 1_000_000_000
_REMEMBERED: Final = 100_000


class Retention:
    """Of the files of one bucket. A date is only ever moved ahead, so one that is known still holds."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._lock = threading.Lock()
        self._until: OrderedDict[str, int] = OrderedDict()

    def protect(self, name: str, until_ns: int) -> None:
        """Let the server keep a file until then (Unix time), rounded up to a second; an earlier date changes nothing. NotFound."""
        if self._known(name) >= until_ns:
            return
        until = max(until_ns, self._client.retained_until_ns(name))
        seconds = -(-until_ns // _SECOND_NS)
        if until == until_ns:
            self._client.retain(name, seconds)
            until = seconds * _SECOND_NS
        self._remember(name, until)

    def until_ns(self, name: str, now_ns: int = 0) -> int:
        """Until when the server keeps a file, 0 when it does not; what is known to last beyond `now_ns` is not asked again. NotFound."""
        known = self._known(name)
        if known > now_ns > 0:
            return known
        until = self._client.retained_until_ns(name)
        self._remember(name, until)
        return until

    def forget(self, name: str) -> None:
        """The file has other content."""
        with self._lock:
            self._until.pop(name, None)

    def _known(self, name: str) -> int:
        with self._lock:
            return self._until.get(name, 0)

    def _remember(self, name: str, until_ns: int) -> None:
        with self._lock:
            self._until[name] = until_ns
            while len(self._until) > _REMEMBERED:
                self._until.popitem(last=False)


def date(until_ns: int) -> str:
    """For messages."""
    return datetime.fromtimestamp(until_ns / _SECOND_NS, UTC).isoformat(timespec="seconds")
