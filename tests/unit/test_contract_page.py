"""docs/contract.md has a line for each row of the guide that is served and for each key of its bodies, with a test that exists.

The contract's own example bodies say which keys there are. A key that the API takes beyond them, and rows of our own, are
documented likewise; a line about something that is not there is an error.
"""

from __future__ import annotations

import ast
import functools
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from rubackup.api.kernel import Route
from rubackup.api.routes import routes_of
from rubackup.api.validate import key_names
from rubackup.resources import RESOURCES

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "contract.md").read_text(encoding="utf-8")
CONTRACT: list[dict[str, Any]] = yaml.safe_load((ROOT / "tests/contract/endpoints.yaml").read_text(encoding="utf-8"))
INHERITED = "inherited suite"
"""A line may name the suite that every declared resource passes where the row does no more than that."""
_ROW = re.compile(r"^\| `(GET|POST|PATCH|DELETE) (/[^`]*)` \| (.+) \| ([^|]+) \|$")
_KEY = re.compile(r"^\| `(\w+)` \| (`[^|]+`) \| (.+) \| ([^|]+) \|$")
_WHERE = re.compile(r"`(?:(GET|POST|PATCH|DELETE) )?(/[^`]*)`")
_TEST = re.compile(r"`(tests/[\w/]+\.py)::(?:\w+::)*(\w+)`")
_OTHER = re.compile(r"\| (row|key|suite) \||\|---|\| `tests/[^|]+ \| [^|]+ \|$")
COUNTS = re.compile(r"has (\d+) rows; (\d+) of them are served.*?each of the (\d+) keys", re.DOTALL)
OUTSIDE = {("GET", "/metrics"), ("GET", "/healthz")}
"""What the API serves beside the paths of `/api/v1`."""
EVERYWHERE = "/"
"""Stands for every path: the wrapper `data`."""

Row = tuple[str, str]
Key = tuple[str, str, str]
"""Key, method ('' for any), path without its placeholder."""


def shape(method: str, path: str) -> Row:
    """Method and path, whatever a placeholder that is no id is called."""
    return method, re.sub(r"\{(?!id\})\w+\}", "{word}", path)


def family(path: str) -> str:
    """A path without its placeholder: keys of POST and PATCH share a line."""
    return re.sub(r"/\{\w+\}$", "", path)


SERVED: dict[Row, Route] = {shape(route.method, route.path): route for route in routes_of(RESOURCES)}
GUIDES: dict[Row, dict[str, Any]] = {shape(row["method"], row["path"]): row for row in CONTRACT}
LINES = [line for line in PAGE.splitlines() if line.startswith("|")]
ROWS = [(shape(m[1], m[2]), m[3], m[4]) for m in map(_ROW.match, LINES) if m]
KEYS = [
    ((m[1], where[1] or "", family(where[2])), m[3], m[4])
    for m in map(_KEY.match, LINES) if m
    for where in _WHERE.finditer(m[2])
]  # fmt: skip


def keys_in(body: Any) -> Iterator[str]:
    """Every key of an example body but the wrapper, at whatever depth."""
    if isinstance(body, dict):
        for key, value in body.items():
            if key != "data":
                yield key
            yield from keys_in(value)
    elif isinstance(body, list):
        for item in body:
            yield from keys_in(item)


def required_keys() -> set[Key]:
    """Each key of the guide's bodies of served rows, with method and path."""
    return {
        (key, row["method"], family(row["path"]))
        for name, row in GUIDES.items() if name in SERVED and row["body"] is not None
        for key in keys_in(row["body"])
    }  # fmt: skip


def known_keys() -> set[Key]:
    """Each key of any body that is taken, each parameter of a query, and each key of the guide."""
    found = {
        (key, route.method, family(route.path)) for route in SERVED.values() if route.body is not None
        for key in key_names(route.body.struct)
    }  # fmt: skip
    queries = {
        (name, route.method, family(route.path)) for route in SERVED.values() if isinstance(route.query, type)
        for name in route.query.__struct_fields__
    }  # fmt: skip
    return found | queries | required_keys()


def covers(line: Key, key: Key) -> bool:
    """Whether a line is about a key of a call."""
    return line[0] == key[0] and line[1] in {"", key[1]} and line[2] == key[2]


@functools.cache
def functions_in(file: str) -> frozenset[str]:
    """The test functions of a file."""
    path = ROOT / file
    if not path.exists():
        return frozenset()
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    return frozenset(node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def test_every_served_row_has_one_line() -> None:
    """No row of the guide that is served, and no row of our own, is without its effect."""
    named = Counter(row for row, _, _ in ROWS)

    assert sorted(SERVED.keys() - named.keys()) == []
    assert [row for row, times in named.items() if times > 1] == []


def test_every_key_of_the_guides_bodies_has_one_line() -> None:
    """No key that a script may send is without its effect, nor with two."""
    lines = [line for line, _, _ in KEYS]
    found = {key: sum(covers(line, key) for line in lines) for key in required_keys()}

    assert sorted((key for key, times in found.items() if times != 1), key=lambda key: key[::-1]) == []


def test_no_line_is_about_something_that_is_not_there() -> None:
    """Rows and keys that nobody serves have no line."""
    known = known_keys()

    assert [row for row, _, _ in ROWS if row not in SERVED and row not in OUTSIDE] == []
    assert [
        line for line, _, _ in KEYS if line[2] != EVERYWHERE and not any(covers(line, key) for key in known)
    ] == []  # fmt: skip


@pytest.mark.parametrize("lines", [ROWS, KEYS], ids=["rows", "keys"])
def test_every_line_names_a_test_that_exists(lines: list[tuple[Any, str, str]]) -> None:
    """`file::function`, one or more; a row that only lists or reads may name the inherited suite."""
    wrong = []
    for what, effect, shown in lines:
        found = _TEST.findall(shown)
        by_suite = shown == INHERITED and lines is ROWS
        if not by_suite and (not found or any(name not in functions_in(file) for file, name in found)):
            wrong.append((what, shown))
        if len(effect) < 5:
            wrong.append((what, effect))

    assert wrong == []


def test_nothing_of_a_table_is_hidden() -> None:
    """A line of a table is a head, a rule, a suite, a row or a key: none is lost by a slip of the pen."""
    other = [line for line in LINES if not _ROW.match(line) and not _KEY.match(line)]

    assert [line for line in other if not _OTHER.match(line)] == []


def test_the_suites_that_run_over_all_families_are_there() -> None:
    """Each file that the head of the page names exists."""
    named = re.findall(r"^\| `(tests/[^`]+)`[^|]* \| [^|]+ \|$", PAGE, re.MULTILINE)

    assert len(named) > 5
    assert [file for file in named if not (ROOT / file).exists()] == []


def test_the_page_counts_right() -> None:
    """Rows of the guide, those of them that are served, and the keys of their bodies."""
    keys = {key for row in CONTRACT for key in keys_in(row["body"])} | {"data"}

    assert COUNTS.findall(PAGE) == [(str(len(CONTRACT)), str(len(SERVED.keys() & GUIDES.keys())), str(len(keys)))]
    assert keys <= {line[0] for line, _, _ in KEYS}


def test_the_readme_counts_right() -> None:
    """Where it tells how many calls are served, it is that number."""
    told = re.findall(r"(\d+) of the guide's (\d+) calls", (ROOT / "README.md").read_text(encoding="utf-8"))

    assert all(numbers == (str(len(SERVED.keys() & GUIDES.keys())), str(len(CONTRACT))) for numbers in told)
