"""The tables of settings are those of the processes: each variable that is read is told, with the default and the limits of the code."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest

from rubackup.roles.installed.config_file import KEYS, TUNING
from rubackup.roles.installed.environment import GUIDE, KNOWN
from rubackup.roles.up.service import _PASSED_ON
from rubackup.roles.variables import BY_NAME, VARIABLES
from support.manual import user_pages
from support.sources import SOURCES

READS = {"text", "integer", "number", "choice", "port", "flag", "path", "folders", "secret"}
PROCESSES = {"api": ("api.py", "rest.py"), "server": ("server.py",), "media": ("media.py",), "client": ("client.py",)}


def reads(file: str) -> Iterator[tuple[str, str, ast.Call]]:
    """Each `settings.kind("NAME", …)` of a file of the roles."""
    for node in ast.walk(ast.parse((SOURCES / "roles" / file).read_text(encoding="utf-8"))):
        match node:
            case ast.Call(func=ast.Attribute(attr=kind), args=[ast.Constant(value=str(name)), *_]) if kind in READS:
                if re.fullmatch(r"[A-Z][A-Z_]+", name):
                    yield kind, name, node


EVERY = [
    found
    for file in sorted((SOURCES / "roles").rglob("*.py"))
    for found in reads(str(file.relative_to(SOURCES / "roles")))
]


def test_every_variable_that_is_read_is_told() -> None:
    """And each that is told is read."""
    assert len({name for _, name, _ in EVERY}) > 25
    assert {name for _, name, _ in EVERY} - BY_NAME.keys() == set()


@pytest.mark.parametrize("role", PROCESSES)
def test_readers_are_those_of_the_code(role: str) -> None:
    """What the module of a process reads itself is said to be read by it."""
    read = {name for file in PROCESSES[role] for _, name, _ in reads(file)}

    assert read
    assert [name for name in sorted(read) if role not in BY_NAME[name].readers] == []


def test_what_up_reads_or_passes_on_is_told() -> None:
    """So that a reader sets nothing in vain: what `rubackup up` writes itself is not its reader's to set."""
    sources = "".join(file.read_text(encoding="utf-8") for file in (SOURCES / "roles/up").glob("*.py"))
    told = {variable.name for variable in VARIABLES if "up" in variable.readers}

    assert BY_NAME.keys() & set(_PASSED_ON) <= told
    assert [name for name in sorted(told) if f'"{name}"' not in sources] == []
    assert [variable.name for variable in VARIABLES if variable.readers == ("up",)] == [
        "DB_ADMIN_USER",
        "DB_ADMIN_PASSWORD_FILE",
        "DB_ADMIN_NAME",
        "RUBACKUP_POSTGRES_BIN",
        "RESERVE_SERVERS",
    ]


def test_defaults_are_those_of_the_code() -> None:
    """Where a call says one itself."""
    said = {
        (name, str(call.args[1].value))
        for _, name, call in EVERY
        if len(call.args) > 1 and isinstance(call.args[1], ast.Constant)
    }
    wanted = {(name, default) for name, default in said if default and name != "APP_PORT"} | {("APP_PORT", "5656")}

    assert len(wanted) > 8
    assert [(name, default) for name, default in sorted(wanted) if f"`{default}`" not in BY_NAME[name].default] == []


def test_limits_are_those_of_the_code() -> None:
    """Where a call says them as numbers."""
    numbers = {
        (name, part.arg, part.value.value)
        for kind, name, call in EVERY
        if kind == "number"
        for part in call.keywords
        if isinstance(part.value, ast.Constant)
    }

    assert len(numbers) > 3
    wrong = [
        (n, side, v)
        for n, side, v in numbers
        if str(v) != BY_NAME[n].allowed.split(" to ")[0 if side == "least" else 1]
    ]
    assert wrong == []


def test_what_an_installation_sets_is_a_setting_of_a_process() -> None:
    """Each key of config.file and each variable of rubackup_api.env is told above under the name of the process."""
    other = {"", "LOCAL_BACKUP_DIRECTORY"}

    assert {key.env for key in KEYS} - BY_NAME.keys() == other
    assert {*KNOWN, *TUNING} <= BY_NAME.keys()
    assert [name for name in KNOWN if "api" not in BY_NAME[name].readers] == []
    assert [
        (name, default)
        for name, default in GUIDE.items()
        if name in {"APP_HOST", "APP_PORT", "DB_PORT"} and BY_NAME[name].default != f"`{default}`"
    ] == []


@pytest.mark.parametrize("language", [".md", ".ru.md"])
def test_every_cell_but_the_default_is_filled(language: str) -> None:
    """Nobody has to guess what a setting takes."""
    page = user_pages(language)["reference"].read_text(encoding="utf-8")
    tables = re.findall(r"<!-- generated: (settings|files) -->\n(.*?)<!-- end -->", page, re.DOTALL)
    rows = [
        [cell.strip() for cell in line.split(" | ")] for _, text in tables for line in text.strip().splitlines()[2:]
    ]

    assert len(rows) == len(VARIABLES) + len(KEYS)
    assert [row for row in rows if len(row) != 5 or not all(row[:4])] == []
