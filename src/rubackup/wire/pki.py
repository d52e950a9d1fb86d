"""The certificate authority of an installation: root, issuing CA, leaves; and key files.

A root signs one issuing CA and can then be kept offline; the issuing CA signs leaves,
which name a role and a hwid. Who may get one is decided elsewhere. Design:
`docs/design/wire.md`. Reading certificates and TLS contexts are re-exported from here.
"""

from __future__ import annotations

import ipaddress
import os
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from rubackup.domain.errors import Invalid, StorageFault, SystemFault
from rubackup.wire.certificates import (
    Identity,
    Role,
    csr_fingerprint,
    identity_of,
    identity_uri,
    key_fingerprint,
    load_certificates,
    load_csr,
    public_key_of,
    require_p256,
    root_fingerprint,
    serial_text,
)
from rubackup.wire.contexts import TlsFiles, Trust, client_context, enrolment_context, server_context

__all__ = [
    "Authority", "Identity", "Issued", "Role", "TlsFiles", "Trust",
    "client_context", "csr_fingerprint", "enrolment_context", "identity_of", "issue", "make_csr", "make_issuing",
    "make_root", "new_key_pem", "public_key_of", "root_fingerprint", "server_context", "write_private",
]  # fmt: skip

CLOCK_SKEW = timedelta(hours=1)
"""How far a host's clock may lag behind the authority's on the day its certificate is made."""


@dataclass(frozen=True)
class Authority:
    """A CA: its private key and certificate."""

    key_pem: bytes
    cert_pem: bytes

    def __repr__(self) -> str:
        return "Authority(***)"


@dataclass(frozen=True)
class Issued:
    """A signed leaf."""

    chain_pem: bytes
    """The leaf followed by the issuing CA."""
    serial: str
    not_after: datetime
    fingerprint: str
    """Of the public key, as `csr_fingerprint` gives it."""


def new_key_pem() -> bytes:
    """A new private key: ECDSA P-256, PKCS 8, not encrypted."""
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def load_key(key_pem: bytes) -> ec.EllipticCurvePrivateKey:
    """The private key of a PEM text; Invalid when it is not P-256."""
    try:
        key = serialization.load_pem_private_key(key_pem, password=None)
    except (ValueError, TypeError) as error:
        raise Invalid("The private key cannot be read.") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise Invalid("The private key must be ECDSA P-256.")
    return key


def make_csr(key_pem: bytes, hostname: str) -> bytes:
    """A certificate request; what the certificate will say is decided by the authority."""
    subject = _name(hostname.encode("utf-8", "replace")[:64].decode("utf-8", "ignore") or "host")
    csr = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(load_key(key_pem), hashes.SHA256())
    return csr.public_bytes(serialization.Encoding.PEM)


def make_root(now: datetime, years: int = 20) -> Authority:
    """A new self-signed root, which may sign issuing CAs."""
    key_pem = new_key_pem()
    key = load_key(key_pem)
    subject = _name(f"RuBackup root CA {secrets.token_hex(4)}")
    builder = _builder(subject, subject, key.public_key(), key.public_key(), now, now + timedelta(days=365.25 * years))
    return _authority(key_pem, _as_ca(builder, path_length=1).sign(key, hashes.SHA256()))


def make_issuing(root: Authority, now: datetime, years: int = 10) -> Authority:
    """A new issuing CA under the root, which may sign leaves only."""
    key_pem = new_key_pem()
    signer = load_certificates(root.cert_pem)[0]
    until = min(now + timedelta(days=365.25 * years), signer.not_valid_after_utc)
    subject = _name(f"RuBackup issuing CA {secrets.token_hex(4)}")
    root_key = load_key(root.key_pem)
    builder = _builder(subject, signer.subject, load_key(key_pem).public_key(), root_key.public_key(), now, until)
    return _authority(key_pem, _as_ca(builder, path_length=0).sign(root_key, hashes.SHA256()))


