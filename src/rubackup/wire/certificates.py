"""Reading certificates and requests: who they name, and their fingerprints.

Knows no sockets and signs nothing. Design: `docs/design/wire.md`.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from enum import StrEnum

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from rubackup.domain.errors import Invalid, Refused, WireFault


class Role(StrEnum):
    """What kind of process a certificate is for."""

    SERVER = "server"
    API = "api"
    CLIENT = "client"
    MEDIA = "media"


@dataclass(frozen=True)
class Identity:
    """Who holds a certificate, from its URI `rubackup://<role>/<hwid>`."""

    role: str
    hwid: str
    serial: str
    """The certificate's serial number, hex: what is revoked."""
    key: str
    """`key_fingerprint` of the certificate's key: who it is, where a name can be anybody's."""

    def __str__(self) -> str:
        return f"{self.role} {self.hwid}"


_URI = re.compile(r"rubackup://(?P<role>server|api|client|media)/(?P<hwid>[0-9a-f]{16}|[0-9a-f]{64})")


def identity_uri(role: str, hwid: str) -> str:
    """The URI that names a role and hwid; Invalid when it could not be read back."""
    uri = f"rubackup://{role}/{hwid}"
    if not _URI.fullmatch(uri):
        raise Invalid(f"A certificate cannot name the role {role!r} and hwid {hwid!r}.")
    return uri


def identity_of(der: bytes) -> Identity:
    """Who a certificate names; WireFault when it names nobody, or several, or its key is not of our kind."""
    try:
        certificate = x509.load_der_x509_certificate(der)
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, x509.ExtensionNotFound) as error:
        raise WireFault("The certificate names no host of this system.") from error
    found = [
        match for uri in names.get_values_for_type(x509.UniformResourceIdentifier) if (match := _URI.fullmatch(uri))
    ]
    if len(found) != 1:
        raise WireFault("The certificate names no host of this system.")
    key = key_fingerprint(_key_of(certificate))
    return Identity(found[0]["role"], found[0]["hwid"], serial_text(certificate), key)


def serial_text(certificate: x509.Certificate) -> str:
    """The serial number as it is stored: lower-case hex."""
    return f"{certificate.serial_number:x}"


def public_key_of(der_cert: bytes) -> ec.EllipticCurvePublicKey:
    """The public key of a certificate; WireFault when it is not of our kind."""
    try:
        certificate = x509.load_der_x509_certificate(der_cert)
    except ValueError as error:
        raise WireFault("The certificate has no key of this system's kind.") from error
    return _key_of(certificate)


def _key_of(certificate: x509.Certificate) -> ec.EllipticCurvePublicKey:
    try:
        return require_p256(certificate.public_key())
    except (ValueError, UnsupportedAlgorithm, Invalid) as error:
        raise WireFault("The certificate has no key of this system's kind.") from error


def require_p256(key: object) -> ec.EllipticCurvePublicKey:
    """The key, when it is ECDSA P-256; otherwise Invalid."""
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
        return key
    raise Invalid("The key must be ECDSA P-256.")


def expires_at(der_cert: bytes) -> float:
    """When a certificate ends, in Unix seconds."""
    return x509.load_der_x509_certificate(der_cert).not_valid_after_utc.timestamp()


def has_names(chain_pem: bytes) -> bool:
    """Whether a leaf has host names or addresses beside its URI; Invalid when it cannot be read."""
    leaf = load_certificates(chain_pem)[0]
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return any(isinstance(name, x509.DNSName | x509.IPAddress) for name in names)


def load_csr(csr_pem: bytes) -> x509.CertificateSigningRequest:
    """A certificate request whose key is P-256 and has signed it; Invalid otherwise."""
    try:
        csr = x509.load_pem_x509_csr(csr_pem)
        require_p256(csr.public_key())
        good = csr.is_signature_valid
    except (ValueError, TypeError, InvalidSignature) as error:
        raise Invalid("The certificate request cannot be read.") from error
    if not good:
        raise Invalid("The certificate request is not signed by its own key.")
    return csr


def key_fingerprint(key: ec.EllipticCurvePublicKey) -> str:
    """SHA-256 of the key's SubjectPublicKeyInfo (DER), hex."""
    der = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(der).hexdigest()


def csr_fingerprint(csr_pem: bytes) -> str:
    """The fingerprint of a request's key, which an administrator compares; Invalid when its signature is wrong."""
    return key_fingerprint(require_p256(load_csr(csr_pem).public_key()))


def load_certificates(pem: bytes) -> list[x509.Certificate]:
    """Every certificate of a PEM text; Invalid when it holds none or a damaged one."""
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError as error:
        raise Invalid("This is not a certificate in PEM form.") from error


def certificate_key_hash(pem: bytes) -> str:
    """`key_fingerprint` of the key in a certificate's PEM text."""
    return key_fingerprint(require_p256(load_certificates(pem)[0].public_key()))


def root_fingerprint(root_pem: bytes) -> str:
    """SHA-256 of the certificate (DER), hex: what a new host is given."""
    return hashlib.sha256(load_certificates(root_pem)[0].public_bytes(serialization.Encoding.DER)).hexdigest()


def require_grant(chain_pem: bytes, root_pem: bytes, csr_pem: bytes, role: str, hwid: str) -> None:
    """Refused unless the chain is a leaf for the request's key, role and hwid, and leads to the root."""
    try:
        leaf, issuing, root = *load_certificates(chain_pem), *load_certificates(root_pem)[:1]
        leaf.verify_directly_issued_by(issuing)
        issuing.verify_directly_issued_by(root)
        named = identity_of(leaf.public_bytes(serialization.Encoding.DER))
        same_key = key_fingerprint(require_p256(leaf.public_key())) == csr_fingerprint(csr_pem)
    except (ValueError, TypeError, InvalidSignature, Invalid, WireFault) as error:
        raise Refused("The server granted a certificate that does not lead to the root.") from error
    if not same_key or (named.role, named.hwid) != (role, hwid):
        raise Refused(f"The server granted a certificate for {named} or another key, not for {role} {hwid}.")
