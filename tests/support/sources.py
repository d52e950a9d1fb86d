"""What the product says: every text of its source."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache

from support.manual import ROOT

SOURCES = ROOT / "src" / "rubackup"
_OPEN = re.compile(r"%(?:\.\d+)?[sdrgf]|\{[a-z_.]*\}")


def _said(node: ast.AST) -> str | None:
    """A text of the source, with … for what is filled in."""
    match node:
        case ast.Constant(value=str(text)):
            return _OPEN.sub("…", text)
        case ast.Constant(value=bytes(raw)):
            return raw.decode("utf-8", "replace")
        case ast.JoinedStr(values=values):
            return "".join(_said(value) or "…" for value in values)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return f"{_said(left) or '…'}{_said(right) or '…'}"
        case _:
            return None


def _nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """Every node, but those that are parts of a longer text."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        if _said(node) is None:
            waiting += ast.iter_child_nodes(node)


@cache
def texts() -> dict[str, str]:
    """Every text, its blanks put together, with the place where it stands; the generated client's are the API's own."""
    found: dict[str, str] = {}
    for file in sorted(SOURCES.rglob("*.py")):
        if file.parent == SOURCES / "sdk" / "api":
            continue
        for node in _nodes(ast.parse(file.read_text(encoding="utf-8"))):
            if text := _said(node):
                place = f"{file.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}"
                found.setdefault(re.sub("…+", "…", " ".join(text.split())), place)
    return found


@cache
def _lines() -> str:
    return "\n".join(["", *(text for text in texts() if " " in text), ""])


def says(message: str) -> bool:
    """Whether a message's fixed words stand in one text, in their order; an … at its beginning and end may stand for more."""
    wanted = message.removesuffix("…").rstrip()
    return wanted in _lines() or (wanted.startswith("… ") and f"\n{wanted[2:]}" in _lines())
