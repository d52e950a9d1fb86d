"""A cluster of our own: who runs it, how it starts again, what it refuses."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from rubackup.catalog.database import DatabaseAddress
from rubackup.roles.up import binaries
from rubackup.roles.up.faults import StartupFault
from rubackup.roles.up.postgres import EmbeddedPostgres
from rubackup.roles.up.process import NOBODY, Identity
from support.databases import execute

pytestmark = pytest.mark.postgres
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root changes its identity")


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a state that only its owner can enter, and room for the sockets beside it."""
    path = Path(tempfile.mkdtemp(prefix="rb-test-"))
    path.chmod(0o711)
    (path / "state").mkdir(mode=0o700)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def server(folder: Path) -> Iterator[EmbeddedPostgres]:
    """A server that was not started yet; it is stopped at the end."""
    server = EmbeddedPostgres(folder / "state", folder / "run")
    yield server
    server.stop()


def value(address: DatabaseAddress, query: str) -> object:
    """The one value a query gives."""

    async def run() -> object:
        connection = await asyncpg.connect(
            host=address.host, port=address.port, user=address.user,
            password=address.password, database=address.database,
        )  # fmt: skip
        try:
            return await connection.fetchval(query)
        finally:
            await connection.close()

    return asyncio.run(run())


def ends(pid: int, limit_seconds: float = 60) -> bool:
    """Whether a process, a child of this one or not, ends within the time."""
    try:
        waiting = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        import select

        return bool(select.select([waiting], [], [], limit_seconds)[0])
    finally:
        os.close(waiting)


def test_a_new_cluster_is_durable_checked_and_asks_for_scram(server: EmbeddedPostgres):
    """The settings that a backup catalogue needs are in force."""
    server.start()
    names = ("fsync", "synchronous_commit", "full_page_writes", "data_checksums", "password_encryption")

    found = {name: value(server.address(), f"SHOW {name}") for name in names}

    assert found == dict.fromkeys(names[:4], "on") | {"password_encryption": "scram-sha-256"}
    assert value(server.address(), "SHOW listen_addresses") == "127.0.0.1"


@pytest.mark.parametrize("way", ["tcp", "socket"])
def test_a_wrong_password_is_rejected(server: EmbeddedPostgres, way: str):
    """Neither loopback nor the socket is trusted."""
    server.start()
    address = server.address()
    host = address.host if way == "tcp" else str(server.sockets)

    with pytest.raises(asyncpg.InvalidPasswordError):
        asyncio.run(
            asyncpg.connect(host=host, port=address.port, user=address.user, password="no", database="postgres")
        )

    assert server.sockets.stat().st_mode & 0o777 == 0o700


@as_root
@pytest.mark.parametrize("copy_binaries", [False, True])
@pytest.mark.parametrize("identity", [Identity.NOBODY, Identity.NAMESPACE])
@pytest.mark.parametrize("origin", ["host", "wheel"])
def test_root_runs_any_binaries_below_a_private_folder_with_a_long_path(
    folder: Path, monkeypatch: pytest.MonkeyPatch, origin: str, identity: Identity, copy_binaries: bool
):
    """As nobody or in a user namespace, from a copy or not: the state may be 150 characters away in a 0700 folder."""
    found = binaries.host_binaries()[:1] if origin == "host" else [binaries.wheel_binaries()]
    if not found or found[0] is None:
        pytest.skip(f"no PostgreSQL of the {origin}")
    monkeypatch.setenv(binaries.VARIABLE, str(found[0].folder))
    state = folder / "state" / ("x" * (150 - len(str(folder)) - len("/state/")))
    server = EmbeddedPostgres(state, folder / "run", identity=identity, copy_binaries=copy_binaries)

    server.start()
    try:
        assert value(server.address(), "SELECT 1") == 1
        assert server.identity is identity
        assert server.data.stat().st_uid == (NOBODY if identity is Identity.NOBODY else 0)
    finally:
        server.stop()


