"""A file and the rows that belong to it, when the connection is lost at the commit: the service database is asked."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import select
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import pytest

from rubackup.catalog.database import Database, DatabaseAddress
from rubackup.domain.errors import Unavailable
from rubackup.roles import authority
from rubackup.roles.init import file_and_rows
from rubackup.roles.init.file_and_rows import Write, change_with_file
from rubackup.roles.installed.bundle import Bundle, OutcomeUnknown, new_bundle
from rubackup.services import api_hosts
from rubackup.services.api_hosts import ApiHost
from rubackup.services.change import Change
from rubackup.wire import pki
from rubackup.wire.certificates import load_certificates, serial_text
from support.databases import execute

pytestmark = pytest.mark.postgres
COMMIT = b"COMMIT;"
SLOW = """
CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(1); RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON audit DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION slow()
"""

When = Literal["before", "sent", "done", "for good"]


class Wire:
    """Stands before PostgreSQL, and loses the connection at the first commit; every other one when it is `for good`."""

    def __init__(self, behind: DatabaseAddress, when: When) -> None:
        self._behind = behind
        self._when = when
        self._cut = False
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._serve)]
        self._threads[0].start()

    def close(self) -> None:
        """Take nobody in any more; all connections have ended."""
        self._listener.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(60)
        self._listener.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                self._threads.append(threading.Thread(target=self._carry, args=(near,)))
                self._threads[-1].start()

    def _carry(self, near: socket.socket) -> None:
        with (
            near, socket.create_connection((self._behind.host, self._behind.port)) as far, contextlib.suppress(OSError),
        ):  # fmt: skip
            last = False
            while not (self._cut and self._when == "for good"):
                for source in select.select([near, far], [], [])[0]:
                    data = source.recv(65536)
                    if not data or (last and source is far):
                        return  # what PostgreSQL says of the commit is not passed on
                    commits = source is near and COMMIT in data and not self._cut
                    self._cut |= commits
                    if commits and self._when == "before":
                        return
                    (far if source is near else near).sendall(data)
                    if commits and self._when == "sent":
                        return
                    last |= commits


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    """Of an API whose certificate nobody has noted yet."""
    root = pki.make_root(datetime.now(UTC))
    issuing = pki.make_issuing(root, datetime.now(UTC))
    key, hwid = pki.new_key_pem(), secrets.token_hex(32)
    chain = authority.leaf(issuing, "api", hwid, key, ["lost.example"])
    return Bundle(
        role="api", host="lost.example", hwid=hwid, key=key.decode(), certificate=chain.decode(),
        root=root.cert_pem.decode(), database="rubackup", database_user="x", database_password="y",
    )  # fmt: skip


@pytest.fixture
def wire(database: DatabaseAddress, request: pytest.FixtureRequest) -> Iterator[DatabaseAddress]:
    """The service database behind a wire that is cut when the parameter says."""
    between = Wire(database, request.param)
    try:
        yield replace(database, host="127.0.0.1", port=between.port)
    finally:
        between.close()


def enroll(address: DatabaseAddress, path: Path, bundle: Bundle) -> None:
    """As `rb_init --enroll-api` does."""

    async def work(change: Change, write: Write) -> None:
        leaf = load_certificates(bundle.certificate.encode())[0]
        host = ApiHost(name=bundle.host, hwid=bundle.hwid, database_role="x")
        await api_hosts.keep(change, host, serial_text(leaf), leaf.not_valid_after_utc)
        write(bundle)

    with new_bundle(path) as write:
        change_with_file(address, path, "a test", write, work)


def is_enrolled(address: DatabaseAddress, bundle: Bundle) -> bool:
    """Whether the rows are there."""

    async def ask() -> bool:
        db = await Database(address).direct()
        try:
            return await api_hosts.find(db, bundle.host) is not None
        finally:
            await db.close()

    return asyncio.run(ask())


@pytest.mark.parametrize("wire", ["before"], indirect=True)
def test_a_commit_that_never_came_leaves_neither(
    wire: DatabaseAddress, database: DatabaseAddress, bundle: Bundle, tmp_path: Path
) -> None:
    """The error is that of the connection, and it can be tried again."""
    with pytest.raises(Unavailable):
        enroll(wire, tmp_path / "bundle", bundle)

    assert (list(tmp_path.iterdir()), is_enrolled(database, bundle)) == ([], False)
    enroll(wire, tmp_path / "bundle", bundle)
    assert is_enrolled(database, bundle)


@pytest.mark.parametrize("wire", ["sent", "done"], indirect=True)
def test_a_commit_whose_answer_was_lost_counts(
    wire: DatabaseAddress, database: DatabaseAddress, bundle: Bundle, tmp_path: Path
) -> None:
    """Also when it goes on while it is asked for: the change is waited for."""
    execute(database, SLOW)

    enroll(wire, tmp_path / "bundle", bundle)

    assert is_enrolled(database, bundle)
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


@pytest.mark.parametrize("wire", ["for good"], indirect=True)
def test_a_file_stays_when_nobody_can_say(
    wire: DatabaseAddress, database: DatabaseAddress, bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be the only one that opens the door, and the message says what to do with it."""
    monkeypatch.setattr(file_and_rows, "OUTCOME_SECONDS", 0.2)

    with pytest.raises(OutcomeUnknown, match="may know the certificate in "):
        enroll(wire, tmp_path / "bundle", bundle)

    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]
