"""The API as a process of its own, with a CA of the test."""

from __future__ import annotations

import json
import os
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx

from rubackup.catalog.database import DatabaseAddress
from rubackup.wire import pki
from support.api import PASSWORD
from support.system import eventually


class Authority:
    """A CA of the test, and the API's files made by it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        root = pki.make_root(datetime.now(UTC))
        self.issuing = pki.make_issuing(root, datetime.now(UTC))
        (folder / "root.crt").write_bytes(root.cert_pem)
        self.renew()

    def renew(self, days: float = 365, left: float | None = None) -> None:
        """A new leaf under a new key; `left`: so many of its days are to come yet."""
        began = datetime.now(UTC) - timedelta(days=0 if left is None else days - left)
        key = pki.new_key_pem()
        leaf = pki.issue(
            self.issuing, pki.make_csr(key, "localhost"), role="api", hwid="a" * 64, now=began, days=days,
            dns_names=["localhost"], addresses=["127.0.0.1"],
        )  # fmt: skip
        (self.folder / "api.key").write_bytes(key)
        (self.folder / "api.crt").write_bytes(leaf.chain_pem)


@contextmanager
def process(
    folder: Path, database: DatabaseAddress, *, environment: Mapping[str, str] = {}, **more: str
) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A running API process and its port; `environment` is what it finds beside PATH, such as systemd's variables."""
    (folder / "password").write_text(database.password)
    values = {
        "APP_HOST": "localhost", "APP_PORT": "0", "DB_HOST": database.host, "DB_PORT": str(database.port),
        "DB_USER": database.user, "DB_NAME": database.database, "DB_PASSWORD_FILE": str(folder / "password"),
        "CERT_FILE": str(folder / "api.crt"), "KEY_FILE": str(folder / "api.key"),
        "ROOT_CA_FILE": str(folder / "root.crt"), "RB_SERVER_HOST": "127.0.0.1:1",
        "READY_FILE": str(folder / "ready"),
    } | more  # fmt: skip
    (folder / "ready").unlink(missing_ok=True)
    config = folder / "api.env"
    config.write_text("".join(f"{key}={value}\n" for key, value in values.items()))
    with (folder / "log").open("wb") as log:
        command = [sys.executable, "-m", "rubackup.roles.api", "--config", str(config)]
        running = subprocess.Popen(command, stderr=log, env={"PATH": os.environ["PATH"], **environment})
    try:
        ready = folder / "ready"
        eventually(lambda: ready.exists() or running.poll() is not None, 120)
        assert ready.exists(), (folder / "log").read_text()
        yield running, json.loads(ready.read_text())["port"]
    finally:
        running.kill()
        running.wait(60)


def login(port: int, database: DatabaseAddress) -> int:
    """The status of a login of the superuser, over a connection of its own, so that any worker may be the one."""
    body = {"rubackup_database": database.database, "rubackup_user": "rubackup", "password": PASSWORD}
    url = f"https://localhost:{port}/api/v1/auth/login"
    return httpx.post(url, json=body, verify=False, timeout=60).status_code


@contextmanager
def connected(port: int) -> Iterator[ssl.SSLSocket]:
    """A TLS connection to the API."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", port), 60) as raw, context.wrap_socket(raw) as tls:
        yield tls


def fingerprint(port: int) -> bytes:
    """The certificate that the API shows at a handshake."""
    with connected(port) as tls:
        return tls.getpeercert(binary_form=True) or b""
