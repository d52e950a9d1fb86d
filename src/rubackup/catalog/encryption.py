"""How the way to PostgreSQL is encrypted: libpq's modes, and what is said when PostgreSQL does not hold to one."""

from __future__ import annotations

import datetime as dt
import socket
import ssl
import struct
from typing import Any

from cryptography import x509

MODES = ("disable", "prefer", "require", "verify-ca", "verify-full")
"""libpq's names. `prefer` encrypts where PostgreSQL does and checks nothing; with a CA `require` checks as `verify-ca`."""
_PEM = "-----BEGIN"
_SSL_REQUEST = struct.pack("!II", 8, 80877103)
"""What a client of PostgreSQL says first that wants TLS; the answer is `S`, or `N`."""
VERIFIED = frozenset({"verify-ca", "verify-full"})
_WRONG_NAME = frozenset({62, 64})
"""X509_V_ERR_HOSTNAME_MISMATCH and _IP_ADDRESS_MISMATCH of OpenSSL."""


def argument(host: str, mode: str, root: str) -> Any:
    """What asyncpg is given as `ssl`. `root` is a file, or the certificate itself (PEM); OSError when it cannot be used."""
    if host.startswith("/") or mode == "disable":
        return False
    if mode == "prefer":
        return mode
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = mode == "verify-full"
    if mode in VERIFIED or root:
        context.verify_mode = ssl.CERT_REQUIRED
        if root.startswith(_PEM):
            context.load_verify_locations(cadata=root)
        else:
            context.load_verify_locations(cafile=root)
    else:
        context.verify_mode = ssl.CERT_NONE
    return context


def certificate_end(host: str, port: int, seconds: float = 5.0) -> dt.datetime | None:
    """When the certificate ends that PostgreSQL shows; None when it encrypts nothing. OSError when it cannot be seen.

    Looked at without a login and without belief in it: one that has ended is seen, too.
    """
    if host.startswith("/"):
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection((host, port), seconds) as raw:
        raw.sendall(_SSL_REQUEST)
        if raw.recv(1) != b"S":
            return None
        with context.wrap_socket(raw) as tls:
            shown = tls.getpeercert(binary_form=True)
    return x509.load_der_x509_certificate(shown).not_valid_after_utc if shown else None


def reason(host: str, error: BaseException) -> str:
    """The sentence for an error that is about encryption; '' for any other."""
    if isinstance(error, ssl.SSLCertVerificationError):
        if error.verify_code in _WRONG_NAME:
            return f"PostgreSQL at {host} shows a certificate that is not for this name: {error.verify_message}."
        return f"PostgreSQL at {host} shows a certificate that is not to be trusted: {error.verify_message}."
    if isinstance(error, ssl.SSLError):
        return f"PostgreSQL at {host} and this host find no way to encrypt: {error.reason}."
    if isinstance(error, ConnectionError) and "SSL upgrade" in str(error):
        return f"PostgreSQL at {host} does not encrypt (ssl = off there), which is required here."
    return ""
