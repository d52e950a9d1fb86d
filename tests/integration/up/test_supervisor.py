"""The supervisor, held against small real processes."""

from __future__ import annotations

import itertools
import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rubackup.domain.errors import Unavailable
from rubackup.roles.up.faults import StartupFault
from rubackup.roles.up.hearing import Ear
from rubackup.roles.up.service import RoleService
from rubackup.roles.up.supervisor import StopRequestedError, Supervisor

FAKE = """
import json, os, signal, sys, time
from pathlib import Path
mark, order, name, mode = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], sys.argv[4]
def stop(*_):
    with order.open("a") as file: file.write(name + "\\n")
    sys.exit(0)
signal.signal(signal.SIGTERM, signal.SIG_IGN if mode == "stubborn" else stop)
with order.with_name(name + ".starts").open("a") as file: file.write(f"{time.monotonic()}\\n")
if mode == "misconfigured":
    print("DB_HOST is not set (test.env).", file=sys.stderr); sys.exit(78)
if mode == "crashing" or (mode == "silent again" and order.with_name(name + ".starts").read_text().count("\\n") == 1):
    print("it broke", file=sys.stderr); sys.exit(1)
if mode == "silent again":
    while True: signal.pause()
part = mark.with_suffix(".part"); part.write_text(json.dumps({"pid": os.getpid(), "port": 0})); part.replace(mark)
while True: signal.pause()
"""


@pytest.fixture
def supervisor() -> Iterator[Supervisor]:
    """A supervisor whose processes end with the test."""
    supervisor = Supervisor()
    with supervisor.signals():
        yield supervisor
        supervisor.stop()


def fake(folder: Path, name: str, mode: str = "well", **values) -> RoleService:
    """A process that tells that it is ready and ends on SIGTERM, or behaves as `mode` says."""
    argv = [sys.executable, "-c", FAKE, str(folder / f"{name}.ready"), str(folder / "order"), name, mode]
    return RoleService(name, folder / "x.env", folder / f"{name}.ready", folder / f"{name}.log", argv, **values)


def starts(folder: Path, name: str) -> list[float]:
    """When a fake process was started."""
    path = folder / f"{name}.starts"
    return [float(line) for line in path.read_text().splitlines()] if path.exists() else []


def ended(pid: int, limit_seconds: float = 60) -> bool:
    """Whether a process ends within the time."""
    try:
        waiting = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([waiting], [], [], limit_seconds)[0])
    finally:
        os.close(waiting)


def later(condition: Callable[[], bool], act: Callable[[], None]) -> threading.Thread:
    """Act from another thread once a condition holds."""

    def run() -> None:
        deadline = time.monotonic() + 60
        while not condition() and time.monotonic() < deadline:
            time.sleep(0.01)
        act()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def test_a_killed_process_is_started_again(supervisor: Supervisor, tmp_path: Path):
    """Kill -9 of a role is followed by a new one, and whoever wants to know is told."""
    service = fake(tmp_path, "api")
    told: list[dict[str, int]] = []
    supervisor.changed = lambda: told.append(supervisor.pids())
    supervisor.start(service)
    supervisor.wait_ready(service, 60)
    first = service.pid
    assert first is not None

    os.kill(first, signal.SIGKILL)
    supervisor.wait(lambda: service.pid not in {None, first} and service.ready(), 60, lambda: "not started again")

    assert told == [{"api": service.pid}]


def test_the_delay_doubles_while_a_process_keeps_ending(supervisor: Supervisor, tmp_path: Path):
    """A process that cannot live is not started in a tight loop."""
    supervisor.start(fake(tmp_path, "api", "crashing"))

    supervisor.wait(lambda: len(starts(tmp_path, "api")) >= 4, 120, lambda: "not started four times")

    times = starts(tmp_path, "api")
    first, second, third = (b - a for a, b in itertools.pairwise(times[:4]))
    assert first >= 0.2
    assert second >= 0.4
    assert third >= 0.8


def test_the_delay_starts_anew_after_a_minute_of_life(tmp_path: Path):
    """A process that crashes once a day is back at once each time."""
    now = [0.0]
    supervisor = Supervisor(clock=lambda: now[0])
    service = fake(tmp_path, "api")
    supervisor.start(service)
    try:
        for _ in range(3):  # three crashes in a row: the next delay would be 1.6 s
            end(service)
            supervisor.step(0)
            now[0] += 2
            supervisor.step(0)
        now[0] += 61
        end(service)
        supervisor.step(0)
        now[0] += 0.21
        supervisor.step(0)

        assert service.pid is not None
    finally:
        supervisor.stop()


def end(service: RoleService) -> None:
    """Kill a fake process and wait until it is gone."""
    assert service._process is not None
    service._process.kill()
    service._process.wait()


