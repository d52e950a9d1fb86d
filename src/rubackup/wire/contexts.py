"""TLS contexts: 1.3 only, both sides verified against our root.

Names of hosts are not compared: who the other side is stands in its certificate's URI
and is checked by whoever opened the connection. Design: `docs/design/wire.md`.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives import serialization

from rubackup.domain.errors import Invalid, Refused, SystemFault
from rubackup.wire.certificates import load_certificates, root_fingerprint


@dataclass(frozen=True)
class TlsFiles:
    """PEM files of one process."""

    key: Path
    chain: Path
    """The leaf followed by the issuing CA."""
    root: Path


def server_context(files: TlsFiles, *, optional_peer: bool = False) -> ssl.SSLContext:
    """For a listener; with `optional_peer` a host without a certificate gets in too, to enrol.

    A certificate that is offered must be good in either case.
    """
    context = _context(ssl.PROTOCOL_TLS_SERVER)
    context.verify_mode = ssl.CERT_OPTIONAL if optional_peer else ssl.CERT_REQUIRED
    context.num_tickets = 0  # a resumed session would skip the check of the certificate's dates
    _load(context, files)
    return context


def client_context(files: TlsFiles) -> ssl.SSLContext:
    """For dialling with the process' own certificate."""
    context = _context(ssl.PROTOCOL_TLS_CLIENT)
    _load(context, files)
    return context


def _context(protocol: int) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_STRICT
    return context


def _load(context: ssl.SSLContext, files: TlsFiles) -> None:
    try:
        context.load_cert_chain(files.chain, files.key)
        context.load_verify_locations(cafile=str(files.root))
    except (OSError, ssl.SSLError) as error:
        raise SystemFault(f"The certificate files beside {files.chain} cannot be used: {error}.") from error


@dataclass
class Trust:
    """What a host knows of the root before it has a certificate: the root, or its fingerprint."""

    root_pem: bytes | None
    """Filled in by the first exchange when only the fingerprint was known; to be kept by the host."""
    fingerprint: str = field(repr=False)

    def accept(self, roots_pem: bytes) -> None:
        """Takes over the root that has the fingerprint; Refused when none has."""
        for certificate in load_certificates(roots_pem):
            pem = certificate.public_bytes(serialization.Encoding.PEM)
            if root_fingerprint(pem) == self.fingerprint:
                self.root_pem = pem
                return
        raise Refused("The server's root certificate does not have the fingerprint that was given.")

    def context(self) -> ssl.SSLContext:
        """For dialling without a certificate of our own; the server's must be good."""
        context = _context(ssl.PROTOCOL_TLS_CLIENT)
        if self.root_pem is None:
            raise Refused("The root certificate is not known yet.")
        context.load_verify_locations(cadata=self.root_pem.decode())
        return context

    @staticmethod
    def blind_context() -> ssl.SSLContext:
        """For asking a server for its root certificate, and nothing else: it is not verified."""
        context = _context(ssl.PROTOCOL_TLS_CLIENT)
        context.verify_mode = ssl.CERT_NONE
        return context


def enrolment_context(root: Path | None, fingerprint: str | None) -> Trust:
    """What `control.enrol` trusts: the root in a file, or the one whose SHA-256 is given (hex, colons allowed).

    Invalid when neither is given, Refused when both are and do not agree.
    """
    digits = (fingerprint or "").replace(":", "").strip().lower()
    if fingerprint is not None and (len(digits) != 64 or set(digits) - set("0123456789abcdef")):
        raise Invalid("The fingerprint of the root certificate must be 64 hex digits.")
    if root is None:
        if not digits:
            raise Invalid("Enrolment needs the root certificate or its fingerprint.")
        return Trust(None, digits)
    try:
        pem = root.read_bytes()
    except OSError as error:
        raise Invalid(f"The root certificate {root} cannot be read: {error.strerror}.") from error
    trust = Trust(None, digits or root_fingerprint(pem))
    trust.accept(pem)
    return trust
