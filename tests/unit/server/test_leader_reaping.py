"""Tasks of silent workers are handed on after their hosts had a full lease to report, whatever kept them from it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from rubackup.domain.errors import Unavailable
from rubackup.server import leader
from rubackup.server.dispatcher import LEASE_SECONDS
from rubackup.server.leader import REAP_SECONDS, Leader


class Enough(Exception):
    """The test has seen all that it wants."""


def test_a_catalogue_that_took_no_changes_gives_hosts_a_full_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its disk was full: it took no reports either, so each lease has run out, and no worker is silent."""
    full = Unavailable("The disk of the service database is full.")
    results: list[Any] = [[], full, full, [], []]
    waits: list[float] = []

    async def reap(*_: object) -> Any:
        if not results:
            raise Enough
        result = results.pop(0)
        if isinstance(result, Exception):
            raise result
        return result

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    monkeypatch.setattr(leader.dispatch, "reap", reap)
    monkeypatch.setattr(leader.asyncio, "sleep", sleep)
    leading = Leader.__new__(Leader)
    leading._database = None  # type: ignore[assignment]
    with pytest.raises(Enough):
        asyncio.run(leading._reap(1))

    assert waits == [
        LEASE_SECONDS, REAP_SECONDS, LEASE_SECONDS, LEASE_SECONDS, REAP_SECONDS, REAP_SECONDS,
    ]  # fmt: skip
