"""What commands print: columns for people, JSON for scripts. What came from elsewhere cannot steer the terminal."""

from __future__ import annotations

import io
import json
import shutil
import sys
import unicodedata
from collections.abc import Sequence
from typing import Any

import msgspec

GAP = "  "
NARROW = 10
"""As narrow as a column may get."""


def plain(value: Any) -> str:
    """A value on one line; characters that are not printable are escaped."""
    text = str(value)
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def survive_encoding() -> None:
    """From now on a character that the terminal's encoding does not have is escaped, instead of ending the program."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def cells(text: str) -> int:
    """How many columns of a terminal a text takes."""
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.combining(c) else 1 + (unicodedata.east_asian_width(c) in "WF") for c in text)


def cut(text: str, width: int) -> str:
    """A text that takes no more columns of a terminal than that; what is missing is an ellipsis."""
    if cells(text) <= width:
        return text
    kept, room = 0, width - 1
    while (room := room - cells(text[kept])) >= 0:
        kept += 1
    return text[:kept] + "…"


def terminal_width() -> int | None:
    """How many columns the terminal has that is printed to; None where there is none, so that nothing need be cut."""
    if sys.stdout is None or not sys.stdout.isatty():
        return None
    return shutil.get_terminal_size().columns


def columns(headers: Sequence[str], rows: Sequence[Sequence[Any]], *, limit: int | None = None) -> None:
    """Rows below their headers, each column as wide as its widest cell.

    Where a line has a limit the widest give way; a table that does not fit even so is told row by row, a cell a line.
    """
    lines = [list(headers), *[[plain(cell) for cell in row] for row in rows]]
    widths = [max(cells(line[number]) for line in lines) for number in range(len(headers))]
    if limit is not None:
        widths = fitting(widths, limit - len(GAP) * (len(widths) - 1))
        if sum(widths) + len(GAP) * (len(widths) - 1) > limit and rows:
            for number, row in enumerate(rows):
                print("\n" * (number > 0), end="")
                facts(list(zip(headers, row, strict=True)))
            return
    for line in lines:
        shown = [cut(cell, width) for cell, width in zip(line, widths, strict=True)]
        padded = [cell + " " * (width - cells(cell)) for cell, width in zip(shown, widths, strict=True)]
        print(GAP.join(padded).rstrip())


def fitting(widths: Sequence[int], limit: int) -> list[int]:
    """The widths, the greatest made smaller until they fit, none of them narrower than `NARROW`."""
    found = [min(width, max(limit, NARROW)) for width in widths]
    while sum(found) > limit and max(found) > NARROW:
        found[found.index(max(found))] -= 1
    return found


def facts(pairs: Sequence[tuple[str, Any]]) -> None:
    """Names with their values, one a line."""
    width = max(len(name) for name, _ in pairs)
    for name, value in pairs:
        print(f"{name.ljust(width)}  {plain(value)}")


def as_json(value: Any) -> None:
    """A tree of structs, indented; in ASCII where the output cannot have every character."""
    text = msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
    if not text.isascii() and not _unicode():
        text = json.dumps(json.loads(text), indent=2)
    print(text)


def _unicode() -> bool:
    """Whether the output can have every character."""
    return (getattr(sys.stdout, "encoding", None) or "utf-8").lower().replace("-", "").startswith("utf")
