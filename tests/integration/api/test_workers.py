"""Three workers of one API: one secret, one port, one account of what they do; none missing, none left behind."""

from __future__ import annotations

import os
import re
import signal
import socket
import ssl
import struct
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from rubackup.catalog.database import DatabaseAddress
from rubackup.roles.process import workers
from rubackup.roles.settings import ConfigurationFault, Settings
from rubackup.roles.up.ports import free_port
from support.api import PASSWORD, password_hash
from support.api_process import Authority, fingerprint, process
from support.databases import execute, fresh_database
from support.system import eventually

WORKERS = 3


@dataclass
class Site:
    """An API that runs."""

    keeper: subprocess.Popen[bytes]
    port: int
    folder: Path
    authority: Authority
    database: DatabaseAddress

    def caller(self) -> httpx.Client:
        """A caller with a connection of its own for each call, so that the kernel chooses a worker for each."""
        limits = httpx.Limits(max_keepalive_connections=0)
        return httpx.Client(base_url=f"https://localhost:{self.port}", verify=self.trust(), timeout=60, limits=limits)

    def trust(self) -> ssl.SSLContext:
        """Trust in the test's root."""
        return ssl.create_default_context(cafile=str(self.folder / "root.crt"))

    def login(self, http: httpx.Client, password: str = PASSWORD) -> httpx.Response:
        """POST /auth/login."""
        body = {"rubackup_database": self.database.database, "rubackup_user": "rubackup", "password": password}
        return http.post("/api/v1/auth/login", json=body)

    def entered(self, http: httpx.Client) -> dict[str, Any]:
        """A session, whose tokens the caller sends from now on."""
        found: dict[str, Any] = self.login(http).json()["data"]
        http.headers.update({"Authorization": f"Bearer {found['access_token']}", "X-CSRF-TOKEN": found["csrf_token"]})
        return found

    def children(self) -> set[int]:
        """The processes of the workers."""
        return set(map(int, Path(f"/proc/{self.keeper.pid}/task/{self.keeper.pid}/children").read_text().split()))

    def figure(self, http: httpx.Client, pattern: str) -> float:
        """A figure of `/metrics`: all samples together whose line begins so."""
        text = http.get("/metrics").text
        return sum(float(line.rpartition(" ")[2]) for line in text.splitlines() if re.match(pattern, line))


def set_attempts(site: Site, number: str) -> None:
    """How many logins may fail."""
    execute(
        site.database,
        f"""INSERT INTO global_configuration (key, value) VALUES ('wrong_auth_attempts_count', '{number}')
            ON CONFLICT (key) DO UPDATE SET value = excluded.value""",
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, postgres: DatabaseAddress) -> Iterator[Site]:
    """Three workers over a PostgreSQL of the test run."""
    folder = tmp_path_factory.mktemp("workers")
    authority = Authority(folder)
    with fresh_database(postgres) as database:
        sql = "INSERT INTO users (username, password_hash, group_id, is_superuser) VALUES ('rubackup', '{}', 1, true)"
        execute(database, sql.format(password_hash()))
        with process(folder, database, WORKERS=str(WORKERS)) as (keeper, port):
            yield Site(keeper, port, folder, authority, database)


def test_a_session_counts_with_every_worker(site: Site) -> None:
    """Tokens, CSRF token and the refreshed pair come from one secret that no worker was told by argument or environment."""
    with site.caller() as http:
        session = site.entered(http)
        assert {http.get("/api/v1/clients").status_code for _ in range(30)} == {200}
        headers = {
            "Authorization-Access-Token": f"Bearer {session['access_token']}",
            "Authorization": f"Bearer {session['refresh_token']}",
        }
        pairs = [http.post("/api/v1/auth/refresh", headers=headers).json()["data"] for _ in range(2)]

    assert pairs[0]["access_token"] == pairs[1]["access_token"]
    assert pairs[0]["csrf_token"] == session["csrf_token"]


def test_right_passwords_at_once_do_not_count_against_each_other(site: Site) -> None:
    """Whichever workers they come to: twelve logins of one name from one network, and none is refused where one may fail."""
    set_attempts(site, "2")
    with site.caller() as http, ThreadPoolExecutor(12) as threads:
        answers = list(threads.map(lambda _: site.login(http).status_code, range(12)))

    set_attempts(site, "5")
    assert answers == [200] * 12


