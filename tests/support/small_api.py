"""An API of a few routes that hands tokens out, takes the latest only, and fails on request."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from rubackup.wire import pki

AT_WORK = {
    "id": 7, "task_type": "Backup", "status": "Transmission", "percent": 40, "bytes_done": 400 << 20, "bytes_total": 1000 << 20,
    "files_done": 3, "speed_bytes_per_second": 8 << 20, "eta_seconds": 75, "record": None, "message": "",
}  # fmt: skip
"""A task that does not end."""


class SmallApi(ThreadingHTTPServer):
    """Hands tokens out and takes the latest only."""

    def __init__(self, tls: ssl.SSLContext) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.socket = tls.wrap_socket(self.socket, server_side=True)
        self.issued = 0
        self.refreshable = True
        self.calls: list[str] = []
        self.made: dict[str, int] = {}
        """Rows that were made, by the Idempotency-Key under which they were."""
        self.cut = 0
        """How many answers are still cut off before they are sent."""
        self.busy: list[tuple[int, str]] = []
        """Statuses, with Retry-After, that the next calls of `/rows` are refused by."""
        self.seen_events: list[str] = []
        """The Last-Event-ID of each stream; a stream tells two events, then ends."""

    @property
    def url(self) -> str:
        """The address."""
        return f"https://localhost:{self.server_port}"

    def handle_error(self, request, client_address) -> None:
        """A client that refuses our certificate is no matter."""


class Handler(BaseHTTPRequestHandler):
    """`/auth/login`, `/auth/refresh`, `/auth/logout`, `/rows` in pages of two, `/garbage`, a task, events and a file."""

    protocol_version = "HTTP/1.1"
    server: SmallApi

    def log_message(self, *args) -> None:
        """Silent."""

    def do_POST(self) -> None:
        """Tokens."""
        length = int(self.headers["Content-Length"] or 0)
        body = json.loads(self.rfile.read(length) or b"{}")
        self.server.calls.append(self.path)
        if self.path == "/api/v1/rows":
            return self.make_row()
        if self.path == "/api/v1/auth/login" and body["password"] != "right":
            return self.answer(401, {}, "Verification failed.")
        if self.path == "/api/v1/auth/refresh" and not self.server.refreshable:
            return self.answer(401, {}, "Verification failed.")
        self.server.issued += 1
        return self.answer(200, {
            "access_token": f"access-{self.server.issued}", "refresh_token": "refresh", "csrf_token": "csrf",
            "user_name": "rubackup", "role": ["superuser"],
        })  # fmt: skip

    def make_row(self) -> None:
        """One row for each key."""
        if self.server.busy:
            return self.refuse()
        key = self.headers["Idempotency-Key"] or "none"
        self.server.made[key] = self.server.made.get(key, 0) + 1
        if self.server.cut:
            self.server.cut -= 1
            self.close_connection = True
            return None
        if key == "taken":
            return self.answer(409, {}, "It is taken.", errors={"data.name": "is taken."}, headers={"Retry-After": "7"})
        place = {"Location": "/api/v1/rows/42", "ETag": '"one"'}
        return self.answer(201, {}, "Created! TASK WAS ADDED TO QUEUE:7,8", headers=place)

    def do_DELETE(self) -> None:
        """The end of a session."""
        self.server.calls.append(self.path)
        self.server.issued += 1
        self.answer(200, {}, "Authentication data has been revoked")

    def do_GET(self) -> None:
        """Five rows, or what went wrong."""
        url = urlsplit(self.path)
        self.server.calls.append(url.path)
        if self.headers["Authorization"] != f"Bearer access-{self.server.issued}":
            return self.answer(401, {}, "Verification failed.")
        if url.path == "/api/v1/garbage":
            return self.send_whole(200, b"<html>", {})
        if url.path == "/api/v1/repository/1/file":
            return self.send_whole(200, b"x" * 100, {"Content-Length": "200"})
        if url.path == "/api/v1/task_queue/7":
            return self.answer(200, AT_WORK)
        if url.path == "/api/v1/events":
            return self.tell_events()
        if url.path == "/api/v1/rows" and self.server.busy:
            return self.refuse()
        if url.path != "/api/v1/rows":
            return self.answer(404, {}, "The resource was not found.")
        start = int(parse_qs(url.query).get("cursor", ["0"])[0])
        rows = [{"id": number} for number in range(1, 6)]
        cursor = str(start + 2) if start + 2 < len(rows) else None
        return self.answer(200, {"items": rows[start : start + 2], "next_cursor": cursor})

    def refuse(self) -> None:
        """A refusal for lack of time."""
        status, wait = self.server.busy.pop(0)
        self.answer(status, {}, "Busy.", headers={"Retry-After": wait} if wait else {})

    def tell_events(self) -> None:
        """Two events after the last one that was seen; the first stream begins at 10, and breaks off."""
        last = self.headers["Last-Event-ID"] or ""
        self.server.seen_events.append(last)
        number = int(last or 10)
        lines = [f"retry: 1\nid: {number}\n\n: hello\n\n"]
        lines += [f'id: {n}\ndata: {{"row_id":\ndata: {n}}}\n\n' for n in (number + 1, number + 2)]
        lines += ['event: end\ndata: {"reason": "x"}\n\n'] if last else []
        body = "".join(lines).encode()
        self.send_whole(200, body, {"Content-Length": str(len(body) + (0 if last else 5))})

    def answer(
        self,
        status: int,
        data: object,
        message: str = "",
        errors: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        """An envelope."""
        told = {"data": data, "errors": errors or {}, "is_error": status >= 400, "message": message}
        self.send_whole(status, json.dumps(told).encode(), headers or {})

    def send_whole(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        """An answer; a Content-Length that is too long ends the connection early."""
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = headers.get("Content-Length") is not None


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


@contextmanager
def small_api(folder: Path) -> Iterator[SmallApi]:
    """A running API whose root is `folder/root`."""
    with SmallApi(certificates(folder)[0]) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
