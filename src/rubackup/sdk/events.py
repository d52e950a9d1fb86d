"""The event log, as objects: a stream of server-sent events that is gone on with when it breaks off."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Self

from rubackup.sdk.caller import Caller, Stream
from rubackup.sdk.errors import BUSY, BadAnswer, Refused, Unreachable

PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 30.0


@dataclass(frozen=True)
class Event:
    """Something that changed. `name` is empty, or `reset` when events were missed, or `end` when the stream ends."""

    id: str
    name: str
    data: dict[str, Any]
    """With `at`, `kind`, `family`, `row_id` and `data`."""


class Events(Iterator[Event]):
    """Events, for as long as they are asked for; to be closed, or used in a `with`. It is for one thread."""

    def __init__(
        self, caller: Caller, families: Sequence[str], after: str | None, *, reconnect: bool, once: bool = False
    ) -> None:
        self._caller, self._reconnect = caller, reconnect
        self._query = {"family": list(families) or None, "follow": "no" if once else None}
        self._stream: Stream | None = None
        self._told: Iterator[Event] = iter(())
        self._first: Event | None = None
        self._closed, self._pause = False, PAUSE_SECONDS
        self.after = after
        """Id of the last event: where to go on."""
        self._open()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End it."""
        self._closed = True
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def __next__(self) -> Event:
        while not self._closed:
            try:
                event = self._next()
            except Unreachable:
                if not self._reconnect:
                    raise
                event = None
            if event is None:
                self._again()
                continue
            self.after, self._pause = event.id or self.after, PAUSE_SECONDS
            if event.data and event.name != "end":
                return event
        raise StopIteration

    def _next(self) -> Event | None:
        first, self._first = self._first, None
        return first or next(self._told, None)

    def _open(self) -> None:
        headers = {} if self.after is None else {"Last-Event-ID": self.after}
        self._stream = self._caller.stream("GET", "/events", query=self._query, headers=headers)
        self._told = parsed(self._stream.lines())
        self._first = next(self._told, None)  # it tells where the stream begins: from here on nothing is missed

    def _again(self) -> None:
        """Go on with a stream that ended, after a pause."""
        reconnect, pause = self._reconnect, self._pause
        self.close()
        if not reconnect:
            return
        self._closed = False
        time.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - so that clients do not come back all at once
        self._pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
        try:
            self._open()
        except Unreachable:
            self._told = iter(())
        except Refused as refused:
            if refused.status not in BUSY:
                raise
            self._told = iter(())


def parsed(lines: Iterable[str]) -> Iterator[Event]:
    """Server-sent events out of their lines; comments are left out. One without data tells only where the stream is."""
    told: dict[str, str] = {}
    for line in lines:
        if not line:
            if told:
                yield Event(told.get("id", ""), told.get("event", ""), _data(told.get("data") or "{}"))
            told = {}
        elif not line.startswith(":"):
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            told[name] = f"{told[name]}\n{value}" if name == "data" and name in told else value


def _data(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise BadAnswer("An event came that is not from this API.") from error
    if not isinstance(found, dict):
        raise BadAnswer("An event came that is not from this API.")
    return found
