"""Fixtures of all tests."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from rubackup.catalog import database as catalogue
from rubackup.catalog.database import DatabaseAddress
from rubackup.queue import claims
from rubackup.services import dispatch
from support.databases import fresh_database, running_postgres
from support.radosgw import Radosgw, missing
from support.s3server import S3Server

# The same examples in each run, and no word about how long one takes: the machine may be busy with something else.
# `--hypothesis-profile search` looks for others.
settings.register_profile("search", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("suite", settings.get_profile("search"), derandomize=True, database=None)
settings.load_profile("suite")


BUSY_SECONDS = 60.0
"""So long a test waits for what a machine that does much beside it does late."""


def pytest_configure() -> None:
    """Programs that tests start end at Ctrl-C, also where whoever started the tests in the background ignores it.

    A claim that takes longer than half a second leaves the rest to the next one, and a caller who gets no connection
    within five is told so: neither because this machine is busy.
    """
    dispatch.CLAIM_SECONDS = claims.CLAIM_SECONDS = catalogue.ACQUIRE_SECONDS = BUSY_SECONDS
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


@pytest.fixture
def s3() -> Iterator[S3Server]:
    """An S3 server in this process, with an empty bucket. Of each test its own: requests may come late."""
    server = S3Server().start()
    server.bucket()
    yield server
    server.stop()


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
