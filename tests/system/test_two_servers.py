"""Two servers on one catalogue: the second takes over when the first is killed, and no task is lost or run twice."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from rubackup.roles.settings import parse, render
from rubackup.roles.up.ports import free_port
from rubackup.roles.up.state import State, holder
from rubackup.wire import pki
from support.system import System, eventually, running

pytestmark = pytest.mark.system
TAKE_OVER_SECONDS = 15


class Second:
    """A second `rubackup_server` on the state of a running system."""

    def __init__(self, state: Path, port: int) -> None:
        self.hwid = secrets.token_hex(32)
        self.settings = parse((state / "etc/server.env").read_text(), "server.env")
        folder = state / "keys/second"
        folder.mkdir(mode=0o700)
        key, chain = folder / "serverKey.key", folder / "serverCert.crt"
        pki.write_private(key, pki.new_key_pem())
        issuing = pki.Authority(
            key_pem=Path(self.settings["ISSUING_KEY_FILE"]).read_bytes(),
            cert_pem=Path(self.settings["ISSUING_CERT_FILE"]).read_bytes(),
        )
        issued = pki.issue(
            issuing, pki.make_csr(key.read_bytes(), "second"), role="server", hwid=self.hwid, now=datetime.now(UTC)
        )
        pki.write_private(chain, issued.chain_pem)
        own = {
            "HWID": self.hwid, "HOSTNAME": "second", "CONTROL_PORT": str(port), "KEY_FILE": str(key),
            "CERT_FILE": str(chain), "READY_FILE": str(folder / "ready"),
        }  # fmt: skip
        config = folder / "server.env"
        config.write_text(render(self.settings | own))
        self.log = state / "log/second.log"
        command = [sys.executable, "-m", "rubackup.roles.server", "--config", str(config)]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)

    def ask(self, statement: str, *values: Any) -> Any:
        """The first value that the catalogue answers."""
        return asyncio.run(self._ask(statement, values))

    async def _ask(self, statement: str, values: tuple[Any, ...]) -> Any:
        connection = await asyncpg.connect(
            host=self.settings["DB_HOST"], port=int(self.settings["DB_PORT"]), user=self.settings["DB_USER"],
            password=Path(self.settings["DB_PASSWORD_FILE"]).read_text().strip(), database=self.settings["DB_NAME"],
        )  # fmt: skip
        try:
            return await connection.fetchval(statement, *values)
        finally:
            await connection.close()

    def leads(self) -> bool:
        """Whether it is this one that leads."""
        return bool(self.ask("SELECT server_hwid FROM leadership") == self.hwid)


@pytest.fixture
def two(tmp_path: Path) -> Iterator[tuple[System, Second]]:
    """A system whose hosts are connected to two servers; the first leads."""
    port = free_port()
    with running(tmp_path / "state", environment={"RESERVE_SERVERS": f"127.0.0.1:{port}"}) as system:
        second = Second(system.state, port)
        try:
            eventually(lambda: second.log.read_text().count("is connected from") >= 2, 30, second.log.read_text)
            assert not second.leads()
            yield system, second
        finally:
            second.process.kill()
            second.process.wait()


@contextlib.contextmanager
def unattended(state: Path) -> Iterator[None]:
    """The supervisor sleeps, so it does not start again what is killed."""
    pid = holder(State(state))
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def test_the_second_server_takes_over_and_no_task_is_lost_or_run_twice(
    two: tuple[System, Second], tmp_path: Path
) -> None:
    """Killed in the middle of a backup and before others: each ends as Done, with one copy each. Then its connection is cut."""
    system, second = two
    sources = []
    for number, size in enumerate((6 << 20, 1000, 1000)):
        sources.append(tmp_path / f"source{number}")
        sources[-1].mkdir()
        (sources[-1] / "file").write_bytes(os.urandom(size))
    limit = {"client": system.facts["client"], "backup_bandwidth": 1024}
    system.call("POST", "/client_bandwidth", {"data": limit}, status=201)
    running_task = system.backup(sources[0])
    system.until(running_task, lambda row: row["bytes_sent"] > 0, 30)

    with unattended(system.state):
        os.kill(system.processes()["server"], signal.SIGKILL)
        killed = time.monotonic()
        later = [system.backup(source) for source in sources[1:]]
        eventually(second.leads, TAKE_OVER_SECONDS, second.log.read_text)
        for task in later:
            system.done(task, TAKE_OVER_SECONDS - (time.monotonic() - killed))
        assert system.done(running_task, 30)["attempt"] == 1
    for source in sources:
        assert len(system.records(source)) == 1

    epoch = second.ask("SELECT epoch FROM leadership")
    second.ask(
        """SELECT pg_terminate_backend(l.pid, 5000) FROM pg_locks l JOIN pg_database d ON d.oid = l.database
           WHERE l.locktype = 'advisory' AND d.datname = current_database() AND l.objid = $1""",
        0x42_4C_45_41,
    )
    eventually(lambda: second.ask("SELECT epoch FROM leadership") > epoch, TAKE_OVER_SECONDS)
    system.done(system.backup(sources[1]), 30)
