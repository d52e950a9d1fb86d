"""The event log, as objects: a stream of server-sent events that is gone on with when it breaks off."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from rubackup.sdk.caller import Caller
from rubackup.sdk.errors import BUSY, Refused, Unreachable

PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 30.0


@dataclass(frozen=True)
class Event:
    """Something that changed. `name` is empty, or `reset` when events were missed, or `end` when the stream ends."""

    id: str
    name: str
    data: dict[str, Any]
    """With `at`, `kind`, `family`, `row_id` and `data`."""


def followed(caller: Caller, families: Sequence[str], after: str | None, *, reconnect: bool) -> Iterator[Event]:
    """Events, for as long as they are asked for."""
    pause = PAUSE_SECONDS
    while True:
        headers = {} if after is None else {"Last-Event-ID": after}
        try:
            with caller.stream("GET", "/events", query={"family": list(families) or None}, headers=headers) as stream:
                for event in parsed(stream.lines()):
                    after, pause = event.id or after, PAUSE_SECONDS
                    if event.data and event.name != "end":
                        yield event
        except Unreachable:
            if not reconnect:
                raise
        except Refused as refused:
            if not reconnect or refused.status not in BUSY:
                raise
        if not reconnect:
            return
        time.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - so that clients do not come back all at once
        pause = min(2 * pause, LONGEST_PAUSE_SECONDS)


def parsed(lines: Iterable[str]) -> Iterator[Event]:
    """Server-sent events out of their lines; comments are left out. One without data tells only where the stream is."""
    told: dict[str, str] = {}
    for line in lines:
        if not line:
            if told:
                yield Event(told.get("id", ""), told.get("event", ""), json.loads(told.get("data") or "{}"))
            told = {}
        elif not line.startswith(":"):
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            told[name] = f"{told[name]}\n{value}" if name == "data" and name in told else value
