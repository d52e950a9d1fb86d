"""The tables of docs/reference.md that the code knows are those that scripts/generate-reference writes now."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import re
from types import ModuleType

import pytest

from support.manual import ROOT

SCRIPT = ROOT / "scripts" / "generate-reference"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    """The script as a module."""
    loader = importlib.machinery.SourceFileLoader("generate_reference", str(SCRIPT))
    spec = importlib.util.spec_from_loader(loader.name, loader)
    assert spec
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


def test_the_tables_are_those_of_the_code(script: ModuleType) -> None:
    """Run scripts/generate-reference when this fails."""
    assert [str(page) for page in script.stale()] == []


@pytest.mark.parametrize("language", ["en", "ru"])
def test_every_table_is_there_once(script: ModuleType, language: str) -> None:
    """On one of the pages of each language."""
    found = [name for page in script.PAGES[language] for _, name, *_ in script.PLACE.findall(page.read_text())]

    assert sorted(found) == sorted(script.TABLES)


def test_no_russian_sentence_is_left_over(script: ModuleType) -> None:
    """A sentence that the code no longer has goes."""
    said: set[str] = set()

    def say(sentence: str) -> str:
        said.add(sentence)
        return sentence

    for make in script.TABLES.values():
        make(say)
    assert sorted(set(script.RUSSIAN) - said) == []


def test_every_sentence_has_its_russian(script: ModuleType) -> None:
    """But names and code, which are the same in both languages."""
    untold: set[str] = set()

    def say(sentence: str) -> str:
        if sentence not in script.RUSSIAN:
            untold.add(sentence)
        return sentence

    for make in script.TABLES.values():
        make(say)
    sentences = {sentence for sentence in untold if re.search("[A-Za-z]", re.sub("`[^`]*`", "", sentence))}
    assert sentences <= {"Linux"}, "put them into manual/reference.ru.json"


def test_a_change_of_the_code_is_noticed(script: ModuleType) -> None:
    """A table that was edited by hand is not what would be written."""
    text = script.PAGES["en"][0].read_text()

    assert script.written(text, "en") == text
    assert script.written(text.replace("| `New` |", "| `Newer` |"), "en") == text


def test_what_is_written_by_hand_stays(script: ModuleType) -> None:
    """The last cell of the global configuration is nobody's but the writer's; all others are the code's."""
    text = script.PAGES["en"][1].read_text()
    edited = text.replace("| Changes nothing: data travels", "| Changes all: data \\| travels")

    assert script.written(edited, "en") == edited != text
    assert script.written(text.replace("| 512 – ", "| 511 – "), "en") == text
