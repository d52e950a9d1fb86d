"""Block ciphers in counter mode, and hashes, out of Botan 2's C interface, where the host has that library.

Botan's C interface: https://botan.randombit.net/handbook/api_ref/ffi.html (version 2.19).
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable
from ctypes import POINTER, byref, c_char_p, c_int, c_size_t, c_uint32, c_void_p
from typing import Final

from rubackup.chunkstore.identity import Buffer

LIBRARY: Final = "libbotan-2.so.19"
_FINAL: Final = 1

_SIGNATURES: Final[dict[str, list[object]]] = {
    "botan_cipher_init": [POINTER(c_void_p), c_char_p, c_uint32],
    "botan_cipher_set_key": [c_void_p, c_char_p, c_size_t],
    "botan_cipher_start": [c_void_p, c_char_p, c_size_t],
    "botan_cipher_update": [
        c_void_p, c_uint32, c_char_p, c_size_t, POINTER(c_size_t), c_char_p, c_size_t, POINTER(c_size_t)
    ],
    "botan_cipher_destroy": [c_void_p],
    "botan_hash_init": [POINTER(c_void_p), c_char_p, c_uint32],
    "botan_hash_update": [c_void_p, c_char_p, c_size_t],
    "botan_hash_final": [c_void_p, c_char_p],
    "botan_hash_destroy": [c_void_p],
}  # fmt: skip


@functools.cache
def _library() -> ctypes.CDLL | None:
    try:
        found = ctypes.CDLL(LIBRARY)
        for name, arguments in _SIGNATURES.items():
            function = getattr(found, name)
            function.argtypes, function.restype = arguments, c_int
    except (OSError, AttributeError):
        return None
    return found


def has(name: str) -> bool:
    """Whether this host's Botan has the cipher."""
    library = _library()
    if library is None:
        return False
    handle = c_void_p()
    if library.botan_cipher_init(byref(handle), f"{name}/CTR-BE".encode(), 0):
        return False
    library.botan_cipher_destroy(handle)
    return True


def counter_mode(name: str) -> Callable[[bytes, bytes, Buffer], bytes]:
    """A function of key, first counter block and data; encrypting and decrypting are the same."""

    def run(key: bytes, block: bytes, data: Buffer) -> bytes:
        library = _library()
        if library is None:
            raise RuntimeError(f"{LIBRARY} is not there")
        handle = c_void_p()
        _check(library.botan_cipher_init(byref(handle), f"{name}/CTR-BE".encode(), 0))
        try:
            _check(library.botan_cipher_set_key(handle, key, len(key)))
            _check(library.botan_cipher_start(handle, block, len(block)))
            source = bytes(data)
            target = ctypes.create_string_buffer(len(source))
            written, taken = c_size_t(), c_size_t()
            _check(
                library.botan_cipher_update(
                    handle, _FINAL, target, len(source), byref(written), source, len(source), byref(taken)
                )
            )
            if not len(source) == written.value == taken.value:
                raise RuntimeError(f"Botan took {taken.value} of {len(source)} bytes")
            return target.raw
        finally:
            library.botan_cipher_destroy(handle)

    return run


def has_hash(name: str) -> bool:
    """Whether this host's Botan has the hash."""
    library = _library()
    if library is None:
        return False
    handle = c_void_p()
    if library.botan_hash_init(byref(handle), name.encode(), 0):
        return False
    library.botan_hash_destroy(handle)
    return True


def digest(name: str, length: int, data: Buffer) -> bytes:
    """The hash of this name, of so many bytes."""
    library = _library()
    if library is None:
        raise RuntimeError(f"{LIBRARY} is not there")
    handle = c_void_p()
    _check(library.botan_hash_init(byref(handle), name.encode(), 0))
    try:
        source = bytes(data)
        target = ctypes.create_string_buffer(length)
        _check(library.botan_hash_update(handle, source, len(source)))
        _check(library.botan_hash_final(handle, target))
        return target.raw
    finally:
        library.botan_hash_destroy(handle)


def _check(code: int) -> None:
    if code:
        raise RuntimeError(f"Botan failed with {code}")
