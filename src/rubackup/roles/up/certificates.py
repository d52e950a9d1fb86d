"""The state's PKI: a root, an issuing CA, and leaves for this machine's server and API.

Client and media server get theirs by enrolling, as on any other host. What a crash left half
made is made again: a certificate is written after its key, and the issuing CA after the root.
"""

from __future__ import annotations

import secrets
import socket
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from rubackup.roles.up.state import State
from rubackup.wire import pki

HWID_BYTES = {"client": 8, "media": 32, "server": 32, "api": 32}
"""Lengths of random hardware ids (guide: 16 hex digits for clients, 64 for servers)."""

_LOOPBACK = ("127.0.0.1", "::1")


def hwid(state: State, role: str) -> str:
    """The hardware id of a role on this machine, random at first and then kept."""
    return state.keep_text(state.root / "keys" / role / "hwid", secrets.token_hex(HWID_BYTES[role]))


def make_certificates(state: State, api_names: Sequence[str]) -> None:
    """Make what is missing, and new leaves for server and API, which thereby never expire between starts."""
    keys = state.root / "keys"
    root = _authority(
        keys / "rootCA/serverRootCAKey.key", state.root_certificate, lambda: pki.make_root(datetime.now(UTC))
    )
    issuing = _authority(
        keys / "server/issuingCAKey.key", keys / "server/issuingCACert.crt",
        lambda: pki.make_issuing(root, datetime.now(UTC)),
    )  # fmt: skip
    _leaf(state, issuing, "server", keys / "server/serverKey.key", keys / "server/serverCert.crt", ())
    _leaf(state, issuing, "api", keys / "api/apiKey.key", keys / "api/apiCert.crt", api_names)


def _authority(key: Path, certificate: Path, make: Callable[[], pki.Authority]) -> pki.Authority:
    if not certificate.exists():
        made = make()
        pki.write_private(key, made.key_pem)
        pki.write_private(certificate, made.cert_pem)
    return pki.Authority(key_pem=key.read_bytes(), cert_pem=certificate.read_bytes())


def _leaf(state: State, issuing: pki.Authority, role: str, key: Path, chain: Path, names: Sequence[str]) -> None:
    if not key.exists():
        pki.write_private(key, pki.new_key_pem())
    host = socket.gethostname()
    dns, addresses = _sorted([host, "localhost", *_LOOPBACK, *names])
    issued = pki.issue(
        issuing, pki.make_csr(key.read_bytes(), host), role=role, hwid=hwid(state, role),
        now=datetime.now(UTC), dns_names=dns, addresses=addresses,
    )  # fmt: skip
    pki.write_private(chain, issued.chain_pem)


def _sorted(names: Sequence[str]) -> tuple[list[str], list[str]]:
    """Host names and addresses apart, each once."""
    dns: dict[str, None] = {}
    addresses: dict[str, None] = {}
    for name in names:
        (addresses if _is_address(name) else dns)[name] = None
    return list(dns), list(addresses)


def _is_address(name: str) -> bool:
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, name)
        except OSError:
            continue
        return True
    return False
