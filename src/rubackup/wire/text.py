"""Names that are not UTF-8, carried in msgpack texts, which must be.

Paths travel as `os.fsdecode` gives them: a byte that is not UTF-8 is a lone surrogate
U+DC80..U+DCFF, which UTF-8 cannot write. On the wire it becomes U+10DC80..U+10DCFF
(private use); such a character of a real name gets U+10DC00 in front, as does U+10DC00
itself, so every text comes back as it was. Design: `docs/design/wire.md`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

MARK = b"\xf4\x8d"
"""Begins the UTF-8 of every escaped character, so a payload without it holds none."""

_ESCAPE = "\U0010dc00"
_TO_WIRE = re.compile("[\udc80-\udcff\U0010dc00\U0010dc80-\U0010dcff]")
_FROM_WIRE = re.compile("\U0010dc00([\U0010dc00\U0010dc80-\U0010dcff])|([\U0010dc80-\U0010dcff])")
_PLANE = 0x100000


def to_wire(text: str) -> str:
    """The text in a form that UTF-8 can write."""
    return _TO_WIRE.sub(lambda m: chr(ord(m[0]) + _PLANE) if ord(m[0]) < _PLANE else _ESCAPE + m[0], text)


def from_wire(text: str) -> str:
    """The text that `to_wire` was given."""
    return _FROM_WIRE.sub(lambda m: m[1] or chr(ord(m[2]) - _PLANE), text)


def in_tree(tree: Any, change: Callable[[str], str]) -> Any:
    """A copy of a tree of lists, tuples and dicts with every text in it, keys too, changed."""
    match tree:
        case str():
            return change(tree)
        case list() | tuple():
            return [in_tree(part, change) for part in tree]
        case dict():
            return {in_tree(key, change): in_tree(value, change) for key, value in tree.items()}
        case _:
            return tree
