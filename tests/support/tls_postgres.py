"""A PostgreSQL with ssl = on, its certificate signed by a CA of the test for names of the test's choice."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from rubackup.catalog.database import DatabaseAddress
from rubackup.roles.up.postgres import EmbeddedPostgres
from rubackup.wire import pki
from support.databases import SETTINGS, execute

NOBODY = 65534


@dataclass(frozen=True)
class TlsPostgres:
    """A server that encrypts, and the root that its certificate leads to."""

    address: DatabaseAddress
    root: Path


@contextlib.contextmanager
def tls_postgres(names: Sequence[str], addresses: Sequence[str] = ()) -> Iterator[TlsPostgres]:
    """The server, until the block ends."""
    folder = Path(tempfile.mkdtemp(prefix="rb-tls-"))
    folder.chmod(0o711)
    root = pki.make_root(datetime.now(UTC))
    issuing = pki.make_issuing(root, datetime.now(UTC))
    key = pki.new_key_pem()
    leaf = pki.issue_foreign(
        issuing, pki.make_csr(key, "postgres"), name="postgres", now=datetime.now(UTC), days=1, dns_names=names,
        addresses=addresses,
    )  # fmt: skip
    (folder / "root.crt").write_bytes(root.cert_pem)
    for name, data in (("server.key", key), ("server.crt", leaf.chain_pem)):
        (folder / name).write_bytes(data)
        (folder / name).chmod(0o600)
        if os.geteuid() == 0:  # then PostgreSQL runs as nobody
            os.chown(folder / name, NOBODY, NOBODY)
    settings = {"ssl": "on", "ssl_cert_file": str(folder / "server.crt"), "ssl_key_file": str(folder / "server.key")}
    server = EmbeddedPostgres(folder / "state", folder / "run", settings=SETTINGS | settings)
    try:
        server.start()
        yield TlsPostgres(server.address(), folder / "root.crt")
    finally:
        server.stop()
        shutil.rmtree(folder)


def drop(address: DatabaseAddress, name: str) -> None:
    """Remove a database and the role of its name."""
    execute(address, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)", f"DROP ROLE IF EXISTS {name}")
