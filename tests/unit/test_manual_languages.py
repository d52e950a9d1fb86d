"""Each page of the manual is there in both languages, and both say the same where it can be compared."""

from __future__ import annotations

import re

import pytest

from support.manual import SUFFIX, fences, user_pages

ENGLISH, RUSSIAN = user_pages(), user_pages(SUFFIX)
ONLY_ENGLISH: set[str] = set()
"""Pages that nobody has put into Russian yet; the site says so on them."""
FENCE = re.compile(r"^```.*?^```\n", re.MULTILINE | re.DOTALL)
TABLE = re.compile(r"(?:^\|.*\|\n)+", re.MULTILINE)
CELL = re.compile(r"(?<!\\)\|")
CYRILLIC = re.compile("[а-яё]", re.IGNORECASE)

OTHER_WORDS = {
    r"супервизор": "супервайзер", r"медиа-сервер": "медиасервер", r"мастер-ключ": "главный ключ",
    r"замещени|замещает": "подмена", r"папк": "директория", r"каталог (сокета|назначения|хранилищ|состояния)": "директория",
    r"надгроби": "метка удаления", r"локальн\w+ каталог": "локальное файловое хранилище", r"скрипт": "сценарий",
    r"\bговорит": "показывает, сообщает",
}  # fmt: skip
"""Words for what the glossary calls otherwise."""
WITHOUT_DOTS = r"\b(еще|ее|нее|отчет\w*|учетн\w*|расчет\w*|объем\w*|надежн\w*|емкост\w*|идет|ждет|дает|берет|создает|остается|подключен|завершен)\b"
"""Words that have a letter with dots, which the pages write."""

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
    text = re.sub(r"^    .*\n", "", TABLE.sub("", prose(RUSSIAN[page].read_text())), flags=re.MULTILINE)
    paragraphs = [part for part in re.split(r"\n\s*\n", text) if len(re.findall("[A-Za-zА-Яа-яё]", part)) > 40]

    assert [part for part in paragraphs if not CYRILLIC.search(part)] == []


@both
def test_words_are_those_of_the_glossary(page: str) -> None:
    """One thing has one name, and letters have their dots."""
    text = re.sub(r"`[^`]*`", "", prose(RUSSIAN[page].read_text()))

    assert {found[0]: word for bad, word in OTHER_WORDS.items() if (found := re.search(bad, text, re.IGNORECASE))} == {}
    assert re.findall(WITHOUT_DOTS, text, re.IGNORECASE) == []


@both
def test_quotes_dashes_and_numbers_are_russian(page: str) -> None:
    """No quotes or dashes of a typewriter, and no comma between thousands: it is a decimal point here."""
    text = re.sub(r"`[^`]*`|<!--.*?-->", "", prose(RUSSIAN[page].read_text()), flags=re.DOTALL)

    assert re.findall(r"\"[а-яё][^\"\n]*\"|[а-яё] - [а-яё]", text, re.IGNORECASE) == []
    assert re.findall(r"\b\d{1,3},\d{3}\b", text) == []
