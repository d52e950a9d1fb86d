"""What the control listener refuses before it looks into the catalogue."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from rubackup.catalog.database import Database, DatabaseAddress
from rubackup.domain.errors import Refused
from rubackup.server.control import ControlPlane
from rubackup.server.registry import Registry
from rubackup.wire import pki
from rubackup.wire.messages import PROTOCOL_VERSION, Enrol

NOWHERE = Database(DatabaseAddress("127.0.0.1", 1, "nobody", "", "nothing"))


class NoSigner:
    """Signs nothing: no request gets that far."""

    key_hash = ""

    def sign(self, csr_pem: bytes, role: str, hwid: str, hostname: str) -> Any:
        raise AssertionError


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
