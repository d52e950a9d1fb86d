"""Command lines of the product as its own argument parsers read them, without carrying them out.

Manuals and messages write commands for people: `…` stands for more arguments, `[--to FILE]` may be left out, NAME and DIR are filled in
by the reader. A command that is only named (`rb clients authorize`) needs none of its arguments.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import itertools
import re
import shlex
import sys
import tomllib
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import pytest
import typer
from typer._click import exceptions  # Typer's own copy of click, which it does not hand out
from typer.main import get_command

from rubackup.cli import other_names
from rubackup.cli.client import app as client_app
from rubackup.cli.main import app
from rubackup.cli.rb.generic import FamilyGroup
from rubackup.cli.rb.main import ALIASES, group, made
from support.manual import ROOT

SCRIPTS: dict[str, str] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["scripts"]
"""The programs that an installation has."""
OPEN = "…"
NUMBERS = {"N": "1", "ID": "1", "RECORD": "1", "PORT": "1"}
"""Placeholders that stand for a number."""
TOKEN = re.compile(r"""'[^']*'|"[^"]*"|\[|\]|\||[^\s\[\]|]+""")


@cache
def fault(line: str) -> str:
    """Why the product would not take a command line; empty when it would."""
    return next((found for words in readings(line) if (found := _fault(words))), "")


def readings(line: str) -> Iterator[list[str]]:
    """What a line with optional parts stands for: without all of them, and with each of their alternatives."""
    parts: list[list[list[str]]] = _alternatives(TOKEN.findall(line))
    seen: set[tuple[str, ...]] = set()
    for chosen in itertools.product(*({0, len(part) - 1, *range(len(part))} for part in parts)):
        words = [word for part, which in zip(parts, chosen, strict=True) for word in part[which] if word != "..."]
        if tuple(words) not in seen:
            seen.add(tuple(words))
            yield [shlex.split(word)[0] if word[0] in "'\"" and len(word) > 1 else word for word in words]


def _alternatives(tokens: list[str]) -> list[list[list[str]]]:
    """Each part of a line as the ways to write it; brackets within brackets count as written."""
    parts: list[list[list[str]]] = []
    depth = 0
    for token in tokens:
        if token == "[":
            depth += 1
            if depth == 1:
                parts.append([[], []])
        elif token == "]":
            depth -= 1
        elif depth and token == "|":
            parts[-1].append([])
        elif depth:
            parts[-1][-1].append(token)
        else:
            parts.append([[token]])
    return parts


def _fault(words: list[str]) -> str:
    """Of one reading; a flag at its end, or before …, may be named without its value."""
    program = words[0]
    partly = OPEN in "".join(words) or "COMMAND" in words or not any(word.startswith("-") for word in words)
    arguments = [NUMBERS.get(word, word) for word in words[1:] if OPEN not in word and word != "COMMAND"]
    if program not in SCRIPTS:
        return f"there is no program {program}"
    found = _parsed(program, arguments, partly=partly)
    valueless = (
        re.search(r"requires an argument|expected one argument", found) and words[-1 - (words[-1] == OPEN)][0] == "-"
    )
    return _parsed(program, [*arguments, "1"], partly=True) if valueless else found


def _parsed(program: str, arguments: list[str], *, partly: bool) -> str:
    entry = SCRIPTS[program].rpartition(":")[2]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RUBACKUP_STATE", "/srv/rubackup")
        if entry == "instead":
            return f"{program} takes nothing" if arguments else ""
        if entry == "client_tool":
            return _click(_root("client"), program, other_names.arguments(program, arguments), partly=partly)
        if _own_parser(program):
            return _argparse(program, arguments, partly=partly)
        return _click(_root(program), program, arguments, partly=partly)


def _own_parser(program: str) -> bool:
    """Whether it is made with argparse; all others are with Typer."""
    return program == "rb_init" or program.startswith("rubackup_")


