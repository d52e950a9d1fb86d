"""What the names that people give may hold: a name must be seen, and be seen as what it is.

Control characters break logs and terminals; those of Unicode that turn the direction of text, and those without a
width, let one name look like another.
"""

from __future__ import annotations

import re

_UNSEEN = r"\u0000-\u001f\u007f-\u009f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff"
_CLEAN = rf"^(?![\s\S]*[{_UNSEEN}])"
NAME = rf"{_CLEAN}(?!\s*$)"
"""A pattern as msgspec and JSON Schema take it: no such character, and not only white space."""
NAME_OR_EMPTY = rf"{_CLEAN}(?!\s+$)"
LOGIN = rf"{_CLEAN}\S([\s\S]*\S)?$"
"""A name that is typed: it neither begins nor ends in white space."""
_RULE = "without control characters"
MEANINGS = {
    NAME: f", not only of white space and {_RULE}",
    NAME_OR_EMPTY: f", empty or not only of white space, and {_RULE}",
    LOGIN: f", without white space at its ends and {_RULE}",
}
"""What a caller is told of a pattern."""
_UNSEEN_ONE = re.compile(f"[{_UNSEEN}]")


def has_unseen(text: str) -> bool:
    """Whether the text holds a character that nobody sees: a control, a turn of direction, one without a width."""
    return _UNSEEN_ONE.search(text) is not None