def test_wrong_passwords_count_together(site: Site) -> None:
    """The limit of five is one for all workers, also when they come at once; `/metrics` of any worker has them all."""
    with site.caller() as http, ThreadPoolExecutor(9) as threads:
        before = site.figure(http, "rubackup_login_failures_total")
        answers = sorted(threads.map(lambda _: site.login(http, "wrong").status_code, range(9)))

        assert answers == [401] * 5 + [429] * 4
        assert {site.figure(http, "rubackup_login_failures_total") for _ in range(10)} == {before + 9}
    execute(site.database, "DELETE FROM login_failures")


def test_metrics_are_of_all_workers(site: Site) -> None:
    """Calls are summed, so every worker tells the same; processes stand apart by their place."""
    route = r'rubackup_http_request_duration_seconds_count\{method="GET",route="/api/v1/crypto"'
    with site.caller() as http:
        site.entered(http)
        for _ in range(30):
            assert http.get("/api/v1/crypto").status_code == 200

        assert {site.figure(http, route) for _ in range(10)} == {30.0}
        assert site.figure(http, "rubackup_api_workers ") == WORKERS
        assert site.figure(http, "process_resident_memory_bytes") > 3 * 30e6
        text = http.get("/metrics").text
    assert {f'process_resident_memory_bytes{{worker="{n}"}}' in text for n in range(WORKERS)} == {True}


def test_events_reach_streams_of_every_worker(site: Site) -> None:
    """A change that one worker makes is told by all; the open streams are counted together."""
    with site.caller() as http:
        site.entered(http)
        with httpx.Client(base_url=http.base_url, verify=site.trust(), timeout=60) as other:
            other.headers.update(http.headers)
            streams = [http.stream("GET", "/api/v1/events") for _ in range(6)]
            lines = [stream.__enter__().iter_lines() for stream in streams]
            for one in lines:
                assert next(line for line in one if line.startswith("id: "))
            eventually(lambda: site.figure(http, "rubackup_event_streams") == 6, 60)
            http.post("/api/v1/client_groups", json={"data": {"name": "told"}}).raise_for_status()
            told = [next(line for line in one if line.startswith("data: ")) for one in lines]
            for stream in streams:
                stream.__exit__(None, None, None)
        assert all('"client_groups"' in line for line in told)
        eventually(lambda: site.figure(http, "rubackup_event_streams") == 0, 60)


def test_a_users_streams_are_counted_by_all_workers(site: Site) -> None:
    """Ten, whichever workers have them: the next is refused by each of them; streams that end make room."""
    with site.caller() as http, ExitStack() as streams:
        site.entered(http)
        opened = [streams.enter_context(http.stream("GET", "/api/v1/events")).status_code for _ in range(10)]
        assert opened == [200] * 10
        refused = [http.get("/api/v1/events") for _ in range(9)]
        assert {one.status_code for one in refused} == {429}
        assert refused[0].json()["message"] == "A user may have 10 event streams at once."
        streams.close()
        eventually(lambda: site.figure(http, "rubackup_event_streams") == 0, 60)
        with http.stream("GET", "/api/v1/events") as again:
            assert again.status_code == 200


def test_a_repeated_call_is_known_to_every_worker(site: Site) -> None:
    """An Idempotency-Key makes one row, whichever workers the calls come to."""
    with site.caller() as http, ThreadPoolExecutor(6) as threads:
        site.entered(http)
        headers = {"Idempotency-Key": "workers-1"}
        body = {"data": {"name": "once"}}
        answers = list(
            threads.map(lambda _: http.post("/api/v1/client_groups", json=body, headers=headers).status_code, range(12))
        )
        found = http.get("/api/v1/client_groups").json()["data"]["items"]

    assert set(answers) <= {201, 409}
    assert 201 in answers
    assert sum(one["name"] == "once" for one in found) == 1


