"""What commands print: columns for people, JSON for scripts. What came from elsewhere cannot steer the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec


def plain(value: Any) -> str:
    """A value on one line; characters that are not printable are escaped."""
    text = str(value)
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def columns(headers: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Rows below their headers, each column as wide as its widest cell."""
    lines = [list(headers), *[[plain(cell) for cell in row] for row in rows]]
    widths = [max(len(line[number]) for line in lines) for number in range(len(headers))]
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def facts(pairs: Sequence[tuple[str, Any]]) -> None:
    """Names with their values, one a line."""
    width = max(len(name) for name, _ in pairs)
    for name, value in pairs:
        print(f"{name.ljust(width)}  {plain(value)}")


def as_json(value: Any) -> None:
    """A tree of structs, indented."""
    print(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())
