"""docs/troubleshooting.md: each message that it explains is one that the product says."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from support.manual import ROOT, user_pages

PAGE = user_pages()["troubleshooting"].read_text(encoding="utf-8")
SECTION = re.compile(r"^## ([^\n]*)\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
ROW = re.compile(r"^\| `([^`]+)` \| ([^|]*) \| ((?:[^|]|\\\|)*) \|$", re.MULTILINE)
SECTIONS = {title: found for title, text in SECTION.findall(PAGE) if (found := ROW.findall(text))}
MESSAGES = [message for rows in SECTIONS.values() for message, *_ in rows]
OPEN = re.compile(r"%(?:\.\d+)?[sdrgf]|\{[a-z_.]*\}")


def said(node: ast.AST) -> str | None:
    """A text of the source, with … for what is filled in."""
    match node:
        case ast.Constant(value=str(text)):
            return OPEN.sub("…", text)
        case ast.JoinedStr(values=values):
            return "".join(said(value) or "…" for value in values)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return f"{said(left) or '…'}{said(right) or '…'}"
        case _:
            return None


@cache
def texts() -> tuple[str, ...]:
    """Every text of the product that may be a sentence."""
    found: set[str] = set()
    for file in (
        f for f in Path(ROOT / "src" / "rubackup").rglob("*.py") if "sdk" not in f.parts or f.parent.name != "api"
    ):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if (text := said(node)) and " " in text:
                found.add(re.sub("…+", "…", " ".join(text.split())))
    return tuple(found)


@pytest.mark.parametrize("message", MESSAGES)
def test_the_product_says_every_message(message: str) -> None:
    """Its fixed words stand in one text of the source, in their order; an … at its end may stand for more."""
    wanted = message.removesuffix("…").rstrip()

    assert any(wanted in text for text in texts()), message


def test_messages_are_sorted() -> None:
    """Within each section, so that one finds them; what differs at their beginnings does not count."""
    for title, rows in SECTIONS.items():
        found = [message.lstrip("… ").casefold() for message, *_ in rows]
        assert found == sorted(found), title


def test_every_message_has_a_cause() -> None:
    """And stands once."""
    assert len(MESSAGES) == len(set(MESSAGES)) > 60
    assert [m for rows in SECTIONS.values() for m, cause, _ in rows if len(cause.strip()) < 5] == []
