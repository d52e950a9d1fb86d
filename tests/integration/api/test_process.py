"""The API as a process of its own: TLS, the guide's curl lines, certificates that change, orderly ends."""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import socket
import ssl
import subprocess

import httpx
import pytest

from rubackup.catalog.database import DatabaseAddress
from rubackup.roles.listening import listen
from rubackup.roles.settings import ConfigurationFault
from support.api import PASSWORD
from support.api_process import Authority, connected, fingerprint, process
from support.system import eventually

CURL = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
LOGIN = """curl -k --cookie-jar - -X POST
'https://localhost:{port}/api/v1/auth/login' \\
-H 'accept: application/json' \\
-H 'Content-Type: application/json' \\
-d '{{"rubackup_database": "{database}", "rubackup_user": "rubackup", "password": "Testing12345*"}}'
""".replace("POST\n", "POST \\\n")


def answered(tls: ssl.SSLSocket) -> bytes:
    """Everything until the API closes the connection."""
    parts = []
    with contextlib.suppress(ConnectionResetError):
        while part := tls.recv(65536):
            parts.append(part)
    return b"".join(parts)


def shell(line: str) -> str:
    """What a command line prints."""
    done = subprocess.run(["/bin/sh", "-c", line], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@CURL
def test_the_guides_login_with_cookie_jar(authority: Authority, superuser: DatabaseAddress) -> None:
    """Curl prints the answer and, from its jar, both cookies of this host."""
    with process(authority.folder, superuser) as (_, port):
        output = shell(LOGIN.format(port=port, database=superuser.database))

    body, _, jar = output.partition("\n# Netscape") if "\n# Netscape" in output else output.partition("# Netscape")
    data = json.loads(body)["data"]
    cookies = [line.split("\t") for line in jar.splitlines() if line.startswith("#HttpOnly_")]
    assert data["user_name"] == "rubackup"
    assert {c[5]: c[6] for c in cookies} == {
        "access_token_cookie": data["access_token"], "refresh_token_cookie": data["refresh_token"],
    }  # fmt: skip
    assert all(c[0] == "#HttpOnly_localhost" and c[2:5] == ["/", "TRUE", "0"] for c in cookies)


@CURL
def test_the_certificate_verifies_against_our_root(authority: Authority, superuser: DatabaseAddress) -> None:
    """Whoever has the root needs no -k."""
    with process(authority.folder, superuser) as (_, port):
        output = shell(f"curl -sS --cacert {authority.folder}/root.crt https://localhost:{port}/healthz")

    assert json.loads(output)["data"] == {"status": "ok"}


def test_a_new_certificate_is_taken_on_sighup(authority: Authority, superuser: DatabaseAddress) -> None:
    """Handshakes after the signal show the new one; the process and its port stay."""
    with process(authority.folder, superuser) as (running, port):
        before = fingerprint(port)
        authority.renew()
        running.send_signal(signal.SIGHUP)

        eventually(lambda: fingerprint(port) != before, 60)
        assert running.poll() is None


def test_a_broken_certificate_leaves_the_old_one(authority: Authority, superuser: DatabaseAddress) -> None:
    """A mistake in the files does not take the API down; the log says what is wrong."""
    with process(authority.folder, superuser) as (running, port):
        before = fingerprint(port)
        (authority.folder / "api.crt").write_text("no certificate")
        running.send_signal(signal.SIGHUP)

        eventually(lambda: "was not reloaded" in (authority.folder / "log").read_text(), 60)
        assert fingerprint(port) == before


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (b"\x16\x03garbage\r\n\r\n", 400),
        (b"GET / HTTP/9.9\r\n\r\n", 400),
        (b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * 70_000 + b"\r\n\r\n", 431),
        (b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\n\r\n", 414),
    ],
    ids=["garbage", "version", "bytes", "header", "path"],
)
def test_broken_heads_are_answered_in_the_envelope(
    authority: Authority, superuser: DatabaseAddress, head: bytes, expected: int
) -> None:
    """What is no HTTP is a 400 like any other; what is too much of it is told by the status that is meant for that."""
    with process(authority.folder, superuser) as (_, port), connected(port) as tls:
        with contextlib.suppress(ConnectionError):  # it may have its answer, and an end, before all of it is sent
            tls.sendall(head)
        status, _, body = answered(tls).partition(b"\r\n\r\n")

    assert status.startswith(b"HTTP/1.1 %d" % expected)
    assert json.loads(body).keys() == {"data", "errors", "is_error", "message"}


