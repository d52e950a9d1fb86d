"""Secrets that only one host can read: sealed for the key of its certificate request, opened with its private key.

Format 1: a version byte, an ephemeral P-256 key (65 bytes, uncompressed point), AES-256-GCM ciphertext with its tag.
Key and nonce are HKDF-SHA-256 over the ECDH secret, salted with both public keys. `context` says what the secret is
for; it is authenticated, so a sealed secret cannot be used in another place.
"""

from __future__ import annotations

from cryptography import x509
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from rubackup.domain.errors import Invalid

CLOUD_SECRET = b"storage_clouds.secret_key "
"""Begins the context of the sealed key of a bucket; the pool's uuid in hex follows."""
_VERSION = b"\x01"
_POINT_BYTES = 65
_INFO = b"rubackup sealed secret 1\0"


def seal(csr_pem: bytes, secret: bytes, context: bytes) -> bytes:
    """The secret, readable only with the private key of the certificate request; Invalid when that has no P-256 key."""
    recipient = _public_key(csr_pem)
    ephemeral = ec.generate_private_key(ec.SECP256R1())
    point = _point(ephemeral.public_key())
    key, nonce = _derive(ephemeral.exchange(ec.ECDH(), recipient), point + _point(recipient), context)
    return _VERSION + point + AESGCM(key).encrypt(nonce, secret, _VERSION + context)


def unseal(key_pem: bytes, sealed: bytes, context: bytes) -> bytes:
    """The secret; Invalid when it was sealed for another key or another context, or was changed."""
    private = serialization.load_pem_private_key(key_pem, password=None)
    point, box = sealed[1 : 1 + _POINT_BYTES], sealed[1 + _POINT_BYTES :]
    refused = Invalid("The sealed secret cannot be opened with this key.")
    if sealed[:1] != _VERSION or not isinstance(private, ec.EllipticCurvePrivateKey):
        raise refused
    try:
        ephemeral = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
        shared = private.exchange(ec.ECDH(), ephemeral)
        key, nonce = _derive(shared, point + _point(private.public_key()), context)
        return AESGCM(key).decrypt(nonce, box, _VERSION + context)
    except (ValueError, InvalidTag) as error:
        raise refused from error


def _public_key(csr_pem: bytes) -> ec.EllipticCurvePublicKey:
    try:
        key = x509.load_pem_x509_csr(csr_pem).public_key()
    except ValueError as error:
        raise Invalid("The certificate request cannot be read.") from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise Invalid("The key must be ECDSA P-256.")
    return key


def _point(key: ec.EllipticCurvePublicKey) -> bytes:
    return key.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)


def _derive(shared: bytes, salt: bytes, context: bytes) -> tuple[bytes, bytes]:
    """A key and a nonce; the ephemeral key makes both of one use only."""
    material = HKDF(hashes.SHA256(), 32 + 12, salt=salt, info=_INFO + context).derive(shared)
    return material[:32], material[32:]