def test_a_configuration_error_ends_everything_with_its_last_line(supervisor: Supervisor, tmp_path: Path):
    """Exit status 78 is not tried again."""
    service = fake(tmp_path, "api", "misconfigured")
    supervisor.start(service)

    with pytest.raises(StartupFault, match=r"^DB_HOST is not set \(test.env\)\.$"):
        supervisor.wait_ready(service, 60)

    assert len(starts(tmp_path, "api")) == 1


def test_a_process_that_never_serves_is_named_with_its_last_words(tmp_path: Path):
    """The start is bounded, and the sentence says what the process wrote, also when it has just been started again."""
    ahead = 0.0

    def clock() -> float:
        """Leaps again and again once the process was started again."""
        nonlocal ahead
        ahead += 100 if len(starts(tmp_path, "api")) == 2 else 0
        return time.monotonic() + ahead

    supervisor, service = Supervisor(clock=clock), fake(tmp_path, "api", "silent again")
    supervisor.start(service)
    try:
        with pytest.raises(StartupFault, match="api does not become ready: it broke"):
            supervisor.wait_ready(service, 600)
    finally:
        supervisor.stop()


def test_a_ready_file_of_an_earlier_process_does_not_count(supervisor: Supervisor, tmp_path: Path):
    """Readiness is the living process' own word."""
    service = fake(tmp_path, "api", "crashing")
    supervisor.start(service)
    (tmp_path / "api.ready").write_text(json.dumps({"pid": 1, "port": 0}))

    assert not service.ready()


def test_the_last_started_is_stopped_first(supervisor: Supervisor, tmp_path: Path):
    """Clients end before the servers that they talk to, and PostgreSQL ends last."""
    services = [fake(tmp_path, name) for name in ("api", "server", "media", "client")]
    for service in services:
        supervisor.start(service)
        supervisor.wait_ready(service, 60)

    supervisor.stop()

    assert (tmp_path / "order").read_text().split() == ["client", "media", "server", "api"]


def test_a_process_that_ignores_the_request_is_killed(supervisor: Supervisor, tmp_path: Path):
    """Stopping ends in bounded time."""
    service = fake(tmp_path, "api", "stubborn", stop_seconds=0.3)
    supervisor.start(service)
    supervisor.wait_ready(service, 60)
    pid = service.pid
    assert pid is not None

    supervisor.stop()

    assert ended(pid, 0)


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_run(supervisor: Supervisor, tmp_path: Path, sign: signal.Signals):
    """Ctrl-C and SIGTERM end the supervisor's loop, whatever it waits for."""
    service = fake(tmp_path, "api")
    supervisor.start(service)
    thread = later(service.ready, lambda: os.kill(os.getpid(), sign))

    with pytest.raises(StopRequestedError):
        supervisor.run()

    thread.join()


PARENT = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from test_supervisor import fake
from rubackup.roles.up.supervisor import Supervisor
supervisor = Supervisor()
with supervisor.signals():
    services = [fake(Path(sys.argv[1]), name, "stubborn") for name in ("api", "client")]
    for service in services:
        supervisor.start(service)
        supervisor.wait_ready(service, 60)
    print(*supervisor.pids().values(), flush=True)
    supervisor.run()
"""


def test_no_process_outlives_a_supervisor_that_was_killed(tmp_path: Path):
    """Kill -9 of the supervisor ends even processes that ignore SIGTERM."""
    here = str(Path(__file__).parent)
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(tmp_path), here], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    with parent.stdout:
        pids = [int(pid) for pid in parent.stdout.readline().split()]

    parent.kill()
    parent.wait()

    assert len(pids) == 2
    assert all(ended(pid) for pid in pids)


def test_what_is_due_is_done_each_time(tmp_path: Path):
    """Not before its time, once when several are over, and again although it failed."""
    now, done = [0.0], []
    supervisor = Supervisor(clock=lambda: now[0])

    def work() -> None:
        done.append(now[0])
        raise StartupFault("It does not go.")

    supervisor.each(60, work)
    for moment in (0.0, 59.0, 61.0, 62.0, 300.0, 301.0):
        now[0] = moment
        supervisor.step(0)

    assert done == [61.0, 300.0]


def test_what_cannot_be_told_ends_nothing(tmp_path: Path):
    """A full disk takes no file that says what runs now; it is said when there is room."""
    now = [0.0]
    full = [True]
    told: list[dict[str, int]] = []

    def tell() -> None:
        if full[0]:
            raise Unavailable("ready.json cannot be written: No space left on device.")
        told.append(supervisor.pids())

    supervisor = Supervisor(clock=lambda: now[0])
    supervisor.changed = tell
    service = fake(tmp_path, "api")
    supervisor.start(service)
    try:
        end(service)
        for _ in range(2):
            supervisor.step(0)
            now[0] += 5
        assert service.pid is not None
        assert told == []
        full[0] = False
        for _ in range(3):
            now[0] += 5
            supervisor.step(0)

        assert told == [{"api": service.pid}]
    finally:
        supervisor.stop()


def test_a_process_serves_though_its_file_cannot_be_written(tmp_path: Path, supervisor: Supervisor):
    """It is heard."""
    mark = tmp_path / "no such folder" / "api.ready"
    speaking = (
        "import time\nfrom rubackup.roles.process import ready\nfrom rubackup.roles.settings import Settings\n"
        f"ready(Settings({{'READY_FILE': {str(mark)!r}}}, 'a test'))\ntime.sleep(600)"
    )
    service = RoleService(
        "api", tmp_path / "x.env", mark, tmp_path / "api.log", [sys.executable, "-c", speaking], hang_seconds=60
    )
    supervisor.start(service)
    supervisor.wait_ready(service, 60)

    assert "cannot be written: No such file or directory" in (tmp_path / "api.log").read_text()


BEATING = """
import json, os, sys, threading, time
from pathlib import Path
from rubackup.roles import systemd
mark, mode = Path(sys.argv[1]), sys.argv[2]
systemd.tell_stacks()
def beat():
    while True:
        systemd.moves()
        time.sleep(systemd.wait_seconds() / systemd.BEATS)
