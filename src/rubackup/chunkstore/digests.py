"""The hashes that a Block device pool may record beside a chunk's identity, which is BLAKE3-256 whatever is chosen.

SHA-1, SHA-2 and BLAKE2b come with Python; Skein and Streebog out of Botan 2. Each has to give its known answer before
it is offered. Names: `domain.lookups.HashAlgorithm`; lengths: `domain.pools.HASH_LENGTHS`.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable
from typing import Final, NamedTuple

from rubackup.chunkstore import _botan
from rubackup.chunkstore.identity import Buffer
from rubackup.domain.errors import Invalid

_ABC: Final = b"abc"
_M1: Final = b"012345678901234567890123456789012345678901234567890123456789012"


class DigestSpec(NamedTuple):
    """Which hash a pool records."""

    name: str
    bits: int


class Digest(NamedTuple):
    """One hash of one length."""

    name: str
    bits: int
    run: Callable[[Buffer], bytes]
    message: bytes
    known: str
    """What it gives for the message, in hex."""
    exists: Callable[[], bool]
    library: str = ""
    """What the host must have; '' when it comes with Python."""

    def holds(self) -> bool:
        """Whether the hash is there and gives its known answer."""
        return self.exists() and self.run(self.message).hex() == self.known


def _always() -> bool:
    return True


def _python(name: str, bits: int, run: Callable[[Buffer], bytes], known: str) -> Digest:
    return Digest(name, bits, run, _ABC, known, _always)


def _botans(name: str, bits: int, botan: str, message: bytes, known: str) -> Digest:
    run = functools.partial(_botan.digest, botan, bits // 8)
    return Digest(name, bits, run, message, known, functools.partial(_botan.has_hash, botan), _botan.LIBRARY)


def _sha1(data: Buffer) -> bytes:
    # The guide offers it; two chunks can be made that share it, so nothing is ever found or told apart by it.
    return hashlib.sha1(data, usedforsecurity=False).digest()


def _sha256(data: Buffer) -> bytes:
    return hashlib.sha256(data).digest()


def _sha512(data: Buffer) -> bytes:
    return hashlib.sha512(data).digest()


def _blake2b(length: int, data: Buffer) -> bytes:
    return hashlib.blake2b(data, digest_size=length).digest()


DIGESTS: Final = (
    # FIPS 180-4, examples
    _python("sha1", 160, _sha1, "a9993e364706816aba3e25717850c26c9cd0d89d"),
    _python("sha2", 256, _sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
    _python(
        "sha2", 512, _sha512,
        "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
        "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
    ),
    # NIST's SHA-3 competition, known answers of Skein-512-256, length 0
    _botans("skein", 256, "Skein-512(256)", b"", "39ccc4554a8b31853b9de7a1fe638a24cce6b35a55f2431009e18780335d2621"),
    # Skein 1.3 paper, appendix C
    _botans(
        "skein", 512, "Skein-512(512)", b"\xff",
        "71b7bce6fe6452227b9ced6014249e5bf9a9754c3ad618ccc4e0aae16b316cc8"
        "ca698d864307ed3e80b6ef1570812ac5272dc409b5a012df2a579102f340617a",
    ),
    # what Python's and Botan's implementations agree on
    _python("blake2b", 256, functools.partial(_blake2b, 32), "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319"),
    # RFC 7693, appendix A
    _python(
        "blake2b", 512, functools.partial(_blake2b, 64),
        "ba80a53f981c4d0d6a2797b69f12f6e94c212f14685ac4b74b12bb6fdbffa2d1"
        "7d87c5392aab792dc252d5de4533cc9518d38aa8dbf1925ab92386edd4009923",
    ),
    # GOST R 34.11-2012 and RFC 6986, example 1
    _botans("streebog", 256, "Streebog-256", _M1, "9d151eefd8590b89daa6ba6cb74af9275dd051026bb149a452fd84e5e57b5500"),
    _botans(
        "streebog", 512, "Streebog-512", _M1,
        "1b54d01a4af5b9d5cc3d86d68d285462b19abc2475222f35c085122be4ba1ffa"
        "00ad30f8767b3a82384c6574f024c311e2a481332b08ef7f41797891c1646f48",
    ),
)  # fmt: skip

_BY_NAME: Final = {(one.name, one.bits): one for one in DIGESTS}


@functools.cache
def available() -> tuple[tuple[str, int], ...]:
    """Names and lengths in bits of the hashes that this host can run; each has given its known answer."""
    return tuple((one.name, one.bits) for one in DIGESTS if one.holds())


def usable(name: str, bits: int) -> Digest:
    """The hash itself; Invalid when this host cannot run it."""
    found = _BY_NAME.get((name, bits))
    if found is None or (name, bits) not in available():
        there = ", ".join(f"{one} {length}" for one, length in available())
        needs = f", which needs {found.library}" if found and found.library else ""
        raise Invalid(f"This host cannot run the hash {name} with {bits} bit{needs}; it can run: {there}.")
    return found