def test_sigterm_ends_it_in_order(authority: Authority, superuser: DatabaseAddress) -> None:
    """Exit code 0, without a traceback."""
    with process(authority.folder, superuser) as (running, _):
        running.terminate()

        assert running.wait(60) == 0
    assert "Traceback" not in (authority.folder / "log").read_text()


def test_a_port_in_use_is_told(authority: Authority, superuser: DatabaseAddress) -> None:
    """One sentence and the exit code of a wrong configuration."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with (
            pytest.raises(AssertionError, match=f"cannot listen on port {port}"),
            process(authority.folder, superuser, APP_PORT=str(port)),
        ):
            pass


def test_a_name_without_address_is_told() -> None:
    """APP_HOST is named."""
    with pytest.raises(ConfigurationFault, match="APP_HOST"):
        listen("no-such-name.invalid", 0)


def test_a_stream_is_told_changes_and_ends_with_the_process(authority: Authority, superuser: DatabaseAddress) -> None:
    """Over TLS an event arrives while the answer goes on; SIGTERM ends the stream in words, and the process."""
    context = ssl.create_default_context(cafile=str(authority.folder / "root.crt"))
    body = {"rubackup_database": superuser.database, "rubackup_user": "rubackup", "password": PASSWORD}
    with (
        process(authority.folder, superuser) as (running, port),
        httpx.Client(base_url=f"https://localhost:{port}", verify=context, timeout=60) as http,
    ):
        data = http.post("/api/v1/auth/login", json=body).json()["data"]
        http.headers.update({"Authorization": f"Bearer {data['access_token']}", "X-CSRF-TOKEN": data["csrf_token"]})
        with http.stream("GET", "/api/v1/events") as stream:
            lines = stream.iter_lines()
            assert next(line for line in lines if line.startswith("id: "))
            http.post("/api/v1/client_groups", json={"data": {"name": "a"}}).raise_for_status()
            told = json.loads(next(line for line in lines if line.startswith("data: ")).removeprefix("data: "))
            assert (told["kind"], told["family"]) == ("created", "client_groups")
            running.terminate()
            assert "event: end" in list(lines)
        assert running.wait(60) == 0


def test_a_caller_who_hangs_up_leaves_nothing_behind(authority: Authority, superuser: DatabaseAddress) -> None:
    """Streams that are cut off are gone from the metrics, which this host may read without a login."""
    with process(authority.folder, superuser) as (_, port):
        data = json.loads(
            shell(LOGIN.format(port=port, database=superuser.database).replace("--cookie-jar - ", "-sS "))
        )
        head = (
            f"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {data['data']['access_token']}\r\n"
            f"X-CSRF-TOKEN: {data['data']['csrf_token']}\r\n\r\n"
        )

        def streams(count: int) -> bool:
            return f"rubackup_event_streams {count}.0" in shell(f"curl -k -sS https://127.0.0.1:{port}/metrics")

        with contextlib.ExitStack() as stack:
            for _ in range(5):
                stack.enter_context(connected(port)).sendall(head.encode())
            eventually(lambda: streams(5), 60)
        eventually(lambda: streams(0), 60)
    assert "Traceback" not in (authority.folder / "log").read_text()


def test_a_short_metrics_token_is_told(authority: Authority, superuser: DatabaseAddress) -> None:
    """What opens the metrics to others must not be guessed."""
    (authority.folder / "metrics").write_text("short")
    with (
        pytest.raises(AssertionError, match="METRICS_TOKEN_FILE must hold at least 16"),
        process(authority.folder, superuser, METRICS_TOKEN_FILE=str(authority.folder / "metrics")),
    ):
        pass
