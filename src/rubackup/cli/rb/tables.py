"""How rows are shown: a table or a list of facts for people, JSON for scripts."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from rubackup.cli import output

_INSTANT = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(?:\.\d+)?(Z|[+-]\d\d:\d\d)?")
_NAMED = re.compile(r"^(client|group|pool|strategy)_id$")
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
_BASE = 1024


def size(count: float) -> str:
    """Bytes for people."""
    power = 0
    while abs(count) >= _BASE and power < len(_UNITS) - 1:
        count, power = count / _BASE, power + 1
    return f"{count:.0f} {_UNITS[power]}" if power == 0 else f"{count:.1f} {_UNITS[power]}"


def shown(name: str, value: Any) -> str:
    """A value for people; `name` is its column."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if name == "mode" and isinstance(value, int):
        return f"{value:04o}"
    if name.endswith("_bytes") and isinstance(value, (int, float)):
        return size(value)
    if name.endswith("_per_second") and isinstance(value, (int, float)):
        return f"{size(value)}/s"
    if isinstance(value, list) and not any(isinstance(one, (list, dict)) for one in value):
        return ", ".join(str(one) for one in value)
    if isinstance(value, (list, dict)):
        return json.dumps(value, ensure_ascii=False)
    return instant(str(value))


def instant(text: str) -> str:
    """An instant for people, to the second; another text as it is."""
    found = _INSTANT.fullmatch(text)
    if found is None:
        return text
    zone = "Z" if found[3] in {"+00:00", "-00:00"} else found[3]
    return f"{found[1]} {found[2]}{f' {zone}' if zone else ''}"


def heading(name: str) -> str:
    """A column's name for people. What the API calls `pool_id` is shown by its name."""
    return _NAMED.sub(r"\1", name).removesuffix("_bytes").replace("_", " ").capitalize()


def table(columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    """Rows below the names of their columns, as wide as they are; on a terminal no wider than that."""
    cells = [[shown(name, row.get(name)) for name in columns] for row in rows]
    output.columns([heading(name) for name in columns], cells, limit=output.terminal_width())


def one(row: Mapping[str, Any]) -> None:
    """A row, a field a line."""
    output.facts([(name, shown(name, value)) for name, value in row.items()])


def anything(data: Any) -> None:
    """What a call gave: a table, facts, or lines."""
    rows = data.get("items") if isinstance(data, dict) else data
    if isinstance(rows, list) and rows and all(isinstance(row, dict) for row in rows):
        table(list(rows[0]), rows)
    elif isinstance(rows, list):
        for row in rows:
            print(output.plain(row))
    elif isinstance(data, dict):
        one(data)
    elif data is not None:
        print(output.plain(data))
