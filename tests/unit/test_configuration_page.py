"""docs/configuration.md says of each key of the global configuration what the code says, and what it does."""

from __future__ import annotations

import re

import pytest

from rubackup.services.configuration import DEFAULTS
from rubackup.services.global_configuration import KEYS
from support.manual import user_pages

ROW = re.compile(r"^\| `(\w+)` \| ([^|]+) \| ([^|]+) \| ([^|]+) \| (\w+) \| ([^|]+) \|$", re.MULTILINE)
both = pytest.mark.parametrize("language", [".md", ".ru.md"])


def rows(language: str) -> list[tuple[str, ...]]:
    """Key, meaning, allowed, default, whether it acts, and how."""
    return ROW.findall(user_pages(language)["configuration"].read_text(encoding="utf-8"))


@both
def test_every_key_has_one_row_in_the_guides_order(language: str) -> None:
    """None is left out, none is twice, and none is there that is not served."""
    assert [name for name, *_ in rows(language)] == list(KEYS)


@both
def test_every_key_tells_its_effect(language: str) -> None:
    """Those that act; one that does not names what it waits for, or why not. This column is written by hand."""
    assert [name for name, *_, effect in rows(language) if len(effect) < (10 if KEYS[name].acts else 4)] == []


def test_numbers_have_a_unit() -> None:
    """A number without one is a guess."""
    numbers = {name for name, key in KEYS.items() if not (key.choices or key.form or isinstance(DEFAULTS[name], bool))}

    assert len(numbers) > 15
    assert [
        name for name, _, allowed, *_ in rows(".md") if name in numbers and not re.search(r"\d [a-zA-Z]+$", allowed)
    ] == []


def test_sentences_are_in_russian() -> None:
    """None stays in English because nobody has put it into Russian."""
    assert [name for name, meaning, *_ in rows(".ru.md") if not re.search("[а-я]", meaning)] == []
