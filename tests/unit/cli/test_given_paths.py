"""No command takes an empty text for a path: it would be the current folder, where a script's variable was not set."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from rubackup.cli import init, paths, programs
from rubackup.cli.alone import Alone
from rubackup.cli.main import app
from rubackup.cli.rb.main import group
from rubackup.roles import arguments, process
from rubackup.roles.up import main as up
from support.rb import rb

TOLD = "must be the path of a file or folder, not an empty text"
TEXTS = {
    ("rubackup client backup", "resource"), ("rubackup client request-rule", "resource"),
    ("rubackup client restore", "path"), ("rb backup", "resource"), ("rb restore", "to"), ("rb restore", "file"),
    ("rb repository download", "path"), ("rb repository download", "to"), ("rb login", "password_file"),
}  # fmt: skip
"""Paths that are kept as texts, beside all whose value is called FILE."""


def parameters(found: Any, name: str) -> Iterator[tuple[str, str, Any]]:
    """The parameters of a program made with Typer, those of all its commands too."""
    for one in found.params:
        yield name, one.name, one
    for below in found.list_commands(None) if hasattr(found, "list_commands") else ():
        yield from parameters(found.get_command(None, below), f"{name} {below}")


def test_every_path_that_typer_reads_is_read_the_same_way() -> None:
    """Of all commands of `rubackup` and `rb`: no option and no argument makes a path of an empty text."""
    every = [*parameters(typer.main.get_command(app), "rubackup"), *parameters(group(), "rb")]
    read = {(command, name): one.type_descriptor for command, name, one in every}
    files = {(command, name) for command, name, one in every if one.metavar == "FILE"}
    real = {key for key, kind in read.items() if kind.annotation in {Path, list[Path]}}

    assert [key for key in real if read[key].parameter_info.parser is not paths.path] == []
    assert [key for key in (files | TEXTS) - real if read[key].parameter_info.parser is not paths.path_text] == []
    assert len(real) > 20
    assert len(files) > 80


def parsers(monkeypatch: pytest.MonkeyPatch) -> Iterator[argparse.ArgumentParser]:
    """The parsers of all programs that read their arguments with argparse."""
    yield init._parser()
    yield from (programs._parser(role) for role in ("api", "server", "media", "client"))
    yield programs._parser("alone", Alone)
    made: list[argparse.ArgumentParser] = []

    class _SeenError(Exception):
        """Raised in place of reading arguments."""

    def seen(self: argparse.ArgumentParser, *_: object) -> None:
        made.append(self)
        raise _SeenError

    with monkeypatch.context() as patched:
        patched.setattr(argparse.ArgumentParser, "parse_args", seen)
        inner: tuple[Callable[[], object], ...] = (lambda: process.configured("rubackup_x"), up.main)
        for begin in inner:
            with pytest.raises(_SeenError):
                begin()
    yield from made


def test_every_path_that_argparse_reads_is_read_the_same_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of `rb_init`, the programs of roles, and the processes that a supervisor starts."""
    found = [(one.prog, action) for one in parsers(monkeypatch) for action in one._actions]
    named = [(prog, action) for prog, action in found if action.metavar in {"FILE", "DIR"} or action.type is not None]

    assert [(prog, action.dest) for prog, action in found if action.type is Path] == []
    assert [(prog, a.dest) for prog, a in named if a.metavar in {"FILE", "DIR"} and a.type is not arguments.path] == []
    assert sum(action.type is arguments.path for _, action in named) >= 13


@pytest.mark.parametrize(
    "line",
    [
        ["client", "backup", ""], ["client", "restore", "1", "--to", "", "--yes"], ["client", "restore", "1", "--path", "", "--yes"],
        ["client", "--state", "", "status"], ["backup-catalogue", "--to", ""], ["up", "--state", ""], ["demo", ""],
        ["demo", "--state", ""], ["client", "key", "sheet", "--to", ""], ["media", "repair", "--metadata", ""],
    ],
)  # fmt: skip
def test_an_empty_path_is_refused(line: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is done: the current folder stays as it was."""
    monkeypatch.chdir(tmp_path)

    result = CliRunner(env={"RUBACKUP_CLIENT_SOCKET": str(tmp_path / "s")}).invoke(app, line)

    assert result.exit_code == 2
    assert TOLD in " ".join(result.output.replace("│", " ").split())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("line", [["restore", "1", "--in-place", "--to", ""], ["restore", "1", "--in-place", "-f", ""],
                                  ["call", "GET", "/", "--data", ""]])  # fmt: skip
def test_rb_refuses_an_empty_path_too(line: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would be all files of a copy, or where they came from."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))

    status, _, said = rb(*line)

    assert status == 2
    assert TOLD in " ".join(said.replace("│", " ").split())


def test_rb_init_names_the_argument(capsys: pytest.CaptureFixture[str]) -> None:
    """An empty folder and a port in the digits of another script."""
    with pytest.raises(SystemExit, match="2"):
        init.main(["-n", "client", "-l", ""])
    with pytest.raises(SystemExit, match="2"):
        init.main(["-n", "primary-server", "--db-port", "٥٤٣٢"])

    told = capsys.readouterr().err
    assert f"rb_init: error: argument -l: {TOLD}" in told
    assert "argument --db-port: must be a whole number, not '٥٤٣٢'" in told
    assert init.main(["--enroll-api", "a.example", "--workers", "٣"]) == process.EXIT_CONFIGURATION