if mode != "still": threading.Thread(target=beat, daemon=True).start()
part = mark.with_suffix(".part"); part.write_text(json.dumps({"pid": os.getpid(), "port": 0})); part.replace(mark)
def stands_here(): time.sleep(600)
stands_here()
"""


def beating(folder: Path, mode: str, hang_seconds: float) -> RoleService:
    """A process that tells that it moves, or stands still once it serves."""
    argv = [sys.executable, "-c", BEATING, str(folder / "api.ready"), mode]
    return RoleService(
        "api", folder / "x.env", folder / "api.ready", folder / "api.log", argv, hang_seconds=hang_seconds
    )


def test_a_process_that_stands_still_is_ended_and_started_again(supervisor: Supervisor, tmp_path: Path):
    """Its log has where it stood; the next one is watched as it was."""
    service = beating(tmp_path, "still", 0.5)
    supervisor.start(service)
    supervisor.wait_ready(service, 30)
    first = service.pid
    supervisor.wait(lambda: service.pid not in {None, first} and service.ready(), 60, lambda: "not started again")
    second = service.pid
    supervisor.wait(lambda: service.pid not in {None, first, second}, 60, lambda: "not ended again")

    assert "in stands_here" in (tmp_path / "api.log").read_text()


def test_a_process_that_handles_no_signal_is_killed(
    supervisor: Supervisor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """SIGSTOP leaves it nothing to write with."""
    monkeypatch.setattr("rubackup.roles.up.service.ABORT_SECONDS", 0.2)
    service = beating(tmp_path, "moving", 4)
    supervisor.start(service)
    supervisor.wait_ready(service, 30)
    first = service.pid
    assert first is not None
    os.kill(first, signal.SIGSTOP)
    supervisor.wait(lambda: service.pid not in {None, first} and service.ready(), 60, lambda: "not started again")

    assert not Path(f"/proc/{first}").exists()


def test_only_the_child_itself_is_heard():
    """Another process of the same user cannot keep up the look of a child that stands still."""
    now = [0.0]
    ear = Ear(10, clock=lambda: now[0])
    speaking = "from rubackup.roles import systemd; systemd.moves()"
    try:
        for pid_of, heard in ((lambda child: child.pid, True), (lambda _: 1, False)):
            for _ in range(4):
                child = subprocess.Popen([sys.executable, "-c", speaking], env=dict(os.environ) | ear.environment)
                assert child.wait(60) == 0
                pid = pid_of(child)
                ear.hears(pid)
                now[0] += 4
            assert ear.hears(pid) is heard
    finally:
        ear.close()


def test_a_supervisor_that_was_stopped_blames_nobody():
    """A look counts for five seconds at the most."""
    now = [0.0]
    ear = Ear(10, clock=lambda: now[0])
    try:
        assert ear.hears(1)
        now[0] += 3600
        assert ear.hears(1)
        now[0] += 3600
        assert not ear.hears(1)
    finally:
        ear.close()


def test_a_beat_waits_for_nobody():
    """The queue of a supervisor that is stopped is full after a while; those whom it looks after go on."""
    ear = Ear(10)
    speaking = "from rubackup.roles import systemd\nfor _ in range(2000): systemd.moves()"
    try:
        done = subprocess.run(
            [sys.executable, "-c", speaking], env=dict(os.environ) | ear.environment, capture_output=True, text=True,
            timeout=60, check=True,
        )  # fmt: skip
    finally:
        ear.close()

    assert "could not be told" in done.stderr
