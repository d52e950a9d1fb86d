"""Paths on the command lines that Typer reads; `rubackup.roles.arguments` has the rule."""

from __future__ import annotations

import os
from pathlib import Path

import typer

from rubackup.roles.arguments import length_fault, path_fault


def path(value: str | os.PathLike[str]) -> Path:
    """A path, as the parser of an option or argument, which the error names."""
    text = path_text(os.fspath(value))
    if fault := length_fault(text):
        raise typer.BadParameter(f"{text} {fault}")
    return Path(text)


def path_text(value: str) -> str:
    """The same where the text itself is wanted."""
    if fault := path_fault(value):
        raise typer.BadParameter(fault)
    return value
