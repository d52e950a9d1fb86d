"""A media server that runs for years serves data with the certificate that it has now, not with that of its start."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import socket
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from rubackup.agent.link import AgentHost
from rubackup.roles import media
from rubackup.roles.up.ports import free_port
from rubackup.wire import pki
from rubackup.wire.certificates import load_certificates
from support.wire import CLIENT, MEDIA, Installation


def _served(port: int, files: pki.TlsFiles) -> bytes:
    """The leaf that a client is shown."""
    with socket.create_connection(("127.0.0.1", port), 10) as raw, pki.client_context(files).wrap_socket(raw) as secure:
        return cast("bytes", secure.getpeercert(binary_form=True))


def _leaf(chain: Path) -> bytes:
    return load_certificates(chain.read_bytes())[0].public_bytes(Encoding.DER)


def test_a_renewed_certificate_is_served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a restart; one that is not whole yet changes nothing."""
    monkeypatch.setattr(media, "RENEWED_SECONDS", 0.05)
    installation = Installation(tmp_path)
    first, second, client = (
        installation.files("media", MEDIA), installation.files("media", MEDIA), installation.files("client", CLIENT)
    )  # fmt: skip
    key, chain, port = tmp_path / "key", tmp_path / "chain", free_port()
    shutil.copy(first.key, key)
    shutil.copy(first.chain, chain)
    host = AgentHost("media", MEDIA, "media1", key, chain, installation.root_file, ())
    sessions: Any = SimpleNamespace(serve=lambda _connection: None)

    async def until(wanted: Path) -> bytes:
        async with asyncio.timeout(60):
            while True:
                with contextlib.suppress(ConnectionRefusedError):  # it does not listen yet
                    shown = await asyncio.to_thread(_served, port, client)
                    if shown == _leaf(wanted):
                        return shown
                await asyncio.sleep(0.05)

    async def scenario() -> list[bytes]:
        serving = asyncio.create_task(media.serve_data(host, sessions, "127.0.0.1", port))
        shown = [await until(first.chain)]
        chain.write_bytes(second.chain.read_bytes())  # a key of its own is not there yet
        await asyncio.sleep(0.3)
        shown.append(await asyncio.to_thread(_served, port, client))
        shutil.copy(second.key, key)
        shown.append(await until(second.chain))
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
        return shown

    assert asyncio.run(scenario()) == [_leaf(first.chain), _leaf(first.chain), _leaf(second.chain)]
