"""Fixtures: certificates, and both event loops."""

from __future__ import annotations

import asyncio

import pytest
import uvloop

from support.wire import CLIENT, MEDIA, SERVER, Installation


@pytest.fixture(scope="session")
def installation(tmp_path_factory):
    """One certificate authority for all tests."""
    return Installation(tmp_path_factory.mktemp("pki"))


@pytest.fixture(scope="session")
def server_files(installation):
    """Of the server."""
    return installation.files("server", SERVER)


@pytest.fixture(scope="session")
def client_files(installation):
    """Of a client."""
    return installation.files("client", CLIENT)


@pytest.fixture(scope="session")
def media_files(installation):
    """Of a media server."""
    return installation.files("media", MEDIA)


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request):
    """Runs a coroutine on either loop."""
    return asyncio.run if request.param == "asyncio" else uvloop.run
