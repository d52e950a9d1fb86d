"""docs/troubleshooting.md: each message that it explains is one that the product says."""

from __future__ import annotations

import re

import pytest

from support.manual import user_pages
from support.sources import says

PAGE = user_pages()["troubleshooting"].read_text(encoding="utf-8")
SECTION = re.compile(r"^## ([^\n]*)\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
ROW = re.compile(r"^\| `([^`]+)` \| ([^|]*) \| ((?:[^|]|\\\|)*) \|$", re.MULTILINE)
SECTIONS = {title: found for title, text in SECTION.findall(PAGE) if (found := ROW.findall(text))}
MESSAGES = [message for rows in SECTIONS.values() for message, *_ in rows]


@pytest.mark.parametrize("message", MESSAGES)
def test_the_product_says_every_message(message: str) -> None:
    """Its fixed words stand in one text of the source, in their order; an … at its end may stand for more."""
    assert says(message), message


def test_messages_are_sorted() -> None:
    """Within each section, so that one finds them; what differs at their beginnings does not count."""
    for title, rows in SECTIONS.items():
        found = [message.lstrip("… ").casefold() for message, *_ in rows]
        assert found == sorted(found), title


def test_every_message_has_a_cause() -> None:
    """And stands once."""
    assert len(MESSAGES) == len(set(MESSAGES)) > 60
    assert [m for rows in SECTIONS.values() for m, cause, _ in rows if len(cause.strip()) < 5] == []
