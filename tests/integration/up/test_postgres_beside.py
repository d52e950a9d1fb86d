"""PostgreSQL of a state as a unit of its own, without systemd: what root prepares, what its user runs, what the supervisor sees."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from rubackup.roles.up import beside, cluster
from rubackup.roles.up.faults import StartupFault
from rubackup.roles.up.postgres import EmbeddedPostgres
from rubackup.roles.up.process import NOBODY
from rubackup.roles.up.state import State, locked
from support.databases import execute

pytestmark = [
    pytest.mark.postgres,
    pytest.mark.skipif(
        os.geteuid() != 0 or shutil.which("unshare") is None or shutil.which("setpriv") is None,
        reason="only root gives files away; unshare and setpriv stand for systemd",
    ),
]
USER = (NOBODY, NOBODY)
BECOME = "import sys; from pathlib import Path; from rubackup.roles.up import beside; beside.become(Path(sys.argv[1]))"


class Unit:
    """What systemd has of the unit: a run-time folder of its user's, and a link to the data."""

    def __init__(self, folder: Path) -> None:
        self.state = State(folder / "closed/a state")
        self.runtime = folder / "run"
        self.link = folder / "data"
        self.state.root.parent.mkdir(mode=0o700)
        self.runtime.mkdir(mode=0o700)
        os.chown(self.runtime, *USER)

    def prepare(self, *, supervised: bool = False) -> None:
        """`ExecStartPre`."""
        beside.prepare(self.state, self.runtime, self.link, supervised=lambda _pid: supervised, command="the command")

    @contextmanager
    def running(self) -> Iterator[subprocess.Popen[bytes]]:
        """`ExecStart` as the user, who sees the data below the run-time folder alone (BindPaths)."""
        shown = 'mkdir -p "$1/data" && mount --bind "$2" "$1/data" && exec setpriv --reuid=65534 --regid=65534 --clear-groups "${@:3}"'
        process = subprocess.Popen(
            ["unshare", "--mount", "bash", "-c", shown, "unit", self.runtime, self.link.resolve(), sys.executable, "-c", BECOME, self.runtime],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            yield process
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(60)

    def serves(self) -> beside.Beside:
        """As the supervisor waits for it."""
        found = beside.Beside(self.state, self.runtime)
        deadline = time.monotonic() + 120
        while not found.accepts():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        return found


@pytest.fixture
def unit() -> Iterator[Unit]:
    """Nothing was prepared yet."""
    path = Path(tempfile.mkdtemp(prefix="rb-test-"))
    path.chmod(0o711)
    yield Unit(path)
    shutil.rmtree(path)


def test_data_of_a_child_go_over_to_the_unit_and_back(unit: Unit, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows are there on both sides; the unit has no port, and nobody else comes on its data while it runs."""
    monkeypatch.setattr(beside, "_active_state", lambda: "")  # of a unit that this machine may have
    unit.prepare()
    assert unit.link.resolve() == unit.state.root / "postgres/data"
    with unit.running():
        found = unit.serves()
        execute(found.address(), "CREATE TABLE kept AS SELECT 1 AS n")
        other = EmbeddedPostgres(unit.state.root, unit.runtime.parent / "own")
        with pytest.raises(StartupFault, match="another one runs on"):
            other.start(retry_seconds=0.2)
        assert not (unit.runtime / ".s.PGSQL.5432").is_file()
        told = (unit.state.root / "postgres/data/postmaster.pid").read_text().splitlines()
        assert told[5] == "", "it listens on an address"

    own = EmbeddedPostgres(unit.state.root, unit.runtime.parent / "own")
    own.start()
    execute(own.address(), "INSERT INTO kept VALUES (2)")
    with pytest.raises(StartupFault, match="another one runs on"):
        os.close(cluster.held(own.data, time.monotonic()))
    own.stop()
    os.chown(own.data, 4711, 4711)  # as if it came from another host

    unit.prepare()

    assert own.data.stat().st_uid == NOBODY
    with unit.running():
        execute(unit.serves().address(), "DO $$ BEGIN ASSERT (SELECT count(*) FROM kept) = 2; END $$")


def test_what_was_given_up_or_never_ready_is_a_sentence(unit: Unit, monkeypatch: pytest.MonkeyPatch) -> None:
    """The supervisor waits while it starts, but not for ever."""
    unit.state.make()
    (unit.state.root / "secrets/postgres-password").write_text("secret\n")
    told = "active"
    monkeypatch.setattr(beside, "_active_state", lambda: told)
    monkeypatch.setattr(beside, "_ASK_SECONDS", 0.0)
    waiting = beside.Beside(unit.state, unit.runtime)
    assert not waiting.accepts()
    told = "activating"
    assert not waiting.accepts()
    monkeypatch.setattr(cluster, "RETRY_SECONDS", 0.0)
    with pytest.raises(StartupFault, match="journalctl -u rubackup_postgres"):
        waiting.accepts()
    told = "failed"
    with pytest.raises(StartupFault, match="journalctl -u rubackup_postgres"):
        beside.Beside(unit.state, unit.runtime).accepts()


def test_a_lost_catalogue_is_not_made_anew(unit: Unit) -> None:
    """The unit makes no empty cluster where there was one; nothing else of a state that somebody holds is touched."""
    unit.state.make()
    unit.state.keep_text(unit.state.complete, "yes")

    with pytest.raises(StartupFault, match="`the command`"):
        unit.prepare()
    with locked(unit.state), pytest.raises(StartupFault, match="already running"):
        unit.prepare()
    assert not (unit.state.root / "postgres/data").exists()