def issue(
    issuing: Authority,
    csr_pem: bytes,
    *,
    role: str,
    hwid: str,
    now: datetime,
    days: float = 365,
    dns_names: Iterable[str] = (),
    addresses: Iterable[str] = (),
) -> Issued:
    """A leaf for the key of the request, for role and hwid; of the request nothing else is taken over.

    Only an API's has names and addresses: with them any host would pass for the API or PostgreSQL, whose callers trust the
    same root and compare host names. A client's cannot listen at all.
    Invalid when the request is not signed by its own key, a name cannot stand in a certificate, or the role has none;
    SystemFault when the issuing CA has expired.
    """
    uri = x509.UniformResourceIdentifier(identity_uri(role, hwid))
    names = _alternative_names(dns_names, addresses)
    if names and role != Role.API:
        raise Invalid(f"The certificate of a {role} has no host names or addresses.")
    usages = [ExtendedKeyUsageOID.CLIENT_AUTH]
    if role != Role.CLIENT:
        usages.insert(0, ExtendedKeyUsageOID.SERVER_AUTH)
    return _leaf(issuing, csr_pem, hwid, [uri, *names], usages, now, days)


def issue_foreign(
    issuing: Authority,
    csr_pem: bytes,
    *,
    name: str,
    now: datetime,
    days: float,
    dns_names: Iterable[str],
    addresses: Iterable[str],
) -> Issued:
    """A leaf for a server that is none of ours, as PostgreSQL: it names no role, so with it nobody is a host of this system."""
    names = _alternative_names(dns_names, addresses)
    return _leaf(issuing, csr_pem, name[:64], names, [ExtendedKeyUsageOID.SERVER_AUTH], now, days)


def _leaf(
    issuing: Authority,
    csr_pem: bytes,
    subject: str,
    names: Sequence[x509.GeneralName],
    usages: Sequence[x509.ObjectIdentifier],
    now: datetime,
    days: float,
) -> Issued:
    key = require_p256(load_csr(csr_pem).public_key())
    signer = load_certificates(issuing.cert_pem)[0]
    if signer.not_valid_after_utc <= now:
        raise SystemFault("The issuing CA has expired; no certificate can be signed.")
    signer_key = load_key(issuing.key_pem)
    until = min(now + timedelta(days=days), signer.not_valid_after_utc)
    builder = _builder(_name(subject), signer.subject, key, signer_key.public_key(), now, until)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_usage(signature=True), critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
    builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    leaf = builder.sign(signer_key, hashes.SHA256())
    chain = leaf.public_bytes(serialization.Encoding.PEM) + issuing.cert_pem
    return Issued(chain, serial_text(leaf), leaf.not_valid_after_utc, key_fingerprint(key))


def _alternative_names(dns_names: Iterable[str], addresses: Iterable[str]) -> list[x509.GeneralName]:
    try:
        return [
            *(x509.DNSName(name) for name in dns_names),
            *(x509.IPAddress(ipaddress.ip_address(address)) for address in addresses),
        ]
    except ValueError as error:
        raise Invalid(f"A name cannot stand in a certificate: {error}.") from error


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    signer_key: ec.EllipticCurvePublicKey,
    now: datetime,
    until: datetime,
) -> x509.CertificateBuilder:
    signer_id = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer_key)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(until)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(signer_id, critical=False)
    )


def _as_ca(builder: x509.CertificateBuilder, *, path_length: int) -> x509.CertificateBuilder:
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
    return builder.add_extension(_usage(signature=False), critical=True)


def _usage(*, signature: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=signature,
        key_cert_sign=not signature,
        crl_sign=not signature,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _authority(key_pem: bytes, certificate: x509.Certificate) -> Authority:
    return Authority(key_pem, certificate.public_bytes(serialization.Encoding.PEM))


def write_private(path: Path, data: bytes) -> None:
    """Writes a file that only its owner may read (0600): whole and durable, or not at all.

    StorageFault when that fails.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.rename(path)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise
        sync_folder(path.parent)
    except OSError as error:
        raise StorageFault(f"{path} cannot be written: {error.strerror}.") from error


def sync_folder(path: Path) -> None:
    """Makes the names in a folder durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
