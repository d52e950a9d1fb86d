"""The certificate authority as files: a root, an issuing CA, leaves. Every step looks first and may be repeated.

A certificate is written after its key, and the issuing CA after the root, so whatever has a
certificate is complete; what a crash left half made is made again.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509

from rubackup.wire import pki
from rubackup.wire.certificates import key_fingerprint, require_p256

HWID_BYTES = {"client": 8, "media": 32, "server": 32, "api": 32}
"""Lengths of random hardware ids (guide: 16 hex digits for clients, 64 for servers)."""

RENEW_AT = 2 / 3
"""A leaf is renewed when this share of its life is over (design section 6)."""
_LOOPBACK = ("127.0.0.1", "::1")


def keep_root(key: Path, certificate: Path) -> pki.Authority:
    """The root of these files, made when there is none."""
    return _keep(key, certificate, lambda: pki.make_root(datetime.now(UTC)))


def keep_issuing(key: Path, certificate: Path, root: Callable[[], pki.Authority]) -> pki.Authority:
    """The issuing CA of these files, made under the root when there is none; only then the root's key is needed."""
    return _keep(key, certificate, lambda: pki.make_issuing(root(), datetime.now(UTC)))


def _keep(key: Path, certificate: Path, make: Callable[[], pki.Authority]) -> pki.Authority:
    if not certificate.exists():
        made = make()
        pki.write_private(key, made.key_pem)
        pki.write_private(certificate, made.cert_pem)
    return pki.Authority(key_pem=key.read_bytes(), cert_pem=certificate.read_bytes())


def write_leaf(issuing: pki.Authority, role: str, hwid: str, key: Path, chain: Path, names: Iterable[str]) -> None:
    """A new leaf for a process of this host, an API's also under `names`; its key is kept."""
    if not key.exists():
        pki.write_private(key, pki.new_key_pem())
    pki.write_private(chain, leaf(issuing, role, hwid, key.read_bytes(), [*own_names(), *names]))


def own_names() -> list[str]:
    """The names under which this host knows itself."""
    return list(dict.fromkeys([socket.gethostname(), "localhost", *_LOOPBACK]))


def leaf(
    issuing: pki.Authority, role: str, hwid: str, key_pem: bytes, names: Iterable[str], days: float = 365
) -> bytes:
    """A leaf for this key, followed by its issuer's certificate; that of an API has these names, others have none."""
    dns, addresses = sorted_names(names if role == "api" else ())
    issued = pki.issue(
        issuing, pki.make_csr(key_pem, dns[0] if dns else role), role=role, hwid=hwid,
        now=datetime.now(UTC), days=days, dns_names=dns, addresses=addresses,
    )  # fmt: skip
    return issued.chain_pem


def covers(chain: Path, key: Path, names: Iterable[str], now: datetime | None = None) -> bool:
    """Whether the leaf fits its key, has all these names, and is not yet to be renewed."""
    if not chain.exists() or not key.exists():
        return False
    found = x509.load_pem_x509_certificates(chain.read_bytes())[0]
    ours = key_fingerprint(pki.load_key(key.read_bytes()).public_key())
    if key_fingerprint(require_p256(found.public_key())) != ours:
        return False
    begin, end = found.not_valid_before_utc, found.not_valid_after_utc
    age = ((now or datetime.now(UTC)) - begin) / (end - begin)
    return age < RENEW_AT and set(map(str.lower, names)) <= set(names_of(chain))


def names_of(chain: Path) -> list[str]:
    """The host names, in lower case, and addresses of a leaf."""
    return names_in(x509.load_pem_x509_certificates(chain.read_bytes())[0])


def names_in(found: x509.Certificate) -> list[str]:
    """The same of a certificate."""
    said = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    addresses = [str(address) for address in said.get_values_for_type(x509.IPAddress)]
    return [name.lower() for name in said.get_values_for_type(x509.DNSName)] + addresses


def sorted_names(names: Iterable[str]) -> tuple[list[str], list[str]]:
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
