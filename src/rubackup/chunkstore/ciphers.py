"""The ciphers that groups and manifests can be encrypted with, and what a key of theirs can do.

AES-256-GCM and ChaCha20-Poly1305 are there always. The others are block ciphers in counter mode with HMAC-SHA-256
over the ciphertext (encrypt, then authenticate); OpenSSL or Botan 2 brings them, and each has to pass a known-answer
test before it is offered. Names: `domain.lookups.Crypto`. Design: `docs/encryption.md`.
"""

from __future__ import annotations

import functools
import hmac
from collections.abc import Callable
from typing import Final, NamedTuple, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher as OpenSSL
from cryptography.hazmat.primitives.ciphers import algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

from rubackup.chunkstore import _botan
from rubackup.chunkstore.identity import Buffer
from rubackup.domain.errors import Corrupt, Invalid

CLEAR: Final = 0
"""The number of no cipher."""
MAC_BYTES: Final = 32
MAX_OVERHEAD: Final = MAC_BYTES
_NUMBER_BYTES: Final = 8

Stream = Callable[[bytes, bytes, Buffer], bytes]


class Box(Protocol):
    """One key; every number must be used for one text only."""

    def seal(self, number: int, data: Buffer, associated: bytes) -> bytes:
        """The text encrypted and authenticated, together with what is only authenticated."""

    def open(self, number: int, data: Buffer, associated: bytes) -> bytes:
        """The text; Corrupt when anything was changed, or the key is another."""


class Suite(NamedTuple):
    """A cipher by its number in stored headers and its name in the API."""

    number: int
    name: str
    key_bytes: int
    """Of the key that `box` takes."""
    overhead: int
    """How much longer a text becomes."""
    make: Callable[[bytes], Box]
    known: Known | None = None
    """What the block cipher must give; None for those that OpenSSL always has."""

    def box(self, key: bytes) -> Box:
        """The cipher with a key of `key_bytes`."""
        if len(key) != self.key_bytes:
            raise ValueError(f"{self.name} takes a key of {self.key_bytes} bytes")
        return self.make(key)


class Known(NamedTuple):
    """A known answer: the keystream of counter mode from this block on is the encrypted block."""

    stream: Stream
    key: bytes
    plain: bytes
    encrypted: bytes
    exists: Callable[[], bool]

    def holds(self) -> bool:
        """Whether the cipher is there and gives this answer."""
        return self.exists() and self.stream(self.key, self.plain, bytes(len(self.plain))) == self.encrypted


_FALSE = "Encrypted data was changed, or is of another key."


class _Aead:
    """A cipher that authenticates itself. The number is the nonce, 12 bytes, big-endian."""

    def __init__(self, cipher: AESGCM | ChaCha20Poly1305) -> None:
        self._cipher = cipher

    def seal(self, number: int, data: Buffer, associated: bytes) -> bytes:
        return self._cipher.encrypt(number.to_bytes(12, "big"), data, associated)

    def open(self, number: int, data: Buffer, associated: bytes) -> bytes:
        try:
            return self._cipher.decrypt(number.to_bytes(12, "big"), data, associated)
        except InvalidTag:
            raise Corrupt(_FALSE) from None


class _CounterMac:
    """Counter mode, then HMAC-SHA-256 of number, associated data (with its length) and ciphertext.

    The first counter block is the number, then zeros: a text of up to 2^64 blocks never meets that of another number.
    """

    def __init__(self, stream: Stream, block_bytes: int, key: bytes) -> None:
        self._stream, self._block_bytes = stream, block_bytes
        self._key, self._mac_key = key[:-MAC_BYTES], key[-MAC_BYTES:]

    def _run(self, number: int, data: Buffer) -> bytes:
        return self._stream(self._key, number.to_bytes(_NUMBER_BYTES, "big").ljust(self._block_bytes, b"\0"), data)

    def _mac(self, number: int, data: Buffer, associated: bytes) -> bytes:
        front = number.to_bytes(_NUMBER_BYTES, "big") + len(associated).to_bytes(8, "big")
        mac = hmac.new(self._mac_key, front + associated, "sha256")
        mac.update(data)
        return mac.digest()

    def seal(self, number: int, data: Buffer, associated: bytes) -> bytes:
        sealed = self._run(number, data)
        return sealed + self._mac(number, sealed, associated)

    def open(self, number: int, data: Buffer, associated: bytes) -> bytes:
        view = memoryview(data)
        sealed, mac = view[:-MAC_BYTES], view[-MAC_BYTES:]
        if not hmac.compare_digest(self._mac(number, sealed, associated), mac):
            raise Corrupt(_FALSE)
        return self._run(number, sealed)


def _openssl(algorithm: Callable[[bytes], algorithms.AES | algorithms.SM4]) -> Stream:
    def run(key: bytes, block: bytes, data: Buffer) -> bytes:
        context = OpenSSL(algorithm(key), modes.CTR(block)).encryptor()
        return context.update(data) + context.finalize()

    return run