@cache
def _root(program: str) -> Any:
    """The command of a program that is made with Typer."""
    own: dict[str, Callable[[], Any]] = {
        "rb": group, "rubackup": lambda: get_command(app), "client": lambda: get_command(client_app),
    }  # fmt: skip
    return own[program]() if program in own else made(program.removeprefix("rb_"))


class _Parsed(BaseException):
    """A program has read its command line, and would begin its work now."""


def _entered(program: str, arguments: list[str]) -> tuple[argparse.ArgumentParser, str]:
    """The parser of a program, which is called as its users call it, up to its work; and what it says is wrong."""
    read, parsers, said = argparse.ArgumentParser.parse_args, [], io.StringIO()

    def only_read(parser: argparse.ArgumentParser, *given: Any) -> None:
        parsers.append(parser)
        read(parser, *given)
        raise _Parsed

    module, _, entry = SCRIPTS[program].partition(":")
    wrong: object = 0
    with (
        pytest.MonkeyPatch.context() as patch,
        contextlib.redirect_stderr(said),
        contextlib.redirect_stdout(io.StringIO()),
    ):
        patch.setattr(argparse.ArgumentParser, "parse_args", only_read)
        patch.setattr(sys, "argv", [program, *arguments])
        try:
            wrong = getattr(importlib.import_module(module), entry)()
        except _Parsed:
            pass
        except SystemExit as end:
            wrong = end.code
    return parsers[0], said.getvalue().strip().splitlines()[-1] if wrong else ""


def _argparse(program: str, arguments: list[str], *, partly: bool) -> str:
    return "" if partly and not arguments else _entered(program, arguments)[1]


def _click(command: Any, name: str | None, words: list[str], *, partly: bool) -> str:
    """As click does it, but for the work itself: each group makes its context, and says which command comes next."""
    parent = None
    try:
        while True:
            with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
                context = command.make_context(name, list(words), parent=parent)
            rest = [*context._protected_args, *context.args]
            if not hasattr(command, "resolve_command"):
                return f"{rest[0]} is one argument too many" if rest else ""
            if not rest:
                return ""
            parent = context
            name, command, words = command.resolve_command(context, rest)
    except (typer.Exit, exceptions.NoArgsIsHelpError):
        return ""
    except exceptions.MissingParameter as error:
        return "" if partly else error.format_message()
    except exceptions.UsageError as error:
        return error.format_message()


def _commands(command: Any, path: str) -> Iterator[tuple[str, Any]]:
    yield path, command
    if hasattr(command, "list_commands"):
        from typer._click import Context

        context = Context(command)
        for name in command.list_commands(context):
            yield from _commands(command.get_command(context, name), f"{path} {name}")


@cache
def commands() -> dict[str, frozenset[str]]:
    """Every command and sub-command with its flags, by how it is typed."""
    found: dict[str, frozenset[str]] = {}
    for name in ("rb", "rubackup"):
        for path, one in _commands(_root(name), name):
            short = one.tool.flags if isinstance(one, FamilyGroup) else ()
            found[path] = frozenset(opt for parameter in one.params for opt in parameter.opts if opt[0] == "-")
            found[path] |= {flag for flag, _command in short}
    for alias in ALIASES:
        found |= {f"rb_{path[3:]}": flags for path, flags in found.items() if path.split()[:2] == ["rb", alias]}
    for program in SCRIPTS:
        if _own_parser(program):
            found[program] = frozenset(
                flag for action in _entered(program, [])[0]._actions for flag in action.option_strings
            )
    return found


def flags() -> frozenset[str]:
    """Every flag that some program has."""
    return frozenset(itertools.chain.from_iterable(commands().values())) | {"--help", "-h"}


def sub_commands() -> frozenset[str]:
    """Every word that is a sub-command of something."""
    return frozenset(path.rpartition(" ")[2] for path in commands() if " " in path)


if __name__ == "__main__":
    for given in sys.argv[1:]:
        print(f"{given}: {fault(given) or 'fine'}")
