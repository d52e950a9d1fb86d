"""Names as they lie in directories: 17 bytes for packs and manifests, of which there are millions."""

from __future__ import annotations

from typing import Final

_FORMS: Final = (
    ("packs/", ".pack"), ("packs/", ".open"), ("packs/", ".gone"),
    ("manifests/", ".manifest"), ("manifests/", ".tombstone"), ("manifests/", ".lock"),
    ("packs/", ".hashes"),
)  # fmt: skip
"""Folder and suffix of what is named by 16 bytes; packs lie in folders named by the first. Their number, from 1, is stored."""
_BY_ENDS: Final = {ends: bytes([code]) for code, ends in enumerate(_FORMS, 1)}
_HEX: Final = 32


def shorten(name: str) -> bytes:
    """A name as it is stored: its form and 16 bytes, or 0 and the whole of it."""
    folder, _, rest = name.partition("/")
    at = 3 if folder == "packs" else 0
    stem, dot = rest[at : at + _HEX], at + _HEX
    code = _BY_ENDS.get((f"{folder}/", rest[dot:]))
    if code is not None and (not at or rest[:at] == f"{stem[:2]}/"):
        try:
            short = bytes.fromhex(stem)
        except ValueError:
            short = b""
        if short.hex() == stem:
            return code + short
    return b"\0" + name.encode()


def full(short: bytes) -> str:
    """The name that is stored so; ValueError when there is none."""
    if short[:1] == b"\0":
        return short[1:].decode()
    if not 1 <= short[0] <= len(_FORMS) or len(short) != 1 + _HEX // 2:
        raise ValueError("a name has an unknown form")
    folder, suffix = _FORMS[short[0] - 1]
    text = short[1:].hex()
    return f"packs/{text[:2]}/{text}{suffix}" if folder == "packs/" else f"{folder}{text}{suffix}"
