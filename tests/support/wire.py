"""A certificate authority for tests, and pairs of connected ends over real TLS on loopback."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from rubackup.wire import pki

SERVER = "a" * 64
MEDIA = "c" * 64
CLIENT = "b" * 16


@contextmanager
def refusing() -> Iterator[tuple[str, int]]:
    """An address that refuses connections, and that nobody else gets meanwhile: it is taken, and not listened on."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()


class Installation:
    """A root, an issuing CA, and the certificate files of any process below `folder`."""

    def __init__(self, folder: Path, now: datetime | None = None) -> None:
        self.folder = folder
        self.now = now or datetime.now(UTC)
        self.root = pki.make_root(self.now)
        self.issuing = pki.make_issuing(self.root, self.now)
        self.root_file = folder / "root.pem"
        self.root_file.write_bytes(self.root.cert_pem)

    def files(
        self, role: str, hwid: str, *, now: datetime | None = None, days: float = 365, root: Path | None = None
    ) -> pki.TlsFiles:
        """Key, chain and root of a process; `root`: the file that the process trusts instead of ours."""
        key = pki.new_key_pem()
        issued = pki.issue(
            self.issuing, pki.make_csr(key, "host"), role=role, hwid=hwid, now=now or self.now, days=days
        )
        name = f"{role}-{issued.serial}"
        pki.write_private(self.folder / f"{name}.key", key)
        (self.folder / f"{name}.pem").write_bytes(issued.chain_pem)
        return pki.TlsFiles(self.folder / f"{name}.key", self.folder / f"{name}.pem", root or self.root_file)
