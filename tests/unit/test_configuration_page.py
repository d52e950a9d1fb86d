"""docs/configuration.md says of each key of the global configuration what the code says."""

from __future__ import annotations

import re
from pathlib import Path

from rubackup.services.configuration import DEFAULTS
from rubackup.services.global_configuration import KEYS

PAGE = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| `(\w+)` \| ([^|]+) \| ([^|]+) \| ([^|]+) \| (yes|later|never) \| ([^|]+) \|$", re.MULTILINE)
ROWS = ROW.findall(PAGE)


def shown(value: object) -> str:
    """A default as the page writes it."""
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return f"`{text}`" if text else "empty"


def test_every_key_has_one_row_in_the_guides_order() -> None:
    """None is left out, none is twice, and none is there that is not served."""
    assert [name for name, *_ in ROWS] == list(KEYS)


def test_meaning_and_default_are_those_of_the_code() -> None:
    """The sentence of the OpenAPI document, and what holds until somebody changes it."""
    wrong = [
        name for name, meaning, _unit, default, _acts, _effect in ROWS
        if meaning.casefold() != KEYS[name].description.casefold() or default != shown(DEFAULTS[name])
    ]  # fmt: skip

    assert wrong == []


def test_the_page_says_which_keys_act() -> None:
    """A key that begins to act says so here, too, and how; one that does not names what it waits for."""
    told = {name: acts for name, _meaning, _unit, _default, acts, _effect in ROWS}
    found = {
        name: "yes" if key.acts else "never" if key.later.startswith("nothing") else "later"
        for name, key in KEYS.items()
    }  # fmt: skip

    assert told == found
    assert [name for name, *_, effect in ROWS if len(effect) < 10 and told[name] == "yes"] == []


def test_numbers_have_a_unit_and_words_their_choices() -> None:
    """A number without a unit is a guess, and so is a word without its alternatives."""
    wrong = [
        name for name, _meaning, unit, *_ in ROWS
        if not unit.strip() or any(f"`{choice}`" not in unit for choice in KEYS[name].choices)
    ]  # fmt: skip

    assert wrong == []