@as_root
def test_the_data_follow_a_change_of_identity(folder: Path):
    """A checkout that moved below /root changes who runs the server; its data stay usable."""
    for identity in (Identity.NOBODY, Identity.NAMESPACE, Identity.NOBODY):
        server = EmbeddedPostgres(folder / "state", folder / "run", identity=identity)
        server.start()
        try:
            execute(server.address(), "CREATE TABLE IF NOT EXISTS kept (n int)", "INSERT INTO kept VALUES (1)")
        finally:
            server.stop()

    server.start()
    try:
        assert value(server.address(), "SELECT count(*) FROM kept") == 3
    finally:
        server.stop()


def test_a_killed_postmaster_is_followed_by_the_next_start_at_once(server: EmbeddedPostgres):
    """Back ends that still end and a lock file left over only delay the start; what was committed is there."""
    server.start()
    execute(server.address(), "CREATE TABLE kept AS SELECT generate_series(1, 1000) n")
    assert server.process is not None
    os.kill(server.process.pid, signal.SIGKILL)
    server.process.wait()

    server.start()

    assert value(server.address(), "SELECT count(*) FROM kept") == 1000


def test_a_start_waits_for_an_earlier_server_to_end(server: EmbeddedPostgres, folder: Path):
    """A second server on the same data starts when the first is gone, never beside it."""
    server.start()
    first = server.process
    assert first is not None
    first.send_signal(signal.SIGINT)  # it is still ending when the next one starts

    server.start()

    assert first.wait(60) == 0
    assert value(server.address(), "SELECT 1") == 1


def test_a_second_server_on_the_same_data_is_refused(server: EmbeddedPostgres, folder: Path):
    """Two servers never share a data folder."""
    server.start()
    second = EmbeddedPostgres(folder / "state", folder / "run")

    with pytest.raises(StartupFault, match="another one runs on"):
        second.start(retry_seconds=0.5)

    assert value(server.address(), "SELECT 1") == 1


def test_data_of_another_major_version_are_refused(server: EmbeddedPostgres):
    """The refusal names the version that is needed."""
    server.prepare()
    (server.data / "PG_VERSION").write_text("9\n")

    with pytest.raises(StartupFault, match=r"made with PostgreSQL 9, which is not on this host"):
        server.start()


def test_named_binaries_of_another_major_version_are_refused(server: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch):
    """RUBACKUP_POSTGRES_BIN does not overrule the data folder."""
    server.prepare()
    (server.data / "PG_VERSION").write_text("9\n")
    monkeypatch.setenv(binaries.VARIABLE, str(server.binaries.folder))

    with pytest.raises(StartupFault, match=r"made with PostgreSQL 9, but RUBACKUP_POSTGRES_BIN names"):
        server.start()


def test_named_binaries_that_do_not_run_are_refused(
    server: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch, folder: Path
):
    """A folder without PostgreSQL is named in the refusal."""
    monkeypatch.setenv(binaries.VARIABLE, str(folder))

    with pytest.raises(StartupFault, match=f"names {folder}, which has no working postgres"):
        server.start()


def test_a_crash_during_initdb_is_repaired_by_the_next_start(server: EmbeddedPostgres):
    """A half-made data folder is never used."""
    half = server.data.with_name("data.new")
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("15\n")

    server.start()

    assert value(server.address(), "SELECT 1") == 1
    assert not half.exists()


def test_a_port_in_use_is_said(server: EmbeddedPostgres):
    """A port that was asked for and is taken ends the start with a sentence."""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        server.port = taken.getsockname()[1]
        with pytest.raises(StartupFault, match="PostgreSQL does not start"):
            server.start()


PARENT = """
import sys, time
from pathlib import Path
from rubackup.roles.up.postgres import EmbeddedPostgres
from rubackup.roles.up.process import Identity
folder = Path(sys.argv[1])
server = EmbeddedPostgres(folder / "state", folder / "run", identity=Identity(sys.argv[2]))
server.start()
print(server.pid, flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("identity", ["nobody", "namespace"] if os.geteuid() == 0 else ["own"])
def test_no_server_outlives_a_parent_that_was_killed(folder: Path, identity: str):
    """A kill -9 of the starter ends PostgreSQL, whatever the identity it runs under."""
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(folder), identity], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    with parent.stdout:
        pid = int(parent.stdout.readline())

    parent.kill()
    parent.wait()

    assert ends(pid)
