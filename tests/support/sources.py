"""What the product says: every text of its source."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from functools import cache

from support.manual import ROOT

SOURCES = ROOT / "src" / "rubackup"
_OPEN = re.compile(r"%(?:\.\d+)?[sdrgf]|\{[a-z_.]*\}")


def _said(node: ast.AST, constants: Mapping[str, str]) -> str | None:
    """A text of the source, with … for what is filled in; a constant of the module is filled in by its value."""
    match node:
        case ast.Constant(value=str(text)):
            return _OPEN.sub("…", text)
        case ast.Constant(value=bytes(raw)):
            return raw.decode("utf-8", "replace")
        case ast.JoinedStr(values=values):
            return "".join(_said(value, constants) or "…" for value in values)
        case ast.FormattedValue(value=ast.Name(id=name)) if name in constants:
            return constants[name]
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return f"{_said(left, constants) or '…'}{_said(right, constants) or '…'}"
        case _:
            return None


def _constants(tree: ast.Module) -> dict[str, str]:
    found: dict[str, str] = {}
    for node in tree.body:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Constant(value=str(text))):
                found[name] = text
    return found


def _texts(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Every text with its line, but those that are parts of a longer one."""
    waiting: list[ast.AST] = [tree]
    constants = _constants(tree)
    while waiting:
        node = waiting.pop()
        open_text = _said(node, {})
        if open_text is None:
            waiting += ast.iter_child_nodes(node)
        else:
            yield open_text, getattr(node, "lineno", 0)
            if constants and "…" in open_text:
                yield _said(node, constants) or "", getattr(node, "lineno", 0)


@cache
def texts() -> dict[str, str]:
    """Every text, its blanks put together, with the place where it stands; the generated client's are the API's own."""
    found: dict[str, str] = {}
    for file in sorted(SOURCES.rglob("*.py")):
        if file.parent == SOURCES / "sdk" / "api":
            continue
        for text, line in _texts(ast.parse(file.read_text(encoding="utf-8"))):
            found.setdefault(re.sub("…+", "…", " ".join(text.split())), f"{file.relative_to(ROOT)}:{line}")
    return {text: place for text, place in found.items() if text}


@cache
def _lines() -> str:
    return "\n".join(["", *(text for text in texts() if " " in text), ""])


def says(message: str) -> bool:
    """Whether a message's fixed words stand in one text, in their order; an … at its beginning and end may stand for more."""
    wanted = message.removesuffix("…").rstrip()
    return wanted in _lines() or (wanted.startswith("… ") and f"\n{wanted[2:]}" in _lines())
