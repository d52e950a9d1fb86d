"""The small REST client, against an API of three routes that forgets its tokens on request."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from rubackup.domain.errors import Unavailable
from rubackup.roles.rest import ApiFault, RestClient
from rubackup.wire import pki


class SmallApi(ThreadingHTTPServer):
    """Hands tokens out and takes the latest only."""

    def __init__(self, tls: ssl.SSLContext) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.socket = tls.wrap_socket(self.socket, server_side=True)
        self.issued = 0
        self.refreshable = True
        self.calls: list[str] = []

    def handle_error(self, request, client_address) -> None:
        """A client that refuses our certificate is no matter."""


class Handler(BaseHTTPRequestHandler):
    """`/auth/login`, `/auth/refresh`, and `/rows` in pages of two."""

    protocol_version = "HTTP/1.1"
    server: SmallApi

    def log_message(self, *args) -> None:
        """Silent."""

    def do_POST(self) -> None:
        """Tokens."""
        length = int(self.headers["Content-Length"] or 0)
        body = json.loads(self.rfile.read(length) or b"{}")
        self.server.calls.append(self.path)
        if self.path == "/api/v1/auth/login" and body["password"] != "right":
            return self.answer(401, {}, "Verification failed.")
        if self.path == "/api/v1/auth/refresh" and not self.server.refreshable:
            return self.answer(401, {}, "Verification failed.")
        self.server.issued += 1
        tokens = {"access_token": f"access-{self.server.issued}", "refresh_token": "refresh", "csrf_token": "csrf"}
        return self.answer(200, tokens)

    def do_GET(self) -> None:
        """Five rows, or what went wrong."""
        url = urlsplit(self.path)
        self.server.calls.append(url.path)
        if self.headers["Authorization"] != f"Bearer access-{self.server.issued}":
            return self.answer(401, {}, "Verification failed.")
        if url.path != "/api/v1/rows":
            return self.answer(404, {}, "The resource was not found.")
        page = int(parse_qs(url.query)["page"][0])
        rows = [{"id": number} for number in range(1, 6)]
        return self.answer(200, {"items": rows[2 * page - 2 : 2 * page], "pages": 3})

    def answer(self, status: int, data: object, message: str = "") -> None:
        """An envelope."""
        body = json.dumps({"data": data, "errors": {}, "is_error": status >= 400, "message": message}).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def certificates(folder: Path) -> tuple[ssl.SSLContext, Path]:
    """A listener's context for localhost, and the root that vouches for it."""
    now = datetime.now(UTC)
    root = pki.make_root(now)
    key = pki.new_key_pem()
    issued = pki.issue(
        pki.make_issuing(root, now), pki.make_csr(key, "localhost"), role="api", hwid="0" * 64, now=now,
        dns_names=["localhost"],
    )  # fmt: skip
    (folder / "key").write_bytes(key)
    (folder / "chain").write_bytes(issued.chain_pem)
    (folder / "root").write_bytes(root.cert_pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "chain", folder / "key")
    return context, folder / "root"


@pytest.fixture
def api(tmp_path: Path) -> Iterator[SmallApi]:
    """A running API whose root is `tmp_path/root`."""
    with SmallApi(certificates(tmp_path)[0]) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def client(api: SmallApi, tmp_path: Path) -> Iterator[RestClient]:
    """A client of the right user."""
    client = RestClient(f"https://localhost:{api.server_port}", tmp_path / "root", "rubackup", "right")
    yield client
    client.close()


def test_the_first_call_logs_in_and_a_list_is_read_to_its_end(api: SmallApi, client: RestClient):
    """Pages are the client's matter."""
    assert [row["id"] for row in client.items("/rows")] == [1, 2, 3, 4, 5]
    assert api.calls == ["/api/v1/auth/login"] + ["/api/v1/rows"] * 3


def test_tokens_that_ran_out_are_refreshed(api: SmallApi, client: RestClient):
    """Nobody has to log in again after 15 minutes."""
    client.login()
    api.issued += 1

    assert list(client.items("/rows"))
    assert api.calls[1:3] == ["/api/v1/rows", "/api/v1/auth/refresh"]


def test_after_a_restart_of_the_api_it_logs_in_again(api: SmallApi, client: RestClient):
    """A fresh token secret makes refresh tokens worthless too."""
    client.login()
    api.issued += 1
    api.refreshable = False

    assert list(client.items("/rows"))
    assert api.calls[1:4] == ["/api/v1/rows", "/api/v1/auth/refresh", "/api/v1/auth/login"]


def test_a_refusal_carries_the_message_of_the_api(client: RestClient):
    """What the API says is what the user reads."""
    with pytest.raises(ApiFault, match=r"^The resource was not found\.$") as caught:
        client.get("/none")

    assert caught.value.status == 404


def test_a_wrong_password_is_asked_once(api: SmallApi, tmp_path: Path):
    """No loop of logins."""
    client = RestClient(f"https://localhost:{api.server_port}", tmp_path / "root", "rubackup", "wrong")

    with pytest.raises(ApiFault, match="Verification failed"):
        client.get("/rows")

    client.close()
    assert api.calls == ["/api/v1/auth/login"]


def test_a_server_of_another_root_is_not_spoken_to(api: SmallApi, tmp_path: Path):
    """The password is never sent to a stranger."""
    other = tmp_path / "other"
    other.mkdir()
    client = RestClient(f"https://localhost:{api.server_port}", certificates(other)[1], "rubackup", "right")

    with pytest.raises(Unavailable, match="certificate verify failed"):
        client.login()

    assert api.calls == []
