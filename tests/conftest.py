"""Fixtures of all tests."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from rubackup.catalog.database import DatabaseAddress
from support.databases import fresh_database, running_postgres
from support.radosgw import Radosgw, missing
from support.s3server import S3Server


def pytest_configure() -> None:
    """Programs that tests start end at Ctrl-C, also where whoever started the tests in the background ignores it."""
    for number in (signal.SIGINT, signal.SIGQUIT):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest comes first, so that no process waits for the other at the end."""
    items.sort(key=lambda item: "tests/system/" not in item.path.as_posix())


@pytest.fixture(scope="session")
def postgres() -> Iterator[DatabaseAddress]:
    """A running PostgreSQL, as its administrator sees it."""
    with running_postgres() as address:
        yield address


@pytest.fixture
def database(postgres: DatabaseAddress) -> Iterator[DatabaseAddress]:
    """A fresh, migrated database of its own."""
    with fresh_database(postgres) as address:
        yield address


@pytest.fixture
def empty_database(postgres: DatabaseAddress) -> Iterator[DatabaseAddress]:
    """A fresh database with nothing in it."""
    with fresh_database(postgres, template=None) as address:
        yield address


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    """An S3 server in this process."""
    server = S3Server().start()
    yield server
    server.stop()


@pytest.fixture
def s3(s3_server: S3Server) -> S3Server:
    """The S3 server, in order, with an empty bucket."""
    s3_server.reset()
    s3_server.bucket()
    return s3_server


@pytest.fixture(scope="session")
def radosgw(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Radosgw]:
    """A radosgw of our own, for `scripts/nightly cloud`; skipped, and told how to install it, where there is none."""
    if os.environ.get("RADOSGW") != "1":
        pytest.skip("runs with RADOSGW=1, as in scripts/nightly cloud")
    if reason := missing():
        pytest.skip(reason)
    found = Radosgw(tmp_path_factory.mktemp("radosgw"))
    try:
        found.start()
        yield found
    finally:
        found.stop()
