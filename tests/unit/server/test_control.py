"""What the control listener refuses before it looks into the catalogue."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest

from rubackup.catalog.database import Database, DatabaseAddress
from rubackup.domain.errors import Busy, Refused, Unavailable
from rubackup.server import control
from rubackup.server.control import ControlPlane
from rubackup.server.registry import Registry
from rubackup.wire import pki
from rubackup.wire.certificates import Identity
from rubackup.wire.messages import PROTOCOL_VERSION, Enrol, Hello

NOWHERE = Database(DatabaseAddress("127.0.0.1", 1, "nobody", "", "nothing"))


class NoSigner:
    """Signs nothing: no request gets that far."""

    key_hash = ""

    def sign(self, csr_pem: bytes, role: str, hwid: str) -> Any:
        raise AssertionError


@dataclass(frozen=True)
class Peer:
    """A connection as the plane looks at it."""

    identity: Identity
    address: str = "127.0.0.1"


async def admitted(_database: object, _caller: object) -> None:
    """Everyone may be here."""


async def nobody(_peer: object) -> None:
    """No media server comes."""


@pytest.mark.parametrize("told", [{"os_version": "x" * 256}, {"hostname": "a\nb"}, {"role": "api"}, {"role": "server"}])
def test_strangers_are_refused_before_the_catalogue_is_asked(told: dict[str, str]) -> None:
    """Long or unprintable fields, and roles that do not enrol, are refused with a sentence."""
    fields: dict[str, Any] = {
        "version": PROTOCOL_VERSION, "role": "client", "hwid": "0" * 16, "hostname": "host",
        "csr_pem": pki.make_csr(pki.new_key_pem(), "host"), "package_version": "2", **told,
    }  # fmt: skip
    plane = ControlPlane(NOWHERE, NoSigner(), Registry(), ("s", "server"), lambda: 1, nobody, nobody)

    with pytest.raises(Refused):
        asyncio.run(plane.enrol(Enrol(**fields), "127.0.0.1"))


def test_thousands_that_come_at_once_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few write into the catalogue at a time, and who waits for a slow host holds no turn."""
    writing, most, written = 0, 0, 0

    async def online(*_arguments: object, **_facts: object) -> None:
        nonlocal writing, most, written
        writing += 1
        most = max(most, writing)
        await asyncio.sleep(0)
        writing -= 1
        written += 1

    slow = asyncio.Event()

    async def told(_peer: object) -> None:
        await slow.wait()

    async def run() -> None:
        monkeypatch.setattr(control.presence, "client_online", online)
        monkeypatch.setattr(control.admission, "admit", admitted)
        plane = ControlPlane(NOWHERE, NoSigner(), Registry(), ("s", "server"), lambda: 1, nobody, told)
        hello = Hello(version=PROTOCOL_VERSION, hostname="host", package_version="1")
        coming = [
            asyncio.ensure_future(plane.connected(Peer(Identity("client", f"{number:016x}", "1", "k")), hello))  # type: ignore[arg-type]
            for number in range(100)
        ]
        while written < len(coming):  # noqa: ASYNC110 - what is waited for is a number
            await asyncio.sleep(0)
        assert not any(one.done() for one in coming)
        slow.set()
        await asyncio.gather(*coming)

    asyncio.run(asyncio.wait_for(run(), 60))
    assert most == control.PRESENCES_AT_ONCE


def test_a_catalogue_that_is_away_for_a_moment_costs_no_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """What could not be written is written later, and only then what follows from it is done."""
    answers: list[Exception | None] = [Unavailable("away"), Busy("busy"), None]
    left: list[int] = []

    async def online(*_arguments: object, **_facts: object) -> None:
        if error := answers.pop(0):
            raise error

    async def told(_peer: object) -> None:
        left.append(len(answers))

    monkeypatch.setattr(control.presence, "client_online", online)
    monkeypatch.setattr(control.admission, "admit", admitted)
    monkeypatch.setattr(control, "RETRY_PRESENCE_SECONDS", 0)
    plane = ControlPlane(NOWHERE, NoSigner(), Registry(), ("s", "server"), lambda: 1, nobody, told)
    hello = Hello(version=PROTOCOL_VERSION, hostname="host", package_version="1")

    asyncio.run(plane.connected(Peer(Identity("client", "0" * 16, "1", "k")), hello))  # type: ignore[arg-type]
    assert left == [0]