def _counter(
    number: int, name: str, stream: Stream, exists: Callable[[], bool], key: str, plain: str, encrypted: str
) -> Suite:
    known = Known(stream, bytes.fromhex(key), bytes.fromhex(plain), bytes.fromhex(encrypted), exists)
    return Suite(
        number,
        name,
        len(known.key) + MAC_BYTES,
        MAC_BYTES,
        functools.partial(_CounterMac, stream, len(known.plain)),
        known,
    )


def _botans(number: int, name: str, cipher: str, key: str, plain: str, encrypted: str) -> Suite:
    exists = functools.partial(_botan.has, cipher)
    return _counter(number, name, _botan.counter_mode(cipher), exists, key, plain, encrypted)


def _always() -> bool:
    return True


_UP = "000102030405060708090a0b0c0d0e0f"
_UP32 = _UP + "101112131415161718191a1b1c1d1e1f"
_ELEVENS = "00112233445566778899aabbccddeeff"
_SM4 = "0123456789abcdeffedcba9876543210"
_ZERO = "00" * 16
_ONE = "80" + "00" * 15
_CAST = "2342bb9efa38542c0af75647f29f615d"
_CAST6 = "2342bb9efa38542cbed0ac83940ac2988d7c47ce264908461cc1b5137ae6b604"
_THREEFISH = (
    "b1a2bbc6ef6025bc40eb3822161f36e375d1bb0aee3186fbd19e47c5d479947b"
    "7bc2f8586e35f0cff7e7f03084b0b7b1f1ab3961a580a3e97eb41ea14a6d7bbe"
)

SUITES: Final = (
    Suite(1, "aes-256-gcm", 32, 16, lambda key: _Aead(AESGCM(key))),
    Suite(2, "chacha20-poly1305", 32, 16, lambda key: _Aead(ChaCha20Poly1305(key))),
    # FIPS 197, appendix C
    _counter(3, "rijndael-128", _openssl(algorithms.AES), _always, _UP, _ELEVENS, "69c4e0d86a7b0430d8cdb78070b4c55a"),
    _counter(4, "rijndael-256", _openssl(algorithms.AES), _always, _UP32, _ELEVENS, "8ea2b7ca516745bfeafc49904b496089"),
    # GB/T 32907-2016, appendix A, example 1
    _counter(5, "sm4-128", _openssl(algorithms.SM4), _always, _SM4, _SM4, "681edf34d206965e86b3e94f536e4246"),
    # RFC 3713, appendix A
    _botans(6, "camellia-128", "Camellia-128", _SM4, _SM4, "67673138549669730857065648eabe43"),
    _botans(7, "camellia-256", "Camellia-256", _SM4 + _ELEVENS, _SM4, "9acc237dff16d76c20ef7c919e3a7509"),
    # RFC 5794, appendix A
    _botans(8, "aria-128", "ARIA-128", _UP, _ELEVENS, "d718fbd6ab644c739da95f3be6451778"),
    _botans(9, "aria-256", "ARIA-256", _UP32, _ELEVENS, "f92bd7c79fb72e2f2b8f80c1972d24fc"),
    # NESSIE test vectors for Serpent, set 1, vector 0 of each key length
    _botans(10, "serpent-128", "Serpent", _ONE, _ZERO, "264e5481eff42a4606abda06c0bfda3d"),
    _botans(11, "serpent-256", "Serpent", _ONE + _ZERO, _ZERO, "a223aa1288463c0e2be38ebd825616c0"),
    # Twofish paper (Schneier and others, 1998), appendix A
    _botans(12, "twofish-128", "Twofish", _ZERO, _ZERO, "9f589f5cf6122c32b6bfec2f2ae8c35a"),
    _botans(13, "twofish-256", "Twofish", _SM4 + _ELEVENS, _ZERO, "37527be0052334b89f0cfccae87cfa20"),
    # RFC 2612, appendix A (CAST-256 is CAST6)
    _botans(14, "cast6-128", "CAST-256", _CAST, _ZERO, "c842a08972b43d20836c91d1b7530f6b"),
    _botans(15, "cast6-256", "CAST-256", _CAST6, _ZERO, "4f6a2038286897b9c9870136553317fa"),
    # Skein 1.3 submission, known answers for Threefish-512 with a tweak of zeros
    _botans(16, "threefish-512", "Threefish-512", _ZERO * 4, _ZERO * 4, _THREEFISH),
)

_BY_NAME: Final = {suite.name: suite for suite in SUITES}
_BY_NUMBER: Final = {suite.number: suite for suite in SUITES}


def by_name(name: str) -> Suite | None:
    """The cipher of this name, whether this host can run it or not."""
    return _BY_NAME.get(name)


def by_number(number: int) -> Suite | None:
    """The cipher of this number, whether this host can run it or not."""
    return _BY_NUMBER.get(number)


@functools.cache
def available() -> tuple[str, ...]:
    """Names of the ciphers that this host can run; each block cipher has given its known answer."""
    return tuple(suite.name for suite in SUITES if suite.known is None or suite.known.holds())


def usable(suite: Suite | None) -> Suite:
    """The cipher itself; Invalid when this host cannot run it."""
    if suite is None or suite.name not in available():
        name = "that was used" if suite is None else suite.name
        raise Invalid(f"This host cannot run the cipher {name}; it can run: {', '.join(available())}.")
    return suite
