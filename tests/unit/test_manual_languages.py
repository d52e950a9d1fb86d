"""Each page of the manual is there in both languages, and both say the same where it can be compared."""

from __future__ import annotations

import re

import pytest

from support.manual import SUFFIX, fences, user_pages

ENGLISH, RUSSIAN = user_pages(), user_pages(SUFFIX)
ONLY_ENGLISH = {"cli", "disaster-recovery", "installation", "sdk"}
"""Pages that nobody has put into Russian yet; the site says so on them."""
FENCE = re.compile(r"^```.*?^```\n", re.MULTILINE | re.DOTALL)
TABLE = re.compile(r"(?:^\|.*\|\n)+", re.MULTILINE)
CELL = re.compile(r"(?<!\\)\|")
CYRILLIC = re.compile("[а-яё]", re.IGNORECASE)

both = pytest.mark.parametrize("page", sorted(RUSSIAN))


def prose(text: str) -> str:
    """A page without its blocks."""
    return FENCE.sub("", text)


def levels(text: str) -> list[int]:
    """The levels of the headings, in order."""
    return [len(mark) for mark in re.findall(r"^(#+) ", prose(text), re.MULTILINE)]


def tables(text: str) -> list[list[list[str]]]:
    """The code within the first cell of each row of each table; heads and their lines are rows without any."""
    return [
        [re.findall(r"`[^`]*`", CELL.split(line)[1]) for line in found.splitlines()]
        for found in TABLE.findall(prose(text))
    ]  # fmt: skip


def test_every_page_is_there_in_russian() -> None:
    """But those that are said to be missing; no Russian page is without an English one."""
    assert set(ENGLISH) - set(RUSSIAN) <= ONLY_ENGLISH
    assert not ONLY_ENGLISH & set(RUSSIAN)
    assert set(RUSSIAN) <= set(ENGLISH)


@both
def test_headings_are_the_same(page: str) -> None:
    """In number and level."""
    assert levels(RUSSIAN[page].read_text()) == levels(ENGLISH[page].read_text())


@both
def test_blocks_are_the_same(page: str) -> None:
    """So that running the English ones runs the Russian ones."""
    ours = [(b.language, b.where, b.code, b.shown) for b in fences(RUSSIAN[page].read_text(), page)]

    assert ours == [(b.language, b.where, b.code, b.shown) for b in fences(ENGLISH[page].read_text(), page)]


@both
def test_tables_are_about_the_same(page: str) -> None:
    """As many tables, as many rows, and each row about the same key, message or command."""
    assert tables(RUSSIAN[page].read_text()) == tables(ENGLISH[page].read_text())


@both
def test_code_in_the_text_is_the_same(page: str) -> None:
    """A name that is mentioned in one language is mentioned in the other."""
    ours, theirs = (
        set(re.findall(r"`[^`\n]+`", prose(pages[page].read_text()))) for pages in (RUSSIAN, ENGLISH)
    )  # fmt: skip

    assert sorted(ours ^ theirs) == []


@both
def test_russian_pages_are_in_russian(page: str) -> None:
    """Each paragraph outside of tables and blocks."""
    text = TABLE.sub("", prose(RUSSIAN[page].read_text()))
    paragraphs = [part for part in re.split(r"\n\s*\n", text) if len(re.findall("[A-Za-zА-Яа-яё]", part)) > 40]

    assert [part for part in paragraphs if not CYRILLIC.search(part)] == []
