"""Servers hear of keys that change, and a copy that cannot be encrypted as ordered is not made."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, cast

import pytest

from rubackup.agent.link import ServerLink
from rubackup.client import key_watch
from rubackup.client.keys import KeyStore
from rubackup.domain.errors import Unavailable
from rubackup.wire.messages import Ack, Message, ReportKeys


class Link:
    """Servers that answer every second time."""

    def __init__(self, wanted: int) -> None:
        self.told: list[list[str]] = []
        self.enough = asyncio.Event()
        self._wanted = wanted
        self._asked = 0

    async def call(self, message: Message) -> Message:
        self._asked += 1
        if self._asked % 2:
            raise Unavailable("No server is connected.")
        assert isinstance(message, ReportKeys)
        self.told.append(message.key_ids)
        if len(self.told) == self._wanted:
            self.enough.set()
        return Ack()


def test_a_rotation_is_told_until_a_server_has_heard_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the connection began with is not repeated; what changed is, until it arrives, and then no more."""
    monkeypatch.setattr(key_watch, "LOOK_SECONDS", 0.001)
    store = KeyStore(tmp_path / "master-key")
    first = store.current().id.hex()

    async def scenario() -> list[list[str]]:
        link, ids = Link(wanted=1), key_watch.told_ids(store)
        watching = asyncio.create_task(key_watch.tell_keys(cast("ServerLink", link), ids, ids()))
        await asyncio.sleep(0.02)
        assert link.told == []
        await asyncio.to_thread(store.rotate)
        await asyncio.wait_for(link.enough.wait(), 60)
        await asyncio.sleep(0.02)
        watching.cancel()
        return link.told

    assert asyncio.run(scenario()) == [[store.current().id.hex(), first]]


def test_keys_that_cannot_be_read_are_none(tmp_path: Path, caplog: Any) -> None:
    """The client goes on for copies in clear, and for those of older keys; the log says once what is wrong."""
    store = KeyStore(tmp_path / "master-key")
    first = store.current().id.hex()
    store.rotate()
    store.path.write_bytes(b"short")
    ids = key_watch.told_ids(store)

    assert [list(ids()), list(ids())] == [[first], [first]]
    assert caplog.text.count(f"{store.path} is damaged") == 1