def test_a_new_certificate_reaches_every_worker(site: Site) -> None:
    """SIGHUP to the one process that systemd knows."""
    before = fingerprint(site.port)
    site.authority.renew()

    site.keeper.send_signal(signal.SIGHUP)

    eventually(lambda: (site.folder / "log").read_text().count("the certificate was reloaded") == WORKERS, 60)
    after = {fingerprint(site.port) for _ in range(20)}
    assert len(after) == 1
    assert before not in after


def test_a_worker_that_dies_is_started_again(site: Site) -> None:
    """Killed: a new one comes in its place, sessions go on, nothing that was counted is lost."""
    failures = r"rubackup_http_request_duration_seconds_count"
    with site.caller() as http:
        site.entered(http)
        before, counted = site.children(), site.figure(http, failures)
        victim = min(before)
        os.kill(victim, signal.SIGKILL)
        eventually(lambda: len(site.children() - before) == 1 and len(site.children()) == WORKERS, 60)

        assert {http.get("/api/v1/clients").status_code for _ in range(20)} == {200}
        assert site.figure(http, failures) >= counted + 20
        assert site.figure(http, "rubackup_api_worker_starts_total") == WORKERS + 1
    assert "ended: killed by SIGKILL; it is started again" in (site.folder / "log").read_text()


def test_no_secret_is_in_arguments_or_environment(site: Site) -> None:
    """The token secret reaches workers in memory alone; they are forks, so all of them have the keeper's arguments."""
    shown = {Path(f"/proc/{pid}/{name}").read_bytes() for pid in site.children() for name in ("cmdline", "environ")}
    keeper = {Path(f"/proc/{site.keeper.pid}/{name}").read_bytes() for name in ("cmdline", "environ")}

    assert shown == keeper


def test_ending_the_keeper_ends_all_workers(authority: Authority, superuser: DatabaseAddress) -> None:
    """SIGTERM in order and with status 0, SIGKILL at once: nobody is left who listens on the port, so the next start has it.

    Systemd is told once, by the process that it knows.
    """
    chosen = str(free_port())  # one that the kernel gives to nobody between two of the starts
    with process(authority.folder, superuser, WORKERS=str(WORKERS), APP_PORT=chosen) as (keeper, port):
        site = Site(keeper, port, authority.folder, authority, superuser)
        children = site.children()
        keeper.terminate()
        assert keeper.wait(60) == 0
        eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in children), 60)

    with process(authority.folder, superuser, WORKERS=str(WORKERS), APP_PORT=chosen) as (keeper, _):
        children = Site(keeper, port, authority.folder, authority, superuser).children()
        keeper.kill()
        keeper.wait(60)
        eventually(lambda: not any(_runs(pid) for pid in children), 60)
    told = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    told.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    told.bind(str(authority.folder / "notify"))
    notified, more = {"NOTIFY_SOCKET": str(authority.folder / "notify")}, {"WORKERS": "2", "APP_PORT": chosen}
    with told, process(authority.folder, superuser, environment=notified, **more) as (keeper, _):
        told.setblocking(False)
        message, control, *_ = told.recvmsg(100, socket.CMSG_SPACE(12))
        assert (message, struct.unpack("3i", control[0][2])[0]) == (b"READY=1", keeper.pid)
        with pytest.raises(BlockingIOError):
            told.recv(100)


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_what_is_wrong_is_said_once(authority: Authority, superuser: DatabaseAddress) -> None:
    """A start that fails ends with the status of the worker and one sentence, however many there were to be."""
    (authority.folder / "metrics").write_text("short")
    with (
        pytest.raises(AssertionError),
        process(
            authority.folder, superuser, WORKERS=str(WORKERS), METRICS_TOKEN_FILE=str(authority.folder / "metrics")
        ),
    ):
        pass

    log = (authority.folder / "log").read_text()
    assert log.count("METRICS_TOKEN_FILE must hold at least 16") == 1


@pytest.mark.parametrize("wrong", ["0", "65", "many", "-1", "auto"])
def test_a_wrong_number_of_workers_is_told(wrong: str) -> None:
    """With what is allowed."""
    with pytest.raises(ConfigurationFault, match=f"WORKERS must be a whole number from 1 to 64, not '{wrong}'"):
        workers(Settings({"WORKERS": wrong}, "test.env"))
