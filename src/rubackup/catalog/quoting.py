"""Names and texts in statements that take no parameters, as those that make tables and roles."""

from __future__ import annotations


def quoted(name: str) -> str:
    """A name as an identifier of SQL."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text as a string of SQL; it must have no backslash where standard_conforming_strings is off."""
    return "'" + text.replace("'", "''") + "'"
